"""Reads a request on Veo's wire (`predictLongRunning`) into a prompt. Pure: the reverse of `aveo3.backends.veo`.

What a prompt cannot hold, or what cannot be passed on, is refused with the reason: nothing is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from aveo3.models import NOT_OFFERED, VideoPrompt, explain
from aveo3.server.door.google_errors import invalid

KEY_LABEL = "idempotency_key"
"""The label that may carry the idempotency key, for clients that can set neither header nor address."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one request orders."""

    prompt: VideoPrompt
    storage_uri: str | None = None
    """The gs:// prefix for the videos; None: they come in the answer."""
    key: str | None = None
    """The idempotency key, if a label carries it."""
    is_interaction: bool = False
    """It came through the Interactions API, the only one that Omni has."""
    in_wire_names: Callable[[str], str] = field(default=lambda sentence: in_wire_names(sentence))
    """Says of a prompt's fields what they are called in the request."""

    def with_prompt(self, prompt: VideoPrompt) -> Order:
        """The same order of another prompt."""
        return replace(self, prompt=prompt)


_TEXT, _NUMBER, _YES_NO = (str,), (int, float), (bool,)
_PARAMETERS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "sampleCount": ("number_of_videos", _NUMBER),
    "durationSeconds": ("duration_seconds", _NUMBER),
    "aspectRatio": ("aspect_ratio", _TEXT),
    "resolution": ("resolution", _TEXT),
    "negativePrompt": ("negative_prompt", _TEXT),
    "seed": ("seed", _NUMBER),
    "generateAudio": ("generate_audio", _YES_NO),
    "personGeneration": ("person_generation", _TEXT),
    "compressionQuality": ("compression_quality", _TEXT),
    "resizeMode": ("resize_mode", _TEXT),
}
"""Each parameter, the field of a prompt that it is, and the types of JSON that it may have."""

_KINDS: Mapping[tuple[type, ...], str] = {_TEXT: "a string", _NUMBER: "a number", _YES_NO: "a boolean"}

_INSTANCE = {"prompt": "text", "image": "image", "lastFrame": "last_frame", "video": "video"}
_MEDIA = {"bytesBase64Encoded": "data", "gcsUri": "uri", "uri": "uri", "mimeType": "mime_type"}

_NOT_PASSED_ON = {
    "fps": NOT_OFFERED["fps"],
    "mask": NOT_OFFERED["mask"],
    "maskMode": NOT_OFFERED["mask"],
    "pubsubTopic": "this server does not pass it on; poll the operation",
    "webhookConfig": "this server does not pass it on; name an address in the header Aveo3-Callback",
}

_WIRE_NAMES = {ours: wire for wire, (ours, _) in _PARAMETERS.items()} | {
    "text": "prompt",
    "last_frame": "lastFrame",
    "reference_images": "referenceImages",
}


def read_order(body: Any, model: str) -> Order:
    """What `body` orders from `model`. Raises `Refused` with Google's 400."""
    body = _object(body, "the body")
    _check_names(body, ("instances", "parameters", "labels"), "")
    instances = body.get("instances")
    if not isinstance(instances, list) or len(instances) != 1:
        raise invalid("`instances` must have exactly one entry.")
    fields: dict[str, Any] = {"model": model}
    instance = _object(instances[0], "`instances[0]`")
    _check_names(instance, (*_INSTANCE, "referenceImages"), " at 'instances[0]'")
    for name, ours in _INSTANCE.items():
        if (value := instance.get(name)) is not None:
            fields[ours] = _text(value, name) if name == "prompt" else _medium(value, name)
    if (images := instance.get("referenceImages")) is not None:
        if not isinstance(images, list):
            raise invalid("The value type for `referenceImages` needs to be a list.")
        fields["reference_images"] = [_reference(image) for image in images]
    parameters = _object(body.get("parameters") or {}, "`parameters`")
    _check_names(parameters, (*_PARAMETERS, "storageUri", "enhancePrompt"), " at 'parameters'")
    for name, (ours, kinds) in _PARAMETERS.items():
        if (value := parameters.get(name)) is not None:
            if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not _YES_NO):
                raise invalid(f"The value type for `{name}` needs to be {_KINDS[kinds]}.")
            fields[ours] = value
    if parameters.get("enhancePrompt") not in (None, True):
        raise invalid(f"`enhancePrompt` cannot be turned off: {NOT_OFFERED['enhance_prompt']}.")
    storage_uri = parameters.get("storageUri")
    if storage_uri is not None and not is_bucket(storage_uri):
        raise invalid("`storageUri` needs to be a Cloud Storage URI that starts with gs:// and a bucket.")
    key = None
    if labels := body.get("labels"):
        labels = {**_object(labels, "`labels`")}
        key = labels.pop(KEY_LABEL, None)
        fields["labels"] = labels
    return Order(_prompt(fields), storage_uri, None if key is None else _text(key, f"labels.{KEY_LABEL}"))


def in_wire_names(sentence: str) -> str:
    """A sentence about fields of a prompt, with the names that they have on the wire."""
    return _FIELD.sub(lambda name: _WIRE_NAMES[name[0]], sentence)


_FIELD = re.compile(rf"\b({'|'.join(sorted(_WIRE_NAMES, key=len, reverse=True))})\b(?=[=:\[ ])")


def _prompt(fields: Mapping[str, Any]) -> VideoPrompt:
    try:
        return VideoPrompt.model_validate(fields)
    except ValidationError as error:
        raise invalid("; ".join(in_wire_names(sentence) for sentence in explain(error))) from None


def _reference(value: Any) -> dict[str, Any]:
    entry = _object(value, "an entry of `referenceImages`")
    _check_names(entry, ("image", "referenceType"), " at 'referenceImages'")
    kind = _text(entry.get("referenceType") or "asset", "referenceType").lower()
    if kind not in ("asset", "style"):
        raise invalid(f"`referenceType` {kind!r:.40} isn't supported: use asset or style.")
    return {**_medium(entry.get("image"), "image"), "type": kind}


def _medium(value: Any, name: str) -> dict[str, Any]:
    medium = _object(value, f"`{name}`")
    _check_names(medium, tuple(_MEDIA), f" at '{name}'")
    fields = {_MEDIA[key]: _text(each, f"{name}.{key}") for key, each in medium.items() if each is not None}
    if fields.keys() >= {"data", "uri"} or not fields.keys() & {"data", "uri"}:
        raise invalid(f"`{name}` needs either `bytesBase64Encoded` or `gcsUri`.")
    return fields


def _check_names(value: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for name in value:
        if name in allowed or value[name] is None:
            continue
        if name in _NOT_PASSED_ON:
            raise invalid(f"`{name}` isn't supported: {_NOT_PASSED_ON[name]}.")
        raise invalid(
            f"Invalid JSON payload received. Unknown name {name!r:.80}{where}: Cannot find field. This server knows "
            f"{', '.join(allowed)} there."
        )


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"Invalid JSON payload received. Expected an object for {what}.")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise invalid(f"The value type for `{name}` needs to be a string.")
    return value


def is_bucket(value: Any) -> bool:
    """True for a gs:// prefix."""
    return isinstance(value, str) and len(value) <= 1000 and bool(_BUCKET.fullmatch(value))


_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,221}[a-z0-9](/[^\x00-\x1f\x7f]*)?")
