"""The emulator's quota rules: rows of instants, and properties of every sequence of requests."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveo3.mock.quota_counters import seconds_to_midnight
from aveo3.mock.quota_rules import Counting, Kind, Moment, QuotaLane, QuotaRule
from aveo3.mock.quotas import Quotas

LANE = QuotaLane("project", "us-central1", "veo")
NOON = datetime(2026, 11, 23, 20, tzinfo=UTC)


def at(seconds: float) -> Moment:
    return Moment(seconds, NOON + timedelta(seconds=seconds))


def minute(limit: int, counting: Counting, *, count_refused: bool = False, phase: float = 0) -> QuotaRule:
    return QuotaRule(kind="minute", limit=limit, counting=counting, count_refused=count_refused, phase=phase)


def ask(quotas: Quotas, instant: float, *, usd: float = 0, running: int = 0, lane: QuotaLane = LANE) -> float | None:
    """Return None if accepted, otherwise the instant at which the strictest rule has room."""
    violations = quotas.judge(lane, at(instant), usd=usd, running=running)
    return max(violation.free_at for violation in violations) if violations else None


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        (minute(2, "sliding"), [(0, None), (10, None), (59, 60), (60, None), (61, 70), (70, None)]),
        (minute(2, "fixed"), [(50, None), (59, None), (59.5, 60), (60, None), (61, None), (62, 120)]),
        (minute(2, "fixed", phase=30), [(10, None), (20, None), (29, 30), (30, None)]),
        (minute(2, "bucket"), [(0, None), (0, None), (0, 30), (30, None), (31, 60), (90, None), (90, None)]),
        (minute(1, "sliding", count_refused=True), [(0, None), (50, 60), (60, 110), (109, 120), (300, None)]),
        (minute(1, "fixed", count_refused=True), [(0, None), (59, 60), (60, None)]),
        (minute(1, "bucket", count_refused=True), [(0, None), (30, 60), (60, 90), (150, None)]),
        (minute(0, "sliding"), [(0, math.inf), (1000, math.inf)]),
        (minute(0, "bucket"), [(0, math.inf)]),
    ],
    ids=str,
)
def test_each_way_of_counting_frees_at_the_instant_it_names(
    rule: QuotaRule, rows: list[tuple[float, float | None]]
) -> None:
    quotas = Quotas([rule])
    assert [(instant, ask(quotas, instant)) for instant, _ in rows] == rows


# Whole 64ths of a second: their sums are exact, so that a window ends where the test says it does.
GAPS = st.lists(st.integers(0, 40 * 64).map(lambda ticks: ticks / 64), max_size=60)
LIMITS = st.integers(1, 5)


def accepted(rule: QuotaRule, gaps: list[float]) -> list[float]:
    quotas, now, instants = Quotas([rule]), 0.0, []
    for gap in gaps:
        now += gap
        if ask(quotas, now) is None:
            instants.append(now)
    return instants


@given(LIMITS, GAPS, st.booleans())
def test_sliding_accepts_at_most_the_limit_in_any_period(limit: int, gaps: list[float], count_refused: bool) -> None:
    taken = accepted(minute(limit, "sliding", count_refused=count_refused), gaps)
    assert all(later - first >= 60 for first, later in zip(taken, taken[limit:], strict=False))


@given(LIMITS, GAPS)
def test_fixed_accepts_at_most_the_limit_in_each_aligned_window(limit: int, gaps: list[float]) -> None:
    taken = accepted(minute(limit, "fixed"), gaps)
    windows = [int(instant // 60) for instant in taken]
    assert all(windows.count(window) <= limit for window in windows)


@given(LIMITS, GAPS)
def test_a_bucket_accepts_at_most_its_depth_plus_its_refill(limit: int, gaps: list[float]) -> None:
    taken = accepted(minute(limit, "bucket"), gaps)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= limit * (1 + (taken[last] - start) / 60) + 1e-6


@given(LIMITS, GAPS, st.sampled_from(["fixed", "sliding", "bucket"]))
def test_a_refusal_names_the_exact_instant_at_which_there_is_room(
    limit: int, gaps: list[float], counting: Counting
) -> None:
    quotas, now = Quotas([minute(limit, counting)]), 0.0
    for gap in gaps:
        now += gap
        free_at = ask(quotas, now)
        if free_at is not None:
            # If `now` and `free_at` are neighbours, 99 % of the way rounds up to `free_at`.
            before = min(now + (free_at - now) * 0.99, math.nextafter(free_at, -math.inf))
            assert ask(quotas, before) is not None
            assert ask(quotas, free_at) is None
            now = free_at


@pytest.mark.parametrize(
    ("utc", "hours"),
    [
        (datetime(2026, 11, 23, 8, tzinfo=UTC), 24),
        (datetime(2026, 3, 8, 8, tzinfo=UTC), 23),  # clocks go forward
        (datetime(2026, 11, 1, 7, tzinfo=UTC), 25),  # and back
        (datetime(2026, 7, 1, 6, 30, tzinfo=UTC), 0.5),
    ],
)
def test_the_day_ends_at_midnight_in_los_angeles_whatever_the_clocks_do(utc: datetime, hours: float) -> None:
    assert seconds_to_midnight(utc) == hours * 3600


def test_a_day_rule_frees_at_midnight_pacific() -> None:
    quotas = Quotas([QuotaRule(kind="day", limit=2)])  # NOON is 12:00 in Los Angeles
    rows = [ask(quotas, instant) for instant in (0, 1, 2, 43_199, 43_200, 43_201, 43_202)]
    assert rows == [None, None, 43_200, 43_200, None, None, 43_200 + 86_400]


def test_spend_is_a_rolling_sum_without_rounding_errors() -> None:
    quotas = Quotas([QuotaRule(kind="spend", limit=9.6, period=600)])
    assert [ask(quotas, instant, usd=3.2) for instant in (0, 10, 20, 30, 600)] == [None, None, None, 600, None]
    assert ask(quotas, 601, usd=9.61) == math.inf


def test_concurrency_counts_running_operations_and_names_no_instant() -> None:
    quotas = Quotas([QuotaRule(kind="concurrent", limit=2)])
    assert [ask(quotas, 0, running=running) for running in (0, 1, 2, 3, 1)] == [None, None, math.inf, math.inf, None]


def test_a_request_that_one_rule_refuses_uses_nothing_of_the_others() -> None:
    quotas = Quotas([minute(1, "sliding"), QuotaRule(kind="day", limit=2)])
    assert [ask(quotas, instant) for instant in (0, 1, 2, 3, 60)] == [None, 60, 60, 60, None]
    violations = quotas.judge(LANE, at(61), usd=0, running=0)
    assert [violation.rule.kind for violation in violations] == ["minute", "day"]


def test_each_lane_has_its_own_counters_and_a_rule_may_match_one_lane_only() -> None:
    other = QuotaLane("other", "us-central1", "veo")
    quotas = Quotas([minute(1, "sliding")])
    assert [ask(quotas, 0), ask(quotas, 0, lane=other), ask(quotas, 1)] == [None, None, 60]
    quotas = Quotas([minute(1, "sliding").model_copy(update={"project": "other"})])
    assert [ask(quotas, 0), ask(quotas, 0), ask(quotas, 0, lane=other), ask(quotas, 1, lane=other)] == [
        None,
        None,
        None,
        60,
    ]


def test_a_changed_limit_keeps_the_used_quota() -> None:
    quotas = Quotas([minute(3, "sliding")])
    assert [ask(quotas, 0), ask(quotas, 10)] == [None, None]
    quotas.rules = (minute(1, "sliding"),)
    assert ask(quotas, 20) == 70
    quotas.rules = (minute(3, "sliding"),)
    assert ask(quotas, 20) is None


@pytest.mark.parametrize(("counting", "used"), [("fixed", [2, 2, 0]), ("sliding", [2, 2, 0]), ("bucket", [2, 0.5, 0])])
def test_usage_falls_as_the_counting_frees_slots_and_reading_it_uses_nothing(
    counting: Counting, used: list[float]
) -> None:
    quotas = Quotas([minute(3, counting), QuotaRule(kind="day", limit=9), QuotaRule(kind="concurrent", limit=5)])
    assert [ask(quotas, 0), ask(quotas, 0)] == [None, None]
    usage = [[use.used for use in quotas.usage(LANE, at(instant), running=1)] for instant in (0, 30, 61)]
    assert usage == [[minutes, 2, 1] for minutes in used]


def test_the_last_matching_rule_of_a_kind_applies() -> None:
    quotas = Quotas([minute(2, "sliding"), minute(1, "sliding").model_copy(update={"model": "veo*"})])
    assert [ask(quotas, 0), ask(quotas, 1), ask(quotas, 0, lane=QuotaLane("p", "l", "other"))] == [None, 60, None]
    assert {lane.model: (visits.accepted, visits.refused) for lane, visits in quotas.lanes.items()} == {
        "veo": (1, 1),
        "other": (1, 0),
    }


@pytest.mark.parametrize(
    ("kind", "limit", "label"), [("minute", 3, "minute"), ("day", 0, "zero"), ("spend", 0, "zero")]
)
def test_the_books_count_a_limit_of_zero_separately(kind: Kind, limit: float, label: str) -> None:
    assert QuotaRule(kind=kind, limit=limit).label == label
