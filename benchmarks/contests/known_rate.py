"""A quota that one was told rightly: what is left to gain over waiting as the strictest way of counting demands?

`makespan` asks the same of the SDK and HTTP in real time; here are minutes of sixty seconds, and many seeds. The limit
is known, the way of counting is not, and where a fixed minute ends is known to nobody.
"""

from __future__ import annotations

from benchmarks.contests.contest import Contest, makespan
from benchmarks.contests.report import Goal
from benchmarks.contests.wrong_rate import WORDS, best
from benchmarks.harness.lane import Service
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import VirtualTask

QUESTION = "Told the real quota, how long do n clips take against the optimum, the server counting in three ways?"

CONTEST = Contest(
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
