"""The operation that a caller polls, from the state of its job. Ends are told in Google's words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from aveo3.engine.job import PARTLY_FILTERED
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import UNSENT, State
from aveo3.server.door.standing import WITHDRAWN, has_ended, is_waiting

DEVELOPER, VERTEX = "developer", "vertex"

CLOSED = "Google takes nothing from this server now: whoever runs it must mend that first. The request waits."
"""What is told of a request while every lane for it is closed."""

_VERTEX_RESPONSE = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
_DEVELOPER_RESPONSE = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
_METADATA = "type.googleapis.com/aveo3.OperationMetadata"

_CODE = re.compile(r"(?s)(.*) \(code (-?\d{1,3})\)( \(after \d+ retries\))?$")
"""How a clip's message ends if the operation ended with an error: the code of google.rpc."""

_PERMISSION = frozenset({"permission", "bad_key", "no_access", "model_not_found", "billing"})


@dataclass(frozen=True, slots=True)
class Turn:
    """When a request will be sent: its place in the queue, from 1, and the seconds until then."""

    place: int
    seconds: float


def name_of(request: Request) -> str:
    """The name of the operation of `request`, as its caller has got it."""
    return f"{request.resource}/operations/{request.door_name}"


def surface_of(request: Request) -> str:
    """Which of Google's APIs `request` came through."""
    return DEVELOPER if request.resource.startswith("models/") else VERTEX


def metadata(record: JobRecord, *, turn: Turn | None, now_utc: datetime, median: float) -> dict[str, Any]:
    """What is told of a request that has not ended: its state, its place in the queue, its expected end.

    `median` is the usual time from submit to end in seconds.
    """
    told: dict[str, Any] = {"@type": _METADATA, "createTime": time_of(record.queued_utc)}
    ends: datetime | None = None
    if is_waiting(record):
        told |= {"state": "waiting", "place": turn.place if turn is not None else 1}
        if turn is None or isfinite(turn.seconds):
            starts = now_utc + timedelta(seconds=turn.seconds if turn is not None else 0.0)
            told["expectedStartTime"] = time_of(starts)
            ends = starts + timedelta(seconds=median)
        else:
            told["message"] = CLOSED
        if record.attempts and record.error_message:
            told["message"] = record.error_message
    else:
        told["state"] = "searching" if record.state is State.UNCERTAIN else record.state.value
        if record.submitted_utc is not None:
            told["startTime"] = time_of(record.submitted_utc)
            ends = max(now_utc, record.submitted_utc + timedelta(seconds=median))
    if ends is not None:
        told["expectedEndTime"] = time_of(ends)
    return told


def ended(record: JobRecord, *, busy: bool) -> bool:
    """True if the operation is done for its caller; see `has_ended`."""
    return has_ended(record, busy=busy)


def error(record: JobRecord) -> dict[str, Any] | None:
    """The `error` (google.rpc.Status) of an ended operation; None if it ended with videos or a safety filter's reasons.

    An operation's own error keeps its code and words. An end that only aveo3 knows gets the code that fits.
    """
    message = record.error_message or record.state.value
    if record.state in (State.FILTERED, State.REJECTED, State.FAILED) and (told := _CODE.fullmatch(message)):
        return {"code": int(told[2]), "message": told[1]}
    if record.state in (State.SUCCEEDED, State.FILTERED):
        return None
    return {"code": _code_of(record), "message": message}


def _code_of(record: JobRecord) -> int:
    if record.state is State.CANCELLED:
        return 1
    if record.state is State.UNCERTAIN:
        return 2  # UNKNOWN: it may be billed
    if record.state is State.REJECTED:
        return 3
    if record.error_kind in _PERMISSION:
        return 7
    return 8 if record.state in UNSENT else 14


def response(request: Request, record: JobRecord, videos: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The `response` of an operation that ended with `videos`, or was filtered, in the form of its surface."""
    filtered: dict[str, Any] = {}
    if record.state is State.FILTERED:
        filtered = _filtered(int(record.prompt.get("number_of_videos", 1)), record)
    elif record.error_kind == PARTLY_FILTERED:
        filtered = _filtered(max(1, int(record.prompt.get("number_of_videos", 1)) - len(videos)), record)
    if surface_of(request) == DEVELOPER:
        inner = {**({"generatedSamples": [{"video": video} for video in videos]} if videos else {}), **filtered}
        return {"@type": _DEVELOPER_RESPONSE, "generateVideoResponse": inner}
    return {
        "@type": _VERTEX_RESPONSE,
        **(filtered or {"raiMediaFilteredCount": 0}),
        **({"videos": videos} if videos else {}),
    }


def _filtered(count: int, record: JobRecord) -> dict[str, Any]:
    message = record.error_message or "held back by a safety filter"
    reasons = [_HELD_BACK.sub("", message)]
    return {"raiMediaFilteredCount": count, "raiMediaFilteredReasons": reasons}


_HELD_BACK = re.compile(r"^\d+ held back: ")


def withdrawn(record: JobRecord) -> bool:
    """True if its caller has cancelled the request."""
    return record.state is State.CANCELLED and record.error_kind == WITHDRAWN


def time_of(instant: datetime) -> str:
    """An instant as Google writes it."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
