"""Reads the bodies of Google's errors: message, reasons, quota violations and delays. Decides nothing.

A body may be any JSON, text or None. Parts that do not have Google's shape count as missing; nothing raises.
google/rpc/error_details.proto defines `QuotaFailure` and `RetryInfo`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_DELAY = 31 * 86_400.0
"""Longest delay in seconds; longer ones are cut to it. No quota lasts longer, and the calendar ends in year 9999."""

_RETRY_IN = re.compile(r"retry in (?=\d)(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(m?)s)?")
_SAFETY = re.compile(
    r"violat|usage guidelines|support code|safety|sensitive (words|content)|prohibited|responsible ai", re.IGNORECASE
)

_PASSES = re.compile(
    r"try again (in|after) (a|an|some|several|\d+)\b|(try again|retry) (later|shortly)|being provisioned"
    r"|not in an active state",
    re.IGNORECASE,
)


def message_of(body: Any) -> str:
    """The message in an error's body, parsed or not; empty if it has none."""
    error = body.get("error") if isinstance(body, Mapping) else body
    return _text(error_of(body).get("message")) or _text(error)


def reasons_of(body: Any) -> dict[str, Mapping[str, Any]]:
    """The reasons in an error's body (`google.rpc.ErrorInfo`), one word each, with the metadata of each."""
    return {
        reason: metadata if isinstance(metadata := detail.get("metadata"), Mapping) else {}
        for detail in _details(error_of(body))
        if isinstance(reason := detail.get("reason"), str)
    }


def is_safety(message: str) -> bool:
    """True if Google's message says that a safety filter, not a mistake in the request, stopped it."""
    return _SAFETY.search(message) is not None


def is_of_model(message: str) -> bool:
    """True if Google's message is about a model, not a file or an interaction that the request names."""
    return re.search(r"\bmodels?\b", message, re.IGNORECASE) is not None


def passes(message: str) -> bool:
    """True if Google's words say that the same request will do in a few minutes: something is still being set up."""
    return _PASSES.search(message) is not None


def error_of(body: Any) -> Mapping[str, Any]:
    """The error object of an answer's body. Google's front end may wrap the body in a list of one."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = body.get("error", body) if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def is_google(body: Any) -> bool:
    """True if `body` has the form of an error of Google's API, and so does not come from a proxy on the way.

    Google wraps its errors and gives them a code. The SDK makes `message` and `status` of a page that is no JSON.
    """
    first = body[0] if isinstance(body, list) and len(body) == 1 else body
    if not isinstance(first, Mapping):
        return False
    error = first.get("error")
    if isinstance(error, Mapping):
        return isinstance(error.get("code"), int | str) or isinstance(error.get("status"), str)
    return isinstance(first.get("code"), int) and re.fullmatch(r"[A-Z_]+", str(first.get("status"))) is not None


def names_of(error: Mapping[str, Any]) -> set[str]:
    """The names of the error's kind, in upper case, from `status` and `code`: either may hold one."""
    return {name.upper() for name in (error.get("status"), error.get("code")) if isinstance(name, str)}


def violations_of(error: Mapping[str, Any]) -> Iterator[tuple[str, int | None]]:
    """The quotas that a refusal names: id and metric in lower case, and the value if it is a whole number."""
    for detail in _details(error):
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, Mapping):
                name = " ".join(_text(violation.get(key)) for key in ("quotaId", "quotaMetric"))
                yield name.lower(), _int(violation.get("quotaValue"))


def delay_of(error: Mapping[str, Any], message: str, header: float | None) -> float | None:
    """The longest wait that the answer names, in seconds: in `RetryInfo`, message ("retry in 9m45.6s") or header."""
    delays = [header] if header is not None else []
    delays += [seconds for d in _details(error) if (seconds := _duration(d.get("retryDelay"))) is not None]
    if words := _RETRY_IN.search(message):
        hours, minutes, rest, milli = words.groups()
        seconds = float(rest or 0) / (1000 if milli else 1)
        delays.append(float(hours or 0) * 3600 + float(minutes or 0) * 60 + seconds)
    # "0s" counts as no delay: obeying it would mean requests without a pause.
    return min(max((delay for delay in delays if delay > 0), default=0.0), LONGEST_DELAY) or None


def _duration(value: Any) -> float | None:
    """Seconds in a protobuf JSON duration such as "34.07s"; None if it is not one."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?s", value):
        return float(value[:-1])
    return None


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    return (d for d in details if isinstance(d, Mapping)) if isinstance(details, list) else iter(())


def _text(value: Any) -> str:
    return value[:2_000] if isinstance(value, str) else ""


def _int(value: Any) -> int | None:
    """An int64 in protobuf JSON is a string; some servers send a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value) else None


def brief(text: object, at_most: int = 200) -> str:
    """`text` in one line for a log, cut between words with `…` if it is longer than `at_most` characters."""
    line = " ".join(str(text)[: 10 * at_most].split())
    if len(line) <= at_most:
        return line
    start = line[: at_most - 2]
    return f"{start.rpartition(' ')[0] or start} …"
