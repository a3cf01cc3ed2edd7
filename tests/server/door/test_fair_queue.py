"""Fair shares over what waits."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aveo3.server.door.fair_queue import FairQueue


def test_ten_thousand_of_one_caller_do_not_delay_the_one_of_another() -> None:
    queue = FairQueue()
    for number in range(10_000):
        queue.push("alice", number)
    for _ in range(500):
        queue.pop()
    queue.push("bob", 20_000)
    assert queue.ahead_of("bob", 20_000) == 0
    assert 20_000 in [queue.pop(), queue.pop()]


def test_callers_get_shares_by_weight_whenever_they_came() -> None:
    weights = {"alice": 1.0, "bob": 2.0, "carol": 5.0}
    queue = FairQueue(weights.__getitem__)
    owners: dict[int, str] = {}

    def push(caller: str, count: int) -> None:
        for number in range(len(owners), len(owners) + count):
            owners[number] = caller
            queue.push(caller, number)

    push("alice", 1000)
    for _ in range(300):
        queue.pop()
    push("bob", 1000)
    push("carol", 1000)
    shares = Counter(owners[queue.pop() or 0] for _ in range(800))
    assert all(abs(shares[caller] / 800 - weight / 8) < 0.01 for caller, weight in weights.items()), shares


def test_who_was_away_collects_no_credit() -> None:
    queue = FairQueue()
    for number in range(200):
        queue.push("alice", number)
    queue.push("bob", 1000)
    for _ in range(100):
        queue.pop()
    for number in range(1001, 1101):
        queue.push("bob", number)
    went = [queue.pop() or 0 for _ in range(20)]
    assert sum(number > 1000 for number in went) == 10


def test_priority_counts_within_a_caller_only() -> None:
    queue = FairQueue()
    queue.push("alice", 1)
    queue.push("alice", 2)
    queue.push("alice", 3, priority=9)
    queue.push("bob", 4)
    queue.push("bob", 5)
    assert [queue.pop() for _ in range(6)] == [3, 4, 1, 5, 2, None]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=40),
    st.integers(0, 10),
    st.lists(st.integers(0, 39), max_size=10),
)
def test_the_place_in_the_queue_is_true(orders: list[tuple[str, int]], gone: int, removed: list[int]) -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 0.5}
    queue = FairQueue(weights.__getitem__)
    for number, (caller, priority) in enumerate(orders):
        queue.push(caller, number, priority)
    left = dict(enumerate(orders))
    for _ in range(gone):
        left.pop(queue.pop() if left else -1, None)  # type: ignore[arg-type]
    for number in removed:
        caller, priority = orders[number] if number < len(orders) else ("a", 0)
        assert queue.remove(caller, number, priority) is (left.pop(number, None) is not None)
    assert len(queue) == len(left)
    places = {number: queue.ahead_of(caller, number, priority) for number, (caller, priority) in left.items()}
    order = [queue.pop() for _ in range(len(left))]
    assert set(order) == set(left)
    for at, went in enumerate(order):
        place = places[went or 0]
        assert place is not None
        assert abs(place - at) <= 2  # callers whose turn comes at the same time: one each
