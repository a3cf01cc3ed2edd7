"""Makes the film: copies what can be copied, encodes the rest once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aveo3.errors import UsageError
from aveo3.film.cut.errors import AssemblyStopped, FilmError
from aveo3.film.cut.model import AssembledFilm, Cut, Music, Progress, Shot
from aveo3.film.cut.output import check_name, whole_file
from aveo3.film.cut.plan import SAMPLE_RATE, Plan, plan
from aveo3.film.cut.remux import NotCopyable, copied, why_not_pictures, why_not_sound
from aveo3.film.cut.sources import facts_of, opened

if TYPE_CHECKING:
    from aveo3.film.cut.loudness import Levels
    from aveo3.film.cut.sound import Block


def assemble(
    cut: Cut,
    target: Path | str,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    crf: int = 18,
    preset: str = "medium",
) -> AssembledFilm:
    """Make the film `cut` at `target`, an MP4 (H.264, AAC) that plays while it loads. Blocks: call it in a thread.

    Pictures of one shape with hard cuts are copied, and so is the sound unless its loudness is set. What cannot be
    copied is encoded once; `crf` (0 to 51, lower is better and larger) and `preset` are libx264's. An existing file is
    replaced when the new one is whole and synced, never before.

    `on_progress` is called often, from this thread. Once `stop` is set, this raises `AssemblyStopped`. Raises
    `BrokenShot` for a file that cannot be used, `FilmError` if the film cannot be written, `UsageError`.
    """
    target = Path(target)
    if find_spec("av") is None or find_spec("numpy") is None:
        raise UsageError("films are assembled by PyAV and NumPy: pip install 'aveo3[film]'")
    check_name(target)
    if not 0 <= crf <= 51:
        raise UsageError(f"crf is {crf!r}: give a number from 0 to 51, such as 18")
    if preset not in PRESETS:
        raise UsageError(f"preset is {preset!r}: give one of {', '.join(PRESETS)}")
    parts: list[Shot | Music] = [*cut.shots, *([cut.music] if cut.music else [])]
    for part in parts:
        if target.exists() and part.path.exists() and target.samefile(part.path):
            raise UsageError(f"{target} is the file of {part}: give the film another name")
    laid_out = plan(cut, {shot: facts_of(shot) for shot in dict.fromkeys(cut.shots)})
    return _Assembly(laid_out, target, on_progress, stop, crf, preset).run()


PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


class _Assembly:
    def __init__(
        self,
        plan: Plan,
        target: Path,
        on_progress: Callable[[Progress], None] | None,
        stop: threading.Event | None,
        crf: int,
        preset: str,
    ) -> None:
        self._plan = plan
        self._target = target
        self._on_progress = on_progress
        self._stop = stop
        self._crf = crf
        self._preset = preset
        self._known_levels: Levels | None = None

    def run(self) -> AssembledFilm:
        plan = self._plan
        has_sound = plan.cut.music is not None or any(piece.facts and piece.facts.sound for piece in plan.pieces)
        pictures, sound = why_not_pictures(plan), why_not_sound(plan)
        while True:
            levels = self._levels() if has_sound and (sound or pictures) else None
            try:
                with whole_file(self._target) as part:
                    self._write(part, encodes=bool(pictures), copies_sound=has_sound and levels is None, levels=levels)
                    self._check(part)
            except NotCopyable as reason:  # told only by the packets
                sound = sound or str(reason)
                if reason.what == "pictures":
                    pictures = str(reason)
                continue
            return AssembledFilm(
                path=self._target,
                seconds=plan.seconds,
                frames=plan.frames,
                width=plan.width,
                height=plan.height,
                fps=plan.rate,
                video="encoded" if pictures else "copied",
                sound=None if not has_sound else "encoded" if levels else "copied",
                why_encoded=pictures,
                starts=tuple(piece.start for piece in plan.pieces),
                notes=self._notes() if pictures else (),
            )

    def _notes(self) -> tuple[str, ...]:
        from aveo3.film.cut.pictures import notes_of

        return tuple(notes_of(self._plan))

    def _levels(self) -> Levels:
        from aveo3.film.cut.loudness import Levels, levels_for

        if self._known_levels is None:
            loudness = self._plan.cut.loudness
            self._known_levels = Levels(0.0, False) if loudness is None else levels_for(loudness, self._heard)
        return self._known_levels

    def _heard(self) -> Iterator[Block]:
        """The sound of the film, to be measured."""
        from aveo3.film.cut.sound import film_sound

        samples = 0
        for block in film_sound(self._plan):
            yield block
            samples += block.shape[1]
            self._tick("levels", samples * self._plan.rate.numerator // (SAMPLE_RATE * self._plan.rate.denominator))

    def _write(self, part: Path, *, encodes: bool, copies_sound: bool, levels: Levels | None) -> None:
        import av

        path = str(part.absolute())
        try:
            with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
                if encodes:
                    self._encode(container, levels)
                else:
                    self._copy(container, copies_sound, levels)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise FilmError(f"{self._target} cannot be made: {error}. An earlier film is as it was.") from error

    def _encode(self, container: Any, levels: Levels | None) -> None:
        from aveo3.film.cut.pictures import film_pictures
        from aveo3.film.cut.tracks import PictureTrack

        pictures = PictureTrack(container, self._plan, self._crf, self._preset)
        sound = self._sound_track(container, levels)
        for number, picture in enumerate(film_pictures(self._plan), 1):
            pictures.put(picture)
            if sound is not None:
                sound.until(number)
            self._tick("film", number)
        pictures.end()
        if sound is not None:
            sound.end()

    def _copy(self, container: Any, copies_sound: bool, levels: Levels | None) -> None:
        first = next(self._plan.cut.shots)
        with opened(first) as source:
            pictures = container.add_stream_from_template(source.streams.video[0])
            pictures.time_base = 1 / self._plan.rate
            copied_sound = container.add_stream_from_template(source.streams.audio[0]) if copies_sound else None
        sound = self._sound_track(container, levels)
        told = 0
        for number, packet in copied(self._plan, pictures, copied_sound):
            container.mux_one(packet)
            if number != told:
                told = number
                if sound is not None:
                    sound.until(number)
                self._tick("film", number)
        if sound is not None:
            sound.end()

    def _sound_track(self, container: Any, levels: Levels | None) -> Any:
        if levels is None:
            return None
        from aveo3.film.cut.sound import film_sound
        from aveo3.film.cut.tracks import SoundTrack

        return SoundTrack(container, self._plan, levels.applied(film_sound(self._plan)))

    def _check(self, part: Path) -> None:
        """Look whether the index of the finished file counts the pictures that were meant."""
        import av

        with av.open(str(part.absolute()), format="mp4", options={"protocol_whitelist": "file"}) as container:
            frames = container.streams.video[0].frames
        if frames != self._plan.frames:
            raise FilmError(f"{self._target} has {frames} pictures instead of {self._plan.frames}: it was not kept")

    def _tick(self, step: Literal["levels", "film"], frame: int) -> None:
        if self._stop is not None and self._stop.is_set():
            raise AssemblyStopped(f"the assembly of {self._target} was stopped")
        if self._on_progress is not None:
            seconds = self._plan.seconds
            self._on_progress(Progress(step, min(float(frame / self._plan.rate), seconds), seconds))
