"""The events of each job come in the documented order, whatever happens, and add up to the client's totals."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3 import VeoClient, VideoClip, VideoPrompt, verdicts
from aveo3.backends.base import Failure, Finished, LateRefusal, PollResult, Video
from aveo3.dispatch.stream import ClipStream
from aveo3.events import (
    Accepted,
    BudgetChanged,
    Ended,
    Event,
    Fetching,
    JobEvent,
    LaneClosed,
    Planned,
    Retrying,
    RunBegun,
    RunEnded,
    Running,
    Saved,
    Submitted,
    Waiting,
)
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.testing import ScriptedBackend, run_virtual
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.settings import settings
from tests.support.stories import check_order, check_sums
from tests.support.virtual import NoJitter, now_utc

FILM_FILE = Finished((Video(data=FILM),))
AWAY = Verdict(VerdictKind.UNAVAILABLE, "the service is away", retry_after=3.0)
REFUSED = Verdict(VerdictKind.REFUSED, "too many", refusal=Refusal.MINUTE, retry_after=5.0)
ANSWERS = (
    verdicts.unsent("connection refused"),
    AWAY,
    REFUSED,
    verdicts.uncertain("HTTP 500"),
    verdicts.rejected("no such aspect ratio"),
)
ENDINGS: tuple[PollResult, ...] = (
    FILM_FILE,
    Finished((Video(uri="gs://scripted/film.mp4"),)),
    Finished((), filtered=1, filter_reasons=("violence",)),
    Finished(()),
    Failure(13, "internal"),
    Failure(3, "bad"),
    LateRefusal(REFUSED, {}),
)


class Run:
    """One client with a script, and what it told."""

    def __init__(self, home: Path, rng: random.Random, **values: Any) -> None:
        self.events: list[Event] = []
        self.home = home
        answers = [rng.choice(ANSWERS) if rng.random() < 0.5 else None for _ in range(12)]
        self.backend = ScriptedBackend(
            answer=lambda _: (answers.pop() if answers else None) or verdicts.accepted(f"operations/{rng.random()}"),
            latency=lambda _: rng.choice((1.0, 7.0, 40.0)),
            round_trip=rng.choice((0.0, 0.5)),
            ending=lambda _: rng.choice(ENDINGS) if rng.random() < 0.4 else FILM_FILE,
        )
        settled = settings(
            **{
                "output_dir": home,
                "poll_interval": 1.0,
                "rate_limit": 3,
                "rate_period": 10.0,
                "max_retries": 2,
                "consecutive_failure_threshold": 2,
                "quota_reset_interval": 20.0,
                "quota_patience": 300.0,
                **values,
            }
        )
        self.veo = VeoClient(settled, backend=self.backend, rng=NoJitter(), now_utc=now_utc, on_event=self.hear)

    def hear(self, event: Event) -> None:
        if isinstance(event, Submitted) and self.veo.journal is not None:  # the intent is on disk
            with Journal(self.veo.journal.path, writes=False) as journal:
                [record] = [each for each in journal.records() if each.name == event.job]
            assert record.state is State.SUBMITTING
            assert record.attempts == event.attempt
        self.events.append(event)

    def check(self) -> None:
        check_sums(self.events, self.veo.stats())
        assert isinstance(self.events[0], RunBegun)
        check_order(self.events)


PROMPTS: list[Any] = [*(f"boat {number}" for number in range(6)), "boat 1", {"text": "bad", "duration_seconds": 99}]


async def read(stream: ClipStream) -> list[VideoClip]:
    async with stream:
        return [clip async for clip in stream]


@pytest.mark.parametrize("journal", [Path(".aveo3/journal.db"), None])
@effort(max_examples=20)
@given(
    seed=st.integers(0, 10_000),
    budget=st.sampled_from([None, 5.0, 50.0]),
    halt=st.sampled_from(["", "stop", "leave", "cancel"]),
    after=st.integers(1, 60),
)
def test_whatever_happens_each_job_tells_a_legal_story_that_adds_up(
    journal: Path | None, seed: int, budget: float | None, halt: str, after: int
) -> None:
    """Two runs and a resume: stopped, left or cancelled at any time, with any answers and endings."""

    async def one(run: Run, *, last: bool) -> None:
        async with run.veo as veo:
            stream = veo.stream(PROMPTS) if not last else veo.resume()
            reading = asyncio.create_task(read(stream))
            if halt and not last:
                await asyncio.sleep(after)
                if halt == "stop":
                    stream.stop()
                elif halt == "leave":
                    await stream.leave()
                else:
                    reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    with TemporaryDirectory() as place:
        home, rng = Path(place), random.Random(seed)
        values = {"journal": home / journal if journal is not None else None, "budget": budget}
        for last in (False, False, True):
            run = Run(home, rng, **values)
            run_virtual(one(run, last=last))
            run.check()


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


async def run_one(tmp_path: Path, backend: ScriptedBackend, *prompts: object, **values: Any) -> list[Event]:
    """The events of a run that is read to its end."""
    events: list[Event] = []
    values = {"poll_interval": 1.0, "output_dir": tmp_path, "journal": tmp_path / "journal.db", **values}
    veo = VeoClient(settings(**values), backend=backend, rng=NoJitter(), now_utc=now_utc, on_event=events.append)
    async with veo:
        await veo.generate_many(prompts or ["a boat"])  # type: ignore[arg-type]
    check_sums(events, veo.stats())
    check_order(events)
    return events


async def test_a_clip_from_prompt_to_file(tmp_path: Path) -> None:
    prompt = VideoPrompt(text="a boat", id="b1", project_id="sea", labels={"team": "film"})
    events = await run_one(tmp_path, ScriptedBackend(ending=lambda _: FILM_FILE), prompt)
    job = [event for event in events if isinstance(event, JobEvent)]
    planned, submitted, accepted, running, fetching, saved, ended = job
    assert {(event.job is not None, event.index, event.batch, event.prompt_id) for event in job} == {(True, 0, 1, "b1")}
    assert isinstance(planned, Planned)
    assert (planned.text, planned.project_id, dict(planned.labels)) == ("a boat", "sea", {"team": "film"})
    assert isinstance(submitted, Submitted)
    assert (submitted.attempt, submitted.cost_usd, submitted.lane) == (1, 3.2, submitted.model)
    assert isinstance(accepted, Accepted) and isinstance(running, Running)  # noqa: PT018
    assert accepted.operation == running.operation == "operations/1"
    assert isinstance(fetching, Fetching) and isinstance(saved, Saved) and isinstance(ended, Ended)  # noqa: PT018
    assert saved.paths == ended.paths and saved.bytes == len(FILM)  # noqa: PT018
    assert (ended.status, ended.cached, ended.cost_usd, ended.lane) == ("succeeded", False, 3.2, submitted.lane)
    assert kinds(events)[:2] == ["run_begun", "budget"]
    assert kinds(events)[-2:] == ["run_ended", "lane_closed"]
    assert isinstance(events[-1], LaneClosed)


async def test_a_clip_of_an_earlier_run_only_ends(tmp_path: Path) -> None:
    await run_one(tmp_path, ScriptedBackend(ending=lambda _: FILM_FILE))
    events = await run_one(tmp_path, ScriptedBackend())
    [ended] = [event for event in events if isinstance(event, JobEvent)]
    assert isinstance(ended, Ended)
    assert (ended.cached, ended.status) == (True, "succeeded")
    assert kinds(events) == ["run_begun", "budget", "ended", "run_ended"]


@pytest.mark.parametrize(
    ("answer", "story"),
    [
        (verdicts.rejected("no"), "planned submitted ended"),
        (verdicts.uncertain("HTTP 500"), "planned submitted ended"),
        (REFUSED, "planned submitted refused waiting submitted accepted running fetching saved ended"),
        (AWAY, "planned submitted retrying submitted accepted running fetching saved ended"),
    ],
)
async def test_what_an_answer_makes_of_a_job(tmp_path: Path, answer: Verdict, story: str) -> None:
    events = await run_one(tmp_path, ScriptedBackend([answer], ending=lambda _: FILM_FILE))
    assert " ".join(event.kind for event in events if isinstance(event, JobEvent)) == story
    for event in events:
        if isinstance(event, Retrying):
            assert (event.reason, event.retries) == ("unavailable", 1)
            assert event.wait >= 3.0


async def test_a_late_refusal_comes_after_running(tmp_path: Path) -> None:
    endings: Iterator[PollResult] = iter([LateRefusal(REFUSED, {}), FILM_FILE])
    events = await run_one(tmp_path, ScriptedBackend(ending=lambda _: next(endings)))
    story = [event.kind for event in events if isinstance(event, JobEvent)]
    assert story[:5] == ["planned", "submitted", "accepted", "running", "refused"]


async def test_only_the_head_of_the_line_waits_and_says_so_once(tmp_path: Path) -> None:
    prompts = [f"boat {number}" for number in range(40)]
    events = await run_one(tmp_path, ScriptedBackend(), *prompts, rate_limit=10, rate_period=60.0)
    waiting = [event for event in events if isinstance(event, Waiting)]
    assert len({event.index for event in waiting}) == len(waiting) < 40
    first = next(number for number, event in enumerate(events) if isinstance(event, Waiting))
    behind = [event.index for event in events[:first] if isinstance(event, Planned)]
    assert len(behind) > waiting[0].index  # others are read already, and tell nothing


async def test_who_waits_for_money_says_so(tmp_path: Path) -> None:
    endings = iter([Finished((), filtered=1, filter_reasons=("violence",)), FILM_FILE])
    backend = ScriptedBackend(ending=lambda _: next(endings))
    events = await run_one(tmp_path, backend, "a", "b", budget=3.5)
    [waiting] = [event for event in events if isinstance(event, Waiting)]
    assert (waiting.waits_for, waiting.index) == ("budget", 1)
    money = [(e.limit_usd, e.spent_usd, e.in_flight_usd) for e in events if isinstance(e, BudgetChanged)]
    assert money == [(3.5, 0, 0), (3.5, 0, 3.2), (3.5, 0, 0), (3.5, 0, 3.2), (3.5, 3.2, 0)]


async def test_no_message_holds_a_key(tmp_path: Path) -> None:
    leaky = Verdict(VerdictKind.UNAVAILABLE, "no: key=AIzaSecret", retry_after=3.0)
    values = {"max_retries": 1, "consecutive_failure_threshold": 1, "api_key": "AIzaSecret"}
    events = await run_one(tmp_path, ScriptedBackend([leaky, REFUSED, leaky, leaky, leaky]), **values)
    assert {"retrying", "lane_paused"} <= set(kinds(events))
    assert "AIzaSecret" not in repr(events)
    assert "(the API key)" in repr(events)


async def test_a_batch_that_fails_says_why_and_a_client_that_closes_ends_its_batches(tmp_path: Path) -> None:
    events: list[Event] = []

    def prompts() -> Any:
        yield "a boat"
        raise ValueError("line 2")

    veo = VeoClient(settings(output_dir=tmp_path), backend=ScriptedBackend(), now_utc=now_utc, on_event=events.append)
    async with veo:
        with pytest.raises(ValueError, match="line 2"):
            await veo.generate_many(prompts())
        veo.stream(["never opened"])
        open_stream = veo.stream(["a", "b"])
        await open_stream.__aenter__()
    check_order(events)
    first, second = [event for event in events if isinstance(event, RunEnded)]
    assert (first.error, dict(first.clips)) == ("ValueError: line 2", {"succeeded": 1})
    assert (second.batch, second.error, dict(second.clips)) == (3, None, {"cancelled": 2})


async def test_nothing_is_built_with_nobody_listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("an event was built")

    for kind in (Planned, Submitted, Ended, BudgetChanged, RunBegun, RunEnded, Saved):
        monkeypatch.setattr(kind, "__init__", fail)
    veo = VeoClient(settings(output_dir=tmp_path), backend=ScriptedBackend(), now_utc=now_utc)
    async with veo:
        assert (await veo.generate("a boat")).succeeded
