"""What Google's answers mean for us: HTTP answers and lost answers in, a `Verdict` out. Pure.

Google writes errors in two ways: `{"code": 429, "status": "RESOURCE_EXHAUSTED", …}`, and in the Interactions API also
`{"code": "too_many_requests", …}` without a status (recorded 2026-10-08, and on its page of errors). Both are
read.

The split that keeps a clip from being paid twice (API errors page, read 2026-09-20; `QuotaFailure` and `RetryInfo`
are google/rpc/error_details.proto):

    accepted      an operation exists; from here on money may be owed
    refused       "not now" (429 and kin): nothing was created, nothing is owed, the whole lane waits
    rejected      this request can never work: nothing was created, nothing is owed
    unavailable   provably not created, for reasons that pass (no connection, 503 with a status, a redirect)
    uncertain     sent, and the answer does not prove that nothing was created: never sent again by itself
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class VerdictKind(StrEnum):
    """What a submit came to."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    UNCERTAIN = "uncertain"


class Refusal(StrEnum):
    """Which rule refused. The order is the order of patience: the last one that applies wins."""

    UNKNOWN = "shared_capacity"
    CONCURRENT = "concurrent"
    MINUTE = "minute_quota"
    SPEND = "spend_limit"
    DAY = "daily_quota"
    # From here on the lane is closed for good: asking again is pointless until a person changes something.
    NO_ACCESS = "no_access"
    BILLING = "billing"
    BAD_KEY = "bad_key"
    PERMISSION = "permission"
    NO_MODEL = "model_not_found"

    @property
    def for_good(self) -> bool:
        """True if no later request can succeed without a person's doing: see `advice`."""
        return self in _ADVICE

    @property
    def advice(self) -> str:
        """What a person must do before the lane can be used again; empty if waiting is enough."""
        return _ADVICE.get(self, "")


LONGEST_DELAY = 31 * 86_400.0
"""Seconds beyond which a delay is taken for a mistake: no quota lasts longer, and the calendar ends in year 9999."""

_PATIENCE = {refusal: rank for rank, refusal in enumerate(Refusal)}

_ADVICE = {
    Refusal.NO_ACCESS: "this project has no quota for the model here: ask Google for some, or use another model",
    Refusal.BILLING: "see to the project's billing account in the Google Cloud console",
    Refusal.BAD_KEY: (
        "check the credentials: a key of the Gemini Developer API does not open Vertex AI nor the other way round, and "
        "a project wants `gcloud auth application-default login` or a service account instead of a key"
    ),
    Refusal.PERMISSION: (
        "check that these credentials may use the API, and that it is enabled in their project; with Vertex AI, check "
        "GOOGLE_CLOUD_PROJECT"
    ),
    Refusal.NO_MODEL: (
        "check VEO3_MODEL; with Vertex AI also GOOGLE_CLOUD_LOCATION (Veo is in us-central1), with the Gemini API also "
        "VEO3_API_VERSION (v1 or v1beta)"
    ),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one submit came to, and what the gate and the job need to know of it."""

    kind: VerdictKind
    message: str = ""
    operation: str | None = None  # accepted: the name to look at
    refusal: Refusal | None = None
    retry_after: float | None = None  # seconds the answer asked to wait
    limit: int | None = None  # the quota's value, where a per-minute refusal names it
    filtered: bool = False  # rejected by a safety filter rather than for its form
    unsent: bool = False  # the request provably never reached the service: it used up no quota
    status: int | None = None  # HTTP

    @property
    def error_kind(self) -> str:
        """The cause in one word, as it stands in `VideoClip.error_kind`."""
        if self.refusal is not None:
            return self.refusal.value
        return "safety" if self.filtered else _ERROR_KINDS[self.kind]


_ERROR_KINDS = {
    VerdictKind.ACCEPTED: "accepted",
    VerdictKind.REFUSED: "refused",
    VerdictKind.REJECTED: "bad_request",
    VerdictKind.UNAVAILABLE: "unavailable",
    VerdictKind.UNCERTAIN: "answer_lost",
}


def accepted(operation: str | None) -> Verdict:
    """A 200 answer: accepted if it names an operation, uncertain if the name is missing."""
    if not operation:
        return uncertain("the answer was 200 but named no operation: a video may be under way and billed")
    return Verdict(VerdictKind.ACCEPTED, operation=operation)


def unsent(why: str) -> Verdict:
    """No connection was made: nothing left this machine."""
    return Verdict(VerdictKind.UNAVAILABLE, f"nothing was sent: {why}", unsent=True)


def uncertain(why: str, status: int | None = None) -> Verdict:
    """The request went out and its answer was lost or proves nothing."""
    return Verdict(VerdictKind.UNCERTAIN, why, status=status)


def rejected(why: str, *, filtered: bool = False, status: int | None = None) -> Verdict:
    """This request can never work."""
    return Verdict(VerdictKind.REJECTED, why, filtered=filtered, status=status)


def from_answer(status: int, body: Any, retry_after: float | None = None) -> Verdict:
    """Judge an answer to a submit that is not 200.

    `body` is the parsed JSON (Google's `{"error": {…}}`, bare or in a list of one), text, or None; `retry_after` is
    the header's delay in seconds. Never raises, whatever the body.
    """
    error = _error_of(body)
    message = message_of(body) or f"HTTP {status} without a message"
    reasons = reasons_of(body)

    if status == 429 or status == 402:
        return _refused(status, error, message, retry_after)
    bad_key = "API_KEY_INVALID" in reasons or re.search(r"api key (not valid|expired|not found)", message.lower())
    if status == 401 or (status in (400, 403) and bad_key):
        return _closed(Refusal.BAD_KEY, status, message)
    if status == 403:
        billing = "BILLING_DISABLED" in reasons or "billing" in message.lower()
        return _closed(Refusal.BILLING if billing else Refusal.PERMISSION, status, message)
    if status == 400 and "FAILED_PRECONDITION" in _words(error):
        return _closed(Refusal.BILLING if "billing" in message.lower() else Refusal.NO_ACCESS, status, message)
    if status == 404:
        return _closed(Refusal.NO_MODEL, status, message)
    if status == 503 and _words(error) & {"UNAVAILABLE", "SERVICE_UNAVAILABLE"}:
        return Verdict(VerdictKind.UNAVAILABLE, message, retry_after=_delay(error, message, retry_after), status=status)
    if status in (307, 308):
        # The server did nothing but point elsewhere. Followed blindly, the paid POST would be sent twice.
        return Verdict(VerdictKind.UNAVAILABLE, f"redirected: {message}", status=status)
    if 400 <= status < 500 and status not in (408, 499) and error:
        return rejected(message, filtered=is_safety(message), status=status)
    return uncertain(f"HTTP {status}: {message}", status)


def message_of(body: Any) -> str:
    """The words of an error's body, parsed or not; empty if it has none."""
    return _text(_error_of(body).get("message")) or _text(body)


def reasons_of(body: Any) -> dict[str, Mapping[str, Any]]:
    """The reasons of an error's body in one word each (`google.rpc.ErrorInfo`), and what it says to each of them."""
    return {
        reason: metadata if isinstance(metadata := detail.get("metadata"), Mapping) else {}
        for detail in _details(_error_of(body))
        if isinstance(reason := detail.get("reason"), str)
    }


_SAFETY = re.compile(
    r"violat|usage guidelines|support code|safety|sensitive (words|content)|prohibited|responsible ai", re.IGNORECASE
)


def is_safety(message: str) -> bool:
    """True if Google's words say that a safety filter, not a mistake in the request, stopped it."""
    return _SAFETY.search(message) is not None


class Ending(StrEnum):
    """What an operation that ended without a video means for its job."""

    RETRY = "retry"  # passing trouble at Google: a new attempt may work
    FILTERED = "filtered"
    REJECTED = "rejected"
    FAILED = "failed"


def rpc_code(code: Any) -> int | None:
    """The gRPC code for what stands as an error's `code`: that itself, an HTTP status or a word; None if unknown."""
    if isinstance(code, str):
        return _CODES.get(code.lower())
    if isinstance(code, int) and not isinstance(code, bool):
        return code if 0 <= code <= 16 else _CODES.get(str(code))
    return None


_CODES = {
    **dict.fromkeys(("invalid_request", "invalid_argument", "400"), 3),
    **dict.fromkeys(("deadline_exceeded", "504"), 4),
    **dict.fromkeys(("not_found", "404"), 5),
    **dict.fromkeys(("permission_denied", "403"), 7),
    **dict.fromkeys(("too_many_requests", "resource_exhausted", "rate_limit_exceeded", "429"), 8),
    "failed_precondition": 9,
    **dict.fromkeys(("internal", "internal_error", "server_error", "api_error", "500"), 13),
    **dict.fromkeys(("unavailable", "service_unavailable", "overloaded", "503"), 14),
}


def from_operation_error(code: int | None, message: str) -> Ending:
    """Judge the `error` of a finished operation: a gRPC code (3, 7, 8, 13, 14, …) and Google's words."""
    if is_safety(message):
        return Ending.FILTERED
    if code in (8, 13, 14):  # RESOURCE_EXHAUSTED ("high load"), INTERNAL, UNAVAILABLE
        return Ending.RETRY
    if code in (3, 5, 7, 9, 11, 12):  # INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, … : the request's own fault
        return Ending.REJECTED
    return Ending.FAILED


def _refused(status: int, error: Mapping[str, Any], message: str, retry_after: float | None) -> Verdict:
    """Tell the kinds of 429 apart. One body may carry several violations: the one with the longest wait wins.

    `retryDelay` does not tell them apart (daily quotas came with 585 s, 22 s and 1.6 s): words and ids do.
    """
    text = message.lower()
    found = {Refusal.UNKNOWN}
    limits: list[int] = []
    delay = _delay(error, message, retry_after)
    if status == 402 or "prepayment" in text or "credits are depleted" in text:
        found.add(Refusal.BILLING)
    if "spend-based" in text:
        found.add(Refusal.SPEND)
    if concurrent := "concurrent" in text:
        found.add(Refusal.CONCURRENT)
    if re.search(r"limit: 0(?![.\d])", text):
        found.add(Refusal.NO_ACCESS)
    if re.search(r"per_day|per day|daily", text):
        found.add(Refusal.DAY)
    if re.search(r"requests_per_(base_)?model|per_minute|per minute", text) and not concurrent:
        found.add(Refusal.MINUTE)
    # The Gemini API's generating quota (Omni, recorded 2026-09-03) has one name for all periods: the delay tells.
    metric = re.search(r"generate_content_\w*requests, limit: ([1-9]\d*)(?![.\d])", text)
    if metric and not concurrent and delay is not None and delay <= 60:
        found.add(Refusal.MINUTE)
        limits.append(int(metric[1]))
    for violation in _violations(error):
        name = " ".join(_text(violation.get(key)) for key in ("quotaId", "quotaMetric")).lower()
        value = _int(violation.get("quotaValue"))
        kind = _kind_of_quota(name)
        found.add(Refusal.NO_ACCESS if value == 0 else kind)
        if kind is Refusal.MINUTE and value is not None and value > 0:  # -1 is Google's "no limit"
            limits.append(value)
    refusal = max(found, key=_PATIENCE.__getitem__)
    return Verdict(
        VerdictKind.REFUSED,
        message,
        refusal=refusal,
        retry_after=delay,
        limit=min(limits) if limits and refusal is Refusal.MINUTE else None,
        status=status,
    )


def _kind_of_quota(name: str) -> Refusal:
    if re.search(r"perday|per_day|daily", name):
        return Refusal.DAY
    if "concurrent" in name:
        return Refusal.CONCURRENT
    if re.search(r"perminute|per_minute|requests_per_model|per_base_model", name) and "token" not in name:
        return Refusal.MINUTE
    return Refusal.UNKNOWN


def _closed(refusal: Refusal, status: int, message: str) -> Verdict:
    return Verdict(VerdictKind.REFUSED, message, refusal=refusal, status=status)


def _delay(error: Mapping[str, Any], message: str, header: float | None) -> float | None:
    """The longest wait the answer asks for, from `RetryInfo`, its own words ("retry in 9m45.6s") and the header."""
    asked = [header] if header is not None else []
    asked += [seconds for d in _details(error) if (seconds := _duration(d.get("retryDelay"))) is not None]
    if words := re.search(r"retry in (?=\d)(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(m?)s)?", message):
        hours, minutes, seconds_, milli = words.groups()
        seconds = float(seconds_ or 0) / (1000 if milli else 1)
        asked.append(float(hours or 0) * 3600 + float(minutes or 0) * 60 + seconds)
    # "0s" says no more than silence does; taken at its word it would mean to ask again and again without a pause.
    return min(max((delay for delay in asked if delay > 0), default=0.0), LONGEST_DELAY) or None


def _duration(value: Any) -> float | None:
    """Seconds in a protobuf JSON duration such as "34.07s"; None if it is not one."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?s", value):
        return float(value[:-1])
    return None


def _error_of(body: Any) -> Mapping[str, Any]:
    """The error object of an answer's body: Google's front end wraps it in a list of one."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = body.get("error", body) if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def _words(error: Mapping[str, Any]) -> set[str]:
    """What kind of error it calls itself, in whichever of the two places."""
    return {word.upper() for word in (error.get("status"), error.get("code")) if isinstance(word, str)}


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    return (d for d in details if isinstance(d, Mapping)) if isinstance(details, list) else iter(())


def _violations(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for detail in _details(error):
        violations = detail.get("violations")
        if isinstance(violations, list):
            yield from (v for v in violations if isinstance(v, Mapping))


def _text(value: Any) -> str:
    return value[:2_000] if isinstance(value, str) else ""


def _int(value: Any) -> int | None:
    """An int64 in protobuf JSON is a string; some servers send a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value) else None


def is_audio_filter(reasons: Iterable[str]) -> bool:
    """True if nothing but the sound displeased the filter: it says so without a support code (js-genai#1272), is not
    billed, and may pass another time."""
    found = list(reasons)
    return bool(found) and all("audio" in reason.lower() and not re.search(r"\d{6}", reason) for reason in found)
