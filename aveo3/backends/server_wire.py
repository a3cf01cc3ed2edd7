"""The requests and answers of an `aveo3 serve`: Google's wire, as its Developer API has it, written and read.

Pure, except that it reads media from disk.

The same prompt gives the same bytes each time: only so may a request be sent again with its idempotency key.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from aveo3 import verdicts
from aveo3.backends import omni
from aveo3.backends.base import Failure, Finished, GivenUp, PollError, PollResult, Running, Video
from aveo3.media import Media
from aveo3.models import VideoPrompt
from aveo3.verdicts import Verdict, VerdictKind

VERSION = "v1beta"

_PARAMETERS = {
    "number_of_videos": "sampleCount",
    "duration_seconds": "durationSeconds",
    "aspect_ratio": "aspectRatio",
    "resolution": "resolution",
    "negative_prompt": "negativePrompt",
    "seed": "seed",
    "generate_audio": "generateAudio",
    "person_generation": "personGeneration",
    "compression_quality": "compressionQuality",
    "resize_mode": "resizeMode",
}
_MEDIA = {"image": "image", "last_frame": "lastFrame", "video": "video"}
_NOT_SENT = frozenset(
    ("text", "model", "reference_images", "labels", "metadata", "webhook_metadata", "id", "project_id")
)
"""Fields that have their own place in the body, or are the user's own."""


def request(
    prompt: VideoPrompt, model: str, labels: Mapping[str, str], output_uri: str | None, *, is_omni: bool
) -> tuple[str, bytes]:
    """The path and the body that order `prompt`. Reads its media from disk: raises `OSError`.

    Raises ValueError for a field that the wire does not have: nothing is dropped silently.
    """
    if is_omni:
        delivery = {"delivery": "uri", **({"gcs_uri": output_uri} if output_uri else {})}
        return f"/{VERSION}/interactions", _bytes(omni.request(prompt, model, delivery, labels, "vertex"))
    return f"/{VERSION}/models/{model}:predictLongRunning", _bytes(_veo(prompt, labels, output_uri))


def _bytes(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _veo(prompt: VideoPrompt, labels: Mapping[str, str], output_uri: str | None) -> dict[str, Any]:
    fields = type(prompt).model_fields
    for name in fields.keys() - _NOT_SENT - _PARAMETERS.keys() - _MEDIA.keys():
        if getattr(prompt, name) not in (None, (), {}, fields[name].default):
            raise ValueError(f"Veo has no {name}: leave it out")
    parameters = {wire: getattr(prompt, ours) for ours, wire in _PARAMETERS.items()}
    instance: dict[str, Any] = {"prompt": prompt.text or None}
    instance |= {wire: _medium(media) for ours, wire in _MEDIA.items() if (media := getattr(prompt, ours)) is not None}
    if prompt.reference_images:
        instance["referenceImages"] = [
            {"image": _medium(image), "referenceType": image.type} for image in prompt.reference_images
        ]
    return {
        "instances": [_set(instance)],
        "parameters": _set({**parameters, "storageUri": output_uri}),
        **({"labels": dict(labels)} if labels else {}),
    }


def _set(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _medium(media: Media) -> dict[str, Any]:
    if media.uri is not None:
        return _set({"gcsUri": media.uri, "mimeType": media.mime_type})
    content = media.read()
    return {"bytesBase64Encoded": base64.b64encode(content).decode(), "mimeType": media.sent_type(content)}


# ---- answers to a request --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The answer settles nothing, and the same request may be sent again: after `after` seconds, if the server says."""

    why: str
    after: float | None = None
    taken: bool = True
    """False if the server has surely not taken the request."""


def judge(status: int, body: Any, retry_after: float | None) -> Verdict | AskAgain:
    """What an answer to a request means. `body` is parsed JSON, or text."""
    if status == 200:
        name = name_of(body)
        return verdicts.accepted(name) if name else AskAgain(f"HTTP 200 without a name: {_brief(body)}")
    if not verdicts.is_google(body):
        return AskAgain(f"HTTP {status}: {_brief(body)}", retry_after)
    message = verdicts.message_of(body) or f"HTTP {status}"
    delay = verdicts.delay_of(verdicts.error_of(body), message, retry_after)
    if status in (408, 500, 502, 503, 504):
        return AskAgain(f"HTTP {status}: {message}", delay, taken=status != 503)
    if status == 409:
        return verdicts.uncertain(
            f"the server has an order of this key that differs ({message}): labels or another setting have changed "
            "since it was sent, and its video may be made and billed",
            status,
        )
    refusal = _REFUSALS.get(status)
    if refusal is not None:
        return Verdict(VerdictKind.REFUSED, message, refusal=refusal, retry_after=delay, status=status)
    return verdicts.rejected(message, status=status)


_REFUSALS = {
    401: verdicts.Refusal.BAD_KEY,
    402: verdicts.Refusal.BUDGET,
    403: verdicts.Refusal.PERMISSION,
    404: verdicts.Refusal.NO_MODEL,
    429: verdicts.Refusal.QUEUE,
}


def name_of(body: Any) -> str | None:
    """What the server calls the request; None if the answer does not say so."""
    name = (body.get("name") or body.get("id")) if isinstance(body, Mapping) else None
    good = isinstance(name, str) and (_OPERATION.fullmatch(name) or omni.is_id(name))
    return name if good else None


_OPERATION = re.compile(r"models/[A-Za-z0-9._-]+/operations/[A-Za-z0-9_-]+")


def path_of(operation: str) -> str:
    """Where an operation, or an interaction, is polled."""
    place = operation if _OPERATION.fullmatch(operation) else f"interactions/{operation}"
    return f"/{VERSION}/{place}"


def _brief(body: Any) -> str:
    return verdicts.brief(body if isinstance(body, str) else json.dumps(body))


# ---- answers to a poll -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """What a poll tells of a request that has not ended."""

    state: str
    place: int | None = None
    starts_utc: datetime | None = None


def turn_of(body: Any) -> Turn:
    """The state, place and expected start in the answer to a poll."""
    metadata = body.get("metadata") if isinstance(body, Mapping) else None
    metadata = metadata if isinstance(metadata, Mapping) else {}
    place, starts = metadata.get("place"), None
    if isinstance(text := metadata.get("expectedStartTime"), str):
        try:
            starts = datetime.fromisoformat(text)
        except ValueError:
            starts = None
    state = metadata.get("state")
    return Turn(state if isinstance(state, str) else "running", place if isinstance(place, int) else None, starts)


def read(body: Any, operation: str, server: str) -> PollResult:
    """The state of `operation` in the answer to a poll. Raises `PollError` if it is none."""
    if not isinstance(body, Mapping):
        raise PollError(f"polling {operation}: the answer is none of this server: {_brief(body)}")
    if not _OPERATION.fullmatch(operation):
        return _interaction(body, operation, server)
    if body.get("name") != operation:
        raise PollError(f"polling {operation}: the answer is about {str(body.get('name'))[:200]!r}")
    if body.get("done") is not True:
        return Running()
    if isinstance(error := body.get("error"), Mapping):
        return _end(verdicts.rpc_code(error.get("code")), str(error.get("message") or "no message"))
    response = body.get("response")
    response = response.get("generateVideoResponse", response) if isinstance(response, Mapping) else {}
    samples = response.get("generatedSamples")
    uris = [_uri_of(sample) for sample in samples] if isinstance(samples, list) else []
    filtered, reasons = response.get("raiMediaFilteredCount"), response.get("raiMediaFilteredReasons")
    return Finished(
        tuple(Video(uri=_here(uri, server)) for uri in uris if uri),
        filtered=filtered if isinstance(filtered, int) else 0,
        filter_reasons=tuple(map(str, reasons)) if isinstance(reasons, list) else (),
    )


def _uri_of(sample: Any) -> str | None:
    video = sample.get("video") if isinstance(sample, Mapping) else None
    uri = video.get("uri") if isinstance(video, Mapping) else None
    return uri if isinstance(uri, str) else None


def _here(uri: str, server: str) -> str:
    """The address of a file of the server, as we reach it: it writes its own name with https, whatever it speaks."""
    if (path := re.search(r"/v1\w*/files/[A-Za-z0-9_-]+:download\?alt=media$", uri)) is None:
        return uri
    return server + path[0]


def _interaction(body: Mapping[str, Any], operation: str, server: str) -> PollResult:
    if body.get("status") == "cancelled":
        return _end(1, "cancelled at the server")
    if body.get("status") == "failed" and isinstance(error := body.get("error"), Mapping):
        code = _WORDS.get(str(error.get("code")), 2)
        return _end(code, str(error.get("message") or "no message"))
    result = omni.read(body, operation, lambda _: None)
    if isinstance(result, Finished):
        videos = tuple(Video(v.data, _here(v.uri, server) if v.uri else None, v.file) for v in result.videos)
        return Finished(videos, tokens=result.tokens, note=result.note, usage=result.usage)
    return result


_WORDS = {
    "cancelled": 1,
    "invalid_request": 3,
    "not_found": 5,
    "permission_denied": 7,
    "too_many_requests": 8,
    "api_error": 13,
    "service_unavailable": 14,
}


def _end(code: int | None, message: str) -> PollResult:
    """An end without video, by its code of google.rpc; what the server's guide says of each."""
    if code == 1:
        return GivenUp("cancelled", f"cancelled at the server before it was sent: {message}", cancelled=True)
    if code in (7, 8):
        return GivenUp("permission" if code == 7 else "server_quota", f"the server has not made it: {message}")
    if code in (2, 5):
        return Finished(note=f"{message} (code {code}, from the server)")
    return Failure(code, message)


def is_server(url: str, address: str) -> bool:
    """True if `url` leads to the server at `address`: the key goes nowhere else."""
    there, ours = urlsplit(url), urlsplit(address)
    return (there.scheme, there.netloc) == (ours.scheme, ours.netloc)
