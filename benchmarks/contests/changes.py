"""A contest in which Google changes the quota during a batch."""

from __future__ import annotations

from itertools import pairwise

from benchmarks.contests.contest import Goal, Score
from benchmarks.contests.runner import ContestBenchmark
from benchmarks.contests.wrong_rate import WORDS
from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import VirtualTask

QUESTION = "If the quota changes during a run, how much of it is used in half an hour, with how many refusals?"

LASTS = 1800.0

CHANGES: dict[str, tuple[tuple[float, int], ...]] = {
    "10 to 4": ((300.0, 4),),
    "10 to 30": ((300.0, 30),),
    "10 to 2 to 10": ((300.0, 2), (900.0, 10)),
}


def used(google: VirtualGoogle, task: VirtualTask) -> float:
    """Return the share of the quota that was used."""
    steps = [(0.0, google.service.limit), *google.service.changes, (LASTS, None)]
    total = sum((limit or 0) * (until - at) / google.service.period for (at, limit), (until, _) in pairwise(steps))
    return len(google.accepted_at) / total


def goal_of(change: str) -> Goal:
    """Return the goal for one change. The change is not announced, so some quota is lost until it is noticed."""
    return Goal(change, lambda case: case.startswith(f"{change},"), score=0.6, refusals=25)


CONTEST = ContestBenchmark(
    "changes",
    QUESTION,
    {
        f"{name}, {counting}, {words}": (
            Service(limit=10, counting=counting, body=body, changes=changes, latency=5.0),
            VirtualTask(clips=1000, told=40),
        )
        for name, changes in CHANGES.items()
        for counting in COUNTINGS
        for words, body in WORDS.items()
    },
    Score("share used", used, more=True),
    tuple(map(goal_of, CHANGES)),
    lasts=LASTS,
    every_clip=False,
    sdk_seeds=1,
)
