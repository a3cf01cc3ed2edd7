"""What the answer to a free call to Google says is wrong with credentials, project or model. Pure.

What that means, and what to do, is told by `remedies`. Reasons in one word are those of google/api/error_reason.proto;
the sentences they are told by otherwise are ones that users pasted (python-genai#1404 and #2079, hermes-agent#114335,
gemini-cli#1614) or that stand in Google's documentation of errors (2026-09-20).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aveo3 import verdicts
from aveo3.verdicts import Refusal
from aveo3.verdicts.problems import Asked, Problem

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


def diagnose(status: int, body: Any, asked: Asked) -> Problem | None:
    """What an HTTP answer to a free call says is wrong; None if everything answers. Never raises, whatever the body."""
    message = verdicts.message_of(body)
    if status == 200:
        return None
    if 300 <= status < 400:
        return Problem.REDIRECTED
    if message.lstrip().startswith("<"):  # a page: what Google has to say of a call is never one
        return Problem.NOTHING_THERE if status == 404 else Problem.AWAY if status >= 500 else Problem.NOT_GOOGLE
    for reason in verdicts.reasons_of(body):
        if reason in _BY_REASON:
            return _BY_REASON[reason]
    for words, problem in _BY_WORDS:
        if words.search(message.lower()):
            return problem
    if status == 404 and not _is_an_error(body):  # a gateway's, or a proxy's: an API says what it does not find
        return Problem.NOTHING_THERE
    if asked.backend == "vertex" and _speaks_of_the_operation(status, message):
        return None
    return _by_status(status, body, message)


def _is_an_error(body: Any) -> bool:
    """True if a body is an error as Google's APIs write it. What is none the SDK hands on as `message` and `status`."""
    first = body[0] if isinstance(body, list) and body else body
    return isinstance(first, Mapping) and "error" in first


def _speaks_of_the_operation(status: int, message: str) -> bool:
    """True if all that Vertex AI finds fault with is the operation that it was asked for, which cannot exist.

    What it says of one that it does not know is documented nowhere: any 404 that is not about the model will do, and a
    400 about an operation.
    """
    said = re.sub(r"\S*/\S*", "", message.lower())  # names of resources: they hold the words that are looked for
    if status == 404:
        return not re.search(r"\b(model|project|location|region)\b", said)
    return status == 400 and "operation" in said


def _by_status(status: int, body: Any, message: str) -> Problem:
    if status >= 500:
        return Problem.AWAY
    refusal = verdicts.from_answer(status, body).refusal
    if status == 429:
        known = {Refusal.NO_ACCESS: Problem.NO_QUOTA, Refusal.BILLING: Problem.BILLING}
        return known.get(refusal or Refusal.UNKNOWN, Problem.BUSY)
    if status == 402:
        return Problem.CREDITS
    if status == 403 and re.search(r"permission denied on resource project", message.lower()):
        return Problem.PERMISSION
    if refusal is Refusal.NO_ACCESS:
        return Problem.PRECONDITION
    return _REFUSALS.get(refusal, Problem.UNKNOWN) if refusal is not None else Problem.UNKNOWN
