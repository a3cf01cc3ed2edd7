"""What the Interactions API is told of a prompt, and what an interaction says of itself. Pure, but for reading media.

The shapes are those of recordings of 2026-10-08 and of google-genai 3.4. The SDK takes any JSON for an interaction, so
what comes back is read here as JSON and nothing is believed unseen.
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
from aveo3.models import Media, VideoPrompt
from aveo3.verdicts import Refusal

# ---- there -----------------------------------------------------------------------------------------------------------


def request(prompt: VideoPrompt, model: str) -> dict[str, Any]:
    """Arguments for `interactions.create`. Reads media from disk; parameters left open are not sent.

    Raises `OSError`, or ValueError for what the API has no place for: nothing is left out in silence.
    """
    for name, asked in _NOWHERE.items():
        if asked(prompt):
            raise ValueError(f"the Interactions API has no {name}: leave it out")
    video_format = {
        "type": "video",
        "delivery": "uri",  # what comes inline is large, and can be had only as long as the interaction is kept
        "aspect_ratio": prompt.aspect_ratio,
        "duration": None if prompt.duration_seconds is None else f"{prompt.duration_seconds}s",  # a number is a 400
        "resolution": prompt.resolution,
    }
    pictures = [m for m in (prompt.image, prompt.last_frame, *prompt.reference_images) if m is not None]
    content = [_medium("image", media) for media in pictures]
    if prompt.video is not None:
        content.append(_medium("video", prompt.video))
    if prompt.text:
        content.append({"type": "text", "text": prompt.text})
    task = _task(prompt)
    return {
        "model": model,
        "input": content if len(content) != 1 or not prompt.text else prompt.text,
        # In the background, or a dropped connection leaves no id. The SDK then sends no continuations by itself, and
        # refuses automatic_continuation=False, which says the same.
        "background": True,
        "store": True,  # what is not stored can neither be polled nor be continued
        "response_format": {name: value for name, value in video_format.items() if value is not None},
        **({"generation_config": {"video_config": {"task": task}}} if task else {}),
        **({"previous_interaction_id": prompt.previous} if prompt.previous else {}),
    }


_NOWHERE: Mapping[str, Callable[[VideoPrompt], bool]] = {
    "negative_prompt": lambda p: p.negative_prompt is not None,
    "seed": lambda p: p.seed is not None,
    "person_generation": lambda p: p.person_generation is not None,
    "generate_audio=False": lambda p: p.generate_audio is False,
    "number_of_videos": lambda p: p.number_of_videos > 1,
}


def _task(prompt: VideoPrompt) -> str | None:
    """What kind of work it is; None to let the model tell from the text."""
    if prompt.previous is not None:
        return prompt.task
    if prompt.video is not None:
        return prompt.task or "extend"
    if prompt.reference_images:
        return "reference_to_video"
    return "image_to_video" if prompt.image is not None else "text_to_video"


def _medium(kind: str, media: Media) -> dict[str, str]:
    """A picture or video for the wire. The SDK sends `bytes` as if they were text: they are encoded here."""
    if media.uri is None:
        return {"type": kind, "mime_type": media.mime_type, "data": base64.b64encode(media.read()).decode()}
    if (why := unreadable(media.uri, "gemini")) is not None:
        raise ValueError(why)
    return {"type": kind, "mime_type": media.mime_type, "uri": media.uri}


# ---- and back --------------------------------------------------------------------------------------------------------

_ID = re.compile(r"[A-Za-z0-9_.~=-]{1,1000}")


def is_id(name: object) -> bool:
    """True if `name` can be an interaction's id. It becomes a part of an address, and the SDK does not quote it."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None and name.strip(".") != ""


def file_name(uri: str) -> str | None:
    """`files/ID` if `uri` leads to a file of the Files API."""
    found = re.search(r"/(files/[A-Za-z0-9_-]+)(?::|\?|$)", uri)
    return found[1] if found else None


def read(body: Any, operation: str, take: Callable[[bytes], Path | None]) -> PollResult:
    """How the interaction stands whose record is `body`. Raises `PollError` if that is none.

    `take` gives the file of a video that was put aside while the answer arrived, None if it is in the answer itself.
    """
    status = body.get("status") if isinstance(body, Mapping) else None
    if not isinstance(status, str):
        raise PollError(f"polling {operation}: the answer is no interaction: {str(body)[:200]}")
    if body.get("id") not in (None, "", operation):
        raise PollError(f"polling {operation}: the answer is about {str(body['id'])[:200]!r}")
    if status in ("in_progress", "queued"):
        return Running()
    made, tokens = _video(body, take), _tokens(body)
    if made is not None:
        return Finished((made,), tokens=tokens)
    if tokens.get("video"):
        return Finished(tokens=tokens, note=f"it ended {status}, and is billed as a video, but there is none in it")
    if status == "completed":
        return _without_video(body, tokens)
    if status == "failed":
        return _failed(body)
    if status == "cancelled":
        return Finished(note="it was cancelled at Google")
    if status in ("incomplete", "budget_exceeded", "requires_action", "requires_continuation"):
        return Failure(None, f"it ended {status}: {_complaint(body)[1]}")
    return Running()  # a word that nobody knows yet is no end


def _without_video(body: Mapping[str, Any], tokens: Mapping[str, int]) -> PollResult:
    """It ended well but made nothing: a safety filter answers in words (recorded 2026-10-08), with no error at all."""
    words = " ".join(
        text.strip() for part in _made(body) if part.get("type") == "text" and isinstance(text := part.get("text"), str)
    ).strip()
    if words:
        why = f"the model answered in words instead of a video: {words[:1_000]}"
        return LateRefusal(verdicts.rejected(why, filtered=True), tokens)
    if not tokens:
        return Finished()
    # So it ends where uploaded clips may not be worked on, too.
    why = "it ended without a video, a word or a charge (in the EEA, CH and UK uploaded clips are not worked on)"
    return LateRefusal(verdicts.rejected(why, filtered=True), tokens)


def _failed(body: Mapping[str, Any]) -> PollResult:
    code, message = _complaint(body)
    rpc = verdicts.rpc_code(code)
    if rpc == 8:
        verdict = verdicts.from_answer(429, {"error": {"message": message}})
        if verdict.refusal is not Refusal.UNKNOWN:  # else it is Google that had too much to do, not we
            return LateRefusal(verdict)
    return Failure(rpc, message)


def _complaint(body: Mapping[str, Any]) -> tuple[Any, str]:
    """Code and words of what went wrong. They may stand in any of three places: no live one has been recorded."""
    errors = body.get("errors")
    found = [body.get("error"), *(errors if isinstance(errors, list) else ())]
    found += [step.get("error") for step in _steps(body)]
    for error in found:
        if isinstance(error, str) and error:
            return None, error[:2_000]
        if isinstance(error, Mapping) and (error.get("message") or error.get("code")):
            # Old and new error schemas differ in where the word stands.
            code = error.get("status") if isinstance(error.get("status"), str) else error.get("code")
            return code, str(error.get("message") or "no message")[:2_000]
    return None, "no message"


def _video(body: Mapping[str, Any], take: Callable[[bytes], Path | None]) -> Video | None:
    """The last video that the model has put out."""
    for part in reversed(list(_made(body))):
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


def _made(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of what the model has put out since it was last told something, oldest first."""
    steps = list(_steps(body))
    told = max((n for n, step in enumerate(steps) if step.get("type") == "user_input"), default=-1)
    for step in steps[told + 1 :]:
        if step.get("type") == "model_output" and isinstance(content := step.get("content"), list):
            yield from (part for part in content if isinstance(part, Mapping))


def _steps(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    steps = body.get("steps")
    return (step for step in steps if isinstance(step, Mapping)) if isinstance(steps, list) else iter(())


def _tokens(body: Mapping[str, Any]) -> dict[str, int]:
    """What is billed: tokens of `input`, `video`, and `output` for the rest. Empty if it does not say."""
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
    given, put_out = count(usage.get("total_input_tokens")), count(usage.get("total_output_tokens"))
    # Thoughts are in `total_tokens`, but it is told both ways whether they are in `total_output_tokens`.
    rest = (
        count(usage.get("total_tokens")) - given - video or put_out + count(usage.get("total_thought_tokens")) - video
    )
    return {"input": given, "video": video, "output": max(0, rest)}
