"""A contest with an unknown limit of concurrent operations."""

from __future__ import annotations

from benchmarks.contests.contest import Goal, Score
from benchmarks.contests.runner import ContestBenchmark
from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.makespan import optimum
from benchmarks.rivals import VirtualTask

QUESTION = "With an unknown limit of ten concurrent operations, how long do 60 clips take, with how many refusals?"

SLOTS = 10


def against_the_optimum(google: VirtualGoogle, task: VirtualTask) -> float:
    """Return the ratio to a client that knows the limit and notices each end at once, with the same latencies."""
    durations = [done - began for began, done in zip(google.accepted_at, google.done_at, strict=True)]
    return max(google.done_at, default=0.0) / optimum.in_slots(durations, SLOTS)


CONTEST = ContestBenchmark(
    "cap",
    QUESTION,
    {
        name: (
            Service(limit=None, concurrent=SLOTS, latency=70.0, latency_spread=spread),
            VirtualTask(clips=60, told=50),
        )
        for name, spread in (("all take 70 s", 0.0), ("70 s, log-normal 0.3", 0.3))
    },
    Score("x optimum", against_the_optimum),
    (Goal("ten at once, unannounced", score=1.15, refusals=12),),
    optimum=lambda service, task: task.clips / SLOTS * service.latency,
)
