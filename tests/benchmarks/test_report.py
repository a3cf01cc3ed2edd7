"""Contests in virtual time: the contestants, the replay of seeds, and the tables."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aveo3.testing import run_virtual
from benchmarks.__main__ import BENCHMARKS, app
from benchmarks.contests import (
    cap,
    harsh,
    known_rate,
    outage,
    shared,
    wrong_rate,
)
from benchmarks.contests.runner import ContestBenchmark
from benchmarks.harness import aims
from benchmarks.harness.aims import Aim
from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.harness.readme import everything, filled_in, section
from benchmarks.rivals import VirtualTask, virtual_roster
from benchmarks.rivals.virtual_clock import loop_clocks

# The SDK's own session inherits from aiohttp's, which aiohttp discourages; aveo3 brings a session of its own.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

# ---- the contestants -------------------------------------------------------------------------------------------------


def run_contestant(rival: str, service: Service, clips: int, told: int = 10) -> VirtualGoogle:
    """Run one contestant and return the service with its books."""
    google = VirtualGoogle(service, 0)

    async def main() -> None:
        google.open()
        await virtual_roster()[rival].make_all(google, VirtualTask(clips, told))

    run_virtual(main())
    return google


@pytest.mark.parametrize("rival", virtual_roster())
def test_without_a_quota_every_contestant_makes_every_clip_once(rival: str) -> None:
    google = run_contestant(rival, Service(limit=None), clips=12, told=100)
    assert (google.submits, len(google.accepted_at), google.refused) == (12, 12, 0)


def test_the_sdks_own_retries_work_in_virtual_time_as_over_http() -> None:
    """Five attempts in all. The quota accepts ten clips; each of the others is refused five times."""
    google = run_contestant("sdk_retries", Service(limit=10), clips=14)
    assert (len(google.accepted_at), google.submits) == (10, 10 + 4 * 5)


def test_without_retries_refused_clips_are_lost() -> None:
    google = run_contestant("gather", Service(limit=10), clips=14)
    assert (len(google.accepted_at), google.refused) == (10, 4)


@pytest.mark.parametrize("rival", ["limiter", "async_batch_llm", "cookbook"])
def test_contestants_with_a_limiter_keep_the_pace_in_virtual_time(rival: str) -> None:
    """Each has a bucket: ten at once, then one every six seconds."""
    google = run_contestant(rival, Service(limit=None, rtt=0.0), clips=20)
    gaps = [later - sooner for sooner, later in pairwise(google.accepted_at[10:])]
    assert google.accepted_at[9] < 1
    assert gaps == pytest.approx([6.0] * 9, abs=0.1)


def test_clocks_show_the_loops_time_also_where_they_are_default_arguments() -> None:
    import time

    def late(*, clock: Any = time.perf_counter) -> float:
        return float(clock())

    async def main() -> tuple[float, float, float]:
        with loop_clocks(late):
            await asyncio.sleep(7)
            return late(), time.time(), time.monotonic()

    assert run_virtual(main()) == (7, 7, 7)
    assert late() != 7
    assert time.time() > 1e9


# ---- replay ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rival", virtual_roster())
def test_equal_seeds_give_equal_runs(rival: str) -> None:
    case = "fixed, nothing named"
    run = wrong_rate.CONTEST.run(case, rival, 3)
    assert run == wrong_rate.CONTEST.run(case, rival, 3)
    assert run.submits == run.made + run.refused
    assert run.unavailable == 0
    if run.made == 100:
        assert run.score >= 0.99


def test_equal_seeds_give_equal_runs_in_another_process() -> None:
    cases, seeds = ["70 s, log-normal 0.3"], {"aveo3": 2, "cubic": 2, "tenacity_alone": 1, "async_batch_llm": 1}
    serial, parallel = (cap.CONTEST.measure(cases, seeds, processes) for processes in (1, 2))
    assert serial == parallel
    assert [(run.rival, run.seed) for run in serial[:3]] == [("aveo3", 0), ("aveo3", 1), ("cubic", 0)]
    assert serial[0] != serial[1]


@pytest.mark.parametrize("name", [name for name, bench in BENCHMARKS.items() if isinstance(bench, ContestBenchmark)])
def test_a_contest_can_be_imported_by_its_name(name: str) -> None:
    from importlib import import_module

    assert import_module(f"benchmarks.contests.{name.replace('-', '_')}").CONTEST is BENCHMARKS[name]


# ---- the report ------------------------------------------------------------------------------------------------------


def a_run(case: str, rival: str, seed: int = 0, **figures: Any) -> dict[str, Any]:
    run = {"case": case, "rival": rival, "seed": seed, "clips": 100, "made": 100, "lasted": 1.0, "score": 1.0}
    return run | {"submits": 100, "refused": 0, "unavailable": 0} | figures


def a_result(contest: ContestBenchmark, *runs: dict[str, Any]) -> dict[str, Any]:
    return {
        "benchmark": contest.name,
        "date": "2026-11-24T01:02:03",
        "machine": {"load": 0.5, "cpu": "a chip", "cores": 2, "python": "CPython 3.11"},
        "options": {"virtual_time": True, "seeds": {run["rival"]: 1 for run in runs}},
        "runs": list(runs),
    }


NAMED, UNNAMED = "fixed, limit and delay named", "fixed, nothing named"


def test_a_figure_is_a_mean_over_seeds_and_a_range_over_cases() -> None:
    found = a_result(
        wrong_rate.CONTEST,
        a_run(NAMED, "aveo3", 0, score=1.02, refused=4),
        a_run(NAMED, "aveo3", 1, score=1.04, refused=6),
        a_run("bucket, limit and delay named", "aveo3", score=1.05, refused=8),
        a_run(UNNAMED, "aveo3", score=1.2, refused=8),
        a_run(NAMED, "pause", score=1.01, refused=240),
        a_run(NAMED, "gather", made=10, score=0.03, refused=90),
    )
    assert wrong_rate.CONTEST.aims(found) == [
        Aim(
            "limit and delay named",
            "every clip; ≤ 1.06 x optimum; ≤ 8 refused per 100 clips",
            "1.030 to 1.050; 5.0 to 8.0 refused",
            "aiolimiter + shared pause: 1.010; 240.0 refused",
            True,
        ),
        Aim(
            "nothing named", "every clip; ≤ 1.15 x optimum; ≤ 8 refused per 100 clips", "1.200; 8.0 refused", "", False
        ),
    ]
    lines = wrong_rate.CONTEST.summary(found, markdown=True).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")] == [
        "",
        "aveo3",
        "1.030 to 1.050; 5.0 to 8.0 refused",
        "1.200; 8.0 refused",
        "",
    ]
    assert "loses 90.0 %; 90.0 refused" in lines[4]


@pytest.mark.parametrize(
    ("contest", "runs", "met"),
    [
        (harsh.CONTEST, [{"score": 1.12, "refused": 15}], True),
        (harsh.CONTEST, [{"score": 1.13, "refused": 15}], False),
        (harsh.CONTEST, [{"score": 1.12, "refused": 16}], False),
        (harsh.CONTEST, [{"made": 99}], False),
        (cap.CONTEST, [{"refused": 12}, {"refused": 0}], True),
        (cap.CONTEST, [{"refused": 13}, {"refused": 0}], False),  # in the worst run
        (known_rate.CONTEST, [{"refused": 1, "score": 1.03}], True),
        (shared.CONTEST, [{"made": 50, "score": 0.9, "refused": 2}], True),  # unmade clips are not lost here
        (shared.CONTEST, [{"made": 50, "score": 0.89, "refused": 2}], False),
        (shared.CONTEST, [{"made": 50, "score": 0.9, "refused": 3}], False),
        (outage.CONTEST, [{"score": 15, "unavailable": 15}], True),
        (outage.CONTEST, [{"score": 16, "unavailable": 16}], False),
        (outage.CONTEST, [{"score": 15, "made": 99}], False),
    ],
)
def test_an_aim_is_met_exactly_up_to_its_limit(
    contest: ContestBenchmark, runs: list[dict[str, Any]], met: bool
) -> None:
    case = next(name for name in contest.cases if contest.goals[0].among(name))
    found = a_result(contest, *(a_run(case, "aveo3", seed, **figures) for seed, figures in enumerate(runs)))
    assert [aim.met for aim in contest.aims(found)] == [met]


@pytest.mark.parametrize("name", [name for name, bench in BENCHMARKS.items() if isinstance(bench, ContestBenchmark)])
def test_every_case_of_a_contest_belongs_to_one_goal(name: str) -> None:
    contest = BENCHMARKS[name]
    assert isinstance(contest, ContestBenchmark)
    assert [case for case in contest.cases if sum(goal.among(case) for goal in contest.goals) != 1] == []


def test_the_table_of_aims_follows_the_results() -> None:
    found = a_result(cap.CONTEST, a_run("all take 70 s", "aveo3", score=1.1, refused=8))
    text = "a\n<!-- benchmark all -->\n<!-- end -->\n<!-- benchmark cap open -->\n<!-- end -->\nb\n"
    before = filled_in(text, {"cap": cap.CONTEST}, {"cap": found}.get)
    assert "| 1.100; 8 refused |" in before
    assert "In virtual time, on 2026-11-24." in before
    assert filled_in(before, {"cap": cap.CONTEST}, {"cap": found}.get) == before
    found["runs"][0]["refused"] = 13
    after = everything({"cap": cap.CONTEST}, {"cap": found}.get)
    assert "| 1.100; 13 refused |" in after
    assert "**no**" in after
    assert "**no**" not in before


def test_a_section_is_folded_unless_its_place_is_open() -> None:
    found = a_result(cap.CONTEST, a_run("all take 70 s", "aveo3"))
    assert section(found, cap.CONTEST, folded=True).startswith("<details>\n<summary><b>cap</b>: With an unknown")
    assert "<details>" not in section(found, cap.CONTEST)


def test_the_table_of_aims_names_each_benchmark_once_and_allows_results_without_an_aim() -> None:
    text = aims.overview({"one": [Aim("a", "b", "c", "d", True), Aim("e", "", "g", "", None)]}, markdown=True)
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]] == [
        ["[one](pictures/one.png)", "a", "b", "c", "d", "yes"],
        ["", "e", "", "g", "", "–"],
    ]
    assert (aims.between([1.0, 1.004], 2), aims.between([2.0, 1.0], 1)) == ("1.00", "1.0 to 2.0")


def test_a_contest_prints_a_table_and_writes_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "wrong-rate.json"
    options = f"wrong-rate --seeds 2 --rival-seeds 1 --processes 1 --only aveo3 --only aimd --json {path}".split()
    result = CliRunner().invoke(app, [*options, "--case", UNNAMED])
    assert result.exit_code == 0, result.output
    assert result.output.count(UNNAMED) == 2
    about = json.loads(path.read_text("utf-8"))
    assert (about["benchmark"], about["options"]["seeds"], len(about["runs"])) == (
        "wrong-rate",
        {"aveo3": 2, "aimd": 1},
        3,
    )
    assert about["options"]["cases"][UNNAMED]["service"]["limit"] == 10
    assert wrong_rate.CONTEST.summary(about) in result.output


@pytest.mark.parametrize("words", ["cap --only aveo", "cap --case none", "all --only caps"])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(words: str) -> None:
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 2
    assert "is none of" in result.output
