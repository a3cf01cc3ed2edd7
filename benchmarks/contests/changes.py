"""A quota that Google changes while a batch runs."""

from __future__ import annotations

from itertools import pairwise

from benchmarks.contests.contest import Contest, Score
from benchmarks.contests.report import Goal
from benchmarks.contests.wrong_rate import WORDS
from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import VirtualTask

QUESTION = "Where the quota changes in mid-run, how much of it is used in half an hour, and how much is refused?"

LASTS = 1800.0

CHANGES: dict[str, tuple[tuple[float, int], ...]] = {
    "10 to 4": ((300.0, 4),),
    "10 to 30": ((300.0, 30),),
    "10 to 2 to 10": ((300.0, 2), (900.0, 10)),
}


def used(google: VirtualGoogle, task: VirtualTask) -> float:
    """Requests accepted, of those that the quota had."""
    steps = [(0.0, google.service.limit), *google.service.changes, (LASTS, None)]
    there = sum((limit or 0) * (until - at) / google.service.period for (at, limit), (until, _) in pairwise(steps))
    return len(google.accepted_at) / there


def followed(change: str) -> Goal:
    """What is wanted where the quota changes like this: nobody is told, so some of it is lost until it is found."""
    return Goal(change, lambda case: case.startswith(f"{change},"), score=0.6, refusals=25)


CONTEST = Contest(
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
    Score("of the quota", used, more=True),
    tuple(map(followed, CHANGES)),
    lasts=LASTS,
    every_clip=False,
    sdk_seeds=1,
)
