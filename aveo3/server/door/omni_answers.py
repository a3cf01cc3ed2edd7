"""The interaction that a caller polls, from the state of its job. Ends are told in Google's words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.server.door import veo_answers
from aveo3.server.door.google_errors import Refused
from aveo3.server.door.omni_requests import DELIVERY

_CODES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    409: "already_exists",
    413: "invalid_request",
    429: "too_many_requests",
    500: "api_error",
    503: "service_unavailable",
}
_WORDS = {
    1: "cancelled",
    3: "invalid_request",
    5: "not_found",
    7: "permission_denied",
    8: "too_many_requests",
    13: "api_error",
    14: "service_unavailable",
}
_TOLD = re.compile(r"^the model answered with text instead of a video: ")


def word_of(code: int) -> str:
    """The word for a code of google.rpc."""
    return _WORDS.get(code, "unknown")


def is_interaction(request: Request) -> bool:
    """True if `request` came through the Interactions API."""
    return request.resource.endswith("interactions")


def worded(refused: Refused) -> dict[str, Any]:
    """The body of a refusal in the form of the Gemini API's interactions: a code in words, no details."""
    return {"error": {"message": refused.message, "code": _CODES.get(refused.code, "api_error")}}


def wants_uri(record: JobRecord) -> bool:
    """True if the caller wants an address instead of the video itself."""
    metadata = record.prompt.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get(DELIVERY) == "uri"


def running(request: Request, record: JobRecord, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An interaction that has not ended."""
    body = {**_head(request, record, "in_progress"), "steps": [_user_input(record)]}
    return body if metadata is None else {**body, "metadata": metadata}


def accepted(request: Request, record: JobRecord) -> dict[str, Any]:
    """The answer to the create."""
    return _head(request, record, "in_progress")


def ended(request: Request, record: JobRecord, video: Mapping[str, Any] | None) -> dict[str, Any]:
    """An interaction that has ended: with `video`, or as its job says."""
    if video is not None:
        return {**_completed(request, record), "steps": [_user_input(record), _output(video)]}
    if (error := veo_answers.error(record)) is not None:
        status = "cancelled" if record.state is State.CANCELLED else "failed"
        told = {"code": word_of(error["code"]), "message": error["message"]}
        body = {**_head(request, record, status), "steps": [_user_input(record)]}
        return body if status == "cancelled" else {**body, "error": told, "errors": [told]}
    words = _TOLD.sub("", record.error_message or "")
    return {
        **_completed(request, record),
        "steps": [_user_input(record), _output({"type": "text", "text": words})],
    }


def gone(request: Request, record: JobRecord, message: str) -> dict[str, Any]:
    """An interaction whose video was made, and is not on this server any more."""
    told = {"code": "not_found", "message": message}
    return {**_head(request, record, "failed"), "steps": [_user_input(record)], "error": told, "errors": [told]}


def _head(request: Request, record: JobRecord, status: str) -> dict[str, Any]:
    updated = record.fetched_utc or record.finished_utc or record.submitted_utc or record.queued_utc
    labels = record.prompt.get("labels")
    return {
        "id": request.door_name,
        "status": status,
        "created": _time(record.queued_utc),
        "updated": _time(updated),
        "service_tier": record.prompt.get("service_tier") or "standard",
        "object": "interaction",
        "model": record.model,
        **({"labels": labels} if labels else {}),
    }


def _completed(request: Request, record: JobRecord) -> dict[str, Any]:
    head = _head(request, record, "completed")
    return {**head, "usage": record.usage} if record.usage else head


def _user_input(record: JobRecord) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": record.prompt.get("text", "")}]}


def _output(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "model_output", "content": [block]}


def _time(instant: Any) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
