"""Validates a Veo request as Google does. Pure: JSON in, `Order` or `RequestError` out.

Messages marked (live) were published by users of the real API; the others imitate its style.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from aveo3.mock.error_bodies import RequestError, invalid, not_found, unknown_field
from aveo3.mock.labels import check_labels
from aveo3.mock.models import MODELS, Model, Surface
from aveo3.mock.state.operations import Order

_BOTH = frozenset(
    {
        "sampleCount",
        "durationSeconds",
        "aspectRatio",
        "resolution",
        "personGeneration",
        "negativePrompt",
        "enhancePrompt",
        "seed",
    }
)
_VERTEX = _BOTH | {"storageUri", "fps", "pubsubTopic", "generateAudio", "compressionQuality", "resizeMode"}
_PARAMETERS = {"developer": _BOTH, "vertex": _VERTEX}
_TOP = {
    "developer": frozenset({"instances", "parameters", "webhookConfig"}),
    "vertex": frozenset({"instances", "parameters", "labels"}),
}
_INSTANCE = frozenset({"prompt", "image", "video", "lastFrame", "referenceImages", "mask"})
_MEDIA = {
    "developer": frozenset({"bytesBase64Encoded", "mimeType", "uri"}),
    "vertex": frozenset({"bytesBase64Encoded", "mimeType", "gcsUri"}),
}
# On Vertex AI a project that Google has not allowlisted gets no children, or a filtered clip, but the API accepts
# allow_all anyway ("Responsible AI and usage guidelines for Veo", support codes 58061214 and 17301594).
_PEOPLE = {"developer": ("allow_all", "allow_adult"), "vertex": ("allow_all", "allow_adult", "dont_allow", "disallow")}
_BUCKET = re.compile("gs://[a-z0-9][a-z0-9._-]*(/|$)")
_IMAGES = ("image/png", "image/jpeg")
_IMAGE_LIMIT = 20 * 2**20 * 4 // 3  # 20 MB, as base64
_EXTENSION = 7  # seconds an extension adds
_FEATURES = {"video": ("video_extension", (_EXTENSION,)), "referenceImages": ("reference_to_video", (8,))}
"""For each field that has its own durations on Vertex AI: the name of the feature, and these durations in seconds."""
_EXTENDED = {"developer": ("720p",), "vertex": ("720p", "1080p")}
_LONGEST = 148  # seconds

Extend = Callable[[str], float | None]
"""Takes the id of a file of this server. Returns its length in seconds, or None if it cannot be extended."""


def find_model(name: str, surface: Surface, version: str, retired: tuple[str, ...], where: str) -> Model:
    """Return the model. Raises RequestError with Google's 404. `where` is the full resource name of the model."""
    if name in retired:
        raise RequestError(
            not_found(
                f"This model {where} is no longer available. Please update your code to use a newer model for the "
                "latest features and improvements."
            )
        )
    model = MODELS.get((surface, name))
    if model is None and surface == "developer":
        raise RequestError(
            not_found(
                f"{where} is not found for API version {version}, or is not supported for predictLongRunning. "
                "Call ListModels to see the list of available models and their supported methods."
            )
        )
    if model is None:
        message = f"Publisher Model `{where}` was not found or your project does not have access to it."
        raise RequestError(not_found(message))
    return model


def read_order(body: Any, model: Model, extend: Extend) -> Order:
    """Return what `body` orders from `model`. Raises RequestError with Google's 400."""
    body = _object(body, "")
    surface = model.surface
    for name in sorted(body.keys() - _TOP[surface]):
        raise RequestError(unknown_field(name))
    instances = body.get("instances")
    if not isinstance(instances, list) or len(instances) != 1:
        raise RequestError(invalid("`instances` must have exactly one entry."))
    instance = _object(instances[0], "instances[0]")
    parameters = _object(body.get("parameters") or {}, "parameters")
    _check_instance(instance, model)
    for name in sorted(parameters.keys() - _PARAMETERS[surface]):
        raise RequestError(_unsupported(name))
    if "negativePrompt" in parameters and not model.negative_prompt:
        raise RequestError(_unsupported("negativePrompt"))

    samples = _whole(parameters, "sampleCount", 1, 1, 1 if surface == "developer" else 4)
    seconds = _seconds(parameters, model, instance)
    resolution = _one_of(parameters, "resolution", "720p", tuple(model.usd))
    aspect = _one_of(parameters, "aspectRatio", "16:9", model.aspects)
    _one_of(parameters, "compressionQuality", "optimized", ("optimized", "lossless"))
    _one_of(parameters, "resizeMode", "pad", ("pad", "crop"))
    check_labels(body.get("labels"))
    _whole(parameters, "seed", 0, 0, 2**32 - 1)
    _check_people(parameters, surface, from_text=not instance.keys() & {"image", "lastFrame", "referenceImages"})
    audio = parameters.get("generateAudio", True)
    if not isinstance(audio, bool):
        raise RequestError(invalid("The value type for `generateAudio` needs to be a boolean."))
    storage = parameters.get("storageUri")
    if storage is not None and not (isinstance(storage, str) and _BUCKET.match(storage)):
        raise RequestError(invalid("`storageUri` needs to be a Cloud Storage URI that starts with gs:// and a bucket."))

    if surface == "developer" and seconds != 8:
        if resolution != "720p":
            raise RequestError(invalid(f"{resolution} is not supported for a duration of {seconds} seconds."))  # live
        for name, what in (("referenceImages", "Reference images"), ("video", "Video extension")):
            if name in instance:
                raise RequestError(invalid(f"{what} is not supported for a duration of {seconds} seconds."))
    film_seconds: float = seconds
    if "video" in instance:
        seconds, film_seconds = _EXTENSION, _extended(instance["video"], resolution, surface, extend)
    return Order(
        prompt=instance.get("prompt", ""),
        seconds=seconds,
        film_seconds=film_seconds,
        samples=samples,
        aspect=aspect,
        resolution=resolution,
        usd_per_second=model.price(resolution, audio=audio),
        storage_uri=storage,
        sound=audio,
    )


def _check_instance(instance: Mapping[str, Any], model: Model) -> None:
    for name in sorted(instance.keys() - _INSTANCE):
        raise RequestError(_unsupported(name))
    if "mask" in instance:
        raise RequestError(_unsupported("mask"))
    prompt = instance.get("prompt")
    if prompt is not None and not isinstance(prompt, str):
        raise RequestError(invalid("The value type for `prompt` needs to be a string."))
    if not prompt and not instance.keys() & {"image", "video"}:
        raise RequestError(invalid("The prompt is required: `prompt`, `image` or `video` must be given."))
    for name in ("image", "lastFrame", "video"):
        if name in instance:
            _check_media(instance[name], name, model.surface)
    references = instance.get("referenceImages")
    if references is not None:
        if not model.references:
            raise RequestError(_unsupported("referenceImages"))
        if not isinstance(references, list) or not 1 <= len(references) <= model.references:
            raise RequestError(invalid(f"`referenceImages` takes 1 to {model.references} images."))
        for reference in references:
            entry = _object(reference, "referenceImages")
            _check_media(entry.get("image"), "image", model.surface)
            if str(entry.get("referenceType", "asset")).lower() != "asset":
                raise RequestError(invalid(f"`referenceType` {entry['referenceType']} isn't supported by this model."))
        for name in ("image", "video", "lastFrame"):
            if name in instance:
                raise RequestError(invalid(f"`{name}` and `referenceImages` can't be used together."))
    if "lastFrame" in instance and "image" not in instance:
        raise RequestError(invalid("`lastFrame` needs `image`: please provide the first frame as well."))
    if "video" in instance and not model.extension:
        raise RequestError(_unsupported("video"))
    if "video" in instance and "image" in instance:
        raise RequestError(invalid("`image` and `video` can't be used together."))


def _check_media(media: Any, name: str, surface: Surface) -> None:
    media = _object(media, name)
    for key in sorted(media.keys() - _MEDIA[surface]):
        raise RequestError(_unsupported(key))  # live, for inlineData and encodedVideo
    if name != "video" and media.keys() & {"bytesBase64Encoded", "gcsUri"} and media.get("mimeType") not in _IMAGES:
        raise RequestError(invalid(f"`mimeType` of `{name}` needs to be {' or '.join(_IMAGES)}."))
    content = media.get("bytesBase64Encoded")
    if content is None and not media.keys() & {"uri", "gcsUri"}:
        raise RequestError(invalid(f"`{name}` has no content: `bytesBase64Encoded` is required."))
    if content is None:
        return
    if not isinstance(content, str) or not content or (name != "video" and len(content) > _IMAGE_LIMIT):
        raise RequestError(
            invalid(f"`bytesBase64Encoded` of `{name}` needs to be a non-empty base64 string of at most 20 MB.")
        )


def _seconds(parameters: Mapping[str, Any], model: Model, instance: Mapping[str, Any]) -> int:
    feature, allowed = "image_to_video" if "image" in instance else "text_to_video", model.seconds
    if model.surface == "vertex":
        feature, allowed = next((_FEATURES[name] for name in _FEATURES if name in instance), (feature, allowed))
    seconds = parameters.get("durationSeconds", allowed[-1])
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise RequestError(invalid("The value type for `durationSeconds` needs to be a number."))  # live
    if seconds in allowed:
        return int(seconds)
    if model.surface == "developer":  # live, for 5 seconds too
        message = (
            "The number value for `durationSeconds` is out of bound. Please provide a value between "
            f"{allowed[0]} and {allowed[-1]}, inclusive."
        )
    else:
        message = (  # live
            f"Unsupported output video duration {seconds:g} seconds, supported durations are "
            f"[{','.join(map(str, allowed))}] for feature {feature}."
        )
    raise RequestError(invalid(message))


def _extended(video: Mapping[str, Any], resolution: str, surface: Surface, extend: Extend) -> float:
    if resolution not in _EXTENDED[surface]:
        raise RequestError(invalid(f"{resolution} is not supported for video extension."))
    uri = str(video.get("uri", ""))
    # The emulator cannot read a film in a bucket: it assumes a length of eight seconds.
    length = extend(uri.partition("files/")[2].partition(":")[0]) if surface == "developer" else 8
    if length is None or length + _EXTENSION > _LONGEST:
        raise RequestError(
            invalid("Input video must be a video that was generated by VEO that has been processed.")  # live
        )
    return length + _EXTENSION


def _check_people(parameters: Mapping[str, Any], surface: Surface, *, from_text: bool) -> None:
    people = parameters.get("personGeneration")
    if people is None:
        return
    allowed = ("allow_all",) if surface == "developer" and from_text else _PEOPLE[surface]
    if str(people).lower() not in allowed:
        raise RequestError(invalid(f"{people} for personGeneration is currently not supported."))  # live


def _whole(parameters: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise RequestError(invalid(f"The value type for `{name}` needs to be a number."))
    if not low <= value <= high:
        raise RequestError(
            invalid(
                f"The number value for `{name}` is out of bound. Please provide a value between {low} and {high}, "
                "inclusive."
            )
        )
    return int(value)


def _one_of(parameters: Mapping[str, Any], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = parameters.get(name, default)
    if not isinstance(value, str) or value.lower() not in allowed:
        raise RequestError(
            invalid(f"`{name}` {value} isn't supported by this model. Supported values: {', '.join(allowed)}.")
        )
    return value.lower()


def _unsupported(name: str) -> Any:
    return invalid(  # live
        f"`{name}` isn't supported by this model. Please remove it or refer to the Gemini API documentation for "
        "supported usage."
    )


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        place = f" at '{at}'" if at else ""
        raise RequestError(invalid(f"Invalid JSON payload received. Expected an object{place}."))
    return value
