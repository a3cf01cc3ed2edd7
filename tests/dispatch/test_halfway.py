"""What a run leaves halfway: why videos are missing, a journal that refuses a move, operations that Google forgot."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aioresponses import aioresponses

from aveo3 import ClipStatus, JournalError, VeoClient, verdicts
from aveo3.backends.base import Finished, OperationGone, PollResult, Video
from aveo3.engine.submission import Submission
from aveo3.lifecycle import State
from aveo3.models import VideoPrompt
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from tests.support.lanes import Places, lane
from tests.support.virtual import client, statuses, virtual

URI = "https://files.test/1.mp4"
TWO = {"text": "a", "number_of_videos": 2}


def opened(backend: ScriptedBackend, **values: object) -> VeoClient:
    return client(backend, **{"journal": "auto", **values})


# ---- why there are fewer videos than ordered -------------------------------------------------------------------------


def held_back(_: VideoPrompt) -> PollResult:
    return Finished((Video(uri=URI),), 1, ("a face",))


def test_why_a_video_was_held_back_outlives_downloads_that_fail(web: aioresponses) -> None:
    async def main() -> None:
        backend = ScriptedBackend(ending=held_back)
        for _ in range(2):  # nothing is there to be downloaded
            async with opened(backend) as veo:
                [clip] = await veo.generate_many([TWO])
            assert (clip.status, clip.error_kind) == (ClipStatus.UNFINISHED, "fetch")
            assert (clip.error_message or "").startswith("1 held back: a face; ")
        web.get(URI, body=FILM)
        async with opened(backend) as veo:
            [clip] = await veo.generate_many([TWO])
        assert (clip.status, clip.error_kind) == (ClipStatus.SUCCEEDED, "partly_filtered")
        assert clip.error_message == "1 held back: a face"
        assert len(backend.submits) == 1

    virtual(main)


def test_why_a_video_was_held_back_is_told_when_lost_files_are_back(web: aioresponses) -> None:
    async def main() -> None:
        backend = ScriptedBackend(ending=held_back)
        web.get(URI, body=FILM)
        async with opened(backend) as veo:
            [made] = await veo.generate_many([TWO])
        assert made.path is not None
        away = made.path.rename("away.mp4")
        async with opened(backend) as veo:
            assert statuses(await veo.generate_many([TWO])) == ["unfinished"]
        away.rename(made.path)
        async with opened(backend) as veo:
            [clip] = await veo.generate_many([TWO])
        assert (clip.succeeded, clip.cached, clip.error_kind) == (True, True, "partly_filtered")

    virtual(main)


# ---- a journal that refuses a move -----------------------------------------------------------------------------------


class Meddled(ScriptedBackend):
    """While a submit is on its way, something else changes the job in the journal."""

    veo: VeoClient

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Any:
        if prompt.text == "a":
            assert self.veo.journal is not None
            self.veo.journal.move(1, State.SUBMITTING, State.REJECTED, error_kind="meddled")
        return await super().submit(prompt, model, output_uri=output_uri)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_move_that_the_journal_refuses_frees_the_slot_and_never_lets_the_prompt_be_paid_again(
    accepted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        backend = Meddled(() if accepted else [verdicts.uncertain("HTTP 500", 500)])
        async with opened(backend, max_concurrency=1) as veo:
            backend.veo = veo
            with pytest.raises(JournalError, match="a job is not where this process left it"):
                await veo.generate_many(["a"])
            [gate] = veo.stats().gates.values()
            assert gate.running == 0
            assert veo.stats().in_flight_usd == 0
            assert statuses(await veo.generate_many(["b"])) == ["succeeded"]  # the slot is free
            [clip] = await veo.generate_many(["a"])
            assert (clip.status, clip.error_kind) == (ClipStatus.DEFERRED, "journal")
            assert "job 1 may be paid" in (clip.error_message or "")
        assert ("accepted, but the journal did not take it: operations/1" in caplog.text) == accepted
        async with opened(backend) as veo:
            assert statuses(await veo.generate_many(["a"])) == ["rejected"]
        assert [text for _, text in backend.submits] == ["a", "b"]

    virtual(main)


def test_an_intent_that_cannot_be_taken_back_gives_the_permit_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with opened(backend, max_concurrency=1) as veo:
            journal = veo.journal
            assert journal is not None

            async def on_disk() -> None:
                journal.move(1, State.SUBMITTING, State.REJECTED)
                raise JournalError("the disk refuses")

            with monkeypatch.context() as patch:
                patch.setattr(journal, "on_disk", on_disk)
                with pytest.raises(JournalError, match="not where this process left it"):
                    await veo.generate_many(["a"])
            assert [gate.running for gate in veo.stats().gates.values()] == [0]
            assert statuses(await veo.generate_many(["b"])) == ["succeeded"]
        assert [text for _, text in backend.submits] == ["b"]

    virtual(main)


def test_a_job_that_was_never_sent_keeps_no_slot_and_may_be_claimed_again_after_an_error() -> None:
    async def main() -> None:
        async with opened(ScriptedBackend()) as veo:
            async with veo.stream(["a"]) as clips:
                submission, intend = veo._session.engine._submission, Submission.intend  # type: ignore[union-attr]

                async def broken(*_: object) -> Any:
                    raise ZeroDivisionError

                submission.intend = broken  # type: ignore[method-assign]
                with pytest.raises(ZeroDivisionError):
                    async for _ in clips:
                        pass
                submission.intend = partial(intend, submission)  # type: ignore[method-assign]
            [clip] = await veo.generate_many(["a"])
        assert clip.succeeded
        assert not (clip.job or "").endswith(".2")  # it is the same job

    virtual(main)


# ---- operations that Google has forgotten, and lanes that are gone ---------------------------------------------------


def test_resume_polls_an_operation_again_that_google_did_not_know_as_the_same_prompts_do() -> None:
    class Forgetful(ScriptedBackend):
        knows = False

        async def poll(self, operation: str) -> PollResult:
            if not self.knows:
                raise OperationGone(f"{operation} is unknown")
            return Finished((Video(data=FILM),))

    async def main() -> None:
        backend = Forgetful()
        async with opened(backend) as veo:
            assert statuses(await veo.generate_many(["a"])) == ["uncertain"]
        for knows, status in ((False, "uncertain"), (True, "succeeded")):
            backend.knows = knows
            async with opened(backend) as veo, veo.resume() as clips:
                assert [clip.status.value async for clip in clips] == [status]
        assert len(backend.submits) == 1

    virtual(main)
    assert len([*Path("clips").glob("*.mp4")]) == 1


def test_jobs_of_a_lane_that_is_gone_share_one_gate_and_one_poller(places: Places) -> None:
    async def main() -> None:
        prompts = [f"{number}" for number in range(8)]
        for name in ("gone", "too"):
            async with places.client(lane(name), journal="auto") as veo, veo.stream(prompts) as clips:
                await asyncio.sleep(5)
                await clips.leave()
            prompts = [f"{number} again" for number in range(8)]
        async with places.client(lane("b"), journal="auto") as veo:
            engine = veo._session.engine
            assert engine is not None
            async with veo.resume() as clips:
                found = [clip async for clip in clips]
            assert statuses(found) == ["succeeded"] * 16
            assert len(engine._gone) == len(engine.pollers._lanes) == 2
            assert [gone.gate.stats().running for gone in engine._gone.values()] == [0, 0]

    virtual(main)
