"""A contest with a correctly configured quota: how much faster than the strictest way of counting can a client be?

`makespan` measures the same with the SDK and HTTP in real time. Here a minute has sixty seconds, and there are many
seeds. The contestants know the limit, but not the way of counting, nor where a fixed minute ends.
"""

from __future__ import annotations

from benchmarks.contests.contest import Goal, makespan
from benchmarks.contests.runner import ContestBenchmark
from benchmarks.contests.wrong_rate import WORDS, best
from benchmarks.harness.lane import Service
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import VirtualTask

QUESTION = "With the real quota known, how long do n clips take compared with the optimum, for three ways of counting?"

CONTEST = ContestBenchmark(
    "known-rate",
    QUESTION,
    {
        f"{limit} a minute, {clips} clips, {counting}, {words}": (
            Service(limit=limit, counting=counting, body=body),
            VirtualTask(clips=clips, told=limit),
        )
        for limit in (2, 10, 50)
        for clips in (limit * 5 // 2, limit * 10)
        for counting in COUNTINGS
        for words, body in WORDS.items()
    },
    makespan(best),
    (
        Goal("sliding and bucket", lambda case: "fixed" not in case, score=1.03, refusals=1),
        Goal("fixed, delay named", lambda case: "fixed, limit and delay" in case, score=1.03, refusals=1),
        Goal("fixed, nothing named", lambda case: "fixed, nothing" in case, score=1.03, refusals=1),
    ),
    optimum=best,
    sdk_seeds=2,
)
