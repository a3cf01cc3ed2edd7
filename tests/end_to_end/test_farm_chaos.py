"""Two machines share one quota for an hour, while processes are killed and frozen and the database restarts.

`FARM_SEED=N` repeats an hour; `python -m benchmarks.farm.chaos N` runs one and prints what happened.
"""

from __future__ import annotations

import os
import random

import pytest

from benchmarks.farm.chaos import Chaos

MOST_IDLE = 2.0
"""Seconds in which nothing is sent although clips wait and quota is free: a takeover, or until the database is found
again, and what a busy machine adds."""


@pytest.mark.whole
@pytest.mark.real_time
async def test_two_machines_share_a_quota_for_an_hour_of_kills_freezes_and_a_restart() -> None:
    seed = int(os.environ.get("FARM_SEED") or random.SystemRandom().randrange(10**6))
    hour = await Chaos(seed).run()
    print(hour)
    assert hour.paid_twice == {}, hour
    assert hour.without_intent == 0, hour
    assert hour.two_leaders == (), hour
    assert hour.refused == 0, hour
    succeeded, uncertain = hour.states.get("succeeded", 0), len(hour.uncertain)
    assert succeeded + uncertain == hour.clips == sum(hour.states.values()), hour
    assert hour.films == succeeded, hour
    assert hour.unexplained() == [], hour
    assert uncertain <= 3 * len(hour.strikes), hour
    assert hour.too_idle(MOST_IDLE) == [], hour
