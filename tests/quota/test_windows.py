"""Windows hold in every way that a server may count, and let nobody wait longer than necessary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3.quota.windows import PACIFIC, DayWindow, QuotaWindow, next_pacific_midnight

thorough = effort(max_examples=100, deadline=None, derandomize=True)

# Instants in eighths of a second are exact in binary: what is compared below is equal or not, never nearly.
eighths = st.integers(0, 800).map(lambda n: n / 8)


def filled(limit: float, period: float, answers: list[float], *, margin: float = 0.0) -> QuotaWindow:
    """A window that saw requests answered at these instants."""
    window = QuotaWindow(limit, period, margin=margin)
    for at in answers:
        window.take()
        window.answered(at)
    return window


@pytest.mark.parametrize(
    ("limit", "answers", "in_flight", "now", "ready_at"),
    [
        (3, [], 0, 5, 5),  # nothing used
        (3, [0, 1], 0, 2, 2),  # one place left
        (3, [0, 1, 2], 0, 2, 60),  # full: the oldest comes back first
        (3, [0, 1, 2], 0, 59.5, 60),
        (3, [0, 1, 2], 0, 60, 60),  # exactly a period later it is back
        (3, [0, 1, 2], 0, 61, 61),
        (3, [0, 1], 1, 2, 60),  # one in flight counts like one answered
        (3, [0], 2, 2, 60),
        (3, [], 3, 2, inf),  # nobody knows when an answer comes
        (3, [0, 0, 0, 0, 0], 0, 1, 60),  # more than the limit: it was lowered
        (1, [0, 10, 20], 0, 25, 80),  # all but none of them must be back
        (2, [0, 10], 2, 25, inf),  # what comes back is not enough
        (inf, [0, 1, 2], 9, 3, 3),
    ],
)
def test_room_comes_back_a_period_after_the_answer(
    limit: float, answers: list[float], in_flight: int, now: float, ready_at: float
) -> None:
    window = filled(limit, 60, answers)
    for _ in range(in_flight):
        window.take()
    assert window.ready_at(now) == ready_at


def test_a_margin_keeps_room_back_a_little_longer() -> None:
    window = filled(1, 60, [10], margin=0.5)
    assert window.ready_at(70) == 70.5
    assert window.ready_at(70.5) == 70.5


def test_a_request_counts_from_its_sending_until_a_period_after_its_answer() -> None:
    window = QuotaWindow(2, 60)
    window.take()
    assert [window.used(now) for now in (0, 100)] == [1, 1]  # as long as there is no answer
    window.answered(100)
    assert [window.used(now) for now in (100, 159.875, 160)] == [1, 1, 0]


@pytest.mark.parametrize(
    ("limit", "used", "amount", "ready_at"),
    [
        (10.0, [3.2, 3.2], 3.2, 1.0),  # 9.60 of 10 dollars
        (10.0, [3.2, 3.2, 3.2], 3.2, 60.0),
        (10.0, [3.2, 3.2, 3.2], 6.4, 61.0),  # the first two must be back
        (10.0, [0.1] * 100, 0.0, 1.0),
        (10.0, [0.1] * 99, 0.1, 1.0),  # sums of tenths are no tenths: still exactly ten dollars
        (10.0, [], 12.8, 1.0),  # over the limit: alone or never
        (10.0, [3.2], 12.8, 60.0),
        (0.5, [], 3.2, 1.0),
    ],
)
def test_dollars_are_counted_by_amount(limit: float, used: list[float], amount: float, ready_at: float) -> None:
    window = QuotaWindow(limit, 60)
    for at, cost in enumerate(used):
        window.take(cost)
        window.answered(min(at, 1), cost)
    assert window.ready_at(1.0, amount) == ready_at


def test_a_limit_may_change_while_requests_are_out() -> None:
    window = filled(3, 60, [0, 1, 2])
    window.limit = 4
    assert window.ready_at(3) == 3
    window.limit = 2
    assert window.ready_at(3) == 61
    window.limit = 1
    assert window.ready_at(3) == 62
    window.take()
    assert window.ready_at(3) == inf


def test_an_empty_window_holds_exactly_nothing_however_its_sums_drifted() -> None:
    window = QuotaWindow(1, 60)
    for n in range(1, 1000):
        window.take(0.1 * n)
        window.answered(0, 0.1 * n)
    assert window.used(60) == 0


@given(
    limit=st.integers(1, 5),
    period=st.sampled_from([1.0, 8.0, 60.0]),
    margin=st.sampled_from([0.0, 0.5]),
    journeys=st.lists(
        st.tuples(st.integers(0, 240), st.integers(0, 4), st.sampled_from([0, 0, 0, 1, 40])), min_size=1, max_size=40
    ),
)
@thorough
def test_no_server_sees_more_than_the_limit_in_any_period_and_nobody_waits_for_nothing(
    limit: int, period: float, margin: float, journeys: list[tuple[int, int, int]]
) -> None:
    """The driver takes a place whenever one is free. A journey is: eighths of a second until the answer, the quarter of
    that time at which the server counts, and the eighths of a second that the driver pauses first."""
    window = QuotaWindow(limit, period, margin=margin)
    now, counted, out = 0.0, list[float](), list[float]()
    for trip, quarter, idle in journeys:
        now += idle / 8
        while True:
            for answered_at in sorted(at for at in out if at <= now):
                out.remove(answered_at)
                window.answered(answered_at)
            ready_at = window.ready_at(now)
            if ready_at <= now:
                break
            next_answer = min(out, default=inf)
            now = min(ready_at, next_answer)
            assert now < inf, "it waits for an answer, and none is to come"
        window.take()
        counted.append(now + trip / 8 * quarter / 4)
        out.append(now + trip / 8)
    for start in counted:
        assert sum(start <= at < start + period for at in counted) <= limit


@given(
    limit=st.integers(1, 6),
    answers=st.lists(eighths, max_size=12).map(sorted),
    in_flight=st.integers(0, 3),
    later=eighths,
)
@thorough
def test_refused_until_exactly_the_instant_it_names_and_granted_at_it(
    limit: int, answers: list[float], in_flight: int, later: float
) -> None:
    window = filled(limit, 60, answers)
    for _ in range(in_flight):
        window.take()
    now = max(answers, default=0.0) + later
    ready_at = window.ready_at(now)
    if ready_at == inf:
        assert in_flight >= limit
    elif ready_at > now:
        just_before = nextafter(ready_at, -inf)
        assert window.used(just_before) + 1 > limit
        assert window.ready_at(just_before) == ready_at
        assert window.ready_at(ready_at) == ready_at
        assert window.used(ready_at) + 1 <= limit
    else:
        assert window.used(now) + 1 <= limit


@given(
    limit=st.integers(1, 2_000),
    answered=st.lists(st.tuples(eighths, st.integers(1, 900)), max_size=12),
    in_flight=st.integers(0, 500),
    amount=st.integers(0, 3_000),
    later=eighths,
)
@thorough
def test_amounts_in_dollars_are_as_good_as_whole_cents(
    limit: int, answered: list[tuple[float, int]], in_flight: int, amount: int, later: float
) -> None:
    answered.sort()
    window = QuotaWindow(limit / 100, 60)
    for at, cents in answered:
        window.take(cents / 100)
        window.answered(at, cents / 100)
    window.take(in_flight / 100)
    now = max((at for at, _ in answered), default=0.0) + later

    def has_room(instant: float) -> bool:
        used = in_flight + sum(cents for at, cents in answered if at + 60 > instant)
        return used + min(amount, limit) <= limit

    instants = [now, *sorted(at + 60 for at, _ in answered if at + 60 > now)]
    assert window.ready_at(now, amount / 100) == next((at for at in instants if has_room(at)), inf)


@given(answers=st.lists(eighths, max_size=8).map(sorted), amounts=st.lists(st.integers(1, 8), max_size=5))
@thorough
def test_what_is_given_back_leaves_no_trace(answers: list[float], amounts: list[int]) -> None:
    window, untouched = filled(4, 60, answers), filled(4, 60, answers)
    for amount in amounts:
        window.take(amount)
    for amount in reversed(amounts):
        window.give_back(amount)
    now = max(answers, default=0.0)
    assert window.used(now) == untouched.used(now)
    assert window.ready_at(now) == untouched.ready_at(now)


def test_memory_follows_the_last_period() -> None:
    window = QuotaWindow(inf, 60)
    for now in range(10_000):
        window.take()
        window.answered(now)
    assert window.used(9_999) == len(window._answered) == 60


# ---- Google's day ----------------------------------------------------------------------------------------------------


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Calendar:
    """Calendar time that goes with the caller's clock, until the machine sleeps."""

    def __init__(self, text: str) -> None:
        self.at_zero = utc(text)

    def __call__(self, instant: float) -> datetime:
        return self.at_zero + timedelta(seconds=instant)

    def sleep(self, **time: float) -> None:
        """The calendar goes on; the clock stood still."""
        self.at_zero += timedelta(**time)


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        ("2026-01-15T12:00", "2026-01-16T08:00"),  # winter: eight hours behind
        ("2026-01-16T07:59:59.999999", "2026-01-16T08:00"),
        ("2026-01-16T08:00", "2026-01-17T08:00"),  # midnight belongs to the new day
        ("2026-07-01T12:00", "2026-07-02T07:00"),  # summer: seven
        ("2026-12-31T23:00", "2027-01-01T08:00"),
        ("2026-03-08T07:59", "2026-03-08T08:00"),
        ("2026-03-08T08:00", "2026-03-09T07:00"),  # the day of 23 hours
        ("2026-03-08T10:00", "2026-03-09T07:00"),  # clocks go forward at this very instant
        ("2026-11-01T06:59", "2026-11-01T07:00"),
        ("2026-11-01T07:00", "2026-11-02T08:00"),  # the day of 25 hours
        ("2026-11-01T08:30", "2026-11-02T08:00"),  # half past one, for the first time
        ("2026-11-01T09:30", "2026-11-02T08:00"),  # half past one, for the second
    ],
)
def test_the_day_ends_at_midnight_in_los_angeles(now: str, midnight: str) -> None:
    assert next_pacific_midnight(utc(now)) == utc(midnight)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))
@thorough
def test_the_next_midnight_is_a_midnight_and_none_lies_before_it(now: datetime) -> None:
    midnight = next_pacific_midnight(now)
    assert timedelta(0) < midnight - now <= timedelta(hours=25)
    assert midnight.astimezone(PACIFIC).time().isoformat() == "00:00:00"
    assert (midnight - timedelta.resolution).astimezone(PACIFIC).date() == now.astimezone(PACIFIC).date()


@pytest.mark.parametrize(
    ("start", "hours"),
    [("2026-01-15T08:00", 24), ("2026-03-08T08:00", 23), ("2026-07-01T07:00", 24), ("2026-11-01T07:00", 25)],
)
def test_a_days_quota_lasts_for_23_to_25_hours(start: str, hours: int) -> None:
    calendar = Calendar(start)
    calendar.sleep(hours=1 / 60)  # our day begins a minute after Google's
    day = DayWindow(2, calendar)
    for now in (0, 1):
        assert day.ready_at(now) == now
        day.take()
        day.answered(now)
    ends_at = hours * 3600
    assert day.ready_at(2) == day.ends_at(2) == ends_at
    assert day.used(ends_at - 1) == 2
    assert day.ready_at(ends_at) == ends_at
    assert day.used(ends_at) == 0


def test_the_first_minutes_of_a_day_are_known() -> None:
    day = DayWindow(inf, Calendar("2026-01-16T08:01"))  # midnight, and the minute by which our day begins later
    assert [day.just_begun(at) for at in (-1, 0, 599, 601, 43_200)] == [False, True, True, False, False]


def test_a_request_counts_for_the_day_in_which_it_was_answered() -> None:
    day = DayWindow(1, Calendar("2026-01-16T08:00"))  # midnight: our day begins in a minute
    day.take()
    assert day.ready_at(0) == inf  # only its answer can tell which day it used up
    assert day.ready_at(60) == inf
    day.answered(61)
    assert day.ready_at(61) == 60 + 24 * 3600


def test_a_request_that_never_left_uses_up_no_day() -> None:
    day = DayWindow(1, Calendar("2026-01-16T12:00"))
    day.take()
    day.give_back()
    assert (day.used(0), day.ready_at(0)) == (0, 0)


def test_a_day_the_server_calls_used_up_is_closed_until_midnight() -> None:
    day = DayWindow(inf, Calendar("2026-01-16T07:01"))  # an hour to midnight and a minute
    day.close_today(10)
    assert day.ready_at(10) == 3600
    assert day.ready_at(3599) == 3600
    assert day.ready_at(3600) == 3600


def test_a_lower_limit_holds_at_once() -> None:
    day = DayWindow(inf, Calendar("2026-01-16T07:01"))
    for now in range(3):
        day.take()
        day.answered(now)
    assert day.ready_at(5) == 5
    day.limit = 3
    assert day.ready_at(5) == 3600


def test_a_day_without_a_limit_is_counted_and_the_calendar_seldom_asked() -> None:
    asked: list[float] = []
    calendar = Calendar("2026-01-16T07:01")  # an hour to midnight and a minute
    day = DayWindow(inf, lambda instant: asked.append(instant) or calendar(instant))  # type: ignore[func-returns-value]
    answers = [3_590 + number / 100 for number in range(2_000)]  # for twenty seconds around the day's end
    for now in answers:
        assert day.ready_at(now) == now
        day.take()
        day.answered(now)
    assert len(asked) == 20
    assert 1_000 <= day.used(answers[-1]) <= 1_100  # those of the new day; of its first second they may be missing


def test_a_machine_that_slept_wakes_up_in_the_right_day() -> None:
    calendar = Calendar("2026-01-16T02:01")  # six hours to midnight and a minute
    day = DayWindow(1, calendar)
    day.take()
    day.answered(0)
    assert day.ready_at(60) == 6 * 3600
    calendar.sleep(hours=2)
    assert day.ready_at(60) == 4 * 3600
    calendar.sleep(hours=5)
    assert day.ready_at(60) == 60
    assert day.ends_at(60) == 60 + 22 * 3600 + 3540  # until the next one: midnight was 59 minutes ago… and 24 h on
