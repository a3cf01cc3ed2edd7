"""OpenAI's Videos API: its requests read into prompts, its answers from the state of a job. Models have Google's names.

The shapes are those of openai-python 3.57 (`openai.types.Video`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from aveo3.config.catalog import Catalog
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.models import VideoPrompt, explain
from aveo3.server.door import omni_answers, veo_answers
from aveo3.server.door.google_errors import Refused, invalid
from aveo3.server.door.standing import is_waiting
from aveo3.server.door.veo_requests import Order

RESOURCE = "videos"
"""The resource of requests that came this way."""

PREFIX = "video_"
"""What the id of a video begins with."""

SIZES: Mapping[str, tuple[str, str]] = {
    "1280x720": ("16:9", "720p"),
    "720x1280": ("9:16", "720p"),
    "1920x1080": ("16:9", "1080p"),
    "1080x1920": ("9:16", "1080p"),
    "3840x2160": ("16:9", "4k"),
    "2160x3840": ("9:16", "4k"),
    "640x360": ("16:9", "360p"),
    "360x640": ("9:16", "360p"),
}

_FIELDS = ("prompt", "model", "seconds", "size", "input_reference")

_TYPES = {401: "authentication_error", 429: "rate_limit_error", 402: "insufficient_quota", 403: "permission_error"}
_CODES = {401: "invalid_api_key", 402: "insufficient_quota", 404: "not_found", 429: "rate_limit_exceeded"}


def read_order(fields: Mapping[str, Any], catalog: Catalog, default_model: str, *, fetches: bool = False) -> Order:
    """What the `fields` of a request order. `input_reference` is a picture: bytes, or its `data:` URL; where the server
    `fetches` media, an `https://` address, too.

    Raises `Refused` with a 400.
    """
    for name, value in fields.items():
        if name not in _FIELDS and value is not None:
            raise invalid(f"Unknown parameter: '{name:.80}'. This server knows {', '.join(_FIELDS)}.")
    model = fields.get("model") or default_model
    given: dict[str, Any] = {"text": fields.get("prompt") or "", "model": model}
    if not isinstance(given["text"], str) or not isinstance(model, str):
        raise invalid("'prompt' and 'model' must be texts.")
    if (seconds := fields.get("seconds")) is not None:
        given["duration_seconds"] = seconds
    if (size := fields.get("size")) is not None:
        if size not in SIZES:
            raise invalid(f"Invalid size '{size!s:.40}': choose {', '.join(SIZES)}.")
        given["aspect_ratio"], given["resolution"] = SIZES[size]
    if (picture := fields.get("input_reference")) is not None:
        if fetches and isinstance(picture, str) and picture.startswith("https://"):
            picture = {"uri": picture, "mime_type": "image/png"}  # it goes out as what it is
        elif not isinstance(picture, bytes) and not (isinstance(picture, str) and picture.startswith("data:")):
            raise invalid("'input_reference' must be a picture, uploaded or as a data: URL; no address is opened.")
        given["image"] = picture
    try:
        prompt = VideoPrompt.model_validate(given)
    except ValidationError as error:
        raise invalid("; ".join(in_wire_names(sentence) for sentence in explain(error))) from None
    is_omni = catalog.is_omni(prompt.model or "")
    return Order(prompt, is_interaction=is_omni, in_wire_names=in_wire_names)


def in_wire_names(sentence: str) -> str:
    """A sentence about fields of a prompt, with the names that they have on the wire."""
    return sentence.replace("duration_seconds", "seconds").replace("resolution=", "size: resolution=")


def video(request: Request, record: JobRecord, catalog: Catalog, *, busy: bool, elapsed: float) -> dict[str, Any]:
    """The video object of a request. `elapsed`: the share of the usual time that its operation has run, from 0 to 1."""
    prompt, card = record.prompt, catalog.models.get(record.model)
    shape = prompt.get("aspect_ratio") or "16:9", prompt.get("resolution") or (card and card.default_resolution)
    seconds = prompt.get("duration_seconds") or (card.default_duration if card is not None else 8)
    told: dict[str, Any] = {
        "id": PREFIX + request.door_name,
        "object": "video",
        "model": record.model,
        "status": "in_progress",
        "progress": min(99, round(100 * elapsed)),
        "created_at": int(record.queued_utc.timestamp()),
        "completed_at": None,
        "expires_at": None,
        "prompt": prompt.get("text", ""),
        "seconds": f"{seconds:g}",
        "size": next((size for size, each in SIZES.items() if each == shape), "1280x720"),
        "error": None,
        "remixed_from_video_id": None,
    }
    if is_waiting(record):
        return {**told, "status": "queued", "progress": 0}
    if not veo_answers.ended(record, busy=busy):
        return told
    ended = record.fetched_utc or record.finished_utc
    if record.state is State.SUCCEEDED:
        return {**told, "status": "completed", "progress": 100, "completed_at": ended and int(ended.timestamp())}
    error = veo_answers.error(record)
    if error is None:
        why = {"code": "moderation_blocked", "message": record.error_message or "held back by a safety filter"}
    else:
        why = {"code": omni_answers.word_of(error["code"]), "message": error["message"]}
    return {**told, "status": "failed", "error": why}


def worded(refused: Refused) -> dict[str, Any]:
    """The body of a refusal as OpenAI writes it."""
    kind = _TYPES.get(refused.code, "server_error" if refused.code >= 500 else "invalid_request_error")
    return {"error": {"message": refused.message, "type": kind, "param": None, "code": _CODES.get(refused.code)}}
