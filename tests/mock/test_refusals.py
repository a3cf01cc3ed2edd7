"""The bodies of refusals: each 429 parses and contains exactly what its kind contains at Google."""

import math
import random
import re
from typing import Any

import pytest

from aveo3.mock import error_bodies
from aveo3.mock.models import Surface
from aveo3.mock.quota_rules import Kind, QuotaLane, QuotaRule
from aveo3.mock.quotas import Violation
from aveo3.mock.refusals import RefusalWriter, misleading_delay, protobuf_duration

LANE = QuotaLane("p", "us-central1", "veo-3.1-generate-001")


def violation(kind: Kind, limit: float = 10, free_at: float = 34.07) -> Violation:
    return Violation(QuotaRule(kind=kind, limit=limit), free_at)


def write(
    writer: RefusalWriter, *violations: Violation, surface: Surface = "developer", delay: float | None = 34.07
) -> Any:
    answer = writer.write(violations, LANE, "veo-3.1-generate", surface, delay)
    assert answer.status == 429
    assert answer.body["error"]["code"] == 429
    assert answer.body["error"]["status"] == "RESOURCE_EXHAUSTED"
    return answer.body["error"]


def detail(error: Any, kind: str) -> Any:
    details = [
        entry for entry in error.get("details", ()) if entry["@type"] == f"type.googleapis.com/google.rpc.{kind}"
    ]
    return details[0] if details else None


@pytest.mark.parametrize(
    ("kind", "surface", "metric", "quota_id"),
    [
        (
            "minute",
            "developer",
            "generativelanguage.googleapis.com/predict_long_running_requests_per_model",
            "PredictLongRunningRequestsPerMinutePerProjectPerModel",
        ),
        (
            "day",
            "developer",
            "generativelanguage.googleapis.com/predict_long_running_requests_per_model_per_day",
            "PredictLongRunningRequestsPerDayPerProjectPerModel",
        ),
        (
            "minute",
            "vertex",
            "aiplatform.googleapis.com/long_running_online_prediction_requests_per_base_model",
            "LongRunningOnlinePredictionRequestsPerMinutePerProjectPerRegionPerBaseModel",
        ),
    ],
)
def test_a_detailed_refusal_names_quota_limit_and_delay(
    kind: Kind, surface: Surface, metric: str, quota_id: str
) -> None:
    error = write(RefusalWriter(), violation(kind), surface=surface)
    assert detail(error, "QuotaFailure")["violations"] == [
        {
            "quotaMetric": metric,
            "quotaId": quota_id,
            "quotaDimensions": {"location": "us-central1", "model": "veo-3.1"},
            "quotaValue": "10",
        }
    ]
    assert detail(error, "RetryInfo")["retryDelay"] == "34.07s"
    assert detail(error, "Help")["links"]
    assert f"* Quota exceeded for metric: {metric}, limit: 10, model: veo-3.1" in error["message"]
    assert error["message"].endswith("Please retry in 34.07s.")


def test_one_body_can_name_several_rules() -> None:
    error = write(RefusalWriter(), violation("minute"), violation("day", 50), violation("spend"))
    ids = [entry["quotaId"] for entry in detail(error, "QuotaFailure")["violations"]]
    assert [re.search("Per(Minute|Day)", quota_id)[0] for quota_id in ids] == ["PerMinute", "PerDay"]  # type: ignore[index]


def test_options_remove_delay_and_limit_from_details_and_message() -> None:
    silent = write(RefusalWriter(retry_info=False, quota_value=False), violation("minute"))
    assert detail(silent, "RetryInfo") is None
    assert "quotaValue" not in detail(silent, "QuotaFailure")["violations"][0]
    assert "retry in" not in silent["message"]
    assert "limit:" not in silent["message"]


@pytest.mark.parametrize(
    ("style", "kind", "sentence"),
    [
        ("text", "minute", "You exceeded your current quota, please check your plan"),
        ("bare", "day", "Resource has been exhausted (e.g. check quota)."),
        (
            "vertex",
            "minute",
            "Quota exceeded for aiplatform.googleapis.com/long_running_online_prediction_requests_per_base",
        ),
        ("detailed", "spend", "You exceeded your spend-based rate limit."),
        ("text", "spend", "You exceeded your spend-based rate limit."),
        ("vertex", "concurrent", "Online prediction concurrent requests quota exceeded"),
        ("bare", "spend", "Resource has been exhausted (e.g. check quota)."),
    ],
)
def test_text_only_styles_have_no_details(style: Any, kind: Kind, sentence: str) -> None:
    error = write(RefusalWriter(style), violation(kind))
    assert error["message"].startswith(sentence)
    assert "details" not in error


@pytest.mark.parametrize("kind", ["minute", "day", "spend", "concurrent"])
def test_every_rule_names_a_limit_of_zero(kind: Kind) -> None:
    error = write(RefusalWriter(), violation(kind, 0, math.inf), delay=None)
    assert detail(error, "QuotaFailure")["violations"][0]["quotaValue"] == "0"
    assert "limit: 0" in error["message"]
    assert detail(error, "RetryInfo") is None


def test_the_delay_is_right_for_the_minute_and_misleading_for_the_day() -> None:
    rng = random.Random(1)
    assert misleading_delay([violation("minute", free_at=40.0)], 10.0, rng) == 30.0
    daily = {misleading_delay([violation("day", free_at=80_000.0)], 0.0, rng) for _ in range(50)}
    assert daily == {585.678, 34.07, 22.0, 1.58}
    assert (
        misleading_delay([violation("day", free_at=5.0), violation("minute")], 4.0, rng) == 1.0
    )  # never later than the real instant
    for kind in ("spend", "concurrent"):
        assert misleading_delay([violation(kind)], 0.0, rng) is None


@pytest.mark.parametrize(("seconds", "text"), [(585, "585s"), (34.07, "34.07s"), (0.000001, "0.000001s"), (0, "0s")])
def test_durations_are_written_as_protobuf_does(seconds: float, text: str) -> None:
    assert protobuf_duration(seconds) == text


def test_long_delays_in_messages_have_minutes_and_hours() -> None:
    assert write(RefusalWriter(), violation("day"), delay=585.678)["message"].endswith("Please retry in 9m45.678s.")
    assert write(RefusalWriter(), violation("day"), delay=7384.5)["message"].endswith("Please retry in 2h3m4.5s.")


def test_a_bad_key_is_a_400_with_its_reason() -> None:
    answer = error_bodies.bad_key("developer")
    assert answer.status == 400
    assert detail(answer.body["error"], "ErrorInfo")["reason"] == "API_KEY_INVALID"
