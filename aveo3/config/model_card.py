"""A model's entry in the catalog: what the model accepts, makes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from aveo3.models import VideoPrompt


class ModelCard(BaseModel):
    """One model. Prices are in US$ for each second of each video, latencies in seconds.

    - `backend`: the backend that has the model.
    - `generate_audio`: "always" if the model makes no silent videos. `silent`: prices of videos without sound.
    - `only_seconds`: fields of a prompt that allow only this length.
    - `extends`: the resolutions in which it extends a `video`. `image_types`: the types that images may have. Empty
      means no restriction.
    - `prompt_tokens`: how many tokens of a prompt's text it reads; 0 if that is unknown.
    - `previous`: a prompt may name an earlier clip. `edit`: the model can also change that clip.
    - `token_prices`: US$ per million tokens of `input`, `video` and other `output`, if the model is billed by tokens.
    - `since`: the day since which `state` is true. `retires`: what Google says about its end. `source`: the source of
      both, a key of the catalog's `sources`. Empty means unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    previous: bool = False
    edit: bool = False
    token_prices: Mapping[str, float] = {}
    since: str = ""
    retires: str = ""
    source: str = ""

    def only_seconds_for(self, prompt: VideoPrompt) -> dict[str, int]:
        """The fields of `prompt` that allow only one length, and that length in seconds."""
        return {name: seconds for name, seconds in self.only_seconds.items() if getattr(prompt, name)}
