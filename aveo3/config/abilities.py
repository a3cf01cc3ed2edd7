"""Checks whether a model can make a prompt; if not, says why, and which other model can. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from unicodedata import east_asian_width

from aveo3.config.model_card import ModelCard
from aveo3.models import VideoPrompt


def problems(prompt: VideoPrompt, model: str, models: Mapping[str, ModelCard]) -> list[str]:
    """The reasons why `model` cannot make `prompt`, a sentence each: allowed values, or another model that can."""
    card = models[model]
    found: list[str] = []

    def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
        if value is not None and value not in allowed:
            found.append(f"{name}={value!r} is not offered by {model}: choose {' or '.join(map(str, allowed))}")

    def offered(name: str, wanted: bool, able: bool) -> None:
        if wanted and not able:
            found.append(f"{model} takes no {name}: leave it out{_or_use(name, card, models)}")

    if not (only := card.only_seconds_for(prompt)):
        one_of("duration_seconds", prompt.duration_seconds, card.durations)
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
    offered("previous", prompt.previous is not None, card.previous)
    if prompt.task == "edit" and not card.edit:
        found.append(f"{model} edits no videos: leave task out to extend{_or_use('edit', card, models)}")
    if len(prompt.reference_images) > card.reference_images > 0:
        found.append(f"{len(prompt.reference_images)} reference_images: {model} takes at most {card.reference_images}")
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
    return [*found, *dict.fromkeys(_media_problems(prompt, model, models))]


def _media_problems(prompt: VideoPrompt, model: str, models: Mapping[str, ModelCard]) -> Iterator[str]:
    """Image types that `model` does not accept, and addresses that it cannot read."""
    card = models[model]
    types = card.image_types
    pictures = {"image": prompt.image, "last_frame": prompt.last_frame}
    pictures |= {f"reference_images[{at}]": picture for at, picture in enumerate(prompt.reference_images)}
    for name, picture in pictures.items():
        if picture is not None and types and picture.mime_type not in types:
            able = [f"{m} (VEO3_BACKEND={c.backend})" for m, c in models.items() if picture.mime_type in c.image_types]
            use = f", or use {' or '.join(able)}" if able else ""
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
    able = {m: c.backend for m, c in models.items() if getattr(c, name)}
    near = [m for m, backend in able.items() if backend == card.backend]
    far = [f"{m} (VEO3_BACKEND={backend})" for m, backend in able.items()]
    return f", or use {' or '.join(near or far)}" if able else ""


def tokens_in(text: str) -> int:
    """A rough estimate of how many tokens Google counts in `text`.

    Four characters of English are about one token, two of other alphabets, one of Chinese, Japanese or Korean.
    """
    plain = sum(sign.isascii() for sign in text)
    wide = sum(east_asian_width(sign) in "WF" for sign in text) if plain < len(text) else 0
    return round(plain / 4 + (len(text) - plain - wide) / 2 + wide)
