"""The search finds a limit from above and from below, and it costs few refusals."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3.quota.adaptive_limit import LONGEST_PATIENCE, AdaptiveLimit


def limits(ceiling: AdaptiveLimit, rounds: int) -> list[float]:
    """The limit after each of so many rounds without refusal."""
    found = []
    for _ in range(rounds):
        ceiling.round()
        found.append(ceiling.limit)
    return found


def test_it_starts_where_it_is_told_and_never_goes_beyond_the_most() -> None:
    ceiling = AdaptiveLimit(10, 10, rounds=1)
    assert limits(ceiling, 5) == [10] * 5
    assert not ceiling.trying


def test_a_refusal_leaves_what_it_proves_and_never_raises() -> None:
    ceiling = AdaptiveLimit(40, 40, rounds=1)
    ceiling.refused(10)
    assert (ceiling.limit, ceiling.proven) == (10, 10)
    ceiling.refused(25)
    assert ceiling.limit == 10
    ceiling.refused(0)
    assert ceiling.limit == 1
    ceiling.refused(0.0, least=0.5)
    assert ceiling.limit == 0.5


def test_what_was_out_with_the_refusal_and_is_taken_proves_one_more_each() -> None:
    ceiling = AdaptiveLimit(40, 12, rounds=1)
    ceiling.refused(10)
    for _ in range(3):
        ceiling.proved()
    assert (ceiling.limit, ceiling.trying) == (12, False)


def test_a_step_that_holds_is_followed_by_one_twice_as_large_a_round_later() -> None:
    ceiling = AdaptiveLimit(100, 100, rounds=3)
    ceiling.refused(10)
    assert limits(ceiling, 9) == [10, 10, 11, 13, 17, 25, 41, 73, 100]


def test_a_step_that_is_refused_goes_back_and_waits_twice_as_long_each_time() -> None:
    ceiling = AdaptiveLimit(40, 40, rounds=2)
    ceiling.refused(10)
    waits = []
    for _ in range(8):
        waits.append(_rounds_to_the_next_try(ceiling))
        ceiling.refused(10)
        assert (ceiling.limit, ceiling.trying) == (10, False)
    assert waits == [2, 4, 8, 16, 32, 64, LONGEST_PATIENCE, LONGEST_PATIENCE]


def _rounds_to_the_next_try(ceiling: AdaptiveLimit) -> int:
    rounds = 1
    while not ceiling.round():
        rounds += 1
    return rounds


def test_a_large_step_that_is_refused_keeps_what_it_proved() -> None:
    ceiling = AdaptiveLimit(100, 100, rounds=1)
    ceiling.refused(10)
    limits(ceiling, 4)
    assert (ceiling.proven, ceiling.limit) == (17, 25)
    ceiling.refused(20)
    assert ceiling.limit == 20


def test_a_refused_step_proves_nothing_of_itself_however_many_were_counted() -> None:
    """Twenty may lie on both sides of a fixed minute's end; that one more than ten was refused is certain."""
    ceiling = AdaptiveLimit(40, 40, rounds=1)
    ceiling.refused(10)
    ceiling.round()
    assert ceiling.trying
    ceiling.refused(20)
    assert ceiling.limit == 10


def test_without_anything_known_to_be_too_much_it_goes_on_for_ever() -> None:
    ceiling = AdaptiveLimit(10, None, rounds=1)
    assert ceiling.most == inf
    assert limits(ceiling, 6) == [11, 13, 17, 25, 41, 73]


@given(
    start=st.integers(1, 60),
    truth=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    told=st.booleans(),
)
@effort(max_examples=200, deadline=None, derandomize=True)
def test_it_finds_every_limit_again_whatever_it_was_before(start: int, truth: list[int], told: bool) -> None:
    """Rounds used in full, against limits that change and then stay: it ends within one of each, and seldom refused."""
    ceiling = AdaptiveLimit(start, 60 if told else None, rounds=2)
    for limit in truth:
        refusals = []
        for number in range(150):
            if ceiling.limit > limit:
                refusals.append(number)
                ceiling.refused(limit)
            else:
                ceiling.round()
        assert limit <= ceiling.limit <= limit + 1 or (told and ceiling.limit == 60)
        assert len(refusals) <= 9
