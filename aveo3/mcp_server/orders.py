"""What agents may order: clips by words and pictures, and films by scenes. No order names money."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field, ValidationError

from aveo3.integrations import orders
from aveo3.integrations.quotes import Refused
from aveo3.mcp_server.media import AllowedMedia
from aveo3.models import ModelId, Resolution, VideoPrompt, explain

MOST_CLIPS = 100
"""Clips of one call, takes counted."""

Film = orders.FilmArguments


class Clip(orders.ClipOrder):
    """One clip."""

    model: ModelId | None = Field(default=None, description="One of `models`. Leave out for the usual one.")
    resolution: Resolution | None = Field(default=None, description="Leave out for the model's usual.")
    negative_prompt: orders.Text | None = Field(default=None, description="What the clip must not show.")
    seed: int | None = Field(default=None, ge=0, le=2**32 - 1, description="The same seed gives similar clips.")
    image: str | None = Field(default=None, max_length=1000, description="Path of a picture that it begins with.")
    last_frame: str | None = Field(default=None, max_length=1000, description="Path of a picture that it ends with.")
    reference_images: list[str] = Field(
        default_factory=list, max_length=16, description="Paths of pictures of what should appear in it."
    )

    def wanted(self, number: int, media: AllowedMedia) -> Iterator[VideoPrompt]:
        """A prompt for each take. `number` is the clip's place in its call, from 1. Blocks. Raises `Refused`."""
        fields: dict[str, Any] = {
            "text": self.prompt,
            "model": self.model,
            "duration_seconds": self.seconds,
            "aspect_ratio": self.aspect_ratio,
            "resolution": self.resolution,
            "negative_prompt": self.negative_prompt,
            "seed": self.seed,
            "reference_images": [media.checked(path) for path in self.reference_images],
        }
        fields = {name: value for name, value in fields.items() if value not in (None, [])}
        for name in ("image", "last_frame"):
            if (path := getattr(self, name)) is not None:
                fields[name] = media.checked(path)
        for _ in range(self.takes):
            try:
                yield VideoPrompt.model_validate(fields)
            except ValidationError as error:
                raise Refused(f"nothing was sent: clip {number}: {'; '.join(explain(error))}") from None


def prompts_of(clips: Sequence[Clip], media: AllowedMedia) -> list[VideoPrompt]:
    """The prompts of a call, in order. Blocks: looks at the pictures. Raises `Refused`."""
    prompts = [prompt for number, clip in enumerate(clips, 1) for prompt in clip.wanted(number, media)]
    if len(prompts) > MOST_CLIPS:
        raise Refused(f"nothing was sent: {len(prompts)} clips in one call: at most {MOST_CLIPS}.")
    return prompts
