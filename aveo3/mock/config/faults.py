"""The faults: what can go wrong, at which point, and which requests are struck. `http.fault_effects` performs them.

A fault is written NAME[:RATE][@HITS]. `drop-after:0.05` strikes one accepted submit in twenty, `503@1,4-6` strikes the
first submit and the fourth to sixth, `poll-500:0.5@1-10` strikes half of the first ten polls, `bad-key` strikes every
submit. RATE is a probability. HITS start at 1 and count only the requests that this fault could strike; each fault has
its own count.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field, field_validator, model_validator

from aveo3.mock.config.validation import Strict, unknown


class Point(StrEnum):
    """Where a fault strikes. Before `ACCEPTED` nothing exists and nothing is billed; after it money may be owed.

    A check is a GET of a model, or a poll of an operation that does not exist.
    """

    SUBMIT = "each submit, before anything is created, and each check"
    ACCEPTED = "each submit that has just been accepted"
    OUTCOME = "each accepted operation: how it ends"
    POLL = "each poll of an operation that exists"
    DOWNLOAD = "each request for a film's bytes"
    CREATE = "each create of an interaction, before anything exists"
    ENDING = "each accepted interaction: how it ends"
    INTERACTION_POLL = "each poll of an interaction"
    STORAGE = "each request to Cloud Storage, except for a film's bytes"
    QUOTA_LIST = "each list of a project's quotas"


OF_INTERACTIONS = frozenset({Point.CREATE, Point.ENDING, Point.INTERACTION_POLL})
"""Points of interactions only. The faults of SUBMIT, ACCEPTED, OUTCOME and POLL strike interactions too."""

OF_NO_CLIP = frozenset({Point.QUOTA_LIST})
"""Points of requests that are about no clip."""

_TABLE = {
    Point.SUBMIT: {
        "drop-before": "the connection is cut without an answer; nothing was created",
        "timeout-before": "no answer for `hang` seconds; nothing was created",
        "500-before": "500 INTERNAL with a google.rpc status; nothing was created",
        "500-bare": "500 with an HTML page; nothing was created",
        "502-before": "502 with an HTML page from a proxy; nothing was created",
        "503": "503 UNAVAILABLE, the model is overloaded; nothing was created",
        "503-bare": "503 with an HTML page; nothing was created",
        "504-before": "504 DEADLINE_EXCEEDED; nothing was created",
        "overloaded": "429 for shared capacity, without details",
        "redirect": "307 to the same address (or to `redirect_to`); a client that follows sends the request again",
        "bad-key": "400 API_KEY_INVALID",
        "country": "400 FAILED_PRECONDITION: enable billing",
        "billing": "402: the prepaid credits are used up",
        "prepaid": "429 with the text of the 402, as Google answered in the past",
        "permission": "403 PERMISSION_DENIED",
        "key-blocked": "403 API_KEY_SERVICE_BLOCKED: the key is restricted to other APIs",
        "api-disabled": "403 SERVICE_DISABLED, with the link that enables the API",
        "no-billing": "403 BILLING_DISABLED: the project has no billing account",
        "no-access": "429 with limit 0: the project has no quota for this model",
    },
    Point.ACCEPTED: {
        "drop-after": "accepted, then the connection is cut without an answer",
        "timeout-after": "accepted, then no answer for `hang` seconds",
        "500-after": "accepted, but the answer is 500 INTERNAL",
        "502-after": "accepted, but the answer is 502 with an HTML page",
        "503-after": "accepted, but the answer is 503 UNAVAILABLE",
        "504-after": "accepted, but the answer is 504 DEADLINE_EXCEEDED",
        "array-after": "accepted, but the answer is 500 with the error inside a list",
        "truncated-after": "accepted, but the body of the 200 ends halfway",
        "nameless-after": "accepted, but the 200 has no operation name",
        "garbage-after": "accepted, but the 200 is not JSON",
    },
    Point.OUTCOME: {
        "partial": "half of the samples are filtered (a single sample always is); the rest is billed",
        "filtered-audio": "filtered for its audio, with `You have not been charged`; not billed",
        "filtered-safety": "filtered with a support code; not billed",
        "filtered-input": "error code 3, the prompt violates the guidelines; not billed",
        "error-8": "error code 8, high load; not billed",
        "error-13": "error code 13, internal; not billed",
        "error-14": "error code 14, unavailable; not billed",
        "empty": "done, with `response: {}`; not billed",
        "empty-done": "done, with no other field; not billed",
        "slow": "succeeds after ten times as long",
        "stuck": "never ends",
    },
    Point.POLL: {
        "poll-500": "500 INTERNAL",
        "poll-503": "503 UNAVAILABLE",
        "poll-429": "429 for shared capacity, without details",
        "poll-404": "404, as if the operation were unknown; the next poll can succeed",
        "poll-drop": "the connection is cut without an answer",
        "poll-hang": "no answer for `hang` seconds",
        "poll-pending": "still running, even if the operation is done",
        "poll-garbage": "200 that is not JSON",
    },
    Point.DOWNLOAD: {
        "download-500": "500 INTERNAL",
        "download-503": "503 UNAVAILABLE",
        "download-403": "403, as for an expired file or a missing permission",
        "download-404": "404",
        "download-drop": "the connection is cut halfway through",
        "download-stall": "half of the bytes, then nothing for `hang` seconds",
        "download-slow": "ten pieces, one per emulator second",
        "download-length": "Content-Length is 1000 bytes more than the body",
        "download-cut": "half of the film with a matching Content-Length: only the MP4 shows the loss",
        "download-no-range": "Range is ignored: 200 with the whole film",
    },
    Point.CREATE: {
        "late-429": "200 with an id, but every poll of it gets 429 too_many_requests; nothing was created",
    },
    Point.ENDING: {
        "failed-error": "failed, with the reason in `error`; not billed",
        "failed-step": "failed, with the reason in the `error` of a step; not billed",
        "failed-mute": "failed, without a reason; not billed",
        "incomplete": "status incomplete, without a video; not billed",
        "over-budget": "status budget_exceeded, without a video; not billed",
        "odd-status": "an undocumented status, without a video; not billed",
        "unread": "completed and billed, but the video is in a block of an unknown type",
        "unshown": "completed and billed, but the answer has neither video nor usage; a bucket has the video",
        "file-failed": "completed and billed, but the file ends as FAILED",
    },
    Point.INTERACTION_POLL: {
        "poll-400": "400, as if the credentials were wrong; the next poll can succeed",
        "poll-array": "500 with the error inside a list",
        "poll-nameless": "200 with neither id nor status",
        "poll-queued": "status queued, even if the interaction is done",
        "poll-inline": "the video inline, even if the request asked for a URI",
    },
    Point.STORAGE: {
        "storage-503": "503 backendError",
        "storage-403": "403 forbidden: the caller lacks the role",
        "storage-404": "404, as if the object did not exist; the next request can succeed",
        "storage-drop": "the connection is cut without an answer",
    },
    Point.QUOTA_LIST: {
        "quota-403": "403 PERMISSION_DENIED: the caller may not read quotas",
        "quota-disabled": "403 SERVICE_DISABLED, with the link that enables the API",
        "quota-404": "404 NOT_FOUND, as for an unknown project",
        "quota-429": "429: too many requests for quotas",
        "quota-503": "503 UNAVAILABLE",
        "quota-drop": "the connection is cut without an answer",
        "quota-hang": "no answer for `hang` seconds",
        "quota-garbage": "200 that is not JSON",
        "quota-odd": "200 with JSON that is no list of quotas in any part",
        "quota-endless": "200 whose page is always followed by the same page",
    },
}

FAULTS = {name: (point, effect) for point, names in _TABLE.items() for name, effect in names.items()}
"""Every fault by name: the point where it strikes, and its effect."""

_SHAPE = "Write NAME[:RATE][@HITS], for example drop-after, 503:0.05 or poll-500@1,4-6."


class Fault(Strict):
    """One fault, with the probability and the request numbers at which it strikes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="one of FAULTS")
    rate: float = Field(default=1.0, ge=0, le=1, description="probability for each request that the fault could strike")
    hits: tuple[tuple[int, int], ...] = Field(
        default=(), description="ranges (first, last) of request numbers, from 1; (): all"
    )

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in FAULTS:
            raise ValueError(unknown(name, FAULTS, "fault"))
        return name

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return cls.parse(value).model_dump() if isinstance(value, str) else value

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Parse NAME[:RATE][@HITS]. Raises ValueError with the wrong part and the allowed values."""
        head, at, hits = text.partition("@")
        name, colon, rate = head.partition(":")
        if name not in FAULTS:
            raise ValueError(f"{unknown(name, FAULTS, 'fault')} {_SHAPE}")
        try:
            probability = float(rate) if colon else 1.0
        except ValueError:
            probability = -1.0
        if not 0 <= probability <= 1:
            raise ValueError(f"fault {text!r}: the rate {rate!r} is not a probability from 0 to 1. {_SHAPE}")
        try:
            ranges = tuple(_range(part) for part in hits.split(",")) if at else ()
        except ValueError:
            raise ValueError(f"fault {text!r}: the hits {hits!r} are not numbers or ranges from 1. {_SHAPE}") from None
        return cls(name=name, rate=probability, hits=ranges)

    @property
    def point(self) -> Point:
        return FAULTS[self.name][0]

    def __str__(self) -> str:
        rate = f":{self.rate:g}" if self.rate != 1 else ""
        hits = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in self.hits)
        return f"{self.name}{rate}{'@' + hits if hits else ''}"


def _range(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    first, last = int(low), int(high) if dash else int(low)
    if not 1 <= first <= last:
        raise ValueError(text)
    return first, last


@dataclass(slots=True)
class _Plan:
    fault: Fault
    rng: random.Random
    count: int = 0

    def strikes(self) -> bool:
        self.count += 1
        # Draw even if `hits` excludes this request: then adding hits does not change the other draws.
        lucky = self.rng.random() < self.fault.rate
        return lucky and (not self.fault.hits or any(low <= self.count <= high for low, high in self.fault.hits))


class Faults:
    """Decides which fault strikes a request. Each fault has its own count and its own generator, seeded by `seed`."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._plans = [
            _Plan(fault, random.Random(f"{seed}/{place}/{fault.name}")) for place, fault in enumerate(faults)
        ]

    def strike(self, *points: Point) -> str | None:
        """Return the name of the fault that strikes this request, or None. If several strike, the first listed wins."""
        struck = [plan.fault.name for plan in self._plans if plan.fault.point in points and plan.strikes()]
        return struck[0] if struck else None
