"""A model's entry in the catalog: what the model accepts, makes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator

from aveo3.models import VideoPrompt

OUTPUT_FIELDS = ("duration_seconds", "resolution", "aspect_ratio")


class ModelCard(BaseModel):
    """One model. Prices are in US$ for each second of each video, latencies in seconds.

    - `backend`: the backend that has the model. `also_on`: another that has it, and what is different there.
    - `locations`: the only regions that have it. Empty means any.
    - `fractional`: every length from the shortest to the longest of `durations` is possible. `most_seconds`: the
      longest video with a field (`last_frame`) or for a task (`extend`).
    - `generate_audio`: "always" if the model makes no silent videos. `silent`: prices of videos without sound.
    - `only_seconds`: fields of a prompt that allow only this length.
    - `extends`: the resolutions in which it extends a `video`. `image_types`: the types that images may have. Empty
      means no restriction.
    - `prompt_tokens`: how many tokens of a prompt's text it reads; 0 if that is unknown.
    - `task_fields`: the fields of the output that a task takes, out of `OUTPUT_FIELDS`; a task that is not there takes
      all.
    - `previous`: a prompt may name an earlier clip. `edit`: the model can also change that clip. `upscale_prices`: US$
      for each second, by source and by target.
    - `token_prices`: US$ per million tokens of `input`, `video` and other `output`, if the model is billed by tokens.
    - `since`: the day since which `state` is true. `retires`: what Google says about its end. `source`: the source of
      both, a key of the catalog's `sources`. Empty means unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    _elsewhere: dict[str, ModelCard] = PrivateAttr(default_factory=dict)

    state: str
    durations: tuple[int, ...]
    default_duration: int
    resolutions: tuple[str, ...]
    default_resolution: str
    aspect_ratios: tuple[str, ...]
    only_seconds: Mapping[str, int]
    image: bool
    last_frame: bool
    reference_images: int
    video: bool
    generate_audio: bool | Literal["always"]
    seed: bool
    negative_prompt: bool
    max_videos: int
    requests_per_minute: int
    latency: Mapping[str, float]
    prices: Mapping[str, float]
    silent: Mapping[str, float]
    prompt_tokens: int = 0
    extends: tuple[str, ...] = ()
    image_types: tuple[str, ...] = ()
    backend: Literal["vertex", "gemini"] = "vertex"
    person_generation: bool = True
    compression_quality: bool = False
    resize_mode: bool = False
    style_references: int = 0
    reference_videos: int = 0
    safety_settings: bool = False
    service_tier: bool = False
    fractional: bool = False
    most_seconds: Mapping[str, int] = {}
    upscale_prices: Mapping[str, Mapping[str, float]] = {}
    locations: tuple[str, ...] = ()
    task_fields: Mapping[str, tuple[str, ...]] = {}
    also_on: Mapping[Literal["vertex", "gemini"], Mapping[str, Any]] = {}
    previous: bool = False
    edit: bool = False
    token_prices: Mapping[str, float] = {}
    since: str = ""
    retires: str = ""
    source: str = ""

    @model_validator(mode="after")
    def _the_same_elsewhere(self) -> ModelCard:
        for backend, changes in self.also_on.items():
            card = {name: getattr(self, name) for name in type(self).model_fields if name != "also_on"}
            self._elsewhere[backend] = type(self).model_validate({**card, **changes, "backend": backend})
        return self

    @property
    def backends(self) -> tuple[str, ...]:
        """Every backend that has the model, its usual one first."""
        return (self.backend, *self.also_on)

    def at(self, backend: str | None) -> ModelCard:
        """The card of this model at `backend`; the card itself if nothing is said of that backend."""
        return self._elsewhere.get(backend or "", self)

    def upscales(self, resolution: str, source: str | None = None) -> float | None:
        """US$ per second to upscale from `source` to `resolution`, from the dearest if that is unknown; None if it
        cannot."""
        known = self.upscale_prices.get(source or "", {}).get(resolution)
        dearest = (prices[resolution] for prices in self.upscale_prices.values() if resolution in prices)
        return max(dearest, default=None) if known is None else known

    def only_seconds_for(self, prompt: VideoPrompt) -> dict[str, int]:
        """The fields of `prompt` that allow only one length, and that length in seconds."""
        return {name: seconds for name, seconds in self.only_seconds.items() if getattr(prompt, name)}
