"""Writes the cut as a timeline that editing programs open: OpenTimelineIO, or what its adapters know."""

from __future__ import annotations

import os
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aveo3.errors import UsageError
from aveo3.film.cut.cards import drawn
from aveo3.film.cut.errors import FilmError
from aveo3.film.cut.model import Card, Cut, Music, Shot, ThroughBlack
from aveo3.film.cut.output import whole_file
from aveo3.film.cut.plan import Piece, Plan, plan
from aveo3.film.cut.sources import facts_of, opened

ADAPTERS = {".edl": "otio-cmx3600-adapter", ".aaf": "otio-aaf-adapter"}
"""Packages that write other formats than OpenTimelineIO's own. They are installed by whoever needs them.

That for FCPXML (1.0.0, 2023) fails on this cut: editing programs that open OpenTimelineIO write FCPXML themselves.
"""


def write_timeline(cut: Cut, path: Path | str) -> Path:
    """Write `cut` as a timeline and return its path: `.otio`, or a suffix for which an adapter is installed.

    Paths of media are relative to the timeline's directory. Title cards are drawn as pictures into a directory beside
    it, `NAME-cards`. Cross-fades and the fades at the film's ends are transitions; fades through black, which have no
    form of their own there, are markers. Levels of music are in its metadata, under `aveo3`.

    Raises `BrokenShot`, `FilmError` if the file cannot be written, `UsageError`.
    """
    path = Path(path)
    if find_spec("opentimelineio") is None or find_spec("av") is None:
        raise UsageError("timelines are written by OpenTimelineIO: pip install 'aveo3[film]'")
    import opentimelineio as otio

    suffix = path.suffix.lower()
    if suffix.lstrip(".") not in otio.adapters.suffixes_with_defined_adapters(write=True):
        package = ADAPTERS.get(suffix)
        way_out = f"pip install {package}, or " if package else ""
        raise UsageError(f"{path}: no timelines of this kind can be written: {way_out}give a name that ends in .otio")
    laid_out = plan(cut, {shot: facts_of(shot) for shot in dict.fromkeys(cut.shots)})
    timeline = _Timeline(laid_out, path).made()
    adapter = otio.adapters.from_filepath(str(path)).name
    with whole_file(path) as part:
        try:
            otio.adapters.write_to_file(timeline, str(part), adapter_name=adapter)
        except OSError:
            raise
        except Exception as error:  # adapters raise whatever they like
            raise FilmError(f"{path}: the adapter {adapter} cannot write this cut: {error}") from error
    return path


class _Timeline:
    def __init__(self, plan: Plan, path: Path) -> None:
        import opentimelineio as otio

        self._otio = otio.schema
        self._plan = plan
        self._path = path
        self._cards = 0

    def made(self) -> Any:
        pictures = self._otio.Track("Pictures", kind=self._otio.TrackKind.Video)
        sound = self._otio.Track("Sound", kind=self._otio.TrackKind.Audio)
        for track in (pictures, sound):
            for number, piece in enumerate(self._plan.pieces):
                first, last = number == 0, number + 1 == len(self._plan.pieces)
                if first and piece.black_in:
                    track.append(self._transition(0, piece.black_in, "Fade in"))
                if piece.mixed_in:
                    before = _before(piece.mixed_in)
                    track.append(self._transition(before, piece.mixed_in - before, "Cross-fade"))
                track.append(self._clip(piece, sound=track is sound))
                if last and piece.black_out:
                    track.append(self._transition(piece.black_out, 0, "Fade out"))
                elif not last and isinstance(self._plan.cut.joins[number], ThroughBlack) and track is pictures:
                    self._mark(track[-1], piece.black_out)
        timeline = self._otio.Timeline(self._plan.cut.title or self._path.stem)
        timeline.global_start_time = self._time(0)
        timeline.tracks.append(pictures)
        timeline.tracks.append(sound)
        if self._plan.cut.music is not None:
            timeline.tracks.append(self._music(self._plan.cut.music))
        timeline.metadata["aveo3"] = {
            "width": self._plan.width,
            "height": self._plan.height,
            "loudness": self._plan.cut.loudness,
        }
        return timeline

    def _clip(self, piece: Piece, *, sound: bool) -> Any:
        """The part of a piece that is between the middles of its cross-fades."""
        skipped = _before(piece.mixed_in)
        shown = piece.frames - skipped - (piece.mixed_out - _before(piece.mixed_out))
        facts, item = piece.facts, piece.item
        if sound and (facts is None or facts.sound is None):
            return self._otio.Gap(duration=self._time(shown))
        if facts is None or not isinstance(item, Shot):
            assert isinstance(item, Card)
            if not sound:
                self._cards += 1
            return self._otio.Clip(
                name=str(item),
                media_reference=self._reference(self._drawn(item), piece.frames, self._plan.rate),
                source_range=self._range(skipped, shown, self._plan.rate),
                metadata={"aveo3": {"text": item.text}},
            )
        rate = facts.rate if facts.rate == self._plan.rate else self._plan.rate
        start = round(piece.source[0] / facts.rate * rate) + skipped
        return self._otio.Clip(
            name=item.name,
            media_reference=self._reference(item.path, facts.frames, facts.rate),
            source_range=self._range(start, shown, rate),
        )

    def _music(self, music: Music) -> Any:
        import av

        with opened(music) as container:
            seconds = Fraction(container.duration or 0, av.time_base)
        track = self._otio.Track("Music", kind=self._otio.TrackKind.Audio)
        whole = max(1, int(seconds * self._plan.rate))
        left = self._plan.frames if music.loop else min(whole, self._plan.frames)
        while left > 0:
            track.append(
                self._otio.Clip(
                    name=music.path.name,
                    media_reference=self._reference(music.path, whole, self._plan.rate),
                    source_range=self._range(0, min(whole, left), self._plan.rate),
                    metadata={"aveo3": {"level_db": music.level_db, "duck_db": music.duck_db}},
                )
            )
            left -= whole
        if music.fade_out:
            length = min(round(music.fade_out * self._plan.rate), track[-1].source_range.duration.value)
            track.append(self._transition(int(length), 0, "Fade out"))
        return track

    def _drawn(self, card: Card) -> Path:
        directory = self._path.with_name(f"{self._path.stem}-cards")
        path = directory / f"{self._cards:02}.png"
        image = drawn(card, self._plan.width, self._plan.height)
        with whole_file(path) as part:
            image.save(part, "PNG")
        return path

    def _mark(self, clip: Any, frames: int) -> None:
        span = clip.source_range
        start = self._opentime().RationalTime(span.duration.value + span.start_time.value - frames, span.duration.rate)
        clip.markers.append(
            self._otio.Marker(
                name="Fade through black",
                marked_range=self._opentime().TimeRange(start, self._time(frames)),
                color=self._otio.MarkerColor.BLACK,
            )
        )

    def _transition(self, before: int, after: int, name: str) -> Any:
        return self._otio.Transition(
            name=name,
            transition_type=self._otio.TransitionTypes.SMPTE_Dissolve,
            in_offset=self._time(before),
            out_offset=self._time(after),
        )

    def _reference(self, path: Path, frames: int, rate: Fraction) -> Any:
        return self._otio.ExternalReference(
            target_url=_url(path, self._path.parent), available_range=self._range(0, frames, rate)
        )

    def _time(self, frames: int) -> Any:
        return self._opentime().RationalTime(frames, float(self._plan.rate))

    def _range(self, start: int, frames: int, rate: Fraction) -> Any:
        time = self._opentime()
        return time.TimeRange(time.RationalTime(start, float(rate)), time.RationalTime(frames, float(rate)))

    @staticmethod
    def _opentime() -> Any:
        import opentimelineio as otio

        return otio.opentime


def _before(mixed: int) -> int:
    """The frames of a cross-fade that are before the cut, which an editing program puts into its middle."""
    return mixed // 2


def _url(path: Path, directory: Path) -> str:
    try:
        relative = os.path.relpath(path.absolute(), directory.absolute())
    except ValueError:  # another drive of Windows
        return path.absolute().as_uri()
    return quote(Path(relative).as_posix())
