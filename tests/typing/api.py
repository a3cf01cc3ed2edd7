"""The public API, used the way people use it. Nobody runs this file: mypy and pyright read it, both in strict mode.

`assert_type` fails the check when a type gets wider. `type: ignore` fails it when a mistake is no longer found.
"""

import random
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_type

import aveo3
from aveo3 import (
    AveoError,
    ClipError,
    Clips,
    ClipStatus,
    ClipStream,
    Estimate,
    FetchError,
    GateClosed,
    JobHistory,
    JobRecord,
    JournalError,
    JournalStatus,
    LaneSettings,
    Media,
    ReferenceImage,
    Settings,
    Stats,
    UsageError,
    VeoClient,
    VideoClip,
    VideoPrompt,
)
from aveo3.mock import FAULTS, Books, Latency, MockOptions, MockServer, Quota, Scenario
from aveo3.testing import ScriptedBackend, run_virtual


async def one_line() -> None:
    clips = await aveo3.generate_many(["a paper boat", VideoPrompt(text="a lighthouse")], mock_mode=True)
    assert_type(clips, Clips)
    assert_type(clips.to_dicts(), list[dict[str, Any]])
    assert_type(clips[0], VideoClip)


async def every_way_in(lazy: Iterator[str], live: AsyncIterator[VideoPrompt], rows: list[dict[str, Any]]) -> None:
    async with VeoClient(Settings(mock_mode=True, output_dir=Path("clips"))) as veo:
        assert_type(veo, VeoClient)
        assert_type(await veo.generate("a paper boat"), VideoClip)
        assert_type(await veo.generate_many(lazy, fresh=True), Clips)
        assert_type(await veo.generate_many(rows), Clips)
        async with veo.stream(live) as clips:
            assert_type(clips, ClipStream)
            async for clip in clips:
                assert_type(clip, VideoClip)
        async with veo.resume() as left:
            async for clip in left:
                assert_type(clip.may_be_paid, bool)
        assert_type(veo.stats(), Stats)
        assert_type(veo.estimate(lazy), list[Estimate])
        assert_type(veo.status(), JournalStatus)
        assert_type(veo.history("1a2b"), JobHistory)
        assert_type(veo.retry("1a2b", failed=True, may_pay_twice=True), tuple[JobRecord, ...])


def what_a_clip_tells(clip: VideoClip) -> str:
    assert_type(clip.status, ClipStatus)
    assert_type(clip.path, Path | None)
    assert_type(clip.paths, tuple[Path, ...])
    assert_type(clip.uri, str | None)
    assert_type(clip.cost_usd, float | None)
    assert_type(clip.submitted_utc, datetime | None)
    assert_type(clip.prompt, VideoPrompt)
    assert_type(clip.prompt.metadata, dict[str, Any])
    return clip.status.advice


def what_stats_tell(stats: Stats) -> None:
    assert_type(stats.clips, Mapping[ClipStatus, int])
    assert_type(stats.cost_usd, float)
    assert_type(stats.may_be_paid, tuple[str, ...])
    for gate in stats.gates.values():
        assert_type(gate.refused, int)


def what_the_journal_tells(status: JournalStatus, history: JobHistory) -> None:
    assert_type(status.jobs, tuple[JobRecord, ...])
    assert_type(status.money.spent.usd, float)
    assert_type(status.active, bool)
    assert_type(history.job.cost_usd, float | None)
    for event in history.events:
        assert_type(event.at_utc, datetime)


def what_errors_carry(error: AveoError) -> None:
    if isinstance(error, ClipError):
        assert_type(error.clip, VideoClip)
    elif isinstance(error, GateClosed):
        assert_type(error.retry_at_utc, datetime | None)
    elif isinstance(error, FetchError):
        assert_type(error.final, bool)
    elif isinstance(error, JournalError):
        assert_type(error, JournalError)
    elif isinstance(error, UsageError):
        _: ValueError = error


def settings_and_lanes() -> VeoClient:
    lanes = [LaneSettings(project="alpha", rate_limit=10), LaneSettings(project="beta", order=2)]
    return VeoClient(
        Settings(rate_limit=10, rate_period=60.0, budget=50.0),
        lanes=lanes,
        rng=random.Random(1),
        now_utc=lambda: datetime.now(UTC),
    )


def everything_that_settings_accept() -> Settings:
    settings = Settings(output_dir="clips", journal=None, api_key="AIza", fallback=["veo-3.1-fast-generate-001"])
    assert_type(settings.output_dir, Path)
    return Settings(quota_patience=None, fallback="a -> b", catalog=Path("mine.toml"), credentials_file="sa.json")


def a_backend_for_each_lane() -> VeoClient:
    async def connect(name: str, settings: Settings) -> ScriptedBackend:
        assert_type(settings, Settings)
        return ScriptedBackend()

    return VeoClient(lanes=[LaneSettings(project="alpha")], connect=connect)


def media(pictures: list[Path]) -> VideoPrompt:
    picture = Media(path="boat.png")
    assert_type(picture.path, Path | None)
    VideoPrompt(text="a boat", image=picture, duration_seconds=8, aspect_ratio="9:16", resolution="720p")
    VideoPrompt(image="boat.png", last_frame=Path("shore.png"), metadata={"scene": 1})
    VideoPrompt(text="a boat", reference_images=["boat.png", b"\x89PNG", Path("sail.png")])
    VideoPrompt(text="a boat", reference_images=pictures, video=None)
    prompt = VideoPrompt(text="go on", video="gs://films/boat.mp4")
    assert_type(prompt.video, Media | None)
    assert_type(prompt.reference_images, tuple[ReferenceImage, ...])
    return prompt


def wrong() -> None:
    VideoPrompt(text="a boat", resolution="8k")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    VideoPrompt(txt="a boat")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    VideoPrompt(image=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    frame = Media.from_clip("intro", frame="last")
    assert_type(frame, Media)
    VideoPrompt(text="a boat", image=frame, last_frame=Media(clip="end", frame=1.5))
    Media.from_clip("intro", frame="middle")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Media(file="a.png")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Settings(rate_limt=10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Settings(rate_limit="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Settings(backend="vortex")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    LaneSettings(projct="alpha")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _ = aveo3.generate_many(["a"], mock=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def emulator() -> None:
    options = MockOptions(rpm=10, speed=60.0, quotas=(Quota(key="a", rpm=2),), latency=Latency(law="fixed", a=1.0))
    MockOptions(faults=["drop-after@1"], latency="0.1", quotas=["project=alpha,rpm=2"], rtt=0.2, retired=[])
    async with MockServer(options) as server:
        assert_type(server.url, str)
        assert_type(server.books, Books)
    assert_type(min(FAULTS), str)
    _ = Scenario


def virtual_time() -> None:
    async def main() -> int:
        async with VeoClient(Settings(journal=None), backend=ScriptedBackend()) as veo:
            return len(await veo.generate_many(["a", "b"]))

    assert_type(run_virtual(main()), int)
