"""The models of the emulated Google, with their abilities and prices. Data as of 2026-11-23.

Source: Google's model and pricing pages. The previews of the Developer API were shut down on 2026-10-22. They stay
available here, because otherwise nothing could be tried on that wire (`MockOptions.retired` shuts down any model).
Omni's tokens: 17,376 for three seconds of 720p (measured), a third of that at 360p, three times that at 4K (reported).
For 1080p one measurement says as many as for 720p, resellers say half as many again: the dearer one counts here. What
upscaling takes is on Google's page, but for the pairs marked as guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Surface = Literal["vertex", "developer"]


class Sold(Protocol):
    """The part of a model that quotas use."""

    @property
    def id(self) -> str: ...
    @property
    def surface(self) -> Surface: ...
    @property
    def base(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Model:
    """One Veo model on one surface. Prices are US$ per second of video, by resolution."""

    id: str
    surface: Surface
    usd: dict[str, float]
    usd_silent: dict[str, float] = field(default_factory=dict)
    seconds: tuple[int, ...] = (4, 6, 8)
    aspects: tuple[str, ...] = ("16:9", "9:16")
    references: int = 3
    extension: bool = True
    negative_prompt: bool = True

    @property
    def base(self) -> str:
        """The name of the model in Google's quota messages, such as veo-3.1-fast-generate."""
        return self.id.removesuffix("-001").removesuffix("-preview")

    def price(self, resolution: str, *, audio: bool) -> float:
        return (self.usd if audio or not self.usd_silent else self.usd_silent)[resolution]


_TOKENS = {"360p": 1931, "720p": 5792, "1080p": 8688, "4k": 17_376}
_UPSCALE = {
    ("360p", "720p"): 2896,
    ("720p", "1080p"): 2896,
    ("360p", "1080p"): 5792,
    ("720p", "4k"): 11_584,
    ("360p", "4k"): 14_480,  # guessed: the steps to 720p and from there
    ("1080p", "4k"): 11_584,  # guessed: not dearer than from 720p
}


@dataclass(frozen=True, slots=True)
class Omni:
    """One model of the Interactions API on one surface. It bills video tokens, for each second of a resolution.

    `upscale` holds the tokens for each second by source and target; it is empty if the model has no such task.
    """

    id: str
    surface: Surface
    usd_per_million: float = 17.50
    tokens: Mapping[str, int] = field(default_factory=lambda: _TOKENS)
    upscale: Mapping[tuple[str, str], int] = field(default_factory=dict)
    seed: bool = False
    shortest: float = 3
    usual: float = 10
    longest: float = 10
    longest_with_last_frame: float = 10
    longest_extension: float = 10
    longest_extended: float = 40
    aspects: tuple[str, ...] = ("16:9", "9:16")
    resolutions: tuple[str, ...] = ("360p", "720p", "1080p", "4k")
    images: int = 10
    videos: int = 3

    @property
    def base(self) -> str:
        """The name of the model in Google's quota messages."""
        return self.id.removesuffix("-preview")


_FULL = {"720p": 0.40, "1080p": 0.40, "4k": 0.60}
_FAST = {"720p": 0.10, "1080p": 0.12, "4k": 0.30}
_LITE = {"720p": 0.05, "1080p": 0.08}

MODELS = {
    (model.surface, model.id): model
    for model in (
        Model("veo-3.1-generate-001", "vertex", _FULL, {"720p": 0.20, "1080p": 0.20, "4k": 0.40}),
        Model("veo-3.1-fast-generate-001", "vertex", _FAST, {"720p": 0.08, "1080p": 0.10, "4k": 0.25}),
        Model("veo-3.1-lite-generate-001", "vertex", _LITE, {"720p": 0.03, "1080p": 0.05}, references=0),
        Model("veo-3.1-generate-preview", "developer", _FULL),
        Model("veo-3.1-fast-generate-preview", "developer", _FAST),
        Model(
            "veo-3.1-lite-generate-preview",
            "developer",
            _LITE,
            references=0,
            extension=False,
            negative_prompt=False,
        ),
    )
}

OMNI = {
    (model.surface, model.id): model
    for model in (
        Omni("gemini-omni-1.1-flash", "developer"),
        # Google published no price; this one is derived from a reseller's discounts.
        Omni("gemini-omni-1.2-flash", "developer", usd_per_million=12.00, longest=15, upscale=_UPSCALE, seed=True),
        Omni("gemini-omni-1.2-flash", "vertex", usd_per_million=12.00, longest=15, upscale=_UPSCALE, seed=True),
        Omni("gemini-omni-1.1-flash-preview", "vertex"),
    )
}

RETIRED = (
    "gemini-omni-flash-preview",
    "veo-2.0-generate-001",
    "veo-3.0-generate-001",
    "veo-3.0-fast-generate-001",
    "veo-3.0-generate-preview",
    "veo-3.0-fast-generate-preview",
)
