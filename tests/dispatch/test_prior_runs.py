"""What a run inherits from earlier runs: the used quota of each lane, and its learnt limits."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aveo3 import Settings, verdicts
from aveo3.config.settings import JOURNAL
from aveo3.dispatch.prior_runs import PriorRuns, gone_models
from aveo3.journal.journal import Journal
from aveo3.lanes.lanes import Lane, Lanes
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.lanes import Places, lane, made
from tests.support.virtual import START_UTC, now, now_utc, virtual

REFUSED = Verdict(VerdictKind.REFUSED, "wait", refusal=Refusal.MINUTE, retry_after=1.0)
PATH = Path("clips") / JOURNAL


def known(given: dict[str, Any], **settings: Any) -> dict[str, Any] | None:
    [found] = Lanes(Settings(**settings), [given]).listed
    with Journal(PATH, writes=False) as journal:
        return PriorRuns(journal, "google", now_utc()).of_lane(found)


def ages(memory: dict[str, Any] | None, what: str) -> list[float]:
    assert memory is not None
    return [round((now_utc() - start(at)).total_seconds()) for at, _ in memory["used"][what]]


def start(text: str) -> Any:
    return type(START_UTC).fromisoformat(text)


def test_what_was_sent_lately_is_known_by_lane_with_its_time_and_price(places: Places) -> None:
    async def main() -> None:
        places["a"] = made(verdicts.accepted("operations/1"), REFUSED, round_trip=2.0, latency=1.0)
        async with places.client(lane("a"), lane("b", order=2), journal="auto") as veo:
            await veo.generate_many(["x", "y"])
        await asyncio.sleep(10)
        memory = known(lane("a"))
        assert ages(memory, "requests") == sorted(ages(memory, "requests"), reverse=True)
        assert len(ages(memory, "requests")) == 3
        assert len(ages(memory, "accepted")) == 2
        assert memory is not None
        assert [usd for _, usd in memory["used"]["dollars"]] == [3.2, 3.2]
        assert memory["used"]["day"]["requests"] == 3
        assert known(lane("b")) is None
        assert known(lane("c")) is None

    virtual(main)


def test_what_is_long_past_is_not_read(places: Places) -> None:
    async def main() -> None:
        async with places.client(lane("a"), journal="auto") as veo:
            await veo.generate_many(["x"])
        await asyncio.sleep(3600)
        memory = known(lane("a"))
        assert memory is None or memory["used"]["requests"] == []
        memory = known(lane("a", daily_limit=5))
        assert memory is not None
        assert memory["used"]["day"] == {"requests": 1, "ends": "2026-11-24T08:00:00+00:00"}

    virtual(main)


def test_a_request_whose_answer_was_lost_counts(places: Places) -> None:
    async def main() -> None:
        places["a"] = made(verdicts.uncertain("lost"))
        async with places.client(lane("a"), journal="auto") as veo:
            await veo.generate_many(["x"])
        memory = known(lane("a"))
        assert len(ages(memory, "requests")) == 1
        assert ages(memory, "accepted") == []
        assert memory is not None
        assert [usd for _, usd in memory["used"]["dollars"]] == [3.2], "it may be billed"

    virtual(main)


def test_what_was_learnt_is_kept_by_place_and_model_whatever_the_lane_is_called() -> None:
    one, other = Lanes(Settings(), [lane("a"), lane("b")]).listed
    [renamed] = Lanes(Settings(), [{**lane("a"), "name": "as_you_like"}]).listed
    with Journal(PATH, now_utc=lambda: START_UTC) as journal:
        memory = PriorRuns(journal, "google", START_UTC)
        memory.keep_lane(one, {"version": 1, "learnt": {"requests": {"limit": 3}}, "used": {}})
        memory.keep_latencies({("veo", None, 8): {"ends": {"3": 1.0}}})
        again = PriorRuns(journal, "google", START_UTC + timedelta(days=1))
        found = again.of_lane(renamed)
        assert found is not None
        assert found["learnt"] == {"requests": {"limit": 3}}
        assert again.of_lane(other) is None
        assert again.latencies() == {("veo", None, 8): {"ends": {"3": 1.0}}}
        assert PriorRuns(journal, "local", START_UTC).of_lane(one) is None, "another Google"


@pytest.mark.parametrize("gap", [5.0, 61.0])
def test_a_run_right_after_another_does_not_burst(gap: float, places: Places) -> None:
    """Ten a minute, ten sent: a new run within the minute has none left."""

    async def main() -> None:
        places["a"] = made(latency=1.0)
        async with places.client(lane("a", 10), journal="auto") as veo:
            await veo.generate_many([f"{n}" for n in range(10)])
        await asyncio.sleep(gap)
        begun = now()
        async with places.client(lane("a", 10), journal="auto") as veo:
            await veo.generate_many([f"again {n}" for n in range(10)])
        waited = places["a"].submits[10][0] - begun
        assert (waited > 50) == (gap < 50)

    virtual(main)


def test_default_lanes_are_remembered_too() -> None:
    with Journal(PATH, now_utc=lambda: START_UTC) as journal:
        [found] = Lanes(Settings(project="p")).of("veo-3.1-generate-001")
        PriorRuns(journal, "google", START_UTC).keep_lane(found, {"version": 1, "learnt": {"running": {"limit": 4}}})
        [again] = Lanes(Settings(project="p")).of("veo-3.1-generate-001")
        assert isinstance(again, Lane)
        memory = PriorRuns(journal, "google", START_UTC).of_lane(again)
        assert memory is not None
        assert memory["learnt"] == {"running": {"limit": 4}}


SHUT = "Model m is no longer available. Use a newer one. What to do: check VEO3_MODEL."


@pytest.mark.parametrize(
    ("closed", "told"),
    [
        (SHUT, True),
        ("The model retires on 2027-01-01. What to do: x.", True),
        ("Model m has been shut down. What to do: x.", True),
        ("Publisher model m was not found. What to do: x.", False),
        ("Billing is off. What to do: x.", False),
        (None, False),
    ],
)
def test_a_model_that_google_has_shut_down_is_remembered_in_its_own_words(closed: str | None, told: bool) -> None:
    with Journal(PATH, now_utc=now_utc_at_start) as journal:
        PriorRuns(journal, "google", START_UTC).keep_answer("m", closed=closed, accepted=0)
        said = gone_models(journal)
    assert list(said) == ["m"] * told
    if closed == SHUT:
        assert said["m"].startswith(
            f"on {START_UTC:%Y-%m-%d} Google said of model m: Model m is no longer available. Use a newer one. (`aveo3"
        )


def test_a_model_that_answers_again_is_no_longer_told_as_shut_down() -> None:
    with Journal(PATH, now_utc=now_utc_at_start) as journal:
        PriorRuns(journal, "google", START_UTC).keep_answer("m", closed=SHUT, accepted=0)
        later = PriorRuns(journal, "google", START_UTC + timedelta(days=1))
        assert later.gone("m") is not None
        assert later.gone("other") is None
        later.keep_answer("m", closed=None, accepted=0)
        assert later.gone("m") is not None, "nothing was heard"
        later.keep_answer("m", closed=None, accepted=1)
        assert later.gone("m") is None
        assert gone_models(journal) == {}


def now_utc_at_start() -> Any:
    return START_UTC
