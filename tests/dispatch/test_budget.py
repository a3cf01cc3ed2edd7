"""The budget never grants more than it has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3.dispatch.budget import Budget


@pytest.mark.parametrize(
    ("limit", "spent", "reserved", "cost", "fits", "can_ever_fit"),
    [
        (None, 1e9, 1e9, 1e9, True, True),
        (0, 0, 0, 0, True, True),  # free clips fit a budget of nothing
        (0, 0, 0, 0.01, False, False),
        (10, 0, 0, 10, True, True),
        (10, 0, 0, 10.01, False, False),
        (10, 3, 4, 3, True, True),
        (10, 3, 4, 3.2, False, True),  # if one in flight ends without cost
        (10, 3, 0, 7.2, False, False),
    ],
)
def test_what_fits_is_what_is_neither_spent_nor_promised(
    limit: float | None, spent: float, reserved: float, cost: float, fits: bool, can_ever_fit: bool
) -> None:
    budget = Budget(limit)
    budget.reserve(spent + reserved)
    budget.book(spent, spent)
    assert (budget.fits(cost), budget.can_ever_fit(cost)) == (fits, can_ever_fit)


def test_thirty_clips_of_ten_cents_fit_three_dollars_exactly() -> None:
    """Regression in waiting: in floats, thirty times 0.10 is more than 3.00."""
    budget = Budget(3.0)
    for _ in range(30):
        assert budget.fits(0.1)
        budget.reserve(0.1)
        budget.book(0.1, 0.1)
    assert not budget.fits(0.1)


def test_a_clip_that_cost_less_than_promised_makes_room() -> None:
    budget = Budget(10)
    budget.reserve(6.4)
    assert not budget.fits(6.4)
    budget.book(6.4, 3.2)
    assert (budget.spent, budget.reserved) == (3.2, 0)
    assert budget.fits(6.4)


@given(
    limit=st.integers(0, 2_000),
    clips=st.lists(st.tuples(st.integers(1, 500), st.integers(0, 100), st.booleans()), max_size=40),
)
@effort(max_examples=100, deadline=None, derandomize=True)
def test_reservations_in_any_order_never_overspend(limit: int, clips: list[tuple[int, int, bool]]) -> None:
    """Amounts in cents. For each clip: the reservation, its cost in percent, whether it ends at once."""
    budget, under_way = Budget(limit / 100), list[tuple[float, float]]()
    for reserved, percentage, at_once in clips:
        if budget.fits(reserved / 100):
            budget.reserve(reserved / 100)
            under_way.append((reserved / 100, reserved * percentage // 100 / 100))
        if at_once and under_way:
            budget.book(*under_way.pop(0))
        assert budget.spent + sum(reserved for reserved, _ in under_way) <= limit / 100 + 1e-6
    for clip in under_way:
        budget.book(*clip)
    assert budget.spent <= limit / 100 + 1e-6
    assert budget.reserved == pytest.approx(0)
