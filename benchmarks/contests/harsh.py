"""A server that counts what it refuses, names neither limit nor delay, and has a quarter of what one was told."""

from __future__ import annotations

from benchmarks.contests.contest import Contest, makespan
from benchmarks.contests.report import Goal
from benchmarks.contests.wrong_rate import best
from benchmarks.harness.lane import Service
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import VirtualTask

QUESTION = "Where refused requests use up the quota too and no delay is named, does every clip get through, and when?"

CONTEST = Contest(
    "harsh",
    QUESTION,
    {
        counting: (Service(limit=10, counting=counting, count_refused=True), VirtualTask(clips=100, told=40))
        for counting in COUNTINGS
    },
    makespan(best),
    (Goal("refusals count, nothing is named", score=1.12, per_100=15),),
    optimum=best,
)
