"""What Google's two lists of quotas mean for one model, and that no body can break the reading."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveo3.verdicts.project_quotas import Counts, ListedQuota, limits_of, of_cloud_quotas, of_service_usage

MODEL = "veo-3.1-generate-001"
VEO = "aiplatform.googleapis.com/long_running_online_prediction_requests_per_base_model"
REGION = "aiplatform.googleapis.com/long_running_online_prediction_requests"


def entry(value: Any, *locations: str, **dimensions: str) -> dict[str, Any]:
    return {"dimensions": dimensions, "details": {"value": value}, "applicableLocations": [*locations]}


def info(*entries: Any, metric: str = VEO, every: str = "minute", **more: Any) -> dict[str, Any]:
    return {"metric": metric, "quotaId": "Id", "refreshInterval": every, "dimensionsInfos": [*entries], **more}


def limits(*infos: Any, model: str = MODEL, location: str = "us-central1") -> list[tuple[Counts, int | None, float]]:
    found = limits_of(of_cloud_quotas(infos), model, location)
    return [(quota.counts, quota.limit, quota.period) for quota in found]


def rate(*entries: Any, **more: Any) -> int | None:
    """The limit of the one rate that these values leave."""
    [(counts, limit, _)] = limits(info(*entries), **more)
    assert counts is Counts.RATE
    return limit


def test_the_value_with_the_most_dimensions_counts_wherever_it_stands() -> None:
    usual = entry("30", "us-central1", "europe-west4")
    own = entry("50", "us-central1", base_model=MODEL)
    here = entry("70", "us-central1", base_model=MODEL, region="us-central1")
    other = entry("90", "us-central1", base_model="veo-3.1-fast-generate-001")
    for order in ([here, own, usual, other], [other, usual, own, here]):
        assert rate(*order) == 70
    assert rate(own, usual, other) == 50
    assert rate(usual, other) == 30


def test_each_location_has_its_own_value() -> None:
    values = [
        entry("20", "europe-west4", base_model=MODEL, region="europe-west4"),
        entry("50", "us-central1", "us-east4", base_model=MODEL),
    ]
    assert [rate(*values, location=place) for place in ("us-central1", "us-east4", "europe-west4")] == [50, 50, 20]
    assert limits(info(*values), location="asia-northeast1") == []
    assert limits(info(*values), location="global") == []


def test_a_quota_without_regions_counts_everywhere_unless_it_is_of_one_endpoint() -> None:
    everywhere = info(entry("9", "global", base_model=MODEL))
    one_endpoint = info(entry("8", "global", base_model=MODEL), metric="x/global_requests_per_base_model")
    two_places = info(entry("7", "global", "us-central1", base_model=MODEL))
    assert [limits(everywhere, location=place)[0][1] for place in ("us-central1", "global", "eu")] == [9, 9, 9]
    assert limits(one_endpoint, location="us-central1") == []
    assert limits(one_endpoint, location="global") == [(Counts.RATE, 8, 60)]
    assert limits(two_places, location="eu") == []


def test_all_models_of_a_region_together_count_too_and_the_tightest_comes_first() -> None:
    own, together = info(entry("50", base_model=MODEL)), info(entry("40", "us-central1"), metric=REGION)
    assert limits(own, together) == [(Counts.RATE, 40, 60), (Counts.RATE, 50, 60)]
    assert limits(own, info(entry("-1"), metric=REGION)) == [(Counts.RATE, 50, 60)]
    assert limits(info(entry("-1"), metric=REGION)) == []


def test_days_and_operations_at_once_are_other_kinds() -> None:
    day = info(entry("100", base_model=MODEL), metric="x/requests_per_day", every="day")
    at_once = info(entry("3", base_model=MODEL), metric="x/concurrent_requests", every="", isConcurrent=True)
    assert limits(day, at_once, info(entry("50"))) == [
        (Counts.RATE, 50, 60),
        (Counts.DAY, 100, 86_400),
        (Counts.CONCURRENT, 3, math.inf),
    ]
    without = [info(entry("-1", base_model=MODEL), metric="x/requests_per_day", every="day")]
    assert limits(*without) == []


@pytest.mark.parametrize(
    ("every", "seconds"),
    [("minute", 60), ("10 seconds", 10), ("2 minutes", 120), ("hour", 3600), ("0.5 seconds", 0.5), ("2 days", 172_800)],
)
def test_a_period_is_read_in_seconds(every: str, seconds: float) -> None:
    assert limits(info(entry("5"), every=every)) == [(Counts.RATE, 5, seconds)]


@pytest.mark.parametrize(
    "every", ["", "0 seconds", "fortnight", "-1 minutes", "1e9 seconds", "minute of fame", None, 7]
)
def test_a_period_that_is_none_is_no_rate(every: Any) -> None:
    assert limits(info(entry("5"), every=every)) == []


@pytest.mark.parametrize(
    ("value", "limit"),
    [("50", 50), (50, 50), (50.0, 50), ("-1", None), (str(2**63 - 1), None), ("0", 0), (" 7 ", 7)],
)
def test_a_limit_is_read_however_json_has_it(value: Any, limit: int | None) -> None:
    assert rate(entry(value)) == limit


def test_a_limit_of_0_is_left_out_by_google() -> None:
    assert rate({"details": {}, "applicableLocations": ["us-central1"]}) == 0


@pytest.mark.parametrize(
    "value", [None, True, "1e9", "ten", "", 0.5, math.inf, math.nan, -2, "-2", 2**70, "9" * 5000, [], {}]
)
def test_a_limit_that_is_none_is_skipped(value: Any) -> None:
    assert limits(info(entry(value))) == []


def test_a_quota_of_something_else_is_not_the_models() -> None:
    tokens = info(entry("9", base_model=MODEL), metric="x/input_tokens_per_request")
    predictions = info(entry("5", "us-central1"), metric="x/online_prediction_requests_per_base_model")
    unknown = info(entry("9", base_model=MODEL, tier="gold"))
    assert limits(tokens, predictions, unknown) == []


def test_a_guess_counts_only_where_nothing_is_known() -> None:
    guess = info(entry("5", base_model=MODEL), metric="x/online_prediction_requests_per_base_model")
    assert limits(guess) == [(Counts.RATE, 5, 60)]
    assert limits(guess, info(entry("50"))) == [(Counts.RATE, 50, 60)]
    found = [limits_of(of_cloud_quotas([each]), MODEL, "us-central1")[0] for each in (guess, info(entry("50")))]
    assert [quota.guessed for quota in found] == [True, False]


def test_the_base_model_may_lack_the_version() -> None:
    assert rate(entry("5", base_model="veo-3.1-generate"), entry("30")) == 5
    assert rate(entry("5", base_model="veo-3.1-generate"), entry("9", base_model=MODEL), entry("30")) == 9


def test_service_usage_says_the_same_with_other_words() -> None:
    metric = {
        "metric": VEO,
        "consumerQuotaLimits": [
            {
                "metric": VEO,
                "unit": "1/min/{project}/{region}/{base_model}",
                "quotaBuckets": [
                    {"effectiveLimit": "30", "defaultLimit": "30"},
                    {"effectiveLimit": "50", "dimensions": {"base_model": MODEL, "region": "us-central1"}},
                    {"effectiveLimit": "-1", "dimensions": {"base_model": MODEL, "region": "us-east4"}},
                ],
            },
            {"metric": VEO, "unit": "1/d/{project}/{base_model}", "quotaBuckets": [{"effectiveLimit": "900"}]},
            {"metric": VEO, "unit": "1/{project}", "quotaBuckets": [{"effectiveLimit": "1"}]},
        ],
    }

    def found(location: str) -> list[tuple[Counts, int | None]]:
        return [(each.counts, each.limit) for each in limits_of(of_service_usage([metric]), MODEL, location)]

    assert found("us-central1") == [(Counts.RATE, 50), (Counts.DAY, 900)]
    assert found("europe-west4") == [(Counts.RATE, 30), (Counts.DAY, 900)]
    assert found("us-east4") == [(Counts.RATE, None), (Counts.DAY, 900)]


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(
    [
        *("metric", "refreshInterval", "dimensionsInfos", "details", "value", "dimensions", "applicableLocations"),
        *("unit", "consumerQuotaLimits", "quotaBuckets", "effectiveLimit", "isConcurrent", "base_model", "region"),
    ]
)
WORDS = st.sampled_from([VEO, "minute", "1/min/{project}", MODEL, "us-central1", "50"])
ODD = st.recursive(
    LEAVES | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25
)


@given(st.lists(ODD, max_size=5))
def test_no_body_breaks_the_reading(body: list[Any]) -> None:
    for listed in (of_cloud_quotas(body), of_service_usage(body)):
        for quota in limits_of(listed, MODEL, "us-central1"):
            assert isinstance(quota, ListedQuota)
            assert quota.limit is None or quota.limit >= 0
