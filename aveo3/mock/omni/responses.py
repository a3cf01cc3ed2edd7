"""Ids and response bodies of interactions: running, and with every possible end. Pure.

The bodies follow live recordings (2026-10-08) for accepted, running, completed, refused and cancelled interactions. The
body of a failed interaction was never recorded. google-genai 3.4 reads an error in three places, so the emulator has a
fault for each of them.
"""

import base64
import random
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aveo3.mock.error_bodies import Answer
from aveo3.mock.models import Omni
from aveo3.mock.omni.requests import Wish
from aveo3.mock.state.operations import CANCELLED, Operation

_ALPHABET = string.ascii_letters + string.digits
_SIGNATURE = base64.b64encode(bytes(4500)).decode()  # of a thought: 6 kB of opaque data
_THOUGHT_TOKENS = 235
_OTHER_TOKENS = 497  # output tokens that are not video, recorded with one film
_IMAGE_TOKENS = 258

_REFUSALS = {
    "partial": "I can't generate the video you described. Could you try describing it in another way?",
    "filtered-audio": "I can't generate audio for that video. Could you try another prompt?",
    "filtered-safety": "I can't create videos with real people's likeness of children. Could you try another prompt?",
    "filtered-input": "I can't help with that, because it goes against my guidelines. Could you try another prompt?",
}
"""Outcomes that end as `completed` with a text instead of a video. The text is the only sign of the refusal."""

_ERRORS = {
    "error-8": (8, "too_many_requests", "The service is currently experiencing high load. Please try again later."),
    "error-13": (13, "api_error", "Video generation failed due to an internal server issue. Please try again."),
    "error-14": (14, "service_unavailable", "The service is currently unavailable."),
}
_INTERNAL = _ERRORS["error-13"]
_STATUSES = {
    **dict.fromkeys((*_ERRORS, "failed-error", "failed-step", "failed-mute"), "failed"),
    CANCELLED: "cancelled",
    "incomplete": "incomplete",
    "over-budget": "budget_exceeded",
    "odd-status": "evaporated",
}


@dataclass(slots=True)
class Interaction:
    """One create that was answered with 200. Without an operation, every poll gets `refusal`."""

    id: str
    model: Omni
    wish: Wish
    created: datetime
    operation: Operation | None = None
    refusal: Answer | None = None

    @property
    def status(self) -> str:
        """The status in the words of the API."""
        if self.operation is None or not self.operation.done:
            return "in_progress"
        return _STATUSES.get(self.operation.outcome, "completed")

    @property
    def error(self) -> tuple[int, str, str]:
        """Number, code and message of the error of a failed interaction."""
        return _ERRORS.get(self.operation.outcome if self.operation else "", _INTERNAL)


def new_id(rng: random.Random) -> str:
    """Return an id in Google's form: `v1_` and, in base64, a protobuf message with the same name twice."""
    name = "".join(rng.choices(_ALPHABET, k=23))
    message = f"\n\x17{name}\x12\x17{name}".encode()
    return "v1_" + base64.urlsafe_b64encode(message).decode().rstrip("=")


def accepted(interaction: Interaction) -> dict[str, Any]:
    return _head(interaction, "in_progress", interaction.created)


def running(interaction: Interaction, status: str = "in_progress") -> dict[str, Any]:
    head = _head(interaction, status, interaction.created)
    return {**head, **_echo(interaction), "steps": [_user_input(interaction)]}


def ended(interaction: Interaction, video: dict[str, Any] | None) -> dict[str, Any]:
    """Return the body of an ended interaction. `video` is its video block, if there is one."""
    operation, status = interaction.operation, interaction.status
    assert operation is not None
    assert operation.ended is not None
    outcome = operation.outcome
    # In Google's body of a completed interaction, `created` too is the time of completion.
    created = operation.ended if status == "completed" else interaction.created
    head = _head(interaction, status, created, operation.ended)
    if outcome in ("empty-done", "unshown"):  # reported of Vertex AI (discuss.ai.google.dev 183928)
        return head
    body = {**head, **_echo(interaction), "steps": [_user_input(interaction), *_steps(interaction, video)]}
    number, code, message = interaction.error
    if outcome in _ERRORS:
        body["errors"] = [{"code": code, "message": message}]
    if outcome == "failed-error":
        body["error"] = {"code": code, "message": message}
    if outcome == "failed-step":
        body["steps"].append({"type": "model_output", "error": {"code": number, "message": message}})
    if status == "completed":
        body["usage"] = _usage(interaction, silent=outcome == "empty")
    return body


def _head(interaction: Interaction, status: str, created: datetime, updated: datetime | None = None) -> dict[str, Any]:
    return {
        "id": interaction.id,
        "status": status,
        "created": iso(created),
        "updated": iso(updated or created),
        "service_tier": interaction.wish.tier,
        "object": "interaction",
        "model": interaction.model.id,
    }


def _echo(interaction: Interaction) -> dict[str, Any]:
    """Return the parts of the request that the response repeats."""
    wish = interaction.wish
    fields = {"response_format": wish.format, "labels": wish.labels, "previous_interaction_id": wish.previous}
    return {name: value for name, value in fields.items() if value is not None}


def _user_input(interaction: Interaction) -> dict[str, Any]:
    return {"type": "user_input", "content": list(interaction.wish.input.blocks)}


def _steps(interaction: Interaction, video: dict[str, Any] | None) -> list[dict[str, Any]]:
    thought = {"type": "thought", "signature": _SIGNATURE}
    outcome = interaction.operation.outcome if interaction.operation else ""
    if outcome in _REFUSALS:  # the order of steps varies: a recorded refusal has the thought last
        return [_output({"type": "text", "text": _REFUSALS[outcome]}), thought]
    return [] if video is None else [thought, _output(video)]


def _output(block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "model_output", "content": [block]}


def _usage(interaction: Interaction, *, silent: bool) -> dict[str, Any]:
    """Return the token counts. Only the video tokens cost more than a cent, so the books bill only those."""
    operation, content = interaction.operation, interaction.wish.input
    video = round(operation.billed_seconds * operation.order.tokens_per_second) if operation else 0
    text = max(1, len(content.prompt) // 4)
    images = _IMAGE_TOKENS * len(content.of("image"))
    thought, other = (0, 0) if silent else (_THOUGHT_TOKENS, _OTHER_TOKENS if video else _OTHER_TOKENS // 10)
    modalities = [{"modality": "text", "tokens": text}, {"modality": "image", "tokens": images}]
    return {
        "total_input_tokens": text + images,
        "input_tokens_by_modality": [entry for entry in modalities if entry["tokens"]],
        "total_output_tokens": video + other,
        "output_tokens_by_modality": [{"modality": "video", "tokens": video}] if video else [],
        "total_thought_tokens": thought,
        "total_cached_tokens": 0,
        "total_tool_use_tokens": 0,
        "total_tokens": text + images + video + other + thought,
    }


def iso(moment: datetime) -> str:
    """Format a calendar time as this API does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
