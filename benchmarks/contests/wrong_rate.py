"""A contest with a quota four times smaller than configured: how fast do clients learn it, and at what cost?"""

from __future__ import annotations

from benchmarks.contests.contest import Goal, makespan
from benchmarks.contests.runner import ContestBenchmark
from benchmarks.harness.lane import Body, Service
from benchmarks.makespan import optimum
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import VirtualTask

QUESTION = "Set to four times the real quota, how long do 100 clips take, and with how many refusals?"


def best(service: Service, task: VirtualTask) -> float:
    """Return the seconds that a client needs which knows limit, counting and edges."""
    assert service.limit is not None
    last = optimum.last_submit(service.counting, task.clips, service.limit, service.period, service.edge_in)
    return last + service.latency


WORDS: dict[str, Body] = {"limit and delay named": "detailed", "nothing named": "vertex"}

CONTEST = ContestBenchmark(
    "wrong-rate",
    QUESTION,
    {
        f"{counting}, {words}": (
            Service(limit=10, counting=counting, body=body),
            VirtualTask(clips=100, told=40),
        )
        for counting in COUNTINGS
        for words, body in WORDS.items()
    },
    makespan(best),
    (
        Goal("limit and delay named", lambda case: "delay named" in case, score=1.06, per_100=8),
        Goal("nothing named", lambda case: "nothing named" in case, score=1.15, per_100=8),
    ),
    optimum=best,
)
