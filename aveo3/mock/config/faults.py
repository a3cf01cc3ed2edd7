"""What can go wrong, where, and when it strikes; the acting out is `effects`'s part.

A fault is written NAME[:RATE][@HITS]: `drop-after:0.05` strikes one accepted submit in twenty, `503@1,4-6` the first
and the fourth to sixth, `poll-500:0.5@1-10` half of the first ten polls, `bad-key` all. RATE is a probability; HITS are
1-based and count only the requests that the fault could strike, each fault by itself.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from aveo3.mock.config.validation import unknown


class Point(StrEnum):
    """Where a fault strikes. Before `ACCEPTED` nothing exists and nothing is owed; after it money may be.

    A check is a look at a model, or a poll of an operation that does not exist.
    """

    SUBMIT = "each submit, before anything is created; and each check"
    ACCEPTED = "each submit that has just been accepted"
    OUTCOME = "each accepted operation: how it ends"
    POLL = "each poll of an operation that exists"
    DOWNLOAD = "each request for a film's bytes"
    CREATE = "each create of an interaction, before anything exists"
    ENDING = "each accepted interaction: how it ends"
    LOOK = "each poll of an interaction"
    STORAGE = "each request to Cloud Storage, except for a film's bytes"


OF_INTERACTIONS = frozenset({Point.CREATE, Point.ENDING, Point.LOOK})
"""These strike nothing of Veo's; an interaction is struck by them and by what strikes a submit, operation or poll."""

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
        "overloaded": "429 for shared capacity, without any detail",
        "redirect": "307 to itself (or `redirect_to`): who follows sends the request again",
        "bad-key": "400 API_KEY_INVALID",
        "country": "400 FAILED_PRECONDITION, enable billing",
        "billing": "402, prepaid credits are depleted",
        "prepaid": "429 with the text of 402, as it used to be",
        "permission": "403 PERMISSION_DENIED",
        "key-blocked": "403 API_KEY_SERVICE_BLOCKED: the key is one for other APIs",
        "api-disabled": "403 SERVICE_DISABLED, with the link that enables the API",
        "no-billing": "403 BILLING_DISABLED: the project has no billing account",
        "no-access": "429 with limit 0: this project may not use the model",
    },
    Point.ACCEPTED: {
        "drop-after": "accepted, then the connection is cut without an answer",
        "timeout-after": "accepted, then no answer for `hang` seconds",
        "500-after": "accepted, but the answer is 500 INTERNAL",
        "502-after": "accepted, but the answer is 502 with an HTML page",
        "503-after": "accepted, but the answer is 503 UNAVAILABLE",
        "504-after": "accepted, but the answer is 504 DEADLINE_EXCEEDED",
        "array-after": "accepted, but the answer is 500 with the error inside a list",
        "truncated-after": "accepted, but the 200 breaks off halfway",
        "nameless-after": "accepted, but the 200 has no name",
        "garbage-after": "accepted, but the 200 is not JSON",
    },
    Point.OUTCOME: {
        "partial": "half of the samples are filtered (a single one is); the rest is billed",
        "filtered-audio": "filtered for its audio: `You have not been charged`",
        "filtered-safety": "filtered with a support code; not billed",
        "filtered-input": "error code 3, the prompt violates the guidelines; not billed",
        "error-8": "error code 8, high load; not billed",
        "error-13": "error code 13, internal; not billed",
        "error-14": "error code 14, unavailable; not billed",
        "empty": "done with `response: {}`; not billed",
        "empty-done": "done, and nothing else; not billed",
        "slow": "succeeds after ten times as long",
        "stuck": "never ends",
    },
    Point.POLL: {
        "poll-500": "500 INTERNAL",
        "poll-503": "503 UNAVAILABLE",
        "poll-429": "429 for shared capacity, without any detail",
        "poll-404": "404, as if the operation were unknown; the next poll finds it again",
        "poll-drop": "the connection is cut without an answer",
        "poll-hang": "no answer for `hang` seconds",
        "poll-pending": "still running, even if it is done",
        "poll-garbage": "200 that is not JSON",
    },
    Point.DOWNLOAD: {
        "download-500": "500 INTERNAL",
        "download-503": "503 UNAVAILABLE",
        "download-403": "403, as for a file that has expired or may not be read",
        "download-404": "404",
        "download-drop": "the connection is cut halfway through",
        "download-stall": "half of the bytes, then silence for `hang` seconds",
        "download-slow": "ten pieces, one per emulator second",
        "download-length": "Content-Length promises 1000 bytes more than come",
        "download-cut": "half of the film, with a Content-Length that agrees: only the MP4 itself tells",
        "download-no-range": "Range is ignored: 200 with the whole film",
    },
    Point.CREATE: {
        "late-429": "200 with an id, but every poll of it answers 429 too_many_requests; nothing was created",
    },
    Point.ENDING: {
        "failed-error": "failed, and why stands in `error`; not billed",
        "failed-step": "failed, and why stands in the `error` of a step; not billed",
        "failed-mute": "failed, and nothing says why; not billed",
        "incomplete": "status incomplete, without a video; not billed",
        "over-budget": "status budget_exceeded, without a video; not billed",
        "odd-status": "a status that nobody knows, without a video; not billed",
        "unread": "completed and billed, but its video is in a block of an unknown type",
        "file-failed": "completed and billed, but its file ends as FAILED",
    },
    Point.LOOK: {
        "poll-400": "400, as if the credentials were wrong; the next poll finds it again",
        "poll-array": "500 with the error inside a list",
        "poll-nameless": "200 with neither id nor status",
        "poll-queued": "status queued, even if it is done",
        "poll-inline": "the video itself, even if its URI was asked for",
    },
    Point.STORAGE: {
        "storage-503": "503 backendError",
        "storage-403": "403 forbidden: the role is missing",
        "storage-404": "404, as if nothing had been written there; the next request finds it",
        "storage-drop": "the connection is cut without an answer",
    },
}

FAULTS = {name: (point, does) for point, names in _TABLE.items() for name, does in names.items()}
"""Every fault: where it strikes, and what it does."""

_SHAPE = "Write NAME[:RATE][@HITS], for example drop-after, 503:0.05 or poll-500@1,4-6."


class Fault(BaseModel):
    """One thing that goes wrong: which, how often, and to which of the requests it could strike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="one of FAULTS")
    rate: float = Field(default=1.0, ge=0, le=1, description="probability, for each request it could strike")
    hits: tuple[tuple[int, int], ...] = Field(
        default=(), description="first and last of the requests it may strike, from 1; (): all"
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
        """Read NAME[:RATE][@HITS]. Raises ValueError with a sentence that says what is wrong and what is allowed."""
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
            raise ValueError(f"fault {text!r}: {hits!r} are not numbers from 1 or ranges of them. {_SHAPE}") from None
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
    seen: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        # Drawn even where `hits` already says no, so that adding hits does not move the other strikes.
        lucky = self.rng.random() < self.fault.rate
        return lucky and (not self.fault.hits or any(low <= self.seen <= high for low, high in self.fault.hits))


class Faults:
    """Decides which request is struck by what. Each fault has its own count and its own dice, drawn from the seed."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._plans = [
            _Plan(fault, random.Random(f"{seed}/{place}/{fault.name}")) for place, fault in enumerate(faults)
        ]

    def strike(self, *points: Point) -> str | None:
        """The name of the fault that hits this request, if any; of several the one listed first."""
        struck = [plan.fault.name for plan in self._plans if plan.fault.point in points and plan.strikes()]
        return struck[0] if struck else None
