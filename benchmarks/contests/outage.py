"""A contest in which the service is down for an hour, or fails often."""

from __future__ import annotations

from benchmarks.contests.contest import Goal, Score
from benchmarks.contests.runner import ContestBenchmark
from benchmarks.harness.lane import Service
from benchmarks.rivals import VirtualTask

QUESTION = "If the service is down for an hour during a batch of 200 clips, how many requests are sent in vain?"

CONTEST = ContestBenchmark(
    "outage",
    QUESTION,
    {
        name: (
            Service(limit=10, away=(300.0, 3900.0), failing=failing, latency=70.0),
            VirtualTask(clips=200, told=10),
        )
        for name, failing in (("nothing but 503", 1.0), ("9 of 10 are 503", 0.9), ("half are 503", 0.5))
    },
    Score("sent in vain", lambda google, _: google.unavailable, digits=0),
    (
        Goal("nothing but 503", lambda case: case.startswith("nothing"), score=15),
        Goal("9 of 10 are 503", lambda case: case.startswith("9"), score=30),
        Goal("half are 503", lambda case: case.startswith("half")),
    ),
    lasts=12 * 3600.0,
)
