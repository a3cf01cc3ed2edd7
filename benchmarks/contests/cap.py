"""A number of operations that may run at once, of which nobody knows."""

from __future__ import annotations

from benchmarks.contests.contest import Contest, Score
from benchmarks.contests.report import Goal
from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.makespan import optimum
from benchmarks.rivals import VirtualTask

QUESTION = "Where ten operations may run at once and nobody knows, how long do 60 clips take, and how many are refused?"

SLOTS = 10


def against_the_optimum(google: VirtualGoogle, task: VirtualTask) -> float:
    """Whoever knows the number, and sees an operation's end at once; latencies as they were drawn."""
    durations = [done - began for began, done in zip(google.accepted_at, google.done_at, strict=True)]
    return max(google.done_at, default=0.0) / optimum.in_slots(durations, SLOTS)


CONTEST = Contest(
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
    (Goal("ten at once, and nobody says so", score=1.15, refusals=12),),
    optimum=lambda service, task: task.clips / SLOTS * service.latency,
)
