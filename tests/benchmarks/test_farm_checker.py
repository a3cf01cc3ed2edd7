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
    two_leaders,
    without_intent,
)


def sent(*at: float, answer: str = "accepted") -> list[Request]:
    return [Request(when, f"p{number}", answer) for number, when in enumerate(at)]


# ---- money -----------------------------------------------------------------------------------------------------------


def test_a_prompt_that_was_accepted_twice_was_paid_twice_and_one_that_was_refused_first_was_not() -> None:
    refused_first = [Request(1.0, "a", "refused"), Request(2.0, "a")]
    assert paid_twice(refused_first) == {}
    assert paid_twice([*refused_first, Request(3.0, "a"), Request(3.0, "b")]) == {"a": 2}


def test_every_request_needs_an_intent_of_its_own_before_it() -> None:
    first, again = Request(10.0, "a", "refused"), Request(12.0, "a")
    one, two = Intent(9.99, "a"), Intent(11.99, "a")
    assert without_intent([first, again], [one, two]) == []
    assert without_intent([first, again], [one]) == [again]
    assert without_intent([first], [two]) == [first]  # an intent afterwards is none
    assert without_intent([first], [Intent(9.0, "b")]) == [first]


def test_an_intent_may_seem_a_little_later_than_its_request_but_not_more() -> None:
    assert without_intent([Request(10.0, "a")], [Intent(10.04, "a")]) == []
    assert without_intent([Request(10.0, "a")], [Intent(10.2, "a")]) != []


def test_what_was_only_refused_was_never_sent_successfully() -> None:
    assert never_sent([Request(1.0, "a"), Request(1.0, "b", "refused")], ["a", "b", "c"]) == ["b", "c"]


# ---- one leader ------------------------------------------------------------------------------------------------------


def by(*processes: int | None) -> list[Request]:
    return [Request(float(at), f"p{at}", process=process) for at, process in enumerate(processes)]


def test_a_process_that_sends_after_its_successor_has_begun_is_a_second_leader() -> None:
    assert two_leaders(by(1, 1, 2, 2, 3)) == []
    assert two_leaders(by(1, 2, 1)) == [TwoLeaders(2.0, 1, 2)]
    assert [each.at for each in two_leaders(by(1, 2, 1, 2, 1))] == [2.0, 4.0]


def test_a_process_may_lead_again_once_its_successor_has_ended() -> None:
    assert two_leaders(by(1, 2, 1, 1), ended=[2]) == []
    assert two_leaders(by(1, 2, 3, 1), ended=[2]) == [TwoLeaders(3.0, 1, 3)]


def test_when_the_database_has_ended_all_sessions_any_process_may_lead() -> None:
    assert two_leaders(by(1, 2, 1, 1), resets=[1.5]) == []
    assert two_leaders(by(1, 2, 1, 2), resets=[0.5]) == [TwoLeaders(3.0, 2, 1)]


def test_a_request_of_a_process_that_had_ended_when_it_arrived_proves_nothing() -> None:
    assert two_leaders(by(1, 2, None, 2)) == []


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


def test_a_takeover_lasts_until_another_process_sends() -> None:
    assert takeover(by(1, 1, 1, 2), 0.5, 1) == 2.5
    assert takeover(by(1, None, 2), 0.5, 1) == 1.5
    assert takeover(by(1, 1, 2), 2.5, 2) is None


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
        {"at": 1.0, "prompt": "a", "answer": "refused", "fault": "", "process": 7},
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
        Request(1.0, "a", "refused", process=7),
        Request(2.0, "a", "accepted", 3.0, (3.1,), 3.1),
    ]
