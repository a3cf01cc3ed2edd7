"""The arithmetic of the benchmarks, and whether every contestant still runs. No test here measures speed."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aveo3.mock import MockOptions, MockServer
from aveo3.testing import run_virtual
from benchmarks.__main__ import BENCHMARKS, app
from benchmarks.cost import scale_report
from benchmarks.harness import plots, readme
from benchmarks.harness.table import spread, table
from benchmarks.makespan import makespan, optimum
from benchmarks.makespan.arrivals import Heart
from benchmarks.makespan.optimum import COUNTINGS, Counting
from benchmarks.makespan.runs import Plan, Run, slots
from benchmarks.rivals import Task, roster

# The SDK's own session inherits from aiohttp's, which aiohttp discourages; aveo3 brings a session of its own.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

# ---- the optimum, compared with a simulated client that tries at every tick -----------------------------------------


def brute_force(counting: Counting, n: int, limit: int, period: int, edge_in: int) -> int:
    """Return the tick at which the n-th request is accepted, if the client sends at every tick. Integers only."""
    accepted: list[int] = []
    level = 0  # of the bucket, in tokens times `period`, so that it leaks `limit` per tick
    for now in count():
        level = max(0, level - limit) if now else 0
        while True:
            if counting == "fixed":
                window = (now - edge_in) // period
                room = sum((at - edge_in) // period == window for at in accepted) < limit
            elif counting == "sliding":
                room = sum(at > now - period for at in accepted) < limit
            else:
                room = level + period <= limit * period
            if not room:
                break
            accepted.append(now)
            level += period
            if len(accepted) == n:
                return now
    raise AssertionError


@pytest.mark.parametrize("counting", COUNTINGS)
def test_the_optimum_equals_trying_at_every_tick(counting: Counting) -> None:
    rng = random.Random(0)
    for _ in range(150):
        n, limit = rng.randint(1, 30), rng.randint(1, 12)
        period = limit * rng.randint(1, 4)  # a bucket's tokens return at whole ticks
        edge_in = rng.randint(1, period)
        best = brute_force(counting, n, limit, period, edge_in)
        assert optimum.last_submit(counting, n, limit, period, edge_in) == best, (n, limit, period, edge_in)


def test_the_safe_optimum_is_the_worst_case_of_fixed_windows() -> None:
    n, limit, period = 21, 10, 12
    late = optimum.safe(n, limit, period)
    assert late == max(brute_force("fixed", n, limit, period, edge_in) for edge_in in range(1, period + 1))
    assert late >= optimum.bucket(n, limit, period)


# ---- the plan ------------------------------------------------------------------------------------------------------


def test_each_repetition_runs_every_contestant_with_every_counting_in_seeded_order() -> None:
    plan = Plan(repeat=3, seed=1)
    order = list(slots(plan, roster()))
    assert order == list(slots(plan, roster()))
    assert order != list(slots(Plan(repeat=3, seed=2), roster()))
    for repetition in range(3):
        batch = [slot for slot in order if slot.repetition == repetition]
        assert {(slot.counting, slot.rival) for slot in batch} == {(c, r) for c in COUNTINGS for r in roster()}
        assert len(batch) == len(COUNTINGS) * len(roster())
        assert len({slot.edge_in for slot in batch}) == 1


def test_documented_durations_shrink_with_the_minute() -> None:
    task = Plan(period=2.0).task("http://127.0.0.1:1", Path())
    assert task.seconds(30) == 1.0
    assert Plan(period=60.0).task("", Path()).poll_interval == 10.0
    assert (task.limit, Plan(told=40).task("", Path()).limit) == (10, 40)


def test_the_command_line_offers_every_contestant_and_counting() -> None:
    assert {choice.value for choice in makespan.RivalChoice} == set(roster())
    assert {choice.value for choice in makespan.CountingChoice} == set(COUNTINGS)


# ---- the contestants -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rival", roster())
def test_without_a_quota_every_contestant_makes_every_clip_once(rival: str, tmp_path: Path) -> None:
    async def main() -> dict[str, int]:
        async with MockServer(MockOptions(rpm=None, latency="0.01", films="bundled")) as server:
            task = Task(("a", "b", "c"), tmp_path, server.url, limit=10, period=0.1, minute=0.1, concurrency=3)
            async with roster()[rival].ready(task) as make_all:
                await make_all()
            return server.books.accepted_by_prompt

    assert asyncio.run(main()) == {"a": 1, "b": 1, "c": 1}
    assert len(list(tmp_path.glob("*.mp4"))) == 3


@pytest.mark.parametrize("rival", roster())
def test_a_filtered_clip_does_not_affect_the_others(rival: str, tmp_path: Path) -> None:
    async def main() -> None:
        options = MockOptions(rpm=None, latency="0.01", films="bundled", faults=["filtered-safety@2"])
        async with MockServer(options) as server:
            task = Task(("a", "b", "c"), tmp_path, server.url, limit=10, period=0.1, minute=0.1, concurrency=3)
            async with roster()[rival].ready(task) as make_all:
                await make_all()

    asyncio.run(main())
    # A contestant that retries a filtered clip succeeds, because the fault strikes only once.
    assert len(list(tmp_path.glob("*.mp4"))) >= 2


# ---- the report ----------------------------------------------------------------------------------------------------

NAMES = {"aveo3": "aveo3", "gather": "plain gather"}


def a_run(rival: str = "aveo3", *, repetition: int = 0, made: int = 3, makespan: float = 2.0) -> Run:
    return Run(repetition, "sliding", rival, 0.5, 3, made, makespan, 2.0, 2.0, 1.0, 3, 3 - made, 0, 6)


def test_a_row_shows_the_median_and_range_of_its_runs() -> None:
    runs = [a_run(repetition=n, makespan=seconds) for n, seconds in enumerate((2.2, 2.0, 2.1))]
    assert makespan.rows(runs, NAMES) == [
        ["sliding", "aveo3", "3/3", "2.10 [2.00-2.20]", "1.05 [1.00-1.10]", "1.05 [1.00-1.10]", "0", "0", "6"]
    ]


def test_a_contestant_that_lost_clips_has_no_ratio() -> None:
    runs = [a_run("gather", made=1, makespan=0.1), a_run("gather", repetition=1, makespan=0.1)]
    [row] = makespan.rows(runs, NAMES)
    assert row[2:6] == ["2 [1-3]/3", "0.10", "lost 1 [0-2]", ""]


def test_a_table_can_be_markdown() -> None:
    rows = [["a", "b", "1"], ["longer", "b", "10"]]
    assert table(("x", "y", "n"), rows) == "x       y   n\n------  -  --\na       b   1\nlonger  b  10"
    assert table(("x", "y", "n"), rows, markdown=True).splitlines() == [
        "| x      | y |  n |",
        "| ------ | - | -: |",
        "| a      | b |  1 |",
        "| longer | b | 10 |",
    ]
    assert (spread([1.0], 1), spread([3, 1, 1], 0)) == ("1.0", "1 [1-3]")


def test_without_a_command_it_lists_every_benchmark_with_its_question() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    for name, benchmark in BENCHMARKS.items():
        assert f"{name:<18} {benchmark.QUESTION}" in result.output


def test_a_run_prints_a_table_and_writes_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "makespan.json"
    options = "makespan --clips 3 --limit 2 --period 0.1 --repeat 1 --seed 7 --counting fixed --markdown"
    result = CliRunner().invoke(
        app, [*options.split(), "--only", "aveo3", "--only", "gather", "--json", str(path)], env={"HTTP_PROXY": None}
    )
    assert result.exit_code == 0, result.output
    assert "| counting | contestant | made" in result.output
    assert makespan.QUESTION in result.output

    about = json.loads(path.read_text("utf-8"))
    assert {"cpu", "cores", "os", "python", "load"} == about["machine"].keys()
    assert {"aveo3", "google-genai", "aiolimiter", "tenacity", "aiohttp", "async-batch-llm"} == about["versions"].keys()
    assert (about["seed"], about["benchmark"], about["question"]) == (7, "makespan", makespan.QUESTION)
    assert about["options"]["mock"]["counting"] == ["fixed"]
    runs = [Run(**run) for run in about["runs"]]
    assert {(run.counting, run.rival) for run in runs} == {("fixed", "aveo3"), ("fixed", "gather")}
    for run in runs:
        assert run.paid_twice == 0
        assert run.submits - run.refused >= run.made
        assert run.made == 3 or run.rival == "gather"


# ---- the pages -----------------------------------------------------------------------------------------------------


SLOW = ("overhead", "scale", "stall", "first-paint", "door", "farm", "outage", "gate", "assemble", "journal-databases")
"""Most of these measure processes of their own, a browser among them, and let them rest."""


@pytest.mark.parametrize(
    "name", ["cap", "film-plan", "journal", *(pytest.param(name, marks=pytest.mark.whole) for name in SLOW)]
)
def test_every_benchmark_runs_and_its_result_has_a_report(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "assemble" and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on this machine")
    path = tmp_path / f"{name}.json"
    result = CliRunner().invoke(app, [name, "--quick", "--json", str(path)], env={"HTTP_PROXY": None})
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text("utf-8"))
    assert found["benchmark"] == name
    assert found["runs"]
    assert BENCHMARKS[name].QUESTION in result.output
    assert BENCHMARKS[name].summary(found) in result.output
    assert found["options"].get("virtual_time", False) == (name in ("cap", "outage"))
    monkeypatch.setattr(plots, "HOME", tmp_path)
    # `memory` and `stall` use the same runs.
    for shown in [BENCHMARKS[name], BENCHMARKS["memory"]] if name == "stall" else [BENCHMARKS[name]]:
        assert shown.summary(found, markdown=True).startswith("|")
        for aim in shown.aims(found):
            assert aim.measured
            assert aim.met is None or aim.aim
        assert readme.plot(found, shown).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", readme.PATHS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_each_page_is_up_to_date_with_the_kept_results(path: Path) -> None:
    text = path.read_text("utf-8")
    assert readme.filled_in(text, BENCHMARKS) == text, "run: python -m benchmarks report"


def test_every_benchmark_has_a_place_and_the_readme_has_six_rows() -> None:
    page, front = (path.read_text("utf-8") for path in readme.PATHS)
    assert [name for name in ("all", *BENCHMARKS) if not re.search(f"<!-- benchmark {name}( open)? -->", page)] == []
    rows = front.partition("<!-- benchmark headlines -->\n")[2].partition("<!-- end -->")[0]
    assert [words for words in readme.HEADLINES.values() if rows.count(f"\n| {words} ") != 1] == []
    assert len(readme.HEADLINES) == 6
    assert rows.count("**no**") >= 2


def test_a_place_can_be_filled_repeatedly() -> None:
    runs: list[dict[str, object]] = []
    for contestant, waiters, cost in (("aiolimiter", 0, 2), ("aiolimiter", 10, 3), ("aiolimiter", 100, 3)):
        runs += [{"contestant": contestant, "waiters": waiters, "microseconds": cost}]
        runs += [{"contestant": "aveo3", "waiters": waiters, "microseconds": 2 * cost}]
    host = {"load": 0.5, "cpu": "a chip", "cores": 2, "python": "CPython 3.11"}
    found = {
        "benchmark": "gate",
        "date": "2026-11-23T01:02:03",
        "machine": host,
        "options": {"waiters": [10, 100]},
        "runs": runs,
    }
    before = "a\n<!-- benchmark gate -->\n<!-- end -->\n<!-- benchmark scale -->\nold\n<!-- end -->\nb\n"
    once = readme.filled_in(before, BENCHMARKS, {"gate": found, "scale": None}.__getitem__)
    assert "| none" in once
    assert "On 2026-11-23, a chip, 2 cores, load 0.5, CPython 3.11." in once
    assert once.startswith("a\n<!-- benchmark gate -->\n<details>\n<summary><b>gate</b>: What does a permit")
    assert once.endswith("<!-- end -->\n<!-- benchmark scale -->\nold\n<!-- end -->\nb\n")
    assert readme.filled_in(once, BENCHMARKS, {"gate": found, "scale": None}.__getitem__) == once


def test_growth_needs_two_sizes() -> None:
    runs = [{"contestant": "x", "prompts": n, "seconds": s} for n, s in ((10, 1.0), (100, 5.0), (1000, 50.0))]
    assert scale_report.growth({"runs": runs}, "x", "seconds", least=100) == pytest.approx((10.0, 1.0))
    assert scale_report.growth({"runs": runs}, "x", "seconds", least=1000) is None


def test_the_heart_notices_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    stall = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: asyncio.get_running_loop().time() + stall)

    async def main() -> float:
        nonlocal stall
        async with Heart() as heart:
            await asyncio.sleep(0.01)
            stall = 0.2
            await asyncio.sleep(0.01)
        return heart.longest

    assert run_virtual(main()) == pytest.approx(0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_peak_starts_again_after_forget_peak() -> None:
    """In a process of its own: what other tests have freed is taken again without a new peak."""
    code = """if True:
        from benchmarks.cost import memory_of
        memory_of.forget_peak()
        before = memory_of.peak_mb()
        ballast = b"x" * 50_000_000
        print(memory_of.peak_mb() - before)
        del ballast
        memory_of.forget_peak()
        print(memory_of.peak_mb() - before)
    """
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    grown, left = map(float, ran.stdout.split())
    assert 45 < grown < 60
    assert left < 20
