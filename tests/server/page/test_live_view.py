"""The page of a running client: its events alone make the view that the journal gives a report afterwards."""

from __future__ import annotations

import asyncio
import pathlib
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aveo3 import VeoClient, VideoPrompt, verdicts
from aveo3.backends.base import Finished, PollResult, Video
from aveo3.events import kinds
from aveo3.report.view import ClipRow, View
from aveo3.server.page.live_view import LiveView
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.reports import by_text, seen
from tests.support.settings import settings
from tests.support.virtual import START_UTC, NoJitter, now_utc, virtual

MINUTE = Verdict(VerdictKind.REFUSED, "too many <b>requests</b>", refusal=Refusal.MINUTE, retry_after=30.0)
UNCERTAIN = verdicts.uncertain("HTTP 500", 500)


class Steers:
    """What a person did."""

    def __init__(self, veo: VeoClient, clips: Any) -> None:
        self.stopping: str | None = None
        self._veo = veo
        self._clips = clips

    def pause(self) -> None:
        self._veo.pause()

    def go_on(self) -> None:
        self._veo.go_on()

    def stop(self) -> None:
        self.stopping = "stop"
        self._clips.stop()

    def leave(self) -> None:
        raise AssertionError


def watched(backend: ScriptedBackend, directory: Path, **values: Any) -> tuple[VeoClient, LiveView]:
    async def connect(name: str, settings: object) -> ScriptedBackend:
        return backend

    place = {"backend": "vertex", "project": "p"}
    own = settings(**{**place, "poll_interval": 1.0, "rate_limit": 10, "output_dir": directory, **values})
    view = LiveView(directory, now_utc=now_utc)
    client = VeoClient(own, connect=connect, rng=NoJitter(), now_utc=now_utc, on_event=view.take)
    return client, view


async def shown(view: LiveView) -> View:
    await view.refresh()
    return view.shown.view()


def row(view: View, text: str) -> ClipRow:
    return by_text(view)[text]


def film(prompt: VideoPrompt) -> PollResult:
    return Finished((Video(data=FILM + prompt.text.encode()),))


@pytest.mark.parametrize("journal", ["auto", None])
def test_the_events_alone_make_the_view_that_a_report_has(journal: str | None, tmp_path: Path) -> None:
    async def main() -> None:
        answers = [MINUTE, verdicts.accepted("operations/1"), verdicts.rejected("no such ratio"), UNCERTAIN]
        backend = ScriptedBackend(answers, latency=20.0, round_trip=0.5, ending=film)
        client, view = watched(backend, tmp_path, journal=journal)
        prompts = [{"text": f"clip {n}", "id": f"id {n}", "labels": {"a": "b"}, "seed": n} for n in range(6)]
        async with client as veo:
            view.attach(veo)
            clips = await veo.generate_many(prompts)
            live = await shown(view)
        ended = {clip.prompt.text: clip for clip in clips}
        for text, clip in ended.items():
            mine = row(live, text)
            assert (mine["status"], mine["index"], mine["prompt_id"]) == (clip.status.value, clip.index, clip.prompt.id)
            assert (mine["cost_usd"], mine["attempts"], mine["error_kind"]) == (
                clip.cost_usd,
                clip.attempts,
                clip.error_kind,
            )
            assert mine["labels"] == {"a": "b"}
            assert [film.path for film in view.films_of(mine["key"])] == [path.absolute() for path in clip.paths]
            assert mine["key"] == clip.job or journal is None
        assert {clip.status.value for clip in clips} == {"succeeded", "rejected", "uncertain"}
        assert view._jobs == {}
        assert live["run"] is not None
        assert (live["run"]["active"], live["run"]["total"]) == (False, 6)
        if journal is None:
            return
        reported = seen(tmp_path, rate_limit=10)
        told = {"running": None, "breaker": None, "used": None}
        assert [{**lane, **told} for lane in live["lanes"]] == [{**lane, **told} for lane in reported["lanes"]]
        for text, theirs in by_text(reported).items():
            mine = row(live, text)
            for name in theirs.keys() - {"videos", "queued_utc", "command", "uris"}:
                assert mine[name] == theirs[name], (text, name)  # type: ignore[literal-required]
            for video, other in zip(mine["videos"], theirs["videos"], strict=True):
                assert {**video, "src": "", "poster": ""} == {**other, "src": "", "poster": ""}
        took = [(step["key"], step["kind"]) for step in live["steps"]]
        assert sorted(took) == sorted((step["key"], step["kind"]) for step in reported["steps"])

    virtual(main)


def test_a_clip_moves_through_its_states(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=30.0, round_trip=2.0, ending=film)
        client, view = watched(backend, tmp_path, rate_limit=1)
        async with client as veo, veo.stream(["a boat", "a train"]) as clips:
            view.attach(veo)
            await asyncio.sleep(1)
            states = [row(await shown(view), "a boat")["status"]]
            await asyncio.sleep(5)
            live = await shown(view)
            states += [row(live, "a boat")["status"], row(live, "a train")["status"]]
            assert states == ["submitting", "running", "waiting"]
            assert row(live, "a boat")["submitted_utc"] == "2026-11-23T12:00:00+00:00"
            assert live["run"] is not None
            assert live["run"]["next_submit_utc"] is not None
            assert live["run"]["next_submit_utc"][:19] == "2026-11-23T12:01:02"  # a window after the answer
            assert live["run"]["done_utc"] is not None
            [lane] = live["lanes"]
            assert (lane["used"], lane["limit"], lane["running"], lane["breaker"]) == (1, 1, 1, "closed")
            assert lane["waits"] == "quota"
            assert await anext(clips)
            [video] = row(await shown(view), "a boat")["videos"]
            assert (video["missing"], video["bytes"]) == (False, len(FILM) + len("a boat"))

    virtual(main)


def test_a_lane_with_all_its_slots_taken_waits_for_a_clip_to_end(tmp_path: Path) -> None:
    async def main() -> None:
        client, view = watched(ScriptedBackend(latency=30.0, ending=film), tmp_path, max_concurrency=1)
        async with client as veo, veo.stream(["a boat", "a train"]) as clips:
            view.attach(veo)
            await asyncio.sleep(1)
            assert [lane["waits"] for lane in (await shown(view))["lanes"]] == ["clips"]
            assert [await anext(clips), await anext(clips)]
            assert [lane["waits"] for lane in (await shown(view))["lanes"]] == [None]

    virtual(main)


def test_what_the_rest_costs_is_known_from_the_first_submit_on(tmp_path: Path) -> None:
    async def main() -> None:
        client, view = watched(ScriptedBackend(latency=30.0, ending=film), tmp_path, max_concurrency=1)
        async with client as veo, veo.stream(["a boat", "a train", "an owl"]) as clips:
            view.attach(veo)
            assert (await shown(view))["money"].get("rest_usd") is None
            rest = []
            for _ in range(3):
                await asyncio.sleep(1)
                rest.append((await shown(view))["money"].get("rest_usd"))
                cost = (await anext(clips)).cost_usd
            assert cost
            assert rest == [pytest.approx(2 * cost), pytest.approx(cost), 0]
            assert [clip async for clip in clips] == []
            assert (await shown(view))["money"].get("rest_usd") is None  # the run has ended

    virtual(main)


def test_a_lane_that_is_refused_says_why_and_until_when(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend([MINUTE], ending=film)
        client, view = watched(backend, tmp_path)
        async with client as veo, veo.stream(["a boat"]) as clips:
            view.attach(veo)
            await asyncio.sleep(1)
            live = await shown(view)
            [lane] = live["lanes"]
            assert (lane["reason"], lane["waits"]) == ("too many <b>requests</b>", None)
            opens = lane["opens_utc"]
            assert opens is not None
            assert opens[:19] in ("2026-11-23T12:00:30", "2026-11-23T12:01:00")
            before = view.shown.changes
            await asyncio.sleep(1)
            await view.refresh()
            assert view.shown.changes == before  # a countdown is the page's own: nothing is sent for it
            assert [step["kind"] for step in live["lane_steps"]][:1] == ["lane_paused"]
            assert await anext(clips)
            [lane] = (await shown(view))["lanes"]
            assert (lane["opens_utc"], lane["reason"]) == (None, None)

    virtual(main)


def test_the_buttons_are_those_of_a_run_that_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        client, view = watched(ScriptedBackend(latency=30.0, ending=film), tmp_path, rate_limit=1)
        async with client as veo:
            view.attach(veo)
            assert view.actions() == {}
            async with veo.stream(["a boat", "a train"]) as clips:
                view.steer(steers := Steers(veo, clips))
                await asyncio.sleep(1)
                assert set(view.actions()) == {"pause", "go-on", "stop", "leave"}
                view.actions()["pause"]()
                run = (await shown(view))["run"]
                assert run is not None
                assert (run["paused"], run["next_submit_utc"], run["done_utc"]) == (True, None, None)
                view.actions()["go-on"]()
                assert (await shown(view))["run"] == {**run, "paused": False, **_times(await shown(view))}
                view.actions()["stop"]()
                run = (await shown(view))["run"]
                assert run is not None
                assert run["stopping"] == "stop"
                assert [clip.status.value async for clip in clips] == ["cancelled", "succeeded"]
            assert view.actions() == {}
            run = (await shown(view))["run"]
            assert run is not None
            assert (run["active"], run["stopping"], run["paused"]) == (False, None, False)
        assert steers.stopping

    virtual(main)


def _times(view: View) -> dict[str, Any]:
    assert view["run"] is not None
    return {name: view["run"][name] for name in ("next_submit_utc", "done_utc")}


def test_clips_of_an_earlier_run_are_there_too(tmp_path: Path) -> None:
    async def main() -> None:
        for again in (False, True):
            client, view = watched(ScriptedBackend(ending=film), tmp_path, journal="auto")
            async with client as veo:
                view.attach(veo)
                await veo.generate_many(["a boat"])
                live = await shown(view)
            assert (row(live, "a boat")["status"], len(row(live, "a boat")["videos"])) == ("succeeded", 1)
            took = [step["kind"] for step in live["steps"]]
            assert took == ([] if again else ["submitted", "accepted", "finished", "saved", "ended"])

    virtual(main)


def test_what_an_ended_clip_leaves_in_memory_is_less_than_a_kilobyte(tmp_path: Path) -> None:
    """A run of a hundred thousand clips may be watched from its first to its last."""
    view, many = LiveView(tmp_path, now_utc=lambda: START_UTC), 2_000
    tracemalloc.start()
    try:
        for number in range(many):
            for event in life(number, tmp_path):
                view.take(event)
        # pathlib interns names: the interpreter's table of all such strings may grow just now.
        ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, pathlib.__file__)])
    finally:
        tracemalloc.stop()
    steps = 5 * many * 250  # of which the newest 50,000 are kept
    assert len(view.shown) == many
    assert sum(trace.size for trace in ours.traces) - steps < 1_000 * many


def life(number: int, home: Path) -> Iterator[kinds.Event]:
    """The events of one clip."""
    at = now_utc_of(number)
    whose: dict[str, Any] = {"at_utc": at, "job": f"{number:08x}", "index": number, "batch": 1}
    lane: dict[str, Any] = {"lane": "veo-3.1-generate-001"}
    operation = f"projects/p/locations/us-central1/publishers/google/models/veo/operations/{number:032x}"
    text = f"a paper boat number {number} on a river in the rain, slow dolly in, golden hour"
    model, paths = "veo-3.1-generate-001", (home / f"{number:05}-a-paper-boat-{number:08x}.mp4",)
    yield kinds.Planned(**whose, text=text, model=model)
    yield kinds.Submitted(**whose, **lane, model=model, attempt=1, cost_usd=3.2)
    yield kinds.Accepted(**whose, **lane, operation=operation)
    yield kinds.Fetching(**whose, operation=operation, cost_usd=3.2)
    yield kinds.Saved(**whose, paths=paths, bytes=1_234_567, cost_usd=3.2)
    ended: dict[str, Any] = {"status": "succeeded", "cached": False, "cost_usd": 3.2, "attempts": 1}
    ended |= {"error_kind": None, "error_message": None, "submitted_utc": at, "finished_utc": at}
    yield kinds.Ended(**whose, **lane, **ended, text=text, model=model, paths=paths)


def now_utc_of(number: int) -> datetime:
    return START_UTC + timedelta(seconds=number)
