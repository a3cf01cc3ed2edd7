"""Validates a request for an interaction as Google does. Pure: JSON in, `Wish` or `RequestError` out.

Each message in this package says where its words come from. `# live`: Google has answered with them, if only for
another model or field. `# guessed`: nobody has published any, so they imitate Google's style. Google documents no words
for the errors of Omni 1.2, upscaling and labels (read 2026-11-26).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aveo3.mock.error_bodies import RequestError, invalid
from aveo3.mock.labels import check_labels
from aveo3.mock.models import OMNI, Omni, Surface
from aveo3.mock.omni.errors import no_model, unknown_parameter, unsupported, unsupported_value
from aveo3.mock.omni.input import Input, read_input
from aveo3.mock.state.operations import Order

_TAKEN = frozenset(
    {
        *("model", "input", "previous_interaction_id", "background", "store", "stream", "service_tier", "labels"),
        *("response_format", "response_modalities", "generation_config", "safety_settings", "webhook_config"),
    }
)
_NOT_OMNIS = frozenset(
    {
        *("system_instruction", "tools", "cached_content", "response_mime_type", "continuation_token"),
        *("environment", "agent", "agent_config"),
    }
)
_CONFIG = ("video_config", "seed")
_FORMAT = ("type", "delivery", "duration", "resolution", "aspect_ratio", "gcs_uri")
_TASKS = ("text_to_video", "image_to_video", "reference_to_video", "edit", "extend", "upscale")
_TIERS = ("flex", "standard", "priority", "deferred")
# Vertex AI rejects parameters that a task cannot use; the Developer API accepts them and may ignore them.
_USED = {"edit": {"resolution"}, "upscale": {"resolution"}, "extend": {"duration"}}
_ANY = {"resolution", "aspect_ratio", "duration"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")
_BUCKET = re.compile("gs://[a-z0-9][a-z0-9._-]*(/|$)")
_UPLOADED = 8.0  # seconds: the assumed length of a clip from another source
_UPLOADED_SIZE = "720p"  # its assumed resolution

Stored = Callable[[str], Order | None]
"""Takes the id of a file of this server. Returns the order that made it, or None if there is no such file."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for: the order, and the form of the responses."""

    order: Order
    input: Input
    delivery: str
    background: bool
    store: bool
    tier: str
    format: dict[str, Any] | None
    labels: dict[str, str] | None
    previous: str | None
    hooks: tuple[str, ...]
    metadata: dict[str, Any] | None


def find_omni(name: Any, surface: Surface, version: str, retired: tuple[str, ...], where: str) -> Omni:
    """The model. Raises RequestError with the API's 400 or 404. `where` is the resource name before the model id."""
    if not isinstance(name, str) or not name:
        raise RequestError(invalid("The parameter 'model' is required."))  # guessed
    name = name.removeprefix("models/")
    if name in retired:
        raise RequestError(  # live, for Veo
            no_model(
                f"This model {where}/{name} is no longer available. Please update your code to use a newer model for "
                "the latest features and improvements."
            )
        )
    model = OMNI.get((surface, name))
    if model is None:
        raise RequestError(  # live, for Veo
            no_model(
                f"{where}/{name} is not found for API version {version}, or is not supported for interactions. "
                "Call ListModels to see the list of available models and their supported methods."
            )
        )
    return model


def read_wish(body: Mapping[str, Any], model: Omni, parent: Order | None, stored: Stored) -> Wish:
    """Return what `body` asks of `model`. `parent` is the order of the previous interaction; None if there is none.

    Raises RequestError with Google's 400.
    """
    for name in sorted(body.keys() - _TAKEN):
        raise RequestError(unsupported(name, model.id) if name in _NOT_OMNIS else unknown_parameter(name))
    background, store = _flag(body, "background", False), _flag(body, "store", True)
    if background and not store:
        # guessed
        raise RequestError(invalid("'background' needs 'store': an interaction that is not stored cannot be polled."))
    if _flag(body, "stream", False):
        raise RequestError(invalid("The mock server does not stream; leave 'stream' out, and poll."))  # our own
    wanted = _task(body.get("generation_config"), model)
    content = read_input(body.get("input"), model, required=wanted != "upscale" or parent is None)
    output = _format(body.get("response_format"), model)
    task = wanted or _default_task(content, parent)
    _check_task(task, content, parent, model)
    if model.surface == "vertex":
        for name in sorted(output.keys() & _ANY - _USED.get(task, _ANY)):
            raise RequestError(invalid(f"'response_format.{name}' is not supported for task '{task}'."))  # guessed
    hooks = _object(body.get("webhook_config"), "webhook_config")
    if hooks and not background:
        raise RequestError(invalid("'webhook_config' needs 'background'."))  # guessed
    return Wish(
        order=_order(task, content, output, model, parent, stored),
        input=content,
        delivery=output.get("delivery", "inline"),
        background=background,
        store=store,
        tier=_one_of(body.get("service_tier", "standard"), "service_tier", _TIERS),
        format=output or None,
        labels=check_labels(body.get("labels")),
        previous=body.get("previous_interaction_id"),
        hooks=_hooks(hooks.get("uris")),
        metadata=hooks.get("user_metadata"),
    )


def _order(
    task: str, content: Input, output: Mapping[str, Any], model: Omni, parent: Order | None, stored: Stored
) -> Order:
    most = model.longest_extension if task == "extend" else model.longest
    if task == "image_to_video" and len(content.of("image")) == 2:
        most = model.longest_with_last_frame
    seconds = film_seconds = _seconds(output.get("duration", f"{model.usual:g}s"), model.shortest, most)
    aspect, resolution = output.get("aspect_ratio", "16:9"), output.get("resolution", "720p")
    tokens = model.tokens[resolution]
    if task in _USED:
        source = parent if parent is not None else _uploaded(content.of("video")[0], stored)
        aspect = aspect if parent is None else parent.aspect
        length = _UPLOADED if source is None else source.film_seconds
        film_seconds = length + seconds if task == "extend" else length
        seconds = seconds if task == "extend" else length
        if task == "upscale":
            tokens = _upscaling(_UPLOADED_SIZE if source is None else source.resolution, resolution, model)
        if film_seconds > model.longest_extended:
            raise RequestError(  # guessed
                invalid(
                    f"The extended video would last {film_seconds:g} seconds; at most {model.longest_extended:g} are "
                    "supported."
                )
            )
    return Order(
        prompt=content.prompt,
        seconds=seconds,
        film_seconds=film_seconds,
        samples=1,
        aspect=aspect,
        resolution=resolution,
        usd_per_second=tokens * model.usd_per_million / 1e6,
        storage_uri=output.get("gcs_uri"),
        tokens_per_second=tokens,
    )


def _uploaded(block: Mapping[str, Any], stored: Stored) -> Order | None:
    """Return the order of an input video that this server made, None for any other."""
    return stored(str(block.get("uri", "")).partition("files/")[2].partition(":")[0])


def _upscaling(source: str, target: str, model: Omni) -> int:
    """Return the tokens for a second. Raises RequestError where there is nothing to gain; the message is guessed."""
    tokens = model.upscale.get((source, target))
    if tokens is None:
        raise RequestError(invalid(f"A video of {source} cannot be upscaled to {target}."))  # guessed
    return tokens


def _format(value: Any, model: Omni) -> dict[str, Any]:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    output = _object(value, "response_format")
    if not output:
        return output
    for name in sorted(output.keys() - set(_FORMAT)):
        raise RequestError(unknown_parameter(f"response_format.{name}"))
    _one_of(output.get("type"), "response_format.type", ("video",))
    for name, allowed in (
        ("delivery", ("inline", "uri")),
        ("resolution", model.resolutions),
        ("aspect_ratio", model.aspects),
    ):
        if name in output:
            _one_of(output[name], f"response_format.{name}", allowed)
    storage, by_uri = output.get("gcs_uri"), output.get("delivery") == "uri"
    if model.surface == "developer" and storage is not None:
        raise RequestError(unsupported("response_format.gcs_uri", model.id))
    if model.surface == "vertex" and by_uri and not (isinstance(storage, str) and _BUCKET.match(storage)):
        # guessed
        raise RequestError(invalid("'response_format.gcs_uri' is required if 'response_format.delivery' is 'uri'."))
    if storage is not None and not by_uri:
        # guessed
        raise RequestError(invalid("'response_format.gcs_uri' needs 'response_format.delivery' to be 'uri'."))
    return output


def _seconds(value: Any, shortest: float, longest: float) -> float:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise RequestError(  # guessed
            invalid(f"Invalid value at 'response_format.duration': {value}. A duration is a string such as '8s'.")
        )
    if not shortest <= float(match[1]) <= longest:
        allowed = (f"{shortest:g}s", f"{longest:g}s")
        message = f"'{value}' is out of range for 'response_format.duration': {' to '.join(allowed)}."
        raise RequestError(invalid(message))  # guessed
    seconds = float(match[1])
    return int(seconds) if seconds.is_integer() else seconds


def _task(value: Any, model: Omni) -> str | None:
    config = _object(value, "generation_config")
    for name in sorted(config.keys() - ({*_CONFIG} if model.seed else {"video_config"})):
        raise RequestError(unsupported(f"generation_config.{name}", model.id))
    task = _object(config.get("video_config"), "generation_config.video_config").get("task")
    return None if task is None else _one_of(task, "generation_config.video_config.task", _TASKS)


def _default_task(content: Input, parent: Order | None) -> str:
    if parent is not None or content.of("video"):
        return "edit"
    images = len(content.of("image"))
    return "text_to_video" if not images else "image_to_video" if images <= 2 else "reference_to_video"


def _check_task(task: str, content: Input, parent: Order | None, model: Omni) -> None:
    if task == "upscale" and not model.upscale:
        raise RequestError(invalid(f"Task 'upscale' is not supported by {model.id}."))  # guessed
    if task in _USED and parent is None and len(content.of("video")) != 1:
        raise RequestError(invalid(f"Task '{task}' needs one video, or a 'previous_interaction_id'."))  # guessed
    if task == "image_to_video" and not 1 <= len(content.of("image")) <= 2:
        # guessed
        raise RequestError(invalid("Task 'image_to_video' needs one image, or the first and the last frame."))
    if task == "reference_to_video" and not (content.of("image") or content.of("video")):
        raise RequestError(invalid("Task 'reference_to_video' needs an image or a video."))  # guessed
    if task == "text_to_video" and (len(content.of("text")) < len(content.blocks) or parent is not None):
        raise RequestError(invalid("Task 'text_to_video' takes text and nothing else."))  # guessed


def _flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestError(invalid(f"Invalid value at '{name}' (TYPE_BOOL), {value!r}"))  # guessed
    return default if value is None else value


def _one_of(value: Any, at: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise RequestError(unsupported_value(value, at, allowed))
    return str(value)


def _hooks(uris: Any) -> tuple[str, ...]:
    if uris is not None and (not isinstance(uris, list) or len(uris) > _MOST_HOOKS):
        # guessed
        raise RequestError(invalid(f"Invalid value at 'webhook_config.uris': expected up to {_MOST_HOOKS} addresses."))
    return tuple(str(uri) for uri in uris or ())


_MOST_HOOKS = 10


def _object(value: Any, at: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise RequestError(invalid(f"Invalid value at '{at}': expected an object."))  # guessed
    return value or {}
