"""A contest on a strict server: refused requests count, limit and delay are not named, a quarter of the set quota."""

from __future__ import annotations

from benchmarks.contests.contest import Goal, makespan
from benchmarks.contests.runner import ContestBenchmark
from benchmarks.contests.wrong_rate import best
from benchmarks.harness.lane import Service
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import VirtualTask

QUESTION = "If refused requests also use up the quota and name no delay, is every clip made, and how soon?"

CONTEST = ContestBenchmark(
    "harsh",
    QUESTION,
    {
        counting: (Service(limit=10, counting=counting, count_refused=True), VirtualTask(clips=100, told=40))
        for counting in COUNTINGS
    },
    makespan(best),
    (Goal("refusals count, nothing named", score=1.12, per_100=15),),
    optimum=best,
)
