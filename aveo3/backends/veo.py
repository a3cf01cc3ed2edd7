"""Builds requests for Veo out of the SDK's types. Pure, except that it reads media from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.genai import types

from aveo3.config.abilities import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aveo3.media import Media
    from aveo3.models import VideoPrompt


def request(
    prompt: VideoPrompt, labels: Mapping[str, str], output_uri: str | None
) -> tuple[types.GenerateVideosSource, types.GenerateVideosConfig]:
    """The SDK's arguments for `prompt`. Reads its media from disk. Parameters that are None are not sent.

    Raises ValueError for a field that Vertex AI does not have.
    """
    if prompt.previous is not None or prompt.task == "edit":
        raise ValueError("Veo can neither continue nor edit an earlier clip: leave previous and task out")
    for name, is_set in _OMNIS.items():
        if is_set(prompt):
            raise ValueError(f"Veo has no {name}: leave it out")
    source = types.GenerateVideosSource(
        prompt=prompt.text or None,
        image=_image(prompt.image) if prompt.image else None,
        video=_video(prompt.video) if prompt.video else None,
    )
    quality = prompt.compression_quality and prompt.compression_quality.upper()
    resize_mode = prompt.resize_mode and prompt.resize_mode.upper()
    config = types.GenerateVideosConfig(
        number_of_videos=prompt.number_of_videos,
        duration_seconds=prompt.duration_seconds and int(prompt.duration_seconds),
        aspect_ratio=prompt.aspect_ratio,
        resolution=prompt.resolution,
        negative_prompt=prompt.negative_prompt,
        seed=prompt.seed,
        generate_audio=prompt.generate_audio,
        person_generation=prompt.person_generation,
        last_frame=_image(prompt.last_frame) if prompt.last_frame else None,
        reference_images=[
            types.VideoGenerationReferenceImage(
                image=_image(media), reference_type=types.VideoGenerationReferenceType(media.type.upper())
            )
            for media in prompt.reference_images
        ]
        or None,
        compression_quality=quality and types.VideoCompressionQuality(quality),
        resize_mode=resize_mode and types.ImageResizeMode(resize_mode),
        labels=dict(labels) or None,
        output_gcs_uri=output_uri,
    )
    return source, config


_OMNIS: Mapping[str, Callable[[VideoPrompt], bool]] = {
    "task upscale": lambda p: p.task == "upscale",
    "reference_videos": lambda p: bool(p.reference_videos),
    "safety_settings": lambda p: bool(p.safety_settings),
    "service_tier": lambda p: p.service_tier is not None,
    "fractions of a second": lambda p: isinstance(p.duration_seconds, float),
}


def _image(media: Media) -> types.Image:
    if media.uri is not None:
        return types.Image(gcs_uri=_gcs(media.uri), mime_type=media.mime_type)
    content = media.read()
    return types.Image(image_bytes=content, mime_type=media.sent_type(content))


def _video(media: Media) -> types.Video:
    if media.uri is not None:
        return types.Video(uri=_gcs(media.uri), mime_type=media.mime_type)
    content = media.read()
    return types.Video(video_bytes=content, mime_type=media.sent_type(content))


def _gcs(uri: str) -> str:
    if (why := unreadable(uri, "vertex")) is not None:
        raise ValueError(why)
    return uri
