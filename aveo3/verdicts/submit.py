"""What an answer to a submit means: maps HTTP status and body to a `Verdict`. Pure.

Google writes errors in two ways: `{"code": 429, "status": "RESOURCE_EXHAUSTED", …}`, and in the Interactions API also
`{"code": "too_many_requests", …}` without a status (recorded 2026-10-08, and on its errors page). Both work here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aveo3.verdicts.error_body import (
    delay_of,
    error_of,
    is_google,
    is_of_model,
    is_safety,
    message_of,
    names_of,
    passes,
    reasons_of,
    violations_of,
)
from aveo3.verdicts.verdict import Refusal, Verdict, VerdictKind, rejected, uncertain

NOT_READY_WAIT = 60.0
"""Seconds to wait for what Google says will be ready "in a few minutes"."""

_NOT_LET_THROUGH = {401, 402, 407, 411, 413, 414, 417, 421, 426, 431, 511}
"""With one of these a proxy, firewall or gateway says that it did not pass the request on: it asks who wants to use it
(401, 402, 407, 511), or does not take the request's form, size or address (RFC 9110, 6585). If Google's front end says
it, nothing was created either.

403, 405 and 451 are not among them. Filters that also read answers (against viruses or leaks) block with these, and may
have put their page in the place of an answer that names a paid operation.
"""

_FRONT_END = re.compile(r"<title>Error \d{3} \([^)<]*\)!!1</title>")
"""Google's own front end writes such a page before any API gets the request."""

_NETWORK = "Check HTTPS_PROXY and VEO3_BASE_URL, or have the network let requests to Google through."

_PATIENCE = {refusal: rank for rank, refusal in enumerate(Refusal)}


def from_answer(status: int, body: Any, retry_after: float | None = None) -> Verdict:
    """Judge an answer to a submit that is not 200. Never raises, whatever the body.

    `body` is the parsed JSON (Google's `{"error": {…}}`, bare or in a list of one), text, or None. `retry_after` is
    the header's delay in seconds.
    """
    error = error_of(body)
    words = message_of(body)
    message = words or f"HTTP {status} without a message"
    reasons = reasons_of(body)

    if not is_google(body):
        if status in _NOT_LET_THROUGH and (words or status not in (401, 402)):
            return _not_google(status, message)
        is_filter = status not in (401, 402, 404, 429) and not (status in (403, 405) and _FRONT_END.search(words))
        if (400 <= status < 500 and is_filter) or status in (301, 302, 303):
            why = (
                f"HTTP {status}: {message[:200]} (not in Google's form: a proxy or firewall may have answered after "
                f"Google got the request. {_NETWORK})"
            )
            return replace(uncertain(why, status), not_google=True)
        if status == 405:
            return _not_google(status, message)
    if status == 429 or status == 402:
        return _refused(status, error, message, retry_after)
    bad_key = "API_KEY_INVALID" in reasons or re.search(r"api key (not valid|expired|not found)", message.lower())
    if status == 401 or (status in (400, 403) and bad_key):
        return _closed(Refusal.BAD_KEY, status, message)
    if status == 403:
        billing = "BILLING_DISABLED" in reasons or "billing" in message.lower()
        return _closed(Refusal.BILLING if billing else Refusal.PERMISSION, status, message)
    if status == 400 and "FAILED_PRECONDITION" in names_of(error):
        if passes(message):  # service agents that are still being made, a file that is still being read in
            wait = delay_of(error, message, retry_after) or NOT_READY_WAIT
            return Verdict(VerdictKind.REFUSED, message, refusal=Refusal.UNKNOWN, retry_after=wait, status=status)
        return _closed(Refusal.BILLING if "billing" in message.lower() else Refusal.NO_ACCESS, status, message)
    if status == 404 or (status == 410 and is_of_model(message)):
        return _closed(Refusal.NO_MODEL, status, message)
    if status == 503 and names_of(error) & {"UNAVAILABLE", "SERVICE_UNAVAILABLE"}:
        delay = delay_of(error, message, retry_after)
        return Verdict(VerdictKind.UNAVAILABLE, message, retry_after=delay, status=status)
    if status in (307, 308):
        # The server only named another address. Following it would send the paid POST twice.
        return Verdict(VerdictKind.UNAVAILABLE, f"redirected: {message}", status=status)
    if 400 <= status < 500 and status not in (408, 499) and error:
        return rejected(message, filtered=is_safety(message), status=status)
    return uncertain(f"HTTP {status}: {message}", status)


def _not_google(status: int, message: str) -> Verdict:
    """Nothing was created, and neither the request nor the credentials are at fault."""
    why = (
        f"not Google: a proxy, firewall or gateway answered HTTP {status} in its place. {_NETWORK} Its words: {message}"
    )
    return Verdict(VerdictKind.UNAVAILABLE, why, status=status, not_google=True)


def _refused(status: int, error: Mapping[str, Any], message: str, retry_after: float | None) -> Verdict:
    """Tell the kinds of 429 apart. One body may carry several violations: the one with the longest wait wins.

    Only message and ids identify the kind. `retryDelay` does not (daily quotas came with 585 s, 22 s and 1.6 s).
    """
    text = message.lower()
    kinds = {Refusal.UNKNOWN}
    limits: list[int] = []
    delay = delay_of(error, message, retry_after)
    if status == 402 or "prepayment" in text or "credits are depleted" in text:
        kinds.add(Refusal.BILLING)
    if "spend-based" in text:
        kinds.add(Refusal.SPEND)
    if concurrent := "concurrent" in text:
        kinds.add(Refusal.CONCURRENT)
    if re.search(r"limit: 0(?![.\d])", text):
        kinds.add(Refusal.NO_ACCESS)
    if re.search(r"per_day|per day|daily", text):
        kinds.add(Refusal.DAY)
    if re.search(r"requests_per_(base_)?model|per_minute|per minute", text) and not concurrent:
        kinds.add(Refusal.MINUTE)
    # The Gemini API's generating quota (Omni, recorded 2026-09-03) has one name for all periods: the delay tells which.
    metric = re.search(r"generate_content_\w*requests, limit: ([1-9]\d*)(?![.\d])", text)
    if metric and not concurrent and delay is not None and delay <= 60:
        kinds.add(Refusal.MINUTE)
        limits.append(int(metric[1]))
    for name, value in violations_of(error):
        kind = _kind_of_quota(name)
        kinds.add(Refusal.NO_ACCESS if value == 0 else kind)
        if kind is Refusal.MINUTE and value is not None and value > 0:  # -1 is Google's "no limit"
            limits.append(value)
    refusal = max(kinds, key=_PATIENCE.__getitem__)
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
