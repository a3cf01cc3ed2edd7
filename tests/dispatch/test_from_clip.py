"""Prompts that depend on clips: sent once those are on disk, paid once, and refused before anything is sent."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aveo3 import ClipStatus, Media, UsageError, VeoClient, VideoClip, VideoPrompt
from aveo3.backends.base import Finished, PollResult, Video
from aveo3.files import frames
from aveo3.mock.state.films import FilmSpec, draw
from aveo3.testing import ScriptedBackend
from tests.support.virtual import client as calm_client
from tests.support.virtual import statuses, virtual


class Studio(ScriptedBackend):
    """Makes a real film for each prompt, and keeps what was sent for it."""

    def __init__(self, *, filtered: tuple[str, ...] = (), take: int = 0, **values: Any) -> None:
        super().__init__(ending=self._film, **values)
        self.filtered = filtered
        self.take = take
        self.sent: dict[str, list[bytes]] = {}

    def _film(self, prompt: VideoPrompt) -> PollResult:
        if prompt.text in self.filtered:
            return Finished(filtered=1, filter_reasons=("a safety filter",))
        return Finished((Video(data=film_of(prompt.text, self.take)),))

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Any:
        self.sent[prompt.text] = [medium.read() for medium in prompt.media]
        return await super().submit(prompt, model, output_uri=output_uri)


def film_of(text: str, take: int = 0) -> bytes:
    return draw(FilmSpec(prompt=f"{text} {take}", seconds=1, aspect="16:9", resolution="720p", sample=0))


def client(backend: ScriptedBackend, **values: Any) -> VeoClient:
    return calm_client(backend, **{"rate_limit": 1000, "journal": Path(".aveo3/journal.db"), **values})


def scene(name: str, begins: str | None = None, frame: Any = "last", **values: Any) -> VideoPrompt:
    image = None if begins is None else Media.from_clip(begins, frame)
    return VideoPrompt(id=name, text=f"scene {name}", image=image, **values)


def test_a_prompt_is_sent_when_the_clip_it_begins_from_is_on_disk() -> None:
    async def main() -> None:
        studio = Studio(latency=10.0)
        async with client(studio) as veo:
            clips = await veo.generate_many([scene("b", "a"), scene("c", "b"), scene("a"), scene("d")])
        assert statuses(clips) == ["succeeded"] * 4
        sent = {text: at for at, text in studio.submits}
        assert sent["scene a"] == sent["scene d"] < 1
        assert 10 <= sent["scene b"] < 12
        assert 20 <= sent["scene c"] < 24
        film = clips[2].path
        assert film is not None
        assert studio.sent["scene b"] == [frames.cut(film, "last")]
        assert clips[0].prompt.image is not None
        assert clips[0].prompt.image.clip == "a"

    virtual(main)


def test_each_kind_of_medium_takes_a_clip_and_the_whole_clip_goes_out_as_it_is() -> None:
    async def main() -> None:
        studio = Studio()
        prompts = [
            scene("a"),
            VideoPrompt(text="between", image=Media.from_clip("a", "first"), last_frame=Media.from_clip("a", "last")),
            VideoPrompt(text="of her", reference_images=[Media.from_clip("a", 0.5)]),
            VideoPrompt(text="and on", video=Media.from_clip("a")),
        ]
        async with client(studio) as veo:
            clips = await veo.generate_many(prompts)
        assert statuses(clips) == ["succeeded"] * 4
        film = clips[0].path
        assert film is not None
        assert studio.sent["between"] == [frames.cut(film, "first"), frames.cut(film, "last")]
        assert studio.sent["of her"] == [frames.cut(film, 0.5)]
        assert studio.sent["and on"] == [film.read_bytes()]

    virtual(main)


# ---- what is not made ------------------------------------------------------------------------------------------------


def test_a_source_without_a_video_stops_only_what_hangs_on_it_and_costs_nothing() -> None:
    async def main() -> None:
        studio = Studio(filtered=("scene a",))
        async with client(studio) as veo:
            clips = await veo.generate_many([scene("a"), scene("b", "a"), scene("c", "b"), scene("d"), scene("e", "d")])
            assert statuses(clips) == ["filtered", "deferred", "deferred", "succeeded", "succeeded"]
            assert [clip.error_kind for clip in clips[1:3]] == ["source", "source"]
            assert clips[1].error_message == "not sent: 'a', on which it depends, was filtered: change its prompt"
            assert clips[2].error_message == "not sent: 'b', on which it depends, was not sent either"
            assert [clip.cost_usd or 0.0 for clip in clips[:3]] == [0.0] * 3
            assert [clip.attempts for clip in clips[1:3]] == [0, 0]
            veo.retry(clips[0])
            studio.filtered = ()
            again = await veo.generate_many([scene("a"), scene("b", "a"), scene("c", "b"), scene("d"), scene("e", "d")])
        assert statuses(again) == ["succeeded"] * 5
        assert studio.accepted == {f"scene {name}": 2 if name == "a" else 1 for name in "abcde"}

    virtual(main)


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        (
            [scene("a"), scene("b", "intor"), scene("intro")],
            "prompt 2: no prompt of this call has the id 'intor', nor a clip in .aveo3/journal.db: "
            "did you mean 'intro'?",
        ),
        ([scene("a", "b"), scene("b", "c"), scene("c", "b")], "'c' needs 'b' needs 'c'"),
        ([scene("x"), scene("a", "a")], "'a' depends on itself"),
        ([scene("a"), scene("a"), scene("b", "a")], "prompts 1 and 2 both have the id 'a', and others depend on it"),
    ],
    ids=["unknown", "circle", "itself", "twice"],
)
def test_what_can_never_be_made_is_an_error_before_anything_is_sent(prompts: list[VideoPrompt], sentence: str) -> None:
    async def main() -> None:
        studio = Studio()
        async with client(studio) as veo:
            with pytest.raises(UsageError, match="nothing was sent") as error:
                await veo.generate_many(prompts)
        assert sentence in str(error.value).replace("\\", "/")
        assert studio.submits == []

    virtual(main)


def test_without_pyav_frames_are_an_error_before_anything_is_sent_and_whole_clips_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "can_cut", lambda: False)

    async def main() -> None:
        studio = Studio()
        async with client(studio) as veo:
            with pytest.raises(UsageError, match=r"pip install 'aveo3\[frames\]'"):
                await veo.generate_many([scene("a"), scene("b", "a")])
            assert studio.submits == []
            whole = VideoPrompt(text="and on", video=Media.from_clip("a"))
            assert statuses(await veo.generate_many([scene("a"), whole])) == ["succeeded"] * 2

    virtual(main)


def test_a_frame_after_the_end_rejects_its_own_prompt_only() -> None:
    async def main() -> None:
        async with client(Studio()) as veo:
            clips = await veo.generate_many([scene("a"), scene("b", "a", 8), scene("c", "a", 0.9)])
        assert statuses(clips) == ["succeeded", "rejected", "succeeded"]
        assert clips[1].error_message == "the clip 'a' lasts 1.000 s: it has no frame at 8 s"

    virtual(main)


# ---- lazy iterables --------------------------------------------------------------------------------------------------


def test_an_asynchronous_iterable_may_wait_for_the_clip_that_depends_on_another() -> None:
    """What waits for its clip does not wait for the next prompt."""

    async def main() -> None:
        came = asyncio.Event()

        async def prompts() -> AsyncIterator[VideoPrompt]:
            yield scene("a")
            yield scene("b", "a")
            await came.wait()
            yield scene("c", "b")

        async with client(Studio()) as veo, veo.stream(prompts()) as clips:
            names = []
            async for clip in clips:
                names.append(clip.prompt.id)
                if clip.prompt.id == "b":
                    came.set()
        assert names == ["a", "b", "c"]

    virtual(main)


def test_a_lazy_iterable_waits_for_sources_that_come_later_and_rejects_what_nobody_makes() -> None:
    def prompts() -> Iterator[VideoPrompt]:
        yield from (scene(f"x{number}", "late") for number in range(100))
        yield from (scene("b", "c"), scene("c", "b"), scene("d", "c"), scene("e", "nobody"), scene("late"))

    async def main() -> None:
        async with client(Studio()) as veo:
            clips = await veo.generate_many(prompts())
        ends = statuses(clips)
        assert ends[:100] == ["succeeded"] * 100
        assert ends[100:] == ["rejected", "rejected", "deferred", "rejected", "succeeded"]
        assert "in a circle" in (clips[100].error_message or "")
        assert "no prompt of this call has the id 'nobody'" in (clips[103].error_message or "")

    virtual(main)


# ---- paid once -------------------------------------------------------------------------------------------------------


def test_a_later_call_finds_the_clip_in_the_journal_by_its_id_its_job_or_itself() -> None:
    async def main() -> None:
        studio = Studio()
        async with client(studio) as veo:
            [intro] = await veo.generate_many([scene("intro")])
        async with client(studio) as veo:
            assert intro.job is not None
            by_all = [
                VideoPrompt(text="by id", image=Media.from_clip("intro", "last")),
                VideoPrompt(text="by job", image=Media.from_clip(intro.job, "last")),
                VideoPrompt(text="itself", image=Media.from_clip(intro, "last")),
            ]
            assert statuses(await veo.generate_many(by_all)) == ["succeeded"] * 3
            assert (await veo.generate(VideoPrompt(text="alone", image="clip:intro#last"))).succeeded
        assert len({studio.sent[text][0] for text in ("by id", "by job", "itself", "alone")}) == 1

    virtual(main)


def test_run_again_nothing_is_sent_whatever_became_of_the_pictures_and_of_pyav(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bytes of the source are the identity, so that pictures of another release do not count."""

    async def main() -> None:
        studio, prompts = Studio(), [scene("a"), scene("b", "a"), scene("c", "b", 0.5)]
        async with client(studio) as veo:
            first = await veo.generate_many(prompts)
        shutil.rmtree("clips/.aveo3/frames")
        monkeypatch.setattr(frames, "cut", lambda *_: b"other bytes")
        async with client(studio) as veo:
            again = await veo.generate_many(prompts)
        assert [clip.job for clip in again] == [clip.job for clip in first]
        assert all(clip.cached for clip in again)
        assert len(studio.submits) == 3

    virtual(main)


def test_a_source_that_is_made_anew_makes_what_hangs_on_it_anew_and_nothing_else() -> None:
    async def main() -> None:
        studio = Studio()
        async with client(studio) as veo:
            await veo.generate_many([scene("a"), scene("b", "a"), scene("c")])
            studio.take = 1
            other = VideoPrompt(id="a", text="another a")
            clips = await veo.generate_many([other, scene("b", "a"), scene("c")])
        assert [clip.cached for clip in clips] == [False, False, True]
        assert studio.accepted == {"scene a": 1, "scene b": 2, "scene c": 1, "another a": 1}
        film = clips[0].path
        assert film is not None
        assert studio.sent["scene b"] == [frames.cut(film, "last")]

    virtual(main)


def test_a_clip_is_handed_out_though_its_source_is_gone_and_a_new_one_is_not_sent() -> None:
    async def main() -> None:
        studio = Studio()
        async with client(studio) as veo:
            clips = await veo.generate_many([scene("a"), scene("b", "a")])
            film = clips[0].path
            assert film is not None
            film.unlink()
            once_more, new = await veo.generate_many([scene("b", "a"), scene("n", "a", 0.5)])
        assert once_more.cached
        assert once_more.succeeded
        assert (new.status, new.error_kind) == (ClipStatus.DEFERRED, "source")
        assert "is missing or was changed" in (new.error_message or "")

    virtual(main)


# ---- stopping, and many ----------------------------------------------------------------------------------------------


def test_a_stopped_run_gives_each_waiting_prompt_a_clip_and_the_next_run_goes_on() -> None:
    async def main() -> None:
        studio = Studio(latency=10.0)
        prompts = [scene("c", "b"), scene("b", "a"), scene("a"), *(scene(f"x{n}", "a") for n in range(5))]
        async with client(studio) as veo, veo.stream(prompts) as clips:
            asyncio.get_running_loop().call_later(5, clips.stop)
            ends = {clip.prompt.id: clip.status.value async for clip in clips}
        assert ends == {"a": "succeeded", **dict.fromkeys(("b", "c", "x0", "x1", "x2", "x3", "x4"), "cancelled")}
        async with client(studio) as veo:
            assert statuses(await veo.generate_many(prompts)) == ["succeeded"] * 8
        assert set(studio.accepted.values()) == {1}

    virtual(main)


def test_a_dependent_goes_before_prompts_that_wait_for_their_turn() -> None:
    async def main() -> None:
        studio = Studio(latency=2.0)
        prompts = [scene("a"), *(scene(f"x{n}") for n in range(30)), scene("b", "a")]
        async with client(studio, rate_limit=1, rate_period=5, burst=1) as veo:
            await veo.generate_many(prompts)
        assert [text for _, text in studio.submits].index("scene b") == 2 - 1

    virtual(main)


def test_a_long_chain_needs_no_task_for_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    film = film_of("any")
    monkeypatch.setattr(frames, "cut", lambda *_: b"a picture")
    links, most = 150, 0

    def made(prompt: VideoPrompt) -> PollResult:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        return Finished((Video(data=film),))

    async def main() -> None:
        studio = ScriptedBackend(ending=made, latency=0.1)
        prompts = [scene(f"{n}", f"{n - 1}" if n else None, 0.5) for n in range(links)]
        prompts.reverse()
        quick = client(studio, rate_limit=100_000, journal=None, poll_interval=0.1)
        async with quick as veo, veo.stream(prompts) as clips:
            ends = [clip.succeeded async for clip in clips]
        assert ends == [True] * links

    virtual(main)
    assert most < 12


def test_a_fresh_batch_makes_sources_and_what_hangs_on_them_anew_and_goes_on_where_it_was_stopped() -> None:
    async def main() -> None:
        studio, prompts = Studio(latency=10.0), [scene("a"), scene("b", "a")]
        async with client(studio) as veo:
            await veo.generate_many(prompts)
        studio.take = 1
        async with client(studio) as veo, veo.stream(prompts, fresh=True) as clips:
            asyncio.get_running_loop().call_later(5, clips.stop)
            assert [clip.status.value async for clip in clips] == ["cancelled", "succeeded"]
        async with client(studio) as veo:
            again = await veo.generate_many(prompts, fresh=True)
        assert [clip.cached for clip in again] == [True, False]
        assert studio.accepted == {"scene a": 2, "scene b": 2}
        assert studio.sent["scene b"] == [frames.cut(again[0].paths[0], "last")]

    virtual(main)


def test_a_budget_that_ends_before_a_dependent_defers_it_as_any_other() -> None:
    async def main() -> None:
        async with client(Studio(), budget=5.0) as veo:
            clips = await veo.generate_many([scene("a"), scene("b", "a"), scene("c", "b")])
        assert [clip.error_kind for clip in clips] == [None, "budget", "source"]

    virtual(main)


def test_the_prompt_of_a_clip_is_the_one_that_was_asked_for_and_may_be_given_again() -> None:
    """It then stays with the take that it began from, and says so if the picture is gone."""

    async def main() -> None:
        studio, asked = Studio(), scene("b", "a")
        async with client(studio) as veo:
            _, clip = await veo.generate_many([scene("a"), asked])
            assert clip.prompt == asked
            assert VideoClip.model_validate_json(clip.model_dump_json()) == clip
            [again] = await veo.generate_many([clip.prompt])
            assert (again.job, again.cached) == (clip.job, True)
            shutil.rmtree("clips/.aveo3/frames")
            other = clip.prompt.model_copy(update={"text": "another"})
            ends = await veo.generate_many([clip.prompt, other])
        assert statuses(ends) == ["succeeded", "rejected"]
        assert "cannot read" in (ends[1].error_message or "")

    virtual(main)
