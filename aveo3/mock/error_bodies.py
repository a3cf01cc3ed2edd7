"""The words Google uses: error bodies and what it says when a quota refuses. Pure; knows no aiohttp and no clock.

Wordings are those that users pasted or Google documents (2026-11). Where a string was never seen for Veo it is the
nearest one that was; the comments say which.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aveo3.mock.models import Surface
from aveo3.mock.quotas import Lane, QuotaRule, Violation

_RPC = "type.googleapis.com/google.rpc."
_NUMBER = 123456789012  # Google names projects by their numbers here
_SERVICE = {"developer": "generativelanguage.googleapis.com", "vertex": "aiplatform.googleapis.com"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer before it meets a socket: JSON if `body` is a dict or list, else the text as it stands."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    word: str = ""
    """The code that the Interactions API has for it, where its google.rpc status does not tell."""


class Refused(Exception):
    """Raised where a request cannot be served; carries the answer to give, and why in a word or two for the books."""

    def __init__(self, answer: Answer, why: str = "") -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.why = why


def error(code: int, status: str, message: str, *details: dict[str, Any]) -> Answer:
    body: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        body["details"] = list(details)
    return Answer(code, {"error": body})


def page(code: int, title: str) -> Answer:
    """What a proxy in front of Google says: HTML, no google.rpc status."""
    return Answer(
        code, f"<!DOCTYPE html><html><title>Error {code} ({title})!!1</title></html>", {"Content-Type": "text/html"}
    )


def error_info(reason: str, surface: Surface, **more: str) -> dict[str, Any]:
    return {
        "@type": _RPC + "ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": _SERVICE[surface], **more},
    }


def invalid(message: str) -> Answer:
    return error(400, "INVALID_ARGUMENT", message)


def unknown_field(name: str, at: str = "") -> Answer:
    where = f" at '{at}'" if at else ""
    message = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
    violation = {"field": at, "description": message} if at else {"description": message}
    return error(400, "INVALID_ARGUMENT", message, {"@type": _RPC + "BadRequest", "fieldViolations": [violation]})


def not_found(message: str = "Requested entity was not found.") -> Answer:
    return error(404, "NOT_FOUND", message)


def no_credential(surface: Surface) -> Answer:
    if surface == "developer":
        return error(
            403,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API.",
        )
    return error(
        401,
        "UNAUTHENTICATED",
        "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other "
        "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        error_info("CREDENTIALS_MISSING", surface),
    )


KEY_ON_PROJECT_PATH = error(
    401,
    "UNAUTHENTICATED",
    "API keys are not supported by this API. Expected OAuth2 access token or other authentication credentials that "
    "assert a principal. See https://cloud.google.com/docs/authentication",
    error_info("CREDENTIALS_MISSING", "vertex"),
)
INTERNAL = error(
    500,
    "INTERNAL",
    "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
)
CREDENTIALS = error(
    400,
    "INVALID_ARGUMENT",
    "Multiple authentication credentials received. Please pass only one.",  # to users who had sent one
)
UNAVAILABLE = error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
DEADLINE = error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.")
OVERLOADED = error(
    429,
    "RESOURCE_EXHAUSTED",
    "Resource exhausted. Please try again later. Please refer to "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
)
_DEPLETED = (
    "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project "
    "and billing."
)
BILLING = error(402, "RESOURCE_EXHAUSTED", _DEPLETED)
PREPAID = error(429, "RESOURCE_EXHAUSTED", _DEPLETED)
COUNTRY = error(
    400,
    "FAILED_PRECONDITION",
    "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio.",
)
PERMISSION = error(403, "PERMISSION_DENIED", "The caller does not have permission")


def bad_key(surface: Surface) -> Answer:
    return error(
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        error_info("API_KEY_INVALID", surface),
    )


def key_blocked(surface: Surface) -> Answer:
    # As it was pasted for the Gemini API (2026-06); the name of the method is left out of its middle.
    service = _SERVICE[surface]
    return error(
        403,
        "PERMISSION_DENIED",
        f"Requests to this API {service} method are blocked.",
        error_info("API_KEY_SERVICE_BLOCKED", surface, consumer=f"projects/{_NUMBER}"),
    )


def api_disabled(surface: Surface) -> Answer:
    title = {"developer": "Generative Language API", "vertex": "Vertex AI API"}[surface]
    link = f"https://console.developers.google.com/apis/api/{_SERVICE[surface]}/overview?project={_NUMBER}"
    return error(
        403,
        "PERMISSION_DENIED",
        f"{title} has not been used in project {_NUMBER} before or it is disabled. Enable it by visiting {link} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and "
        "retry.",
        {"@type": _RPC + "Help", "links": [{"description": "Google developers console API activation", "url": link}]},
        error_info("SERVICE_DISABLED", surface, consumer=f"projects/{_NUMBER}", activationUrl=link),
    )


def no_billing(surface: Surface) -> Answer:
    link = f"https://console.developers.google.com/billing/enable?project={_NUMBER}"
    return error(
        403,
        "PERMISSION_DENIED",
        f"This API method requires billing to be enabled. Please enable billing on project #{_NUMBER} by visiting "
        f"{link} then retry. If you enabled billing for this project recently, wait a few minutes for the action to "
        "propagate to our systems and retry.",
        {"@type": _RPC + "Help", "links": [{"description": "Google developers console billing", "url": link}]},
        error_info("BILLING_DISABLED", surface, consumer=f"projects/{_NUMBER}"),
    )


def at_the_door(fault: str | None, surface: Surface) -> Answer | None:
    """What Google's front end says, before the API has seen the request, where `fault` is one of its own."""
    if fault == "permission":
        return PERMISSION
    said = {
        "bad-key": bad_key,
        "key-blocked": key_blocked,
        "api-disabled": api_disabled,
        "no-billing": no_billing,
    }.get(fault or "")
    return None if said is None else said(surface)


def file_not_ready(file: str) -> Answer:
    # Seen where such a file was used as input; what a download of one answers was never reported.
    return error(400, "FAILED_PRECONDITION", f"The File {file} is not in an ACTIVE state and usage is not allowed.")


def file_gone(file: str) -> Answer:
    return error(403, "PERMISSION_DENIED", f"You do not have permission to access the File {file} or it may not exist.")


def said(answer: Answer) -> str:
    """The message of an error, whatever its shape."""
    body = answer.body[0] if isinstance(answer.body, list) else answer.body
    return str(body["error"]["message"])


# -- Cloud Storage, which has a shape of its own for errors --------------------------------------------------------


def storage_error(code: int, reason: str, message: str, **more: str) -> Answer:
    entry = {"message": message, "domain": "global", "reason": reason, **more}
    return Answer(code, {"error": {"code": code, "message": message, "errors": [entry]}})


def in_prose(answer: Answer) -> Answer:
    """An error of Cloud Storage as it is told to whoever asks for an object's bytes: its message alone."""
    return Answer(answer.status, answer.body["error"]["message"], {"Content-Type": "text/html; charset=UTF-8"})


def storage_denied(permission: str, *, anonymous: bool = False) -> Answer:
    words = (
        f"{'Anonymous' if anonymous else 'The'} caller does not have {permission} access to the Google Cloud Storage "
        f"{'bucket' if permission.endswith('.list') else 'object'}. Permission '{permission}' denied on resource (or "
        "it may not exist)."
    )
    if anonymous:
        return storage_error(401, "required", words, locationType="header", location="Authorization")
    return storage_error(403, "forbidden", words)


def no_bucket() -> Answer:
    return storage_error(404, "notFound", "The specified bucket does not exist.")


def no_object(bucket: str, name: str) -> Answer:
    return storage_error(404, "notFound", f"No such object: {bucket}/{name}")


STORAGE_UNAVAILABLE = storage_error(503, "backendError", "We encountered an internal error. Please try again.")


# -- refusals ------------------------------------------------------------------------------------------------------

_SPEND = (
    "You exceeded your spend-based rate limit. Your spending rate has exceeded the allowed limit for your account's "
    "billing history and tier."
)
_CONCURRENT = "Online prediction concurrent requests quota exceeded"
BARE = "Resource has been exhausted (e.g. check quota)."
_LIMITS_PAGE = "https://ai.google.dev/gemini-api/docs/rate-limits"
_PLAN = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    f"head to: {_LIMITS_PAGE}. To monitor your current usage, head to: https://ai.dev/rate-limit. "
)
# Delays that came with real per-day refusals, hours before the day's end. They mislead; that is why they are here.
_DAILY_DELAYS = (585.678, 34.07, 22.0, 1.58)


@dataclass(frozen=True, slots=True)
class RefusalWriter:
    """Writes the 429 for the rules that refused. `client_seconds` converts a delay to the reader's clock."""

    style: Literal["detailed", "text", "bare", "vertex"] = "detailed"
    retry_info: bool = True
    quota_value: bool = True

    def write(
        self, violations: Sequence[Violation], lane: Lane, base: str, surface: Surface, delay: float | None
    ) -> Answer:
        """One answer for all of `violations`. `delay` is in the client's seconds; None: nobody can tell."""
        rules = [violation.rule for violation in violations]
        requests = [rule for rule in rules if rule.kind in ("minute", "day") or rule.limit == 0]
        if self.style == "bare":
            return error(429, "RESOURCE_EXHAUSTED", BARE)
        # Google names one gate at a time; the request quotas are the first that a request meets.
        if not requests:
            return error(429, "RESOURCE_EXHAUSTED", _SPEND if rules[0].kind == "spend" else _CONCURRENT)
        if self.style == "vertex":
            return error(429, "RESOURCE_EXHAUSTED", _vertex_sentence(requests[0], base))
        said = delay if self.retry_info else None
        details = [
            {
                "@type": _RPC + "Help",
                "links": [{"description": "Learn more about Gemini API quotas", "url": _LIMITS_PAGE}],
            },
            {
                "@type": _RPC + "QuotaFailure",
                "violations": [self._violation(rule, lane, base, surface) for rule in requests],
            },
        ]
        if said is not None:
            details.append({"@type": _RPC + "RetryInfo", "retryDelay": protobuf_duration(said)})
        return error(
            429,
            "RESOURCE_EXHAUSTED",
            self._prose(requests, base, surface, said),
            *(details if self.style == "detailed" else ()),
        )

    def _prose(self, rules: Sequence[QuotaRule], base: str, surface: Surface, delay: float | None) -> str:
        lines = [_PLAN]
        for rule in rules:
            limit = f", limit: {rule.most:.0f}" if self.quota_value else ""
            lines.append(f"* Quota exceeded for metric: {_metric(rule, surface, base)}{limit}, model: {_short(base)}")
        if delay is not None:
            lines.append(f"Please retry in {_go_duration(delay)}.")
        return "\n".join(lines)

    def _violation(self, rule: QuotaRule, lane: Lane, base: str, surface: Surface) -> dict[str, Any]:
        violation = {
            "quotaMetric": _metric(rule, surface, base),
            "quotaId": _quota_id(rule, surface, base),
            "quotaDimensions": {"location": lane.location, "model": _short(base)},
        }
        if self.quota_value:
            violation["quotaValue"] = f"{rule.most:.0f}"  # an int64, and JSON's numbers cannot hold those: a string
        return violation


def misleading_delay(violations: Sequence[Violation], now: float, rng: random.Random) -> float | None:
    """Seconds until Google *says* one may try again; None where it does not say (concurrency, limit 0, spend).

    Honest for the minute. For the day it is a few seconds or minutes whatever the hour, as recorded.
    """
    minute = [v.free_at - now for v in violations if v.rule.kind == "minute" and math.isfinite(v.free_at)]
    day = [v.free_at - now for v in violations if v.rule.kind == "day" and math.isfinite(v.free_at)]
    if day:
        return min(rng.choice(_DAILY_DELAYS), *day)
    return max(minute) if minute else None


def _is_omni(base: str) -> bool:
    return base.startswith("gemini-omni")


def _metric(rule: QuotaRule, surface: Surface, base: str) -> str:
    if _is_omni(base) and surface == "developer":
        return f"{_SERVICE[surface]}/generate_content_paid_tier_2_requests"  # live, for Omni
    if _is_omni(base):
        return f"{_SERVICE[surface]}/generate_content_requests_per_minute_per_project_per_base_model"
    name = (
        "predict_long_running_requests_per_model"
        if surface == "developer"
        else "long_running_online_prediction_requests_per_base_model"
    )
    return f"{_SERVICE[surface]}/{name}{'_per_day' if rule.kind == 'day' else ''}"


def _quota_id(rule: QuotaRule, surface: Surface, base: str) -> str:
    # Never seen live for Veo: built like the ids of other models, GenerateRequestsPerMinutePerProjectPerModel.
    per = "PerDay" if rule.kind == "day" else "PerMinute"
    if _is_omni(base):
        return f"GenerateRequests{per}PerProjectPerModel"
    if surface == "developer":
        return f"PredictLongRunningRequests{per}PerProjectPerModel"
    return f"LongRunningOnlinePredictionRequests{per}PerProjectPerRegionPerBaseModel"


def _vertex_sentence(rule: QuotaRule, base: str) -> str:
    return (
        f"Quota exceeded for {_metric(rule, 'vertex', base)} with base model: {base}. Please submit a quota increase "
        "request. https://cloud.google.com/vertex-ai/docs/generative-ai/quotas-genai."
    )


def _short(base: str) -> str:
    return base.removesuffix("-generate")


def protobuf_duration(seconds: float) -> str:
    """A google.protobuf.Duration in JSON: 585s, 34.074824s."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _go_duration(seconds: float) -> str:
    """The way Google's prose writes it: 9m45.678s, 34.07s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = protobuf_duration(rest)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text
