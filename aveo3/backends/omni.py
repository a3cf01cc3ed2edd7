"""Builds requests for the Interactions API, and reads interactions. Pure, except that it reads media from disk.

The shapes come from recordings of 2026-10-08 and from google-genai 3.4. The SDK accepts any JSON as an interaction, so
this module reads the JSON itself and checks each value.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aveo3 import verdicts
from aveo3.backends.base import Failure, Finished, LateRefusal, PollError, PollResult, Running, Video
from aveo3.config.abilities import unreadable
from aveo3.media import Media
from aveo3.models import VideoPrompt
from aveo3.verdicts import Refusal

# ---- requests -------------------------------------------------------------------------------------------------------


def request(
    prompt: VideoPrompt,
    model: str,
    delivery: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
    backend: str = "gemini",
) -> dict[str, Any]:
    """Arguments for `interactions.create`. Reads media from disk. Parameters that are None are not sent.

    `delivery` says how the video comes back: its part of the response format. `backend` decides which addresses of
    media can be read.
    Raises `OSError`, or ValueError for a field that the API does not have: no field is dropped silently.
    """
    for name, is_set in _UNSUPPORTED.items():
        if is_set(prompt):
            raise ValueError(f"the Interactions API has no {name}: leave it out")
    seconds = None if prompt.task == "upscale" else prompt.duration_seconds  # there it is known from the source
    video_format = {
        "type": "video",
        **delivery,
        "aspect_ratio": prompt.aspect_ratio,
        "duration": None if seconds is None else f"{seconds}s",  # a number is a 400
        "resolution": prompt.resolution,
    }
    pictures = [m for m in (prompt.image, prompt.last_frame, *prompt.reference_images) if m is not None]
    videos = [m for m in (prompt.video, *prompt.reference_videos) if m is not None]
    content = [_medium("image", media, backend) for media in pictures]
    content += [_medium("video", media, backend) for media in videos]
    if prompt.text:
        content.append({"type": "text", "text": prompt.text})
    task = _task(prompt)
    config: dict[str, Any] = {"video_config": {"task": task}} if task else {}
    if prompt.seed is not None:
        config["seed"] = prompt.seed
    safety = [{"type": harm, "threshold": threshold} for harm, threshold in prompt.safety_settings.items()]
    return {
        "model": model,
        **({"input": content if len(content) != 1 or not prompt.text else prompt.text} if content else {}),
        # In the foreground a dropped connection would leave no id. In the background the SDK sends no continuations
        # automatically, and rejects automatic_continuation=False, which means the same.
        "background": True,
        "store": True,  # without this it can be neither polled nor continued
        "response_format": {name: value for name, value in video_format.items() if value is not None},
        **({"generation_config": config} if config else {}),
        **({"safety_settings": safety} if safety else {}),
        **({"service_tier": prompt.service_tier} if prompt.service_tier else {}),
        **({"labels": dict(labels)} if labels else {}),
        **({"previous_interaction_id": prompt.previous} if prompt.previous else {}),
    }


_UNSUPPORTED: Mapping[str, Callable[[VideoPrompt], bool]] = {
    "negative_prompt": lambda p: p.negative_prompt is not None,
    "person_generation": lambda p: p.person_generation is not None,
    "compression_quality": lambda p: p.compression_quality is not None,
    "resize_mode": lambda p: p.resize_mode is not None,
    "reference_images of type style": lambda p: any(image.type == "style" for image in p.reference_images),
    "generate_audio=False": lambda p: p.generate_audio is False,
    "number_of_videos": lambda p: p.number_of_videos > 1,
}


def _task(prompt: VideoPrompt) -> str | None:
    """The task's name; None to let the model decide from the text."""
    if prompt.previous is not None:
        return prompt.task
    if prompt.video is not None:
        return prompt.task or "extend"
    if prompt.reference_images or prompt.reference_videos:
        return "reference_to_video"
    return "image_to_video" if prompt.image is not None else "text_to_video"


def _medium(kind: str, media: Media, backend: str) -> dict[str, str]:
    """A picture or video for the wire. Encodes bytes here, because the SDK sends them as if they were text."""
    if media.uri is None:
        content = media.read()
        return {"type": kind, "mime_type": media.sent_type(content), "data": base64.b64encode(content).decode()}
    if (why := unreadable(media.uri, backend)) is not None:
        raise ValueError(why)
    return {"type": kind, "mime_type": media.mime_type, "uri": media.uri}


# ---- answers ---------------------------------------------------------------------------------------------------------

_ID = re.compile(r"[A-Za-z0-9_.~=-]{1,1000}")


def is_id(name: object) -> bool:
    """True if `name` can be an interaction's id. It goes into an address, and the SDK does not quote it."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None and name.strip(".") != ""


def file_name(uri: str) -> str | None:
    """`files/ID` if `uri` leads to a file of the Files API."""
    match = re.search(r"/(files/[A-Za-z0-9_-]+)(?::|\?|$)", uri)
    return match[1] if match else None


def read(body: Any, operation: str, take: Callable[[bytes], Path | None]) -> PollResult:
    """The state of the interaction in `body`. Raises `PollError` if `body` is not an interaction.

    `take` returns the file of a video that was put aside while the answer arrived, None if it is in the answer itself.
    """
    status = body.get("status") if isinstance(body, Mapping) else None
    if not isinstance(status, str):
        raise PollError(f"polling {operation}: the answer is not an interaction: {str(body)[:200]}")
    if body.get("id") not in (None, "", operation):
        raise PollError(f"polling {operation}: the answer is about {str(body['id'])[:200]!r}")
    if status in ("in_progress", "queued"):
        return Running()
    video, tokens = _video(body, take), _tokens(body)
    if video is not None:
        return Finished((video,), tokens=tokens, usage=_usage(body))
    if tokens.get("video"):
        return Finished(tokens=tokens, note=f"it ended {status} and is billed as a video, but holds none")
    if status == "completed":
        return _without_video(body, tokens)
    if status == "failed":
        return _failed(body)
    if status == "cancelled":
        return Finished(note="it was cancelled at Google")
    if status in ("incomplete", "budget_exceeded", "requires_action", "requires_continuation"):
        return Failure(None, f"it ended {status}: {_complaint(body)[1]}")
    return Running()  # an unknown status is not taken for an end


def _without_video(body: Mapping[str, Any], tokens: Mapping[str, int]) -> PollResult:
    """The result of one that completed without a video. A safety filter answers in text, with no error (recorded
    2026-10-08)."""
    words = " ".join(
        text.strip()
        for part in _outputs(body)
        if part.get("type") == "text" and isinstance(text := part.get("text"), str)
    ).strip()
    if words:
        why = f"the model answered with text instead of a video: {words[:1_000]}"
        return LateRefusal(verdicts.rejected(why, filtered=True), tokens, usage=_usage(body))
    if not tokens:
        return Finished()
    # It also ends like this where uploaded clips may not be edited.
    why = "it ended without a video, a text or a charge (in the EEA, CH and UK uploaded clips cannot be edited)"
    return LateRefusal(verdicts.rejected(why, filtered=True), tokens, by_absence=True, usage=_usage(body))


def _failed(body: Mapping[str, Any]) -> PollResult:
    code, message = _complaint(body)
    rpc = verdicts.rpc_code(code)
    if rpc == 8:
        verdict = verdicts.from_answer(429, {"error": {"message": message}})
        if verdict.refusal is not Refusal.UNKNOWN:  # UNKNOWN: Google is overloaded, and the quota is not used up
            return LateRefusal(verdict)
    return Failure(rpc, message)


def _complaint(body: Mapping[str, Any]) -> tuple[Any, str]:
    """Code and message of the error, from any of three possible places: no live one has been recorded."""
    errors = body.get("errors")
    candidates = [body.get("error"), *(errors if isinstance(errors, list) else ())]
    candidates += [step.get("error") for step in _steps(body)]
    for error in candidates:
        if isinstance(error, str) and error:
            return None, error[:2_000]
        if isinstance(error, Mapping) and (error.get("message") or error.get("code")):
            # The old error schema has the word in `code`, the new one in `status`.
            code = error.get("status") if isinstance(error.get("status"), str) else error.get("code")
            return code, str(error.get("message") or "no message")[:2_000]
    return None, "no message"


def _video(body: Mapping[str, Any], take: Callable[[bytes], Path | None]) -> Video | None:
    """The last video that the model put out."""
    for part in reversed(list(_outputs(body))):
        if part.get("type") != "video":
            continue
        uri = part.get("uri")
        uri = uri if isinstance(uri, str) and uri else None
        data, file = part.get("data"), None
        content = base64.b64decode(data) if isinstance(data, str) and data else None
        if content is not None and (file := take(content)) is not None:
            content = None
        if uri or content or file:
            return Video(content, uri, file)
    return None


def _outputs(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of the model's output since the last user input, oldest first."""
    steps = list(_steps(body))
    last_input = max((n for n, step in enumerate(steps) if step.get("type") == "user_input"), default=-1)
    for step in steps[last_input + 1 :]:
        if step.get("type") == "model_output" and isinstance(content := step.get("content"), list):
            yield from (part for part in content if isinstance(part, Mapping))


def _steps(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    steps = body.get("steps")
    return (step for step in steps if isinstance(step, Mapping)) if isinstance(steps, list) else iter(())


def _tokens(body: Mapping[str, Any]) -> dict[str, int]:
    """The billed tokens: `input`, `video`, and `output` for the rest. Empty if the interaction does not name any."""
    usage = body.get("usage")
    if not isinstance(usage, Mapping):
        return {}

    def count(value: Any) -> int:
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

    by_modality = usage.get("output_tokens_by_modality")
    video = sum(
        count(each.get("tokens"))
        for each in (by_modality if isinstance(by_modality, list) else ())
        if isinstance(each, Mapping) and str(each.get("modality")).lower() == "video"
    )
    sent, put_out = count(usage.get("total_input_tokens")), count(usage.get("total_output_tokens"))
    # `total_tokens` includes thoughts. Sources disagree on whether `total_output_tokens` does.
    rest = count(usage.get("total_tokens")) - sent - video or put_out + count(usage.get("total_thought_tokens")) - video
    return {"input": sent, "video": video, "output": max(0, rest)}


MOST_FIGURES = 40
"""Of an account of tokens; a longer one is not kept."""


def _usage(body: Mapping[str, Any]) -> dict[str, Any]:
    """Google's account of the tokens as it stands there: counts, and lists of counts by modality."""
    usage = body.get("usage")
    if not isinstance(usage, Mapping) or len(usage) > MOST_FIGURES:
        return {}
    return {str(name)[:80]: value for name, value in usage.items() if _is_count(value) or _is_by_modality(value)}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _is_by_modality(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MOST_FIGURES
        and all(isinstance(each, Mapping) and each.keys() == {"modality", "tokens"} for each in value)
        and all(_is_count(each["tokens"]) and len(str(each["modality"])) <= 80 for each in value)
    )
