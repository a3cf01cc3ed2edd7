"""The verdict: what one submit came to, and what that means for the gate and the job. Values only.

The split that keeps a clip from being paid twice (API errors page, read 2026-09-20):

    accepted      an operation exists; from here on money may be owed
    refused       "not now" (429 and kin): nothing was created, nothing is owed, the whole lane waits
    rejected      this request can never work: nothing was created, nothing is owed
    unavailable   provably not created, for reasons that pass (no connection, 503 with a status, a redirect)
    uncertain     sent, and the answer does not prove that nothing was created: never sent again by itself

`submit` tells which of them an answer of Google's is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    operation: str | None = None  # accepted: the name to poll
    refusal: Refusal | None = None
    retry_after: float | None = None  # seconds the answer asked to wait
    limit: int | None = None  # the quota's value, where a per-minute refusal names it
    filtered: bool = False  # rejected by a safety filter rather than for its form
    unsent: bool = False  # the request provably never reached the service: it used up no quota
    status: int | None = None  # HTTP
    not_google: bool = False  # a proxy or firewall answered in place of Google

    @property
    def error_kind(self) -> str:
        """The cause in one word, as it stands in `VideoClip.error_kind`."""
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
