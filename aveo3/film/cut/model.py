"""What a film is cut from: shots and title cards in their order, how they join, what sounds under them.

Times are seconds, counted from the first picture of the shot or the film. Nothing here opens a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from aveo3.errors import UsageError


@dataclass(frozen=True)
class Shot:
    """A piece of a video file: from `start` to `end` seconds, the whole file by default.

    The sound of the file is kept, cut or filled with silence to the length of its pictures. `sound=False` leaves it
    out. `name` is what messages and the timeline call the shot; by default the file's name.
    """

    path: Path
    start: float = 0.0
    end: float | None = None
    name: str = ""
    sound: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "name", self.name or self.path.name)
        _seconds(self.start, f"start of {self}", least=0)
        if self.end is not None:
            _seconds(self.end, f"end of {self}", least=0)
            if self.end <= self.start:
                raise UsageError(f"{self} ends at {self.end:g} s, before it starts at {self.start:g} s")

    def __str__(self) -> str:
        return f"shot {self.name!r}"


@dataclass(frozen=True)
class Card:
    """A title card: `text` in the middle of the picture for `seconds`, light on dark, wrapped, without sound.

    A line break in the text stays one. Letters that no font at hand has are an error, or see `font`: a file of a
    TrueType or OpenType font to draw with.
    """

    text: str
    seconds: float
    font: Path | None = None

    def __post_init__(self) -> None:
        _seconds(self.seconds, f"length of {self}", least=0.01)

    def __str__(self) -> str:
        text = " ".join(self.text.split())
        return f"card {text[:40] + '…' if len(text) > 40 else text!r}"


@dataclass(frozen=True)
class CrossFade:
    """The end of one item and the beginning of the next are mixed, pictures and sound: `seconds` less of film."""

    seconds: float

    def __post_init__(self) -> None:
        _seconds(self.seconds, "a cross-fade", least=0.01)


@dataclass(frozen=True)
class ThroughBlack:
    """One item fades to black, the next one from black, each in half of `seconds`. The film keeps its length."""

    seconds: float

    def __post_init__(self) -> None:
        _seconds(self.seconds, "a fade through black", least=0.01)


Item = Shot | Card
Join = CrossFade | ThroughBlack | None
"""How two items meet. None is a hard cut."""


@dataclass(frozen=True)
class Music:
    """Sound under the whole film: repeated or cut to its length, faded out at its end.

    `level_db` is added to the file's own level. While the shots sound, the music is `duck_db` lower (0: never).
    """

    path: Path
    level_db: float = -8.0
    duck_db: float = 12.0
    fade_out: float = 3.0
    loop: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        _number(self.level_db, "level_db of the music", -60, 20)
        _number(self.duck_db, "duck_db of the music", 0, 60)
        _seconds(self.fade_out, "fade_out of the music", least=0)

    def __str__(self) -> str:
        return f"music {self.path.name!r}"


@dataclass(frozen=True)
class Cut:
    """A film before it is made.

    `joins[i]` is between items `i` and `i + 1`; empty means hard cuts everywhere. `fade_in` and `fade_out` are seconds
    from and to black at the film's ends. `loudness` is in LUFS (EBU R128), with true peaks at most -1 dBTP; None leaves
    the levels alone. `size` (width, height in square pixels, even) and `fps` are the first shot's by default; other
    pictures are fitted in with bars.
    """

    items: Sequence[Item]
    joins: Sequence[Join] = ()
    fade_in: float = 0.0
    fade_out: float = 0.0
    music: Music | None = None
    loudness: float | None = -14.0
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        object.__setattr__(self, "joins", tuple(self.joins) or (None,) * (len(self.items) - 1))
        if not self.items:
            raise UsageError("a film needs at least one shot or card")
        if len(self.joins) != len(self.items) - 1:
            raise UsageError(f"{len(self.items)} items have {len(self.items) - 1} joins; got {len(self.joins)}")
        _seconds(self.fade_in, "fade_in of the film", least=0)
        _seconds(self.fade_out, "fade_out of the film", least=0)
        if self.loudness is not None:
            _number(self.loudness, "loudness", -70, -5)
        if self.fps is not None:
            object.__setattr__(self, "fps", Fraction(self.fps).limit_denominator(1001))
            _number(float(self.fps), "fps", 1, 240)
        if self.size is not None and not (
            len(self.size) == 2 and all(16 <= n <= 8192 and n % 2 == 0 for n in self.size)
        ):
            raise UsageError(f"size is {self.size}: give width and height, even numbers from 16 to 8192")

    @property
    def shots(self) -> Iterator[Shot]:
        """The shots in their order."""
        return (item for item in self.items if isinstance(item, Shot))


@dataclass(frozen=True)
class Progress:
    """How far the assembly is: `done` of `total` seconds of the film. `step`: first the levels, then the film."""

    step: Literal["levels", "film"]
    done: float
    total: float


@dataclass(frozen=True)
class AssembledFilm:
    """A film on disk. `seconds` and `frames` count its pictures.

    `video` and `sound` tell whether the streams of the shots were copied or encoded (sound None: the film has none),
    `why_encoded` what kept the pictures from being copied. `starts` holds the first frame of each item. `notes` are
    sentences about what was changed on the way, such as bars and colours.
    """

    path: Path
    seconds: float
    frames: int
    width: int
    height: int
    fps: Fraction
    video: Literal["copied", "encoded"]
    sound: Literal["copied", "encoded"] | None
    why_encoded: str = ""
    starts: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def encoded(self) -> bool:
        """Whether the pictures were encoded again."""
        return self.video == "encoded"


def _seconds(value: float, what: str, *, least: float) -> None:
    if not (isinstance(value, int | float) and math.isfinite(value) and value >= least):
        raise UsageError(f"{what} is {value!r}: give seconds, at least {least:g}")


def _number(value: float, what: str, least: float, most: float) -> None:
    if not (isinstance(value, int | float) and least <= value <= most):
        raise UsageError(f"{what} is {value!r}: give a number from {least:g} to {most:g}")
