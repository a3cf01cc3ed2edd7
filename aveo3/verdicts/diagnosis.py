"""Finds in Google's answer to a free request what is wrong with credentials, project or model. Pure.

`problems` explains each problem and its way out. One-word reasons come from google/api/error_reason.proto. Sentences
come from users' reports (python-genai#1404 and #2079, hermes-agent#114335, gemini-cli#1614) and from Google's
documentation of errors (read 2026-09-20).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aveo3 import verdicts
from aveo3.verdicts import Refusal
from aveo3.verdicts.problems import CheckTarget, Problem

_BY_REASON = {
    "API_KEY_INVALID": Problem.BAD_KEY,
    "API_KEY_SERVICE_BLOCKED": Problem.KEY_ELSEWHERE,
    "API_KEY_HTTP_REFERRER_BLOCKED": Problem.KEY_RESTRICTED,
    "API_KEY_IP_ADDRESS_BLOCKED": Problem.KEY_RESTRICTED,
    "API_KEY_ANDROID_APP_BLOCKED": Problem.KEY_RESTRICTED,
    "API_KEY_IOS_APP_BLOCKED": Problem.KEY_RESTRICTED,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": Problem.SCOPES,
    "SERVICE_DISABLED": Problem.API_DISABLED,
    "BILLING_DISABLED": Problem.BILLING,
    "USER_PROJECT_DENIED": Problem.QUOTA_PROJECT,
    "CONSUMER_SUSPENDED": Problem.SUSPENDED,
    "CONSUMER_INVALID": Problem.NO_PROJECT,
    "RESOURCE_PROJECT_INVALID": Problem.NO_PROJECT,
    "SECURITY_POLICY_VIOLATED": Problem.POLICY,
    "IAM_PERMISSION_DENIED": Problem.PERMISSION,
}

_BY_WORDS = tuple(
    (re.compile(pattern), problem)
    for pattern, problem in (
        (r"api keys are not supported", Problem.NO_KEYS),
        (r"api key (not valid|expired|not found)", Problem.BAD_KEY),
        (r"multiple authentication credentials", Problem.TWO_CREDENTIALS),
        (r"requests to this api .* are blocked", Problem.KEY_ELSEWHERE),
        (r"has not been used in project|(api|service) (is|it is) (disabled|not enabled)", Problem.API_DISABLED),
        (r"insufficient authentication scopes", Problem.SCOPES),
        (r"(location|country).*not (supported|available)|not (supported|available) in your country", Problem.COUNTRY),
        (r"vpc service controls|organization'?s? policy|constraints?/", Problem.POLICY),
        (r"prepayment|credits are depleted", Problem.CREDITS),
        (r"has been suspended", Problem.SUSPENDED),
        (r"is no longer available", Problem.RETIRED),
        (r"the requested url \S+ was not found on this server", Problem.NOTHING_THERE),
    )
)

_REFUSALS = {
    Refusal.BILLING: Problem.BILLING,
    Refusal.BAD_KEY: Problem.LOGIN_REFUSED,
    Refusal.PERMISSION: Problem.PERMISSION,
    Refusal.NO_MODEL: Problem.NO_MODEL,
}


def diagnose(status: int, body: Any, target: CheckTarget) -> Problem | None:
    """The problem in an HTTP answer to a free request; None if nothing is wrong. Never raises, whatever the body."""
    message = verdicts.message_of(body)
    if status == 200:
        return None
    if 300 <= status < 400:
        return Problem.REDIRECTED
    if message.lstrip().startswith("<"):  # an HTML page: Google's APIs never answer with one
        return Problem.NOTHING_THERE if status == 404 else Problem.AWAY if status >= 500 else Problem.NOT_GOOGLE
    for reason in verdicts.reasons_of(body):
        if reason in _BY_REASON:
            return _BY_REASON[reason]
    for words, problem in _BY_WORDS:
        if words.search(message.lower()):
            return problem
    if status == 404 and not _is_api_error(body):  # from a gateway or proxy: Google's API names what it did not find
        return Problem.NOTHING_THERE
    if target.backend == "vertex" and _is_about_the_operation(status, message):
        return None
    return _by_status(status, body, message)


def _is_api_error(body: Any) -> bool:
    """True if `body` has the form of Google's API errors. The SDK turns any other body into `message` and `status`."""
    first = body[0] if isinstance(body, list) and body else body
    return isinstance(first, Mapping) and "error" in first


def _is_about_the_operation(status: int, message: str) -> bool:
    """True if Vertex AI only complains about the operation, which cannot exist.

    Google does not document its answer for an unknown operation. Any 404 that is not about the model, project or
    region counts, and any 400 about an operation.
    """
    words = re.sub(r"\S*/\S*", "", message.lower())  # without resource names, which contain these words
    if status == 404:
        return not re.search(r"\b(model|project|location|region)\b", words)
    return status == 400 and ("operation" in words or "interaction" in words)


def _by_status(status: int, body: Any, message: str) -> Problem:
    if status >= 500:
        return Problem.AWAY
    refusal = verdicts.from_answer(status, body).refusal
    if status == 429:
        problems = {Refusal.NO_ACCESS: Problem.NO_QUOTA, Refusal.BILLING: Problem.BILLING}
        return problems.get(refusal or Refusal.UNKNOWN, Problem.BUSY)
    if status == 402:
        return Problem.CREDITS
    if status == 403 and re.search(r"permission denied on resource project", message.lower()):
        return Problem.PERMISSION
    if refusal is Refusal.NO_ACCESS:
        return Problem.PRECONDITION
    return _REFUSALS.get(refusal, Problem.UNKNOWN) if refusal is not None else Problem.UNKNOWN
