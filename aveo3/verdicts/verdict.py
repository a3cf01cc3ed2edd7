"""The verdict: the result of one submit, and what it means for the gate and the job. Values only.

This split keeps a clip from being paid twice (API errors page, read 2026-09-20):

    accepted      an operation exists; from now on money may be owed
    refused       "not now" (429 and kin): nothing was created, nothing is owed, the whole lane waits
    rejected      this request can never work: nothing was created, nothing is owed
    unavailable   provably not created, for a temporary reason (no connection, 503 with a status, a redirect)
    uncertain     sent, and the answer does not prove that nothing was created: never sent again automatically

`verdicts.submit` maps Google's answers to these.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aveo3._visible import visible

LONGEST_NAME = 2_000
"""Characters of an operation's name. Google's have some 150."""


class VerdictKind(StrEnum):
    """The result of a submit."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    UNCERTAIN = "uncertain"


class Refusal(StrEnum):
    """Which rule refused. Ordered by the wait they need: the last one that applies wins."""

    QUEUE = "queue_full"  # an `aveo3 serve` queues no more requests of this caller now
    BUDGET = "server_budget"  # the request does not fit into a budget of an `aveo3 serve`
    UNKNOWN = "shared_capacity"
    CONCURRENT = "concurrent"
    MINUTE = "minute_quota"
    SPEND = "spend_limit"
    DAY = "daily_quota"
    # Those below close the lane for good: another request is pointless until a person changes something.
    NO_ACCESS = "no_access"
    BILLING = "billing"
    BAD_KEY = "bad_key"
    PERMISSION = "permission"
    NO_MODEL = "model_not_found"

    @property
    def for_good(self) -> bool:
        """True if no later request can succeed until a person acts: see `advice`."""
        return self in _ADVICE

    @property
    def advice(self) -> str:
        """What a person must do before the lane can be used again; empty if waiting is enough."""
        return _ADVICE.get(self, "")


_ADVICE = {
    Refusal.NO_ACCESS: "this project has no quota for the model here: ask Google for some, or use another model",
    Refusal.BILLING: "check the project's billing account in the Google Cloud console",
    Refusal.BAD_KEY: (
        "check the credentials: a key of the Gemini Developer API does not work for Vertex AI, nor the reverse, and "
        "a project needs `gcloud auth application-default login` or a service account instead of a key"
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
    """The result of one submit, with what the gate and the job need to know about it."""

    kind: VerdictKind
    message: str = ""
    operation: str | None = None  # accepted: the name to poll
    refusal: Refusal | None = None
    retry_after: float | None = None  # seconds to wait, from the answer
    limit: int | None = None  # the quota's value, if a per-minute refusal names it
    filtered: bool = False  # rejected by a safety filter rather than for its form
    unsent: bool = False  # the request provably never reached the service: it used up no quota
    status: int | None = None  # HTTP
    not_google: bool = False  # a proxy or firewall answered in place of Google

    def __post_init__(self) -> None:
        if not self.message.isprintable():  # others wrote it, and logs, terminals and files show it
            object.__setattr__(self, "message", visible(self.message))

    @property
    def error_kind(self) -> str:
        """The cause in one word, as in `VideoClip.error_kind`."""
        if self.refusal is not None:
            return self.refusal.value
        if self.not_google and self.kind is not VerdictKind.UNCERTAIN:
            return "not_google"
        return "safety" if self.filtered else _ERROR_KINDS[self.kind]


_ERROR_KINDS = {
    VerdictKind.ACCEPTED: "accepted",
    VerdictKind.REFUSED: "refused",
    VerdictKind.REJECTED: "bad_request",
    VerdictKind.UNAVAILABLE: "unavailable",
    VerdictKind.UNCERTAIN: "answer_lost",
}


def accepted(operation: str | None) -> Verdict:
    """The verdict on a 200 answer: accepted if it names an operation, uncertain if the name is missing."""
    if not operation:
        return uncertain("the answer was 200 but named no operation: a video may be under way and billed")
    if len(operation) > LONGEST_NAME or not operation.isprintable():
        return uncertain(
            f"the answer was 200, but no operation has such a name ({len(operation):,} characters): a video may be "
            f"under way and billed. It begins with {operation[:100]!r}"
        )
    return Verdict(VerdictKind.ACCEPTED, operation=operation)


def unsent(why: str) -> Verdict:
    """The verdict on a request that never left this machine, because there was no connection."""
    return Verdict(VerdictKind.UNAVAILABLE, f"nothing was sent: {why}", unsent=True)


def uncertain(why: str, status: int | None = None) -> Verdict:
    """The verdict on a request that was sent, and whose answer was lost or proves nothing."""
    return Verdict(VerdictKind.UNCERTAIN, why, status=status)


def rejected(why: str, *, filtered: bool = False, status: int | None = None) -> Verdict:
    """The verdict on a request that can never work."""
    return Verdict(VerdictKind.REJECTED, why, filtered=filtered, status=status)
