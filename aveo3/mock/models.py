"""Which Veo models the emulated Google has, what each can do and what it costs. Data, with the date it was true.

As of 2026-11-23, from Google's model and pricing pages. The Developer API's previews were shut on 2026-10-22; they
live on here, or nothing could be tried on that wire (`MockOptions.retired` shuts any model).
"""

from dataclasses import dataclass, field
from typing import Literal

Surface = Literal["vertex", "developer"]


@dataclass(frozen=True, slots=True)
class Model:
    """One model on one surface. Prices are US$ for each second of video, by resolution."""

    id: str
    surface: Surface
    usd: dict[str, float]
    usd_silent: dict[str, float] = field(default_factory=dict)
    seconds: tuple[int, ...] = (4, 6, 8)
    aspects: tuple[str, ...] = ("16:9", "9:16")
    references: int = 3
    last_frame: bool = True
    extension: bool = True
    negative_prompt: bool = True

    @property
    def base(self) -> str:
        """The name Google uses for the model in quota messages: veo-3.1-fast-generate."""
        return self.id.removesuffix("-001").removesuffix("-preview")

    def price(self, resolution: str, *, audio: bool) -> float:
        return (self.usd if audio or not self.usd_silent else self.usd_silent)[resolution]


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

RETIRED = (
    "veo-2.0-generate-001",
    "veo-3.0-generate-001",
    "veo-3.0-fast-generate-001",
    "veo-3.0-generate-preview",
    "veo-3.0-fast-generate-preview",
)
