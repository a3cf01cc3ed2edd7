"""A contest on a shared quota: another program uses half of it at random instants and does not repeat refusals."""

from __future__ import annotations

from benchmarks.contests.contest import Goal, Score
from benchmarks.contests.runner import ContestBenchmark
from benchmarks.contests.wrong_rate import WORDS
from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import VirtualTask

QUESTION = "If another program uses half the quota at random, how much of the rest is used, with how many refusals?"

PERIODS = 20
"""Number of measured periods. They start after the first period, which allows a full burst."""


def used(google: VirtualGoogle, task: VirtualTask) -> float:
    """Return the used share of the remaining quota. Buckets and edges of fixed windows allow slightly more than 1."""
    period, limit = google.service.period, google.service.limit
    assert limit is not None

    def within(instants: list[float]) -> int:
        return sum(period <= at < (PERIODS + 1) * period for at in instants)

    return within(google.accepted_at) / (PERIODS * limit - within(google.others_accepted_at))


CONTEST = ContestBenchmark(
    "shared",
    QUESTION,
    {
        f"{limit} a minute, {counting}, {words}": (
            Service(limit=limit, counting=counting, body=body, others=limit / 2, latency=5.0),
            VirtualTask(clips=(PERIODS + 5) * limit, told=limit),
        )
        for limit in (10, 20, 50)
        for counting in COUNTINGS
        for words, body in WORDS.items()
    },
    Score("share used", used, more=True),
    (
        Goal("20 and 50 a minute", lambda case: not case.startswith("10 "), score=0.9, per_100=5),
        Goal("10 a minute", lambda case: case.startswith("10 "), score=0.9, per_100=5),
    ),
    lasts=(PERIODS + 1) * 60.0 + 5,
    every_clip=False,
    sdk_seeds=1,
)
