"""A lane that pauses: until when, how long waiting makes sense, and how it starts again."""

from __future__ import annotations

import random
from math import inf

import pytest

from aveo3.quota.cooldown import Cooldown
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.settings import settings
from tests.support.virtual import NoJitter

REFUSED = Verdict(VerdictKind.REFUSED, "quota exceeded", refusal=Refusal.UNKNOWN)


def new(patience: float | None = 600.0, rng: random.Random | None = None) -> Cooldown:
    values = {"quota_patience": patience, "quota_wait_time": 300.0, "quota_reset_interval": 3600.0}
    return Cooldown(settings(**values), rng or NoJitter())


def test_pauses_do_not_shorten_each_other() -> None:
    lane = new()
    assert lane.paused_until == -inf
    lane.pause(30.0)
    lane.pause(20.0)
    assert lane.paused_until == 30.0


def test_it_sets_off_with_one_and_half_as_many_again_each_round_trip() -> None:
    lane, rounds = new(), []
    lane.begin(REFUSED, 7, now=10.0)
    order = 7
    for _ in range(6):
        rounds.append(int(lane.at_once))
        for _ in range(rounds[-1]):
            order += 1
            lane.accepted(order)
    assert rounds == [1, 1, 2, 3, 4, 6]


def test_what_was_out_when_it_stopped_does_not_set_it_off() -> None:
    lane = new()
    lane.begin(REFUSED, 7, now=10.0)
    lane.accepted(7)
    assert (lane.at_once, lane.last) == (1, REFUSED)
    lane.accepted(8)
    assert (lane.at_once, lane.last) == (1.5, None)


@pytest.mark.parametrize(
    ("patience", "until", "outlasts"),
    [
        (600.0, 100.0, False),  # now: it does not stand still
        (600.0, 700.0, False),
        (600.0, 701.0, True),
        (None, 1e9, False),
        (600.0, inf, False),  # an answer ends it, and nobody knows when
        (0.0, 100.0, False),
        (0.0, 101.0, True),
    ],
)
def test_what_takes_longer_than_the_patience_is_not_waited_for(
    patience: float | None, until: float, outlasts: bool
) -> None:
    assert new(patience).outlasts_patience(100.0, until) is outlasts


def test_what_has_taken_longer_than_the_patience_is_waited_for_no_more() -> None:
    lane = new(600.0)
    lane.begin(REFUSED, 1, now=0.0)
    lane.begin(REFUSED, 2, now=599.0)
    assert not lane.outlasts_patience(599.0, 700.0)
    lane.begin(REFUSED, 3, now=600.0)
    assert lane.outlasts_patience(600.0, 700.0)
    lane.accepted(4)
    assert not lane.outlasts_patience(600.0, 700.0)


def test_a_pause_that_nobody_named_doubles_and_is_spread() -> None:
    in_a_row = [new().growing_wait(number) for number in (0, 1, 2, 3, 4, 5, 500)]
    assert in_a_row == [300, 300, 600, 1200, 2400, 3600, 3600]
    waits = [new(rng=random.Random(seed)).growing_wait(2) for seed in range(100)]
    assert 600 <= min(waits) < max(waits) <= 720
