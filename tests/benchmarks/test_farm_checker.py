"""The judge of the farm, on made-up books: each verdict can be had, and each can be missed."""

from __future__ import annotations

import pytest

from benchmarks.farm.checker import (
    Idle,
    Intent,
    Request,
    TwoLeaders,
    idle,
    makespan,
    never_sent,
    paid_twice,
    pause,
    requests_of,
    resumed,
    slowest_poll,
    takeover,
    takeover_by_intent,
    two_leaders,
    without_intent,
)


def intents(*leaders: str, lane: str = "lane") -> list[Intent]:
    return [Intent(number, float(number), f"p{number}", lane, leader) for number, leader in enumerate(leaders)]


def sent(*at: float, answer: str = "accepted") -> list[Request]:
    return [Request(when, f"p{number}", answer) for number, when in enumerate(at)]


# ---- money -----------------------------------------------------------------------------------------------------------


def test_a_prompt_that_was_accepted_twice_was_paid_twice_and_one_that_was_refused_first_was_not() -> None:
    refused_first = [Request(1.0, "a", "refused"), Request(2.0, "a")]
    assert paid_twice(refused_first) == {}
    assert paid_twice([*refused_first, Request(3.0, "a"), Request(3.0, "b")]) == {"a": 2}


def test_every_request_needs_an_intent_of_its_own_before_it() -> None:
    first, again = Request(10.0, "a", "refused"), Request(12.0, "a")
    one, two = Intent(1, 9.99, "a", "lane", "A"), Intent(2, 11.99, "a", "lane", "A")
    assert without_intent([first, again], [one, two]) == []
    assert without_intent([first, again], [one]) == [again]
    assert without_intent([first], [two]) == [first]  # an intent afterwards is none
    assert without_intent([first], [Intent(1, 9.0, "b", "lane", "A")]) == [first]


def test_an_intent_may_seem_a_little_later_than_its_request_but_not_more() -> None:
    assert without_intent([Request(10.0, "a")], [Intent(1, 10.04, "a", "lane", "A")]) == []
    assert without_intent([Request(10.0, "a")], [Intent(1, 10.2, "a", "lane", "A")]) != []


def test_what_was_only_refused_was_never_sent_successfully() -> None:
    assert never_sent([Request(1.0, "a"), Request(1.0, "b", "refused")], ["a", "b", "c"]) == ["b", "c"]


# ---- one leader ------------------------------------------------------------------------------------------------------


def test_a_leader_that_writes_after_its_successor_has_begun_is_a_second_leader() -> None:
    assert two_leaders(intents("A", "A", "B", "B", "C")) == []
    assert two_leaders(intents("A", "B", "A")) == [TwoLeaders("lane", "A", "B", 2)]
    assert [each.number for each in two_leaders(intents("A", "B", "A", "B", "A"))] == [2, 4]


def test_the_order_is_that_of_the_journal_not_of_the_clocks() -> None:
    late = [Intent(1, 5.0, "a", "lane", "A"), Intent(3, 4.0, "b", "lane", "A"), Intent(2, 6.0, "c", "lane", "B")]
    assert [each.number for each in two_leaders(late)] == [3]


def test_a_leader_may_come_back_once_its_successor_has_ended() -> None:
    assert two_leaders(intents("A", "B", "A", "A"), ended=["B"]) == []
    assert two_leaders(intents("A", "B", "C", "A"), ended=["B"]) == [TwoLeaders("lane", "A", "C", 3)]


def test_two_lanes_may_have_two_leaders() -> None:
    two = [*intents("A", "A", "A", lane="x"), *intents("B", "B", "B", lane="y")]
    assert two_leaders(two) == []


# ---- time ------------------------------------------------------------------------------------------------------------


def test_a_lane_that_waits_for_its_quota_is_not_idle() -> None:
    at_once = sent(0.0, 0.0, 2.0, 2.0)
    assert idle(at_once, limit=2, period=2.0, clips=4, began=0.0) == []
    late = sent(0.0, 0.0, 2.5, 2.5)
    assert idle(late, limit=2, period=2.0, clips=4, began=0.0) == [Idle(2.0, 2.5)]


def test_idle_times_begin_with_the_work_and_end_with_the_last_clip() -> None:
    assert idle(sent(3.0), limit=2, period=2.0, clips=1, began=1.0) == [Idle(1.0, 3.0)]
    assert idle(sent(1.0, 90.0), limit=2, period=2.0, clips=1, began=1.0) == []


def test_a_request_that_was_refused_uses_no_quota_but_ends_an_idle_time() -> None:
    requests = [Request(0.0, "a"), Request(1.0, "b", "refused"), Request(4.0, "b")]
    assert idle(requests, limit=1, period=2.0, clips=2, began=0.0) == [Idle(2.0, 4.0)]
    assert idle(requests, limit=9, period=2.0, clips=2, began=0.0) == [Idle(1.0, 4.0), Idle(0.0, 1.0)]


def test_a_takeover_lasts_from_the_death_or_from_the_first_free_slot() -> None:
    requests = sent(0.0, 0.0, 2.3, 2.3)
    assert takeover(requests, 0.5, limit=2, period=2.0, clips=9) == pytest.approx(0.3)
    assert takeover(requests, 2.1, limit=2, period=2.0, clips=9) == pytest.approx(0.2)
    assert takeover(requests, 2.29, limit=2, period=2.0, clips=9) is None  # the next was on its way
    assert takeover(sent(0.0, 0.0, 0.1), 1.0, limit=2, period=2.0, clips=3) is None  # nothing waits


def test_a_takeover_by_intent_is_that_of_another_process() -> None:
    assert takeover_by_intent(intents("A", "A", "A", "B"), 0.5, "A") == 2.5
    assert takeover_by_intent(intents("A", "A"), 0.5, "A") is None


def test_the_makespan_ends_with_the_last_film() -> None:
    requests = [Request(1.0, "a", fetched_at=4.0), Request(2.0, "b", fetched_at=9.0), Request(20.0, "c")]
    assert makespan(requests, began=1.0) == 8.0
    assert makespan([Request(1.0, "a")], began=1.0) == 0.0


def test_a_pause_is_the_longest_gap_that_touches_the_outage() -> None:
    requests = [*sent(0.0, 1.0, 12.0, 30.0), Request(5.0, "x", "refused")]
    assert pause(requests, begin=2.0, end=11.0) == 11.0
    assert pause(requests, begin=0.2, end=0.8) == 1.0
    assert resumed(requests, back_at=11.0) == 1.0
    assert resumed(requests, back_at=31.0) is None


def test_the_slowest_poll_after_a_death_is_of_what_ran_then() -> None:
    polled = Request(0.0, "a", polled_at=(1.0, 1.5, 4.0), fetched_at=4.0)
    assert slowest_poll([polled], [1.2]) == pytest.approx(0.3)
    assert slowest_poll([polled], [1.2, 2.0]) == pytest.approx(2.0)
    assert slowest_poll([polled], [5.0]) == 0.0
    assert slowest_poll([Request(0.0, "a", polled_at=(9.0,))], [1.0]) == 0.0  # no film: it is lost, not slow


def test_the_log_of_the_emulator_is_read() -> None:
    rows = [
        {"at": 1.0, "prompt": "a", "answer": "refused", "fault": ""},
        {
            "at": 2.0,
            "prompt": "a",
            "answer": "accepted",
            "fault": "",
            "done_at": 3.0,
            "polled_at": [3.1],
            "fetched_at": 3.1,
        },
    ]
    assert requests_of({"requests": rows}) == [
        Request(1.0, "a", "refused"),
        Request(2.0, "a", "accepted", 3.0, (3.1,), 3.1),
    ]
