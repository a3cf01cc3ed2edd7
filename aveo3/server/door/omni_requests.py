"""Reads a request of the Interactions API into a prompt. Pure: the reverse of `aveo3.backends.omni`.

What a prompt cannot hold, or what cannot be passed on, is refused with the reason: nothing is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from aveo3.models import VideoPrompt, explain
from aveo3.server.door.google_errors import Refused, invalid
from aveo3.server.door.veo_requests import KEY_LABEL, Order, is_bucket

DELIVERY = "door_delivery"
"""The key in a prompt's `metadata`, which is never sent, for how its caller wants the video: `inline` or `uri`."""

_FIELDS = (
    *("model", "input", "background", "store", "stream", "response_format", "generation_config"),
    *("safety_settings", "service_tier", "labels", "previous_interaction_id"),
)
_NOT_PASSED_ON = {
    "webhook_config": "this server does not pass it on; name an address in the header Aveo3-Callback",
    "system_instruction": "Omni takes none",
    "tools": "Omni takes none",
    "agent": "this server makes videos only",
}
_FORMAT = ("type", "delivery", "gcs_uri", "aspect_ratio", "duration", "resolution", "mime_type")
_TASKS = ("text_to_video", "image_to_video", "reference_to_video", "edit", "extend", "upscale")

_WIRE_NAMES = {
    "text": "input",
    "duration_seconds": "response_format.duration",
    "aspect_ratio": "response_format.aspect_ratio",
    "resolution": "response_format.resolution",
    "seed": "generation_config.seed",
    "previous": "previous_interaction_id",
}


def read_order(body: Any) -> Order:
    """What `body` orders. Raises `Refused` with Google's 400. Its `previous` is the id that the caller knows."""
    body = _object(body, "the body")
    _check_names(body, _FIELDS, "")
    model = _text(body.get("model"), "model")
    if body.get("background") is not True:
        raise invalid("'background' must be true: the request waits for quota here. Poll the interaction.")
    if body.get("store") is False or body.get("stream") is True:
        raise invalid("'store' must not be false, nor 'stream' true: the interaction must be polled.")
    fields: dict[str, Any] = {"model": model.removeprefix("models/")}
    storage_uri = _read_format(body.get("response_format"), fields)
    earlier = body.get("previous_interaction_id")
    if earlier is not None:
        fields["previous"] = _text(earlier, "previous_interaction_id")
    config = _object(body.get("generation_config") or {}, "'generation_config'")
    _check_names(config, ("video_config", "seed"), "generation_config.")
    video_config = _object(config.get("video_config") or {}, "'generation_config.video_config'")
    _check_names(video_config, ("task",), "generation_config.video_config.")
    if (seed := config.get("seed")) is not None:
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise invalid("Invalid value at 'generation_config.seed': expected an integer.")
        fields["seed"] = seed
    _read_input(body.get("input"), video_config.get("task"), fields)
    for setting in _list(body.get("safety_settings"), "safety_settings"):
        entry = _object(setting, "an entry of 'safety_settings'")
        _check_names(entry, ("type", "threshold"), "safety_settings.")
        harms = fields.setdefault("safety_settings", {})
        harms[_text(entry.get("type"), "safety_settings.type")] = entry.get("threshold")
    if (tier := body.get("service_tier")) is not None:
        fields["service_tier"] = tier
    key = None
    if labels := body.get("labels"):
        labels = {**_object(labels, "'labels'")}
        key = labels.pop(KEY_LABEL, None)
        fields["labels"] = labels
    try:
        prompt = VideoPrompt.model_validate(fields)
    except ValidationError as error:
        raise invalid("; ".join(in_wire_names(sentence) for sentence in explain(error))) from None
    key = None if key is None else _text(key, f"labels.{KEY_LABEL}")
    return Order(prompt, storage_uri, key, is_interaction=True, in_wire_names=in_wire_names)


def in_wire_names(sentence: str) -> str:
    """A sentence about fields of a prompt, with the names that they have on the wire."""
    return _FIELD.sub(lambda name: _WIRE_NAMES[name[0]], sentence)


_FIELD = re.compile(rf"\b({'|'.join(sorted(_WIRE_NAMES, key=len, reverse=True))})\b(?=[=:\[ ])")


def _read_format(value: Any, fields: dict[str, Any]) -> str | None:
    """Put the format of the video into `fields`, and return the bucket that is named for it."""
    if isinstance(value, list) and len(value) == 1:
        [value] = value
    form = _object({} if value is None else value, "'response_format'")
    _check_names(form, _FORMAT, "response_format.")
    if form.get("type", "video") != "video" or form.get("mime_type", "video/mp4") != "video/mp4":
        raise invalid("'response_format.type' must be 'video': this server makes videos in MP4 only.")
    delivery = form.get("delivery") or "inline"
    if delivery not in ("inline", "uri"):
        raise _unsupported(delivery, "response_format.delivery", ("inline", "uri"))
    fields["metadata"] = {DELIVERY: delivery}
    for name in ("aspect_ratio", "resolution"):
        if (each := form.get(name)) is not None:
            fields[name] = _text(each, f"response_format.{name}")
    if (duration := form.get("duration")) is not None:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)s", _text(duration, "response_format.duration"))
        if match is None:
            raise invalid("Invalid value at 'response_format.duration': expected seconds such as '8s'.")
        fields["duration_seconds"] = float(match[1])
    bucket = form.get("gcs_uri")
    if bucket is not None and (delivery != "uri" or not is_bucket(bucket)):
        raise invalid("'response_format.gcs_uri' needs delivery 'uri' and an address that begins with gs://.")
    return bucket


def _read_input(value: Any, task: Any, fields: dict[str, Any]) -> None:
    """Put text and media into `fields`, in the roles that `task` gives them."""
    texts: list[str] = []
    media: dict[str, list[dict[str, Any]]] = {"image": [], "video": []}
    for block, at in _blocks(value, "input"):
        if block.get("type") == "text":
            texts.append(_text(block.get("text"), f"{at}.text"))
        elif (kind := block.get("type")) in ("image", "video"):
            media[kind].append(_medium(block, at))
        else:
            raise _unsupported(block.get("type"), f"{at}.type", ("text", "image", "video"))
    fields["text"] = "\n".join(texts)
    images, videos = media["image"], media["video"]
    if task is None and (images or videos):
        raise invalid("'generation_config.video_config.task' must say what the images and videos of 'input' are for.")
    if task is not None and task not in _TASKS:
        raise _unsupported(task, "generation_config.video_config.task", _TASKS)
    if task == "reference_to_video":
        fields |= {"reference_images": images, "reference_videos": videos}
        return
    fields |= dict(zip(("image", "last_frame"), images, strict=False))
    if videos:
        fields["video"] = videos[0]
    if task in ("edit", "extend", "upscale"):
        fields["task"] = task
    most_images, most_videos = _MOST.get(task, (0, 1))
    if len(images) > most_images or len(videos) > most_videos or (task == "image_to_video" and not images):
        raise invalid(
            f"'input' has {len(images)} images and {len(videos)} videos, and the task {task} takes "
            f"{'one or two' if most_images else 'no'} images and {'one video' if most_videos else 'no videos'} here."
        )


_MOST: Mapping[Any, tuple[int, int]] = {None: (0, 0), "text_to_video": (0, 0), "image_to_video": (2, 0)}
"""How many images and videos a task takes; the others take one video."""


def _blocks(value: Any, at: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The blocks of an `input`: a text, a block, or a list of blocks or of steps that hold blocks."""
    if isinstance(value, str):
        yield {"type": "text", "text": value}, at
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _blocks(item, f"{at}[{place}]")
    elif isinstance(value, dict):
        if value.get("type") == "user_input":
            yield from _blocks(value.get("content"), f"{at}.content")
        else:
            yield value, at
    elif value is not None:
        raise invalid(f"Invalid value at '{at}': expected a string, an object or a list.")


def _medium(block: Mapping[str, Any], at: str) -> dict[str, Any]:
    _check_names(block, ("type", "mime_type", "data", "uri"), f"{at}.")
    medium = {name: _text(block[name], f"{at}.{name}") for name in ("mime_type", "data", "uri") if block.get(name)}
    if ("data" in medium) is ("uri" in medium):
        raise invalid(f"Invalid value at '{at}': either 'data' or 'uri' is required.")
    return medium


def _check_names(value: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for name in value:
        if name in allowed or value[name] is None:
            continue
        if name in _NOT_PASSED_ON:
            raise invalid(f"The parameter '{name}' is not supported: {_NOT_PASSED_ON[name]}.")
        raise invalid(f"Unknown parameter '{where}{name:.80}'. This server knows {', '.join(allowed)} there.")


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"Invalid JSON payload received. Expected an object for {what}.")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid(f"Invalid value at '{what}': expected a list.")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise invalid(f"Invalid value at '{name}': expected a string.")
    return value


def _unsupported(value: object, at: str, allowed: tuple[str, ...]) -> Refused:
    listed = ", ".join(f"'{one}'" for one in allowed)
    return invalid(f"The value '{value!s:.80}' is not supported for '{at}'. Supported values: {listed}.")
