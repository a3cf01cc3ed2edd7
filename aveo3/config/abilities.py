"""Checks whether a model can make a prompt; if not, says why, and which other model can. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from unicodedata import east_asian_width

from aveo3.config.model_card import OUTPUT_FIELDS, ModelCard
from aveo3.models import VideoPrompt


def problems(prompt: VideoPrompt, model: str, models: Mapping[str, ModelCard], backend: str | None = None) -> list[str]:
    """The reasons why `model` cannot make `prompt`, a sentence each: allowed values, or another model that can.

    `backend` is where it would be made; None: where the model usually is.
    """
    card = models[model].at(backend)
    found: list[str] = []

    def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
        if value is not None and value not in allowed:
            found.append(f"{name}={value!r} is not offered by {model}: choose {' or '.join(map(str, allowed))}")

    def offered(name: str, wanted: bool, able: bool) -> None:
        if wanted and not able:
            found.append(f"{model} takes no {name}: leave it out{_or_use(name, card, models)}")

    if prompt.task == "upscale":
        return [*_upscaling(prompt, model, card, models), *dict.fromkeys(_media_problems(prompt, card, model, models))]
    if (task := _task(prompt)) in card.task_fields:
        found += [
            f"{model} takes no {name} with task {task} there: leave it out"
            for name in OUTPUT_FIELDS
            if getattr(prompt, name) is not None and name not in card.task_fields[task or ""]
        ]
    if not (only := card.only_seconds_for(prompt)):
        found += _length_problems(prompt, model, card)
    one_of("resolution", prompt.resolution, card.resolutions)
    if prompt.video is not None and card.extends and prompt.resolution in {*card.resolutions} - {*card.extends}:
        found.append(f"{model} extends a video in {' or '.join(card.extends)} only, not in {prompt.resolution}")
    one_of("aspect_ratio", prompt.aspect_ratio, card.aspect_ratios)
    offered("image", prompt.image is not None, card.image)
    offered("last_frame", prompt.last_frame is not None, card.last_frame)
    offered("reference_images", bool(prompt.reference_images), card.reference_images > 0)
    offered("video", prompt.video is not None, card.video)
    offered("generate_audio", prompt.generate_audio is not None, bool(card.generate_audio))
    if prompt.generate_audio is False and card.generate_audio == "always":
        found.append(f"{model} makes no silent videos: leave generate_audio out{_or_use('silent', card, models)}")
    offered("seed", prompt.seed is not None, card.seed)
    offered("negative_prompt", prompt.negative_prompt is not None, card.negative_prompt)
    offered("person_generation", prompt.person_generation is not None, card.person_generation)
    offered("reference_videos", bool(prompt.reference_videos), card.reference_videos > 0)
    offered("safety_settings", bool(prompt.safety_settings), card.safety_settings)
    offered("service_tier", prompt.service_tier is not None, card.service_tier)
    offered("compression_quality", prompt.compression_quality is not None, card.compression_quality)
    offered("resize_mode", prompt.resize_mode is not None, card.resize_mode)
    offered("previous", prompt.previous is not None, card.previous)
    if prompt.task == "edit" and not card.edit:
        found.append(f"{model} edits no videos: leave task out to extend{_or_use('edit', card, models)}")
    if len(prompt.reference_images) > card.reference_images > 0:
        found.append(f"{len(prompt.reference_images)} reference_images: {model} takes at most {card.reference_images}")
    if len(prompt.reference_videos) > card.reference_videos > 0:
        found.append(f"{len(prompt.reference_videos)} reference_videos: {model} takes at most {card.reference_videos}")
    styles = [image for image in prompt.reference_images if image.type == "style"]
    if styles and not card.style_references:
        found.append(
            f"{model} takes no reference_images of type style, which Google offers for veo-2.0-generate-exp only: use "
            f"type asset, or describe the style in the text{_or_use('style_references', card, models)}"
        )
    elif len(styles) > card.style_references:
        found.append(f"{len(styles)} reference_images of type style: {model} takes at most {card.style_references}")
    if prompt.number_of_videos > card.max_videos:
        found.append(
            f"number_of_videos={prompt.number_of_videos}: {model} makes at most {card.max_videos} per request; give "
            "the prompt again for each further one"
        )
    found += [
        f"{name} needs duration_seconds={seconds} on {model}, not {prompt.duration_seconds}"
        for name, seconds in only.items()
        if prompt.duration_seconds not in (None, seconds)
    ]
    return [*found, *dict.fromkeys(_media_problems(prompt, card, model, models))]


def _length_problems(prompt: VideoPrompt, model: str, card: ModelCard) -> Iterator[str]:
    seconds, lengths = prompt.duration_seconds, card.durations
    if seconds is None:
        return
    if card.fractional and lengths[0] <= seconds <= lengths[-1]:
        for name, most in card.most_seconds.items():
            if seconds > most and (getattr(prompt, name, None) or name == _task(prompt)):
                yield f"duration_seconds={seconds!r} is not offered by {model} with {name}: at most {most}"
    elif seconds not in lengths:
        allowed = f"{lengths[0]} to {lengths[-1]}" if card.fractional else " or ".join(map(str, lengths))
        yield f"duration_seconds={seconds!r} is not offered by {model}: choose {allowed}"


def _task(prompt: VideoPrompt) -> str | None:
    return prompt.task or ("extend" if prompt.video is not None else None)


def _upscaling(prompt: VideoPrompt, model: str, card: ModelCard, models: Mapping[str, ModelCard]) -> Iterator[str]:
    """The reasons why `model` cannot upscale to the resolution of `prompt`."""
    targets = list(dict.fromkeys(target for prices in card.upscale_prices.values() for target in prices))
    if not targets:
        yield f"{model} upscales no videos{_or_use('upscale_prices', card, models)}"
    elif prompt.resolution not in targets:
        yield f"{model} upscales to {' or '.join(targets)}, not to {prompt.resolution}"
    if prompt.previous is not None and not card.previous:
        yield f"{model} takes no previous on Vertex AI: give the clip's file or address as video"


def _media_problems(prompt: VideoPrompt, card: ModelCard, model: str, models: Mapping[str, ModelCard]) -> Iterator[str]:
    """Image types that `model` does not accept, and addresses that it cannot read."""
    types = card.image_types
    pictures = {"image": prompt.image, "last_frame": prompt.last_frame}
    pictures |= {f"reference_images[{at}]": picture for at, picture in enumerate(prompt.reference_images)}
    for name, picture in pictures.items():
        if picture is not None and types and picture.mime_type not in types:
            use = _or_use_one_of([m for m, c in models.items() if picture.mime_type in c.image_types], card, models)
            yield f"{name} is {picture.mime_type}, and {model} takes {' or '.join(types)}: convert it{use}"
    for medium in prompt.media:
        if medium.uri is not None and (why := unreadable(medium.uri, card.backend)) is not None:
            yield why


def unreadable(uri: str, backend: str) -> str | None:
    """The reason why `backend` cannot read the media at `uri`, and what to do; None if it can."""
    if backend == "vertex" and not uri.startswith("gs://"):
        return f"{uri}: Vertex AI reads media from gs:// only; download it and give the file's path instead"
    if backend == "gemini" and uri.startswith("gs://"):
        return f"{uri}: the Gemini API reads no buckets; download it and give the file's path instead"
    return None


def _or_use(name: str, card: ModelCard, models: Mapping[str, ModelCard]) -> str:
    """The models that have the ability `name`: those of the backend of `card`, or else of the other backend."""
    return _or_use_one_of([model for model, other in models.items() if getattr(other, name)], card, models)


def _or_use_one_of(able: Sequence[str], card: ModelCard, models: Mapping[str, ModelCard]) -> str:
    """Those of `able` that the backend of `card` has, or else of the other backend."""
    near = [model for model in able if card.backend in models[model].backends]
    far = [f"{model} (VEO3_BACKEND={models[model].backend})" for model in able]
    return f", or use {' or '.join(near or far)}" if able else ""


def tokens_in(text: str) -> int:
    """A rough estimate of how many tokens Google counts in `text`.

    Four characters of English are about one token, two of other alphabets, one of Chinese, Japanese or Korean.
    """
    plain = sum(sign.isascii() for sign in text)
    wide = sum(east_asian_width(sign) in "WF" for sign in text) if plain < len(text) else 0
    return round(plain / 4 + (len(text) - plain - wide) / 2 + wide)
