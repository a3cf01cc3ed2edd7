"""Fair shares of a lane among callers, by weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from aveo3.server.door.shares import Shares
from aveo3.server.door.waiting_line import WaitingLine

LANE = "lane"
CALLERS = "abcde"


def go(shares: Shares, waiting: Iterable[str], lane: str = LANE) -> str:
    """Who goes next, of those that wait."""
    shares.note_waiting(lane, waiting)
    caller = min(waiting, key=lambda each: shares.turn_of(lane, each))
    shares.went(lane, caller)
    return caller


weights = st.dictionaries(st.sampled_from(CALLERS), st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.0, 7.0, 100.0]), min_size=2)


@given(weights, st.integers(0, 30), st.sets(st.integers(0, 100), max_size=3))
def test_nobody_is_a_whole_request_away_from_its_share_while_all_wait(
    weight: Mapping[str, float], before: int, restarts: set[int]
) -> None:
    shares, total = Shares(weight.__getitem__), sum(weight.values())
    first = min(weight)
    for _ in range(before):
        go(shares, [first])  # what one had while the others were away counts for nothing
    went: Counter[str] = Counter()
    restarted = 0
    for turn in range(1, 101):
        if turn in restarts:
            shares, restarted = Shares(weight.__getitem__), restarted + 1
        went[go(shares, weight)] += 1
        slack = 1.0 + restarted + (1.0 if before else 0.0)  # what `first` had last may be in its next turn
        for caller in weight:
            assert abs(went[caller] - turn * weight[caller] / total) < slack + 1e-6, (turn, went)


@given(weights, st.lists(st.sets(st.sampled_from(CALLERS), min_size=1), max_size=60))
def test_who_comes_and_goes_neither_starves_nor_gets_more(
    weight: Mapping[str, float], presences: list[set[str]]
) -> None:
    shares = Shares(weight.__getitem__)
    present = [here for presence in presences if (here := sorted(presence & set(weight)))]
    for here in present:
        go(shares, here)
    heavy = max(weight, key=lambda caller: (weight[caller], caller))
    share = weight[heavy] / sum(weight.values())
    turns = [go(shares, weight) for _ in range(100)]
    assert abs(turns.count(heavy) - 100 * share) < 3


def test_shares_of_one_lane_do_not_depend_on_those_of_another() -> None:
    shares = Shares({"a": 1.0, "b": 3.0}.__getitem__)
    for _ in range(500):
        go(shares, ["a"], "fast")
    assert Counter(go(shares, ["a", "b"], "slow") for _ in range(40)) == {"a": 10, "b": 30}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=40),
    st.integers(0, 10),
)
def test_the_place_in_the_queue_is_true(orders: list[tuple[str, int]], gone: int) -> None:
    weight = {"a": 1.0, "b": 2.0, "c": 0.5}
    shares, line = Shares(weight.__getitem__), WaitingLine()
    left = dict(enumerate(orders))
    for number, (caller, priority) in left.items():
        line.push(caller, number, priority)

    def pop() -> int:
        caller = go(shares, line.callers)
        priority, number = line.head_of(caller)
        assert line.remove(caller, number, priority)
        return number

    for _ in range(min(gone, len(orders) - 1)):
        del left[pop()]
    waiting = {caller: line.waiting_of(caller) for caller in line.callers}
    places = {
        number: shares.ahead_of(LANE, caller, line.rank(caller, number, priority), waiting, {})
        for number, (caller, priority) in left.items()
    }
    order = [pop() for _ in range(len(left))]
    assert set(order) == set(left)
    assert len(line) == 0
    assert all(abs(places[number] - at) <= 3 for at, number in enumerate(order)), (places, order)


def test_priority_counts_within_a_caller_only() -> None:
    line = WaitingLine()
    for number, priority in ((1, 0), (2, 0), (3, 9)):
        line.push("alice", number, priority)
    line.push("bob", 4)
    assert line.head_of("alice") == (9, 3)
    assert (line.rank("alice", 2), line.rank("alice", 3, 9), line.oldest_of("alice")) == (2, 0, 1)
    assert line.remove("alice", 3, 9)
    assert not line.remove("alice", 3, 9)
    assert line.head_of("alice") == (0, 1)
