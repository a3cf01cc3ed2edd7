"""One model's entry in the catalog: what it makes, takes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from aveo3.models import VideoPrompt


class ModelCard(BaseModel):
    """One model. Prices in US$ per second and video, latency in seconds.

    `backend` is the one that has the model. `generate_audio` is "always" for a model that makes no silent videos.
    `only_seconds`: fields of a prompt with which there is but one length. `extends`: the resolutions in which a `video`
    is extended, `image_types` what pictures may be; empty: whatever is asked. `previous`: earlier clips can be named as
    material; `edit`: and changed, not only extended. `token_prices` are US$ per million tokens of `input`, `video` and
    other `output`, of a model that is billed by them. `since` is the day from which on it is as `state` says, `retires`
    what Google says of its end, `source` the key of the catalog's source for both; empty where nobody knows.
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
        """The fields of `prompt` with which there is but one length, and that length in seconds."""
        return {name: seconds for name, seconds in self.only_seconds.items() if getattr(prompt, name)}
