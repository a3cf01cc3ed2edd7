"""The farm's benchmark: its plan, its workers and what happens to them, the emulator's log, and its report."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aveo3.mock import MockOptions, MockServer
from benchmarks.farm import report
from benchmarks.farm.chaos import Outcome, Strike
from benchmarks.farm.checker import Idle, Request, requests_of
from benchmarks.farm.crew import Crew, Worker
from benchmarks.farm.names import OURS
from benchmarks.farm.plan import AWAY, CLOCKS, KILLS, NONE, Plan
from benchmarks.farm.runner import Run
from benchmarks.farm.takeovers import Takeovers
from benchmarks.harness.request_log import RequestLog
from benchmarks.harness.shifted_clock import can_shift, shifted_clock

# ---- the plan --------------------------------------------------------------------------------------------------------


def test_the_optimum_is_nineteen_windows_and_a_clip_and_the_kills_are_spread_over_it() -> None:
    plan = Plan()
    assert plan.optimum == 39.0
    assert len(plan.kills_at()) == plan.kills
    assert 0 < plan.kills_at()[0] < plan.kills_at()[-1] < plan.optimum
    assert len(set(plan.prompts)) == plan.clips


# ---- workers ---------------------------------------------------------------------------------------------------------


def a_worker(program: str, place: Path) -> Worker:
    return Worker(0, ("-c", program), {}, place)


PATIENT = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.mark.real_time
async def test_a_worker_that_was_killed_is_started_again(tmp_path: Path) -> None:
    async with Crew([a_worker(PATIENT, tmp_path)], restart_after=0.01) as crew:
        [worker] = crew.workers
        first = worker.pid
        before = time.time()
        assert before <= crew.kill(worker) <= time.time()
        while worker.pid == first or not worker.is_ready.is_set():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        assert worker.ended_by_itself == 0
        last = worker.pid
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


@pytest.mark.real_time
async def test_a_worker_that_ends_by_itself_is_counted(tmp_path: Path) -> None:
    async with Crew([a_worker("print('ready', flush=True)", tmp_path)], restart_after=0.0) as crew:
        while crew.workers[0].ended_by_itself < 2:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


@pytest.mark.skipif(not can_shift(), reason="there is no C compiler")
@pytest.mark.parametrize("seconds", [30, -30])
def test_a_shifted_clock_shifts_the_calendar_and_no_duration(seconds: int, tmp_path: Path) -> None:
    program = (
        "import datetime, threading, time\n"
        "began = time.monotonic(); time.sleep(0.05); threading.Event().wait(0.05)\n"
        "print(time.time(), datetime.datetime.now().timestamp(), time.monotonic() - began)"
    )
    environment = {**os.environ, **shifted_clock(seconds, tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    clock, calendar, lasted = map(float, ran.stdout.split())
    assert clock - time.time() == pytest.approx(seconds, abs=5)
    assert calendar - time.time() == pytest.approx(seconds, abs=5)
    assert 0.1 <= lasted < 5


# ---- the log of the emulator -----------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_the_log_knows_every_request_and_when_its_operation_was_polled_and_fetched() -> None:
    base = "/v1/publishers/google/models/veo-3.1-generate-001"
    began = time.time()
    async with MockServer(MockOptions(rpm=1, latency="0.05", films="bundled")) as server:
        log = RequestLog(server)
        headers = {"x-goog-api-key": "key"}
        async with aiohttp.ClientSession(server.url, headers=headers) as http:
            names = []
            for prompt in ("a", "b"):
                async with http.post(f"{base}:predictLongRunning", json={"instances": [{"prompt": prompt}]}) as answer:
                    names.append((await answer.json()).get("name"))
            done = False
            while not done:
                async with http.post(f"{base}:fetchPredictOperation", json={"operationName": names[0]}) as answer:
                    done = (await answer.json()).get("done", False)
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.02)
            assert log.counts() == {"requests": 2, "accepted": 1, "fetched": 1, "last": os.getpid()}
        await log.stop()
    accepted, refused = requests_of({"requests": log.as_list()})
    assert (accepted.prompt, accepted.answer) == ("a", "accepted")
    assert refused == Request(refused.at, "b", "refused", process=os.getpid())
    assert accepted.done_at is not None
    assert accepted.fetched_at is not None
    assert began < accepted.at < accepted.done_at <= accepted.fetched_at < time.time()
    assert accepted.polled_at[-1] == accepted.fetched_at


# ---- the report ------------------------------------------------------------------------------------------------------

A_RUN = Run(
    contestant="dbos",
    disturbance=NONE,
    seed=1,
    clips=200,
    made=200,
    sent_twice=0,
    refused=0,
    never_sent=0,
    optimum=39.0,
    makespan=40.0,
    slowest_poll=None,
    pause=None,
    resumed=None,
    idle=0.1,
    crashes=0,
    uncertain=0,
    two_leaders=None,
    without_intent=None,
    load=0.5,
)


def a_result(*runs: Run) -> dict[str, Any]:
    options = {**asdict(Plan()), "optimum": 39.0, "repeat": 1}
    return {"benchmark": "farm", "question": report.QUESTION, "options": options, "runs": [asdict(run) for run in runs]}


def ours(**changes: Any) -> Run:
    return replace(A_RUN, contestant=OURS, **changes)


@pytest.mark.parametrize(
    ("run", "met"),
    [
        (ours(), True),
        (ours(makespan=41.0), False),
        (ours(sent_twice=1), False),
        (ours(refused=1), False),
        (ours(made=199), False),
        (ours(made=199, uncertain=1), True),
        (ours(disturbance=KILLS, makespan=42.5), True),
        (ours(disturbance=KILLS, makespan=43.0), False),
        (ours(disturbance=AWAY, makespan=70.0, pause=22.0, resumed=1.9), True),
        (ours(disturbance=AWAY, makespan=70.0, pause=22.5, resumed=2.1), False),
        (ours(disturbance=AWAY, makespan=70.0, pause=22.5), False),
        (ours(disturbance=CLOCKS, makespan=50.0), True),
        (ours(disturbance=CLOCKS, refused=1), False),
    ],
)
def test_each_aim_can_be_met_and_missed(run: Run, met: bool) -> None:
    [aim] = report.aims(a_result(run))
    assert aim.of == run.disturbance
    assert aim.met is met


def test_the_best_rival_loses_nothing_and_pays_once_and_then_is_the_fastest() -> None:
    twice = replace(A_RUN, contestant="redis", makespan=39.5, sent_twice=1)
    [aim] = report.aims(a_result(ours(), A_RUN, twice))
    assert aim.others.startswith("DBOS")
    [aim] = report.aims(a_result(ours(), A_RUN, replace(twice, sent_twice=0)))
    assert aim.others.startswith("pyrate-limiter")


def test_the_table_has_a_row_for_each_disturbance_and_contestant() -> None:
    shown = report.summary(a_result(ours(), A_RUN, replace(A_RUN, disturbance=KILLS, refused=206)), markdown=True)
    rows = [line.split("|")[1:-1] for line in shown.splitlines() if line.startswith("|")]
    assert [(row[0].strip(), row[5].strip()) for row in rows[2:]] == [(NONE, "0"), (NONE, "0"), (KILLS, "206")]


def test_what_was_measured_of_takeovers_is_told_and_judged() -> None:
    def taken_over(kind: str, *seconds: float, **changes: int) -> Takeovers:
        figures = {"sent": 9, "sent_twice": 0, "refused": 0, "uncertain": 1, "two_leaders": 0, "without_intent": 0}
        return Takeovers(kind=kind, seconds=seconds, strikes=len(seconds), load=0.5, **{**figures, **changes})

    def met(run: Takeovers) -> bool | None:
        [aim] = report.aims(a_result() | {"runs": [asdict(run)]})
        return aim.met

    assert met(taken_over("killed", 0.1, 0.2, 0.5)) is True
    assert met(taken_over("killed", 0.1, 0.2, 0.6)) is False
    assert met(taken_over("killed", 0.1, two_leaders=1)) is False
    assert met(taken_over("frozen", 15.9)) is True
    assert met(taken_over("frozen", 16.1)) is False
    told = report.summary(a_result() | {"runs": [asdict(taken_over("killed", 0.1, 0.2, 0.6))]})
    assert "After 3 leaders were killed, the next submit came after 0.20 s in the median and 0.60 s in 99 of" in told


# ---- the hour of two machines ----------------------------------------------------------------------------------------


def an_hour(
    *requests: Request, strikes: tuple[Strike, ...] = (), uncertain: tuple[str, ...] = (), **more: Any
) -> Outcome:
    figures: dict[str, Any] = {
        "seed": 1,
        "clips": len(requests),
        "seconds": 60.0,
        "paid_twice": {},
        "without_intent": 0,
        "two_leaders": (),
        "refused": 0,
        "states": {},
        "films": 0,
        "idle": (),
    }
    return Outcome(**{**figures, **more}, strikes=strikes, requests=requests, uncertain=uncertain)


def test_an_uncertain_clip_is_explained_by_a_strike_while_it_was_sent() -> None:
    killed = Strike("kill", 50.0, 7, "aveo3 worker", True, 50.0)
    at_the_time = an_hour(Request(50.01, "a"), strikes=(killed,), uncertain=("a", "never arrived"))
    assert at_the_time.unexplained() == []
    long_before = an_hour(Request(40.0, "a"), strikes=(killed,), uncertain=("a",))
    assert long_before.unexplained() == ["a"]


def test_a_lane_may_be_idle_for_a_lease_only_around_a_freeze() -> None:
    frozen = Strike("freeze", 50.0, 7, "aveo3 serve", True, 68.0)
    idle = Idle(50.0, 65.5)
    assert an_hour(idle=(idle,), strikes=(frozen,)).too_idle(2.0) == []
    assert an_hour(idle=(idle,)).too_idle(2.0) == [idle]
    assert an_hour(idle=(Idle(50.0, 66.5),), strikes=(frozen,)).too_idle(2.0) == [Idle(50.0, 66.5)]
