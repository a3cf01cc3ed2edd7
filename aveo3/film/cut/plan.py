"""Where each item of a film begins and how many frames it has: whole numbers, so that nothing drifts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from aveo3.errors import UsageError
from aveo3.film.cut.errors import BrokenShot
from aveo3.film.cut.model import Card, CrossFade, Cut, Item, Shot, ThroughBlack
from aveo3.film.cut.sources import ClipFacts

SAMPLE_RATE = 48_000
"""Samples per second of sound that is encoded."""


@dataclass(frozen=True)
class Piece:
    """One item on the film's clock. Numbers of film frames, if not said otherwise.

    `source` holds the first and the end frame of the file, in its own rate. `mixed_in` and `mixed_out` overlap with the
    neighbours; `black_in` and `black_out` fade from and to black within the piece.
    """

    item: Item
    facts: ClipFacts | None
    start: int
    frames: int
    source: tuple[int, int] = (0, 0)
    mixed_in: int = 0
    mixed_out: int = 0
    black_in: int = 0
    black_out: int = 0

    @property
    def end(self) -> int:
        return self.start + self.frames


@dataclass(frozen=True)
class Plan:
    """The pieces of a film and its shape."""

    cut: Cut
    pieces: tuple[Piece, ...]
    rate: Fraction
    width: int
    height: int

    @property
    def frames(self) -> int:
        return self.pieces[-1].end

    @property
    def seconds(self) -> float:
        return float(self.frames / self.rate)

    def sample(self, frame: int) -> int:
        """The sample that sounds when `frame` begins to show."""
        return round(frame * SAMPLE_RATE / self.rate)


def plan(cut: Cut, facts: Mapping[Shot, ClipFacts]) -> Plan:
    """Lay the items of `cut` out. Raises `BrokenShot` for a shot that its file does not hold, `UsageError`."""
    first = next((facts[shot] for shot in cut.shots), None)
    rate = cut.fps or (first.rate if first else Fraction(24))
    if not 1 <= rate <= 240:
        raise UsageError(f"the first shot has {float(rate):g} frames per second: set fps, from 1 to 240")
    width, height = cut.size or (shown_size(first) if first else (1280, 720))
    pieces: list[Piece] = []
    at = 0
    for number, item in enumerate(cut.items):
        found = facts[item] if isinstance(item, Shot) else None
        source = _source(item, found) if isinstance(item, Shot) and found else (0, 0)
        frames = max(1, round((source[1] - source[0]) / found.rate * rate) if found else _frames(item, rate))
        before = cut.joins[number - 1] if number else None
        after = cut.joins[number] if number < len(cut.joins) else None
        piece = Piece(
            item,
            found,
            at - (mixed_in := _frames(before, rate) if isinstance(before, CrossFade) else 0),
            frames,
            source,
            mixed_in,
            _frames(after, rate) if isinstance(after, CrossFade) else 0,
            _half(before, rate, first=False) if number else round(cut.fade_in * rate),
            _half(after, rate, first=True) if after or number < len(cut.joins) else round(cut.fade_out * rate),
        )
        for what, needed in (
            ("cross-fades", piece.mixed_in + piece.mixed_out),
            ("fades", max(piece.mixed_in, piece.black_in) + max(piece.mixed_out, piece.black_out)),
        ):
            if needed > frames:
                raise UsageError(
                    f"{item} lasts {float(frames / rate):g} s, its {what} take {float(needed / rate):g} s: "
                    "make them shorter"
                )
        pieces.append(piece)
        at = piece.end
    return Plan(cut, tuple(pieces), rate, width, height)


def shown_size(facts: ClipFacts) -> tuple[int, int]:
    """Width and height in square pixels, upright and even."""
    width, height = facts.width * facts.aspect, Fraction(facts.height)
    if facts.rotation % 180 == 90:
        width, height = height, width
    return max(16, round(width / 2) * 2), max(16, round(height / 2) * 2)


def _source(shot: Shot, facts: ClipFacts) -> tuple[int, int]:
    start = round(shot.start * facts.rate)
    end = facts.frames if shot.end is None else round(shot.end * facts.rate)
    if start >= facts.frames or end > facts.frames + 1:
        raise BrokenShot(
            shot,
            f"lasts {facts.seconds:g} s: it has nothing at {shot.start if start >= facts.frames else shot.end:g} s",
        )
    return start, max(start + 1, min(end, facts.frames))


def _frames(item: Card | CrossFade | Shot, rate: Fraction) -> int:
    assert not isinstance(item, Shot)
    return max(1, round(item.seconds * rate))


def _half(join: object, rate: Fraction, *, first: bool) -> int:
    """The frames of a fade through black before (`first`) or after the cut."""
    if not isinstance(join, ThroughBlack):
        return 0
    whole = round(join.seconds * rate)
    return whole - whole // 2 if first else whole // 2
