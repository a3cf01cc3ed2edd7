"""A prompt whose picture is gone or spoilt: its clip is known if it was sent, and nothing is sent or mixed up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aveo3 import ClipStatus, VideoClip, VideoPrompt, verdicts
from aveo3.backends.base import Failure, Finished, PollResult, Video
from aveo3.cli.preview import Known, know
from aveo3.config.settings import JOURNAL
from aveo3.journal.journal import Journal
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import State
from aveo3.models import as_prompt
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Verdict, VerdictKind
from tests.support.settings import settings
from tests.support.virtual import client, statuses, virtual

PNG = b"\x89PNG\r\n\x1a\n"
BOAT = {"text": "it sails", "image": "boat.png"}
BOAT_FILE = Path("boat.png")


def inline(_: VideoPrompt) -> PollResult:
    return Finished((Video(data=FILM),))


async def make(backend: ScriptedBackend, *prompts: Any, fresh: bool = False, **values: Any) -> list[VideoClip]:
    async with client(backend, **{"journal": "auto", "retry_wait_base": 1.0, **values}) as veo:
        return await veo.generate_many(prompts, fresh=fresh)


async def leave_running(backend: ScriptedBackend, *prompts: Any) -> None:
    """A run that stops while its operations still run."""
    async with client(backend, journal="auto") as veo, veo.stream(prompts) as clips:
        await asyncio.sleep(5)
        await clips.leave()
        assert {clip.status async for clip in clips} == {ClipStatus.UNFINISHED}


def preview(*prompts: Any) -> Known:
    """What `aveo3 generate` says about the prompts before the run."""
    told = settings(journal="auto", backend="vertex", project="p")
    return know([*map(as_prompt, prompts)], told, Routes(Lanes(told)), service="custom")


def records() -> list[tuple[State, int, str | None]]:
    with Journal(Path("clips") / JOURNAL, writes=False) as journal:
        return [(record.state, record.attempts, record.error_kind) for record in journal.records()]


def put(name: str, content: bytes = b"") -> None:
    """A picture under this name, whatever was there."""
    path = Path(name)
    if path.is_dir():
        path.rmdir()
    path.write_bytes(PNG + content)


def remove() -> None:
    BOAT_FILE.unlink()


def spoil() -> None:
    BOAT_FILE.write_text("<!doctype html><title>404</title>")


def cover() -> None:
    """A directory in the place of the file: root, too, cannot read it."""
    BOAT_FILE.unlink()
    BOAT_FILE.mkdir()


GONE: dict[str, Callable[[], None]] = {
    "deleted": remove,
    "a web page": spoil,
    "unreadable": cover,
}


@pytest.mark.parametrize("lose", GONE.values(), ids=GONE)
def test_the_picture_of_a_running_clip_may_go_and_the_clip_is_picked_up(lose: Callable[[], None]) -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=100.0, ending=inline)
        put("boat.png")
        await leave_running(backend, BOAT)
        lose()
        known = preview(BOAT)
        assert (known.under_way, known.to_send) == (1, [])
        assert statuses(await make(backend, BOAT)) == ["succeeded"]
        [made] = await make(backend, BOAT)
        assert made.cached
        assert statuses(await make(backend, BOAT, fresh=True)) == ["rejected"]
        assert len(backend.submits) == 1

    virtual(main)


@pytest.mark.parametrize("lose", GONE.values(), ids=GONE)
def test_without_its_picture_a_clip_that_was_not_sent_is_rejected_and_sent_when_it_is_back(
    lose: Callable[[], None],
) -> None:
    async def main() -> None:
        backend = ScriptedBackend([Verdict(VerdictKind.UNAVAILABLE, "away")], ending=inline)
        put("boat.png")
        assert statuses(await make(backend, BOAT, max_retries=0)) == ["failed"]
        before = records()
        lose()
        assert len(preview(BOAT).to_send) == 1
        assert statuses(await make(backend, BOAT)) == ["rejected"]
        assert records() == before
        put("boat.png")
        assert statuses(await make(backend, BOAT)) == ["succeeded"]

    virtual(main)


def test_two_clips_of_one_path_are_not_mixed_up() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=100.0, ending=inline)
        for content in (b"first", b"second"):
            put("boat.png", content)
            await leave_running(backend, BOAT)
        with Journal(Path("clips") / JOURNAL, writes=False) as journal:
            jobs = [record.name for record in journal.records()]
        remove()
        clips = await make(backend, BOAT, BOAT, BOAT, {**BOAT, "text": "it sinks"}, {**BOAT, "seed": 7})
        assert [clip.job for clip in clips[:2]] == jobs[::-1]  # the latest is what the path held last
        assert statuses(clips) == ["succeeded", "succeeded", "rejected", "rejected", "rejected"]
        assert len(backend.submits) == 2

    virtual(main)


def test_another_picture_under_the_same_name_is_another_clip() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=100.0, ending=inline)
        both = {"text": "from here to there", "image": "boat.png", "last_frame": "shore.png"}
        put("boat.png")
        put("shore.png")
        await leave_running(backend, both)
        remove()
        put("shore.png", b"another")
        assert statuses(await make(backend, both)) == ["rejected"]
        put("shore.png")
        assert statuses(await make(backend, both)) == ["succeeded"]
        put("boat.png", b"another")
        assert statuses(await make(backend, both)) == ["succeeded"]
        assert len(backend.submits) == 2

    virtual(main)


def test_a_picture_that_goes_before_the_second_attempt_makes_a_rejection_that_is_not_final() -> None:
    unsent = Verdict(VerdictKind.REJECTED, "the prompt cannot be sent: no such file", unsent=True)

    async def main() -> None:
        endings = iter([Failure(13, "internal")])
        backend = ScriptedBackend(
            [verdicts.accepted("operations/1"), unsent], ending=lambda prompt: next(endings, inline(prompt))
        )
        put("boat.png")
        assert statuses(await make(backend, BOAT)) == ["rejected"]
        assert records() == [(State.REJECTED, 1, "not_sendable")]
        assert statuses(await make(backend, BOAT)) == ["succeeded"]
        assert backend.accepted[BOAT["text"]] == 2

    virtual(main)


def test_a_value_that_no_lane_takes_today_makes_a_rejection_that_is_not_final() -> None:
    only_long = Path("only-long.toml")  # each path is read once in a process
    only_long.write_text('[models."veo-3.1-generate-001"]\ndurations = [8]\n')

    async def main() -> None:
        backend = ScriptedBackend([Verdict(VerdictKind.UNAVAILABLE, "away")], ending=inline)
        prompt = {"text": "a boat", "duration_seconds": 4, "resolution": "720p"}
        assert statuses(await make(backend, prompt, max_retries=0)) == ["failed"]
        assert statuses(await make(backend, prompt, catalog=only_long)) == ["rejected"]
        assert statuses(await make(backend, prompt)) == ["succeeded"]

    virtual(main)
