"""Every body observed at Google, and many that it never sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3 import verdicts
from aveo3.verdicts import Refusal, Verdict, VerdictKind, from_answer

REFUSED, REJECTED = VerdictKind.REFUSED, VerdictKind.REJECTED
UNAVAILABLE, UNCERTAIN = VerdictKind.UNAVAILABLE, VerdictKind.UNCERTAIN


def error(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """Google's error body."""
    said: dict[str, Any] = {"code": code, "message": message, "status": status}
    return {"error": {**said, "details": list(details)} if details else said}


def exhausted(message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return error(429, "RESOURCE_EXHAUSTED", message, *details)


def violated(*violations: dict[str, Any]) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": list(violations)}


def wait_for(delay: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def because(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


HELP = {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "Learn more", "url": "https://x"}]}
GENERIC = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)
DAILY_METRIC = "generativelanguage.googleapis.com/predict_long_running_requests_per_model_per_day"
MINUTE_METRIC = "generativelanguage.googleapis.com/predict_long_running_requests_per_model"

DAILY: dict[str, Any] = exhausted(
    f"{GENERIC} \n* Quota exceeded for metric: {DAILY_METRIC}, limit: 10, model: veo-3.1\nPlease retry in 9m45.678s.",
    HELP,
    violated(
        {
            "quotaMetric": DAILY_METRIC,
            "quotaId": "PredictLongRunningRequestsPerDayPerProjectPerModel",
            "quotaDimensions": {"location": "global", "model": "veo-3.1"},
            "quotaValue": "10",
        }
    ),
    wait_for("585s"),
)


# ---- answers other than 429 (veo-api.md 4.1) -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        "`generateAudio` isn't supported by this model. Please remove it or refer to the documentation.",
        "`negativePrompt` isn't supported by this model.",
        "`inlineData` isn't supported by this model.",
        "`encodedVideo` isn't supported by this model.",
        "allow_adult for personGeneration is currently not supported.",
        "1080p is not supported for a duration of 6 seconds.",
        "The value type for `durationSeconds` needs to be a number.",
        "Your use case is currently not supported. Please refer to the documentation.",
    ],
)
def test_a_400_says_that_this_request_can_never_work(message: str) -> None:
    verdict = from_answer(400, error(400, "INVALID_ARGUMENT", message))
    assert verdict == Verdict(REJECTED, message, status=400)
    assert verdict.error_kind == "bad_request"


@pytest.mark.parametrize(
    "message",
    [
        "Veo could not generate videos because the input image violates Vertex AI's usage guidelines. "
        "Support codes: 15236754",
        "This prompt contains words that violate Vertex AI's usage guidelines.",
        "The prompt was blocked by our Responsible AI practices.",
    ],
)
def test_a_400_for_safety_says_that_the_prompt_must_change(message: str) -> None:
    verdict = from_answer(400, error(400, "INVALID_ARGUMENT", message))
    assert (verdict.kind, verdict.filtered, verdict.error_kind) == (REJECTED, True, "safety")


NOT_FOUND = "models/veo-9 is not found for API version v1beta, or is not supported for predictLongRunning."
NO_ACCESS = "Publisher Model `projects/p/…/veo-9` was not found or your project does not have access to it."


@pytest.mark.parametrize(
    ("status", "body", "refusal"),
    [
        (400, error(400, "INVALID_ARGUMENT", "API key not valid.", because("API_KEY_INVALID")), Refusal.BAD_KEY),
        (401, error(401, "UNAUTHENTICATED", "API keys are not supported by this API."), Refusal.BAD_KEY),
        (401, None, Refusal.BAD_KEY),
        (
            400,
            error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
            Refusal.NO_ACCESS,
        ),
        (
            400,
            error(400, "FAILED_PRECONDITION", "The free tier is not available here. Please enable billing."),
            Refusal.BILLING,
        ),
        (402, error(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), Refusal.BILLING),
        (402, None, Refusal.BILLING),
        (403, error(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied"), Refusal.PERMISSION),
        (403, error(403, "PERMISSION_DENIED", "No account.", because("BILLING_DISABLED")), Refusal.BILLING),
        (403, error(403, "PERMISSION_DENIED", "This API requires Billing to be enabled."), Refusal.BILLING),
        (404, error(404, "NOT_FOUND", NOT_FOUND), Refusal.NO_MODEL),
        (404, error(404, "NOT_FOUND", NO_ACCESS), Refusal.NO_MODEL),
        (404, error(404, "NOT_FOUND", "This model models/veo-3.0 is no longer available."), Refusal.NO_MODEL),
        (410, error(410, "GONE", "Model models/veo-3.0 has been shut down."), Refusal.NO_MODEL),
    ],
)
def test_keys_permissions_billing_and_unknown_models_close_the_lane_for_good(
    status: int, body: Any, refusal: Refusal
) -> None:
    verdict = from_answer(status, body)
    assert (verdict.kind, verdict.refusal, verdict.status) == (REFUSED, refusal, status)
    assert refusal.for_good
    assert verdict.error_kind == refusal.value


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (408, error(408, "DEADLINE_EXCEEDED", "timed out")),
        (499, error(499, "CANCELLED", "The operation was cancelled.")),
        (500, error(500, "INTERNAL", "An internal error has occurred.")),
        (500, error(500, "INTERNAL", "Key.", because("API_KEY_INVALID"))),
        (502, "<html>Bad Gateway</html>"),
        (502, error(502, "UNAVAILABLE", "Bad gateway")),
        (503, "Service Unavailable"),
        (503, {"message": "", "status": "Service Unavailable"}),  # what the SDK makes of a proxy's page
        (503, None),
        (504, error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.")),
        (400, "not JSON"),
        (400, None),
        (400, {}),
        (200, {"done": False}),
        (200, "<html>"),
        (302, None),
    ],
)
def test_an_answer_that_does_not_disprove_a_video_is_uncertain(status: int, body: Any) -> None:
    verdict = from_answer(status, body)
    assert (verdict.kind, verdict.status, verdict.error_kind) == (UNCERTAIN, status, "answer_lost")
    assert verdict.message.startswith(f"HTTP {status}: ")


PAGE = "<html><h1>Blocked by the company's gateway</h1></html>"


BY_SOMEBODY_ELSE = pytest.mark.parametrize(
    "body",
    [
        PAGE,
        {"message": PAGE, "status": "Forbidden"},  # what the SDK makes of it on Vertex AI
        {"message": "blocked"},  # a gateway that writes JSON
        {"error": "blocked"},
        {"error": {"message": "blocked"}},
        [{"message": "blocked"}],
    ],
    ids=["a page", "a page through the SDK", "its JSON", "its error", "its error with a message", "a list"],
)


@pytest.mark.parametrize("status", [401, 402, 407, 411, 413, 414, 431, 511])
@BY_SOMEBODY_ELSE
def test_a_proxy_that_lets_nothing_through_is_no_verdict_of_googles(status: int, body: Any) -> None:
    verdict = from_answer(status, body)
    assert (verdict.kind, verdict.error_kind, verdict.refusal) == (UNAVAILABLE, "not_google", None)
    assert verdict.message.startswith(f"not Google: a proxy, firewall or gateway answered HTTP {status} in its place.")
    assert "HTTPS_PROXY" in verdict.message


@pytest.mark.parametrize("status", [301, 302, 303, 400, 403, 405, 406, 409, 410, 418, 422, 425, 428, 451])
@BY_SOMEBODY_ELSE
def test_a_filter_that_may_have_read_googles_answer_does_not_disprove_a_video(status: int, body: Any) -> None:
    """Filters against viruses and leaks put their page in the place of an answer that names a paid operation."""
    verdict = from_answer(status, body)
    assert (verdict.kind, verdict.error_kind, verdict.not_google) == (UNCERTAIN, "answer_lost", True)
    assert "not in Google's form" in verdict.message
    assert "HTTPS_PROXY" in verdict.message


@pytest.mark.parametrize("status", [403, 405, 451])
@pytest.mark.parametrize("body", [None, "", {"message": "", "status": "Forbidden"}])
def test_silence_is_not_googles_either(status: int, body: Any) -> None:
    assert from_answer(status, body).kind is UNCERTAIN


def test_a_file_that_is_gone_closes_no_lane() -> None:
    assert from_answer(410, error(410, "GONE", "The file files/abc has expired.")).kind is VerdictKind.REJECTED


@pytest.mark.parametrize(
    ("status", "name", "error_kind"), [(403, "Forbidden", "permission"), (405, "Method Not Allowed", "not_google")]
)
def test_the_page_of_googles_own_front_end_says_that_no_video_was_made(status: int, name: str, error_kind: str) -> None:
    page = f"<!DOCTYPE html>\n<html lang=en>\n  <title>Error {status} ({name})!!1</title>\n<p>That’s an error."
    for body in (page, {"message": page, "status": name}):
        verdict = from_answer(status, body)
        assert (verdict.kind is UNCERTAIN, verdict.error_kind) == (False, error_kind)


def test_an_overloaded_model_that_says_so_in_googles_form_took_nothing() -> None:
    body = error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", wait_for("7s"))
    assert from_answer(503, body) == Verdict(
        UNAVAILABLE, "The model is overloaded. Please try again later.", retry_after=7, status=503
    )


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "error_kind"),
    [
        (400, "invalid_request", "The value '1:7' is not supported for …", REJECTED, "bad_request"),
        (400, "failed_precondition", "User location is not supported for the API use.", REFUSED, "no_access"),
        (400, "failed_precondition", "Please enable billing.", REFUSED, "billing"),
        (400, "invalid_request", "API key not valid. Please pass a valid API key.", REFUSED, "bad_key"),
        (400, "invalid_request", "API key expired. Please renew the API key.", REFUSED, "bad_key"),
        (401, "authentication", "no key", REFUSED, "bad_key"),
        (402, "payment_required", "Your prepayment credits are depleted.", REFUSED, "billing"),
        (403, "permission_denied", "no", REFUSED, "permission"),
        (404, "model_not_found", "This model is no longer available.", REFUSED, "model_not_found"),
        (429, "too_many_requests", "Resource exhausted.", REFUSED, "shared_capacity"),
        (429, "too_many_requests", "You exceeded your spend-based rate limit.", REFUSED, "spend_limit"),
        (500, "api_error", "internal", UNCERTAIN, "answer_lost"),
        (503, "service_unavailable", "overloaded", UNAVAILABLE, "unavailable"),
        (503, "api_error", "overloaded", UNCERTAIN, "answer_lost"),
        (504, "deadline_exceeded", "late", UNCERTAIN, "answer_lost"),
    ],
)
def test_the_interactions_api_says_the_same_in_its_own_words(
    status: int, code: str, message: str, kind: VerdictKind, error_kind: str
) -> None:
    verdict = from_answer(status, {"error": {"code": code, "message": message}})
    assert (verdict.kind, verdict.error_kind) == (kind, error_kind)
    assert message in verdict.message


@pytest.mark.parametrize(
    ("words", "retry_after"),
    [
        (
            "Service agents are being provisioned (https://cloud.google.com/vertex-ai/docs/general/access-control"
            "#service-agents). Service agents are needed to read the Cloud Storage file provided. So please try again "
            "in a few minutes.",
            60.0,
        ),
        ("The project is being set up. Please try again later.", 60.0),
        ("The File ab12 is not in an ACTIVE state and usage is not allowed.", 60.0),
        ("Not ready. Please retry in 90s. Or try again in a few minutes.", 90.0),
    ],
)
def test_a_condition_that_google_says_will_pass_is_waited_for(words: str, retry_after: float) -> None:
    verdict = from_answer(400, error(400, "FAILED_PRECONDITION", words))
    assert (verdict.kind, verdict.refusal, verdict.retry_after) == (REFUSED, Refusal.UNKNOWN, retry_after)
    assert not Refusal.UNKNOWN.for_good


OMNI_METRIC = "Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_paid_tier_2_requests"


@pytest.mark.parametrize(
    ("words", "refusal", "retry_after", "limit"),
    [
        ("limit: 8, model: omni\nPlease retry in 23.397s.", Refusal.MINUTE, 23.397, 8),
        ("limit: 8, model: omni\nPlease retry in 60s.", Refusal.MINUTE, 60.0, 8),
        ("limit: 8, model: omni\nPlease retry in 2h3m.", Refusal.UNKNOWN, 7380.0, None),  # no minute's quota
        ("limit: 8, model: omni", Refusal.UNKNOWN, None, None),
        ("limit: 0, model: omni\nPlease retry in 23.397s.", Refusal.NO_ACCESS, 23.397, None),
        ("limit: 8, model: omni, concurrent. Please retry in 5s.", Refusal.CONCURRENT, 5.0, None),
        ("limit: 8 per day. Please retry in 5s.", Refusal.DAY, 5.0, None),
    ],
)
def test_the_quota_of_generating_has_one_name_and_the_delay_tells_its_period(
    words: str, refusal: Refusal, retry_after: float | None, limit: int | None
) -> None:
    verdict = from_answer(429, {"error": {"code": "too_many_requests", "message": f"{OMNI_METRIC}, {words}"}})
    assert (verdict.refusal, verdict.retry_after, verdict.limit) == (refusal, retry_after, limit)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_did_nothing_but_point_elsewhere(status: int) -> None:
    assert from_answer(status, None).kind is UNAVAILABLE


# ---- refusals (veo-api.md 4.2) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "refusal", "retry_after", "limit"),
    [
        pytest.param(DAILY, Refusal.DAY, 585.678, None, id="the whole daily body"),
        pytest.param(exhausted("Resource has been exhausted (e.g. check quota)."), Refusal.UNKNOWN, None, None),
        pytest.param(
            exhausted(
                "You exceeded your spend-based rate limit. Your spending rate has exceeded the allowed limit for your "
                "account's billing history and tier."
            ),
            Refusal.SPEND,
            None,
            None,
            id="spend",
        ),
        pytest.param(
            exhausted(
                "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage "
                "your project and billing."
            ),
            Refusal.BILLING,
            None,
            None,
            id="prepayment",
        ),
        pytest.param(
            exhausted(
                "Quota exceeded for aiplatform.googleapis.com/long_running_online_prediction_requests_per_base_model "
                "with base model: veo-3.1-generate-001. Please submit a quota increase request. "
                "https://cloud.google.com/vertex-ai/docs/generative-ai/quotas-genai."
            ),
            Refusal.MINUTE,
            None,
            None,
            id="per base model",
        ),
        pytest.param(
            exhausted(
                "Resource exhausted. Please try again later. Please refer to "
                "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details."
            ),
            Refusal.UNKNOWN,
            None,
            None,
            id="try again later",
        ),
        pytest.param(exhausted("Online prediction concurrent requests quota exceeded"), Refusal.CONCURRENT, None, None),
        pytest.param(
            exhausted(
                f"{GENERIC}\n* Quota exceeded for metric: …free_tier_requests, limit: 0, model: veo-3.1\n"
                "Please retry in 31.9s."
            ),
            Refusal.NO_ACCESS,
            31.9,
            None,
            id="free tier",
        ),
        pytest.param(exhausted("Quota exceeded, limit: 0.5, model: veo-3.1"), Refusal.UNKNOWN, None, None, id="half"),
        pytest.param(exhausted(GENERIC), Refusal.UNKNOWN, None, None, id="the sentence that stands in every body"),
        pytest.param(exhausted("Limited.", because("RATE_LIMIT_EXCEEDED")), Refusal.UNKNOWN, None, None),
        pytest.param(None, Refusal.UNKNOWN, None, None, id="no body"),
        pytest.param("<html>429 Too Many Requests</html>", Refusal.UNKNOWN, None, None, id="a proxy's page"),
        pytest.param({}, Refusal.UNKNOWN, None, None, id="an empty object"),
        pytest.param([[["?"]], 7], Refusal.UNKNOWN, None, None, id="garbage"),
    ],
)
def test_every_observed_429_is_identified(
    body: Any, refusal: Refusal, retry_after: float | None, limit: int | None
) -> None:
    for seen in (body, [body]):  # Google's front end wraps errors in a list of one
        verdict = from_answer(429, seen)
        assert (verdict.kind, verdict.refusal, verdict.limit, verdict.status) == (REFUSED, refusal, limit, 429)
        assert verdict.retry_after == (None if retry_after is None else pytest.approx(retry_after))


@pytest.mark.parametrize(
    ("quota_id", "metric", "refusal"),
    [
        ("GenerateRequestsPerMinutePerProjectPerModel", "", Refusal.MINUTE),
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "", Refusal.MINUTE),
        ("GenerateRequestsPerMinutePerProjectPerModel-PaidTier3", "", Refusal.MINUTE),
        ("EmbedContentRequestsPerMinutePerProjectPerModel-PaidTier2", "", Refusal.MINUTE),
        ("GenerateRequestsPerDayPerProjectPerModel", "", Refusal.DAY),
        ("GenerateRequestsPerDayPerProjectPerModel-PaidTier2", "", Refusal.DAY),
        ("PredictLongRunningRequestsPerDayPerProject", "", Refusal.DAY),
        ("PredictLongRunningRequestsPerDayPerProjectPerModel-FreeTier", "", Refusal.DAY),
        ("", MINUTE_METRIC, Refusal.MINUTE),
        ("", f"{MINUTE_METRIC}_paid_tier_2", Refusal.MINUTE),
        ("", DAILY_METRIC, Refusal.DAY),
        ("", f"{DAILY_METRIC}_paid_tier_3", Refusal.DAY),
        ("", "aiplatform.googleapis.com/long_running_online_prediction_requests_per_base_model", Refusal.MINUTE),
        ("", "aiplatform.googleapis.com/online_prediction_concurrent_requests", Refusal.CONCURRENT),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", "", Refusal.UNKNOWN),  # says nothing of requests
        ("", "generate_content_paid_tier_2_requests", Refusal.UNKNOWN),
        ("", "", Refusal.UNKNOWN),
    ],
)
def test_the_quotas_name_tells_its_kind(quota_id: str, metric: str, refusal: Refusal) -> None:
    body = exhausted(GENERIC, violated({"quotaId": quota_id, "quotaMetric": metric, "quotaValue": "10"}))
    verdict = from_answer(429, body)
    assert verdict.refusal is refusal
    assert verdict.limit == (10 if refusal is Refusal.MINUTE else None)  # nothing else is a limit of a minute


@pytest.mark.parametrize(
    ("metric", "refusal"),
    [
        (f"{DAILY_METRIC}_paid_tier_2", Refusal.DAY),
        (MINUTE_METRIC, Refusal.MINUTE),
        (f"{MINUTE_METRIC}_paid_tier_3", Refusal.MINUTE),
    ],
)
def test_a_quota_that_is_named_in_words_alone_is_known_all_the_same(metric: str, refusal: Refusal) -> None:
    assert from_answer(429, exhausted(f"* Quota exceeded for metric: {metric}, limit: 10")).refusal is refusal


@pytest.mark.parametrize(
    ("value", "refusal", "limit"),
    [
        ("10", Refusal.MINUTE, 10),
        (10, Refusal.MINUTE, 10),
        ("0", Refusal.NO_ACCESS, None),
        (0, Refusal.NO_ACCESS, None),
        ("-1", Refusal.MINUTE, None),  # Google's "unlimited": no limit to learn
        ("ten", Refusal.MINUTE, None),
        (None, Refusal.MINUTE, None),
        (True, Refusal.MINUTE, None),
        ("9" * 400, Refusal.MINUTE, None),
    ],
)
def test_a_quotas_value_is_a_limit_if_it_is_a_number_of_requests(
    value: Any, refusal: Refusal, limit: int | None
) -> None:
    body = exhausted(GENERIC, violated({"quotaId": "GenerateRequestsPerMinutePerProject", "quotaValue": value}))
    verdict = from_answer(429, body)
    assert (verdict.refusal, verdict.limit) == (refusal, limit)


MINUTE_QUOTA = {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "10"}
DAY_QUOTA = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "quotaValue": "100"}
TOKEN_QUOTA = {"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "5"}
NO_QUOTA = {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "0"}


@pytest.mark.parametrize(
    ("violations", "refusal", "limit"),
    [
        ([MINUTE_QUOTA, TOKEN_QUOTA], Refusal.MINUTE, 10),
        ([MINUTE_QUOTA, {**MINUTE_QUOTA, "quotaValue": "7"}], Refusal.MINUTE, 7),
        ([MINUTE_QUOTA, DAY_QUOTA, TOKEN_QUOTA], Refusal.DAY, None),
        ([DAY_QUOTA, MINUTE_QUOTA], Refusal.DAY, None),
        ([DAY_QUOTA, NO_QUOTA], Refusal.NO_ACCESS, None),
        ([MINUTE_QUOTA, "garbage", None, 3], Refusal.MINUTE, 10),
    ],
)
def test_of_several_violations_the_one_with_the_longest_wait_wins(
    violations: list[Any], refusal: Refusal, limit: int | None
) -> None:
    for details in ([violated(*violations)], [violated(v) for v in violations]):
        verdict = from_answer(429, exhausted(GENERIC, *details))
        assert (verdict.refusal, verdict.limit) == (refusal, limit)


def test_money_that_is_gone_outweighs_every_window() -> None:
    assert from_answer(402, exhausted(GENERIC, violated(DAY_QUOTA, NO_QUOTA))).refusal is Refusal.BILLING


@pytest.mark.parametrize("delay", ["585s", "22s", "1.58s"])
def test_a_daily_quota_is_daily_however_short_the_delay_it_names(delay: str) -> None:
    verdict = from_answer(429, exhausted(GENERIC, violated(DAY_QUOTA), wait_for(delay)))
    assert (verdict.refusal, verdict.retry_after) == (Refusal.DAY, float(delay[:-1]))


def test_the_rules_that_close_for_good_are_those_that_need_a_person() -> None:
    assert {refusal for refusal in Refusal if not refusal.for_good} == {
        Refusal.QUEUE,
        Refusal.BUDGET,
        Refusal.UNKNOWN,
        Refusal.CONCURRENT,
        Refusal.MINUTE,
        Refusal.SPEND,
        Refusal.DAY,
    }


@pytest.mark.parametrize(
    ("message", "details", "header", "delay"),
    [
        ("", [wait_for("585s")], None, 585.0),
        ("", [wait_for("34.07s")], None, 34.07),
        ("Please retry in 9m45.678s.", [], None, 585.678),
        ("Please retry in 45.5s.", [], None, 45.5),
        ("Please retry in 1h2m3s.", [], None, 3723.0),
        ("Please retry in 2h.", [], None, 7200.0),
        ("Please retry in 3m.", [], None, 180.0),
        ("Please retry in 481.27ms.", [], None, 0.48127),
        ("Please retry later.", [], None, None),
        ("Please retry in a while.", [], None, None),
        ("Please retry in 1.2.3s.", [], None, None),
        (f"Please retry in {'9' * 500}h.", [], None, verdicts.LONGEST_DELAY),
        ("", [wait_for(f"{'9' * 500}s")], None, verdicts.LONGEST_DELAY),
        ("", [], float("inf"), verdicts.LONGEST_DELAY),
        ("", [], 60.0, 60.0),
        ("", [wait_for("10s")], 60.0, 60.0),
        ("", [wait_for("70s")], 60.0, 70.0),
        ("Please retry in 80s.", [wait_for("10s"), wait_for("70s")], 60.0, 80.0),
        ("", [wait_for(17)], None, None),
        ("", [wait_for("17")], None, None),
        ("", [wait_for("-17s")], None, None),
        ("", [wait_for("0s")], None, None),  # "at once" is what the gate cannot do with a refusal
        ("Please retry in 0s.", [wait_for("0.000s")], 0.0, None),
        ("", [wait_for("0s")], 5.0, 5.0),
    ],
)
def test_the_longest_delay_that_an_answer_names_counts(
    message: str, details: list[dict[str, Any]], header: float | None, delay: float | None
) -> None:
    for status in (429, 503):
        body = error(status, "UNAVAILABLE", message, *details)
        asked = from_answer(status, body, header).retry_after
        assert asked == (None if delay is None else pytest.approx(delay))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (exhausted("Slow down."), "Slow down."),
        ({"error": "in words"}, "in words"),
        ({"message": "bare"}, "bare"),
        ("only text", "only text"),
        (None, "HTTP 429 without a message"),
        ([], "HTTP 429 without a message"),
        ("x" * 9_000, "x" * 2_000),
    ],
)
def test_a_verdict_has_the_message_of_the_answer(body: Any, message: str) -> None:
    assert from_answer(429, body).message == message


# ---- whatever the body -----------------------------------------------------------------------------------------------

words = st.sampled_from(
    [
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "FAILED_PRECONDITION",
        "API_KEY_INVALID",
        "BILLING_DISABLED",
        "GenerateRequestsPerDayPerProject",
        "GenerateRequestsPerMinutePerProject",
        "Please retry in 9m45.678s.",
        "Please retry in 1.2.3.4s.",
        f"retry in {'7' * 600}h{'7' * 600}m.",
        "limit: 0, per_day, concurrent, spend-based, prepayment",
        "585s",
        "0",
        "-7",
        "operations/abc",
    ]
)
keys = st.sampled_from(
    [
        *("error", "code", "status", "message", "details", "violations", "quotaId", "quotaMetric", "quotaValue"),
        *("retryDelay", "reason", "@type", "name", "done"),
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys | st.text(), inner), max_leaves=20
)
details = st.lists(
    st.dictionaries(keys, scalars | st.lists(st.dictionaries(keys, scalars, max_size=4) | scalars, max_size=3))
    | scalars,
    max_size=3,
)
google_like = st.fixed_dictionaries(
    {}, optional={"code": scalars, "status": scalars, "message": scalars, "details": details | scalars}
).map(lambda said: {"error": said})
bodies = json_values | google_like | google_like.map(lambda body: [body])
delays = st.none() | st.floats(allow_nan=False, min_value=0)


@given(
    status=st.integers(100, 599) | st.sampled_from([200, 307, 400, 401, 402, 403, 404, 408, 429, 499, 500, 503]),
    body=bodies,
    header=delays,
)
@effort(max_examples=500, deadline=None, derandomize=True)
def test_no_body_can_raise_pass_for_accepted_or_prove_too_much(status: int, body: Any, header: float | None) -> None:
    verdict = from_answer(status, body, header)
    assert verdict.kind is not VerdictKind.ACCEPTED
    assert verdict.operation is None
    assert not verdict.unsent
    assert verdict.status == status
    assert verdict.message
    assert verdict.limit is None or (verdict.limit >= 1 and verdict.refusal is Refusal.MINUTE)
    assert verdict.retry_after is None or 0 < verdict.retry_after <= verdicts.LONGEST_DELAY
    assert (verdict.refusal is not None) == (verdict.kind is REFUSED)
    if verdict.kind is not UNCERTAIN:
        assert status in (307, 308, 503, 511) or (400 <= status < 500 and status not in (408, 499))
    if status == 503 and verdict.kind is not UNCERTAIN:
        assert '"UNAVAILABLE"' in json.dumps(body)


# ---- what the backend knows without an answer ------------------------------------------------------------------------


def test_a_name_is_what_makes_a_submit_accepted() -> None:
    verdict = verdicts.accepted("operations/1")
    assert (verdict.kind, verdict.operation) == (VerdictKind.ACCEPTED, "operations/1")


@pytest.mark.parametrize("name", [None, ""])
def test_a_200_without_a_name_is_uncertain(name: str | None) -> None:
    assert verdicts.accepted(name) == Verdict(
        UNCERTAIN, "the answer was 200 but named no operation: a video may be under way and billed"
    )


def test_what_was_never_sent_used_up_no_quota() -> None:
    verdict = verdicts.unsent("no route to host")
    assert verdict == Verdict(UNAVAILABLE, "nothing was sent: no route to host", unsent=True)
    assert verdict.error_kind == "unavailable"
