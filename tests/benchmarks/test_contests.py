"""The gate with unknown quotas, on the services of the benchmarks in virtual time.

Every clip must be made, near the optimum, with few refusals. The limits here are the aims of the benchmarks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import product
from statistics import mean

import pytest

from aveo3.testing import run_virtual
from benchmarks.contests import (
    cap,
    changes,
    harsh,
    known_rate,
    outage,
    shared,
    wrong_rate,
)
from benchmarks.contests.runner import ContestBenchmark, Run
from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.rivals import VirtualTask, virtual_aveo3

# The SDK's own session inherits from aiohttp's, which aiohttp discourages; the contestants bring it.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")


def runs(contest: ContestBenchmark, case: str, seeds: Iterable[int] = range(4)) -> list[Run]:
    return [contest.run(case, "aveo3", seed) for seed in seeds]


def names(contest: ContestBenchmark, *words: str) -> list[str]:
    return [case for case in contest.cases if all(word in case for word in words)]


def mean_score(found: list[Run]) -> float:
    return mean(run.score for run in found)


@pytest.mark.parametrize("case", wrong_rate.CONTEST.cases)
def test_a_setting_four_times_too_high_is_corrected(case: str) -> None:
    found = runs(wrong_rate.CONTEST, case)
    assert {run.made for run in found} == {100}
    assert mean_score(found) <= (1.06 if "limit and delay named" in case else 1.15)
    assert mean(run.refused for run in found) <= 8


@pytest.mark.parametrize("case", harsh.CONTEST.cases)
def test_every_clip_is_made_if_refused_requests_count(case: str) -> None:
    found = runs(harsh.CONTEST, case)
    assert {run.made for run in found} == {100}
    assert mean_score(found) <= 1.12
    assert max(run.refused for run in found) <= 15


@pytest.mark.parametrize("case", cap.CONTEST.cases)
def test_an_unknown_limit_of_operations_is_learnt(case: str) -> None:
    found = runs(cap.CONTEST, case)
    assert {run.made for run in found} == {60}
    assert max(run.score for run in found) <= 1.15
    assert max(run.refused for run in found) <= 12


@pytest.mark.parametrize("case", [*names(known_rate.CONTEST, "10 a minute"), *names(known_rate.CONTEST, "2 a minute")])
def test_a_known_rate_is_fully_used_with_at_most_one_refusal(case: str) -> None:
    found = runs(known_rate.CONTEST, case)
    assert all(run.made == run.clips and run.refused <= 1 for run in found)
    if "fixed" not in case:  # only a refusal can tell where a fixed minute ends
        assert max(run.score for run in found) <= 1.03
    elif "10 a minute, 25" in case and "delay named" in case:
        assert max(run.score for run in found) <= 1.04


@pytest.mark.parametrize(("limit", "case"), [*product((20, 50), ("fixed", "sliding", "bucket"))])
def test_the_rest_of_a_shared_quota_is_used(limit: int, case: str) -> None:
    found = runs(shared.CONTEST, f"{limit} a minute, {case}, nothing named", range(3))
    assert mean_score(found) >= 0.9
    assert mean(run.refused / run.made for run in found) <= 0.06


@pytest.mark.parametrize("case", changes.CONTEST.cases)
def test_a_changing_quota_is_followed_up_and_down(case: str) -> None:
    found = runs(changes.CONTEST, case, range(2))
    assert mean_score(found) >= 0.6
    assert max(run.refused for run in found) <= 25


@pytest.mark.parametrize(("case", "most"), [("nothing but 503", 15), ("9 of 10 are 503", 30), ("half are 503", 100)])
def test_an_hour_of_outage_costs_few_requests(case: str, most: int) -> None:
    found = runs(outage.CONTEST, case)
    assert max(run.unavailable for run in found) <= most
    assert {run.made for run in found} == {200}


@pytest.mark.parametrize("seed", range(30))
def test_on_any_service_every_clip_is_made_once_with_few_refusals(seed: int) -> None:
    """A random service: counting, limit, error body, concurrency limit, network, another program, quota changes."""
    rng = random.Random(seed)
    limit = rng.choice([1, 2, 3, 5, 10, 30])
    service = Service(
        limit=limit,
        period=rng.choice([10.0, 60.0]),
        counting=rng.choice(["fixed", "sliding", "bucket"]),
        edge_in=rng.uniform(0, 60),
        count_refused=rng.random() < 0.3,
        body=rng.choice(["detailed", "vertex"]),
        retry_info=rng.random() < 0.5,
        quota_value=rng.random() < 0.5,
        concurrent=rng.choice([None, None, 1, 4, 12]),
        rtt=rng.choice([0.05, 0.3, 2.0]),
        latency=rng.choice([1.0, 15.0, 70.0]),
        latency_spread=rng.choice([0.0, 0.5]),
        others=(others := rng.choice([0.0, 0.0, limit / 2])),
        # If refused requests count and the others alone exceed a reduced quota, no request could ever succeed.
        changes=rng.choice([(), (), ((90.0, max(1, limit if others else limit // 3)),), ((90.0, 3 * limit),)]),
    )
    google = VirtualGoogle(service, seed)
    task = VirtualTask(clips=60, told=rng.choice([limit, 4 * limit, 50]), period=service.period, seed=seed)

    async def main() -> None:
        google.open()
        await virtual_aveo3.make_all(google, task)
        google.shut()

    run_virtual(main())
    assert len(google.accepted_at) == 60
    assert google.submits == 60 + google.refused
    assert google.refused <= 40
    least = service.limit if not service.changes else min(limit, service.changes[0][1])
    assert least is not None
    slots = 60 / service.concurrent * service.latency * 2 if service.concurrent else 0.0
    assert max(google.accepted_at) <= 3.5 * (60 / least * service.period + slots) + 20 * service.period
