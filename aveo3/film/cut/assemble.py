"""Makes the film: copies what can be copied, encodes the rest once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aveo3.errors import UsageError
from aveo3.film.cut.errors import AssemblyStopped, FilmError
from aveo3.film.cut.model import AssembledFilm, Cut, Progress
from aveo3.film.cut.output import told, whole_file
from aveo3.film.cut.plan import Plan, plan
from aveo3.film.cut.remux import NotCopyable, copied, why_not_pictures, why_not_sound
from aveo3.film.cut.sources import facts_of, opened


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

    Shots of one shape with hard cuts are copied, unless nothing but encoding will do; then `crf` and `preset` are
    libx264's. An existing file is replaced when the new one is whole and synced, never before.

    `on_progress` is called some times a second, from this thread. Once `stop` is set, it raises `AssemblyStopped`.
    Raises `BrokenShot` for a file that cannot be used, `FilmError` if the film cannot be written, `UsageError`.
    """
    target = Path(target)
    if find_spec("av") is None or find_spec("numpy") is None:
        raise UsageError("films are assembled by PyAV and NumPy: pip install 'aveo3[film]'")
    if target.suffix.lower() not in (".mp4", ".m4v"):
        raise UsageError(f"{target} is no name of an MP4 file: let it end in .mp4")
    for shot in cut.shots:
        if target.exists() and shot.path.exists() and target.samefile(shot.path):
            raise UsageError(f"{target} is {shot} itself: name another file for the film")
    laid_out = plan(cut, {shot: facts_of(shot) for shot in dict.fromkeys(cut.shots)})
    return _Assembly(laid_out, target, on_progress, stop, crf, preset).run()


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

    def run(self) -> AssembledFilm:
        pictures, sound = why_not_pictures(self._plan), why_not_sound(self._plan)
        while True:
            try:
                with whole_file(self._target) as part:
                    return self._write(part, pictures, sound)
            except NotCopyable as reason:
                if reason.what == "pictures":
                    pictures = str(reason)
                else:
                    sound = str(reason)

    def _write(self, part: Path, why_pictures: str, why_sound: str) -> AssembledFilm:
        import av

        if why_pictures or why_sound:
            raise FilmError(f"not yet: {why_pictures or why_sound}")
        plan = self._plan
        container: Any = av.open(str(part.absolute()), "w", format="mp4", options={"movflags": "+faststart"})
        with container:
            shot = next(plan.cut.shots)
            with opened(shot) as source:
                pictures = container.add_stream_from_template(source.streams.video[0])
                pictures.time_base = 1 / plan.rate
                has_sound = plan.pieces[0].facts is not None and plan.pieces[0].facts.sound is not None
                sound = container.add_stream_from_template(source.streams.audio[0]) if has_sound else None
            for frame, packet in copied(plan, pictures, sound):
                with told(self._target):
                    container.mux_one(packet)
                self._tick("film", frame)
        return AssembledFilm(
            path=self._target,
            seconds=plan.seconds,
            frames=plan.frames,
            width=plan.width,
            height=plan.height,
            fps=plan.rate,
            video="copied",
            sound="copied" if has_sound else None,
            starts=tuple(piece.start for piece in plan.pieces),
        )

    def _tick(self, step: Any, frame: int) -> None:
        if self._stop is not None and self._stop.is_set():
            raise AssemblyStopped(f"the assembly of {self._target} was stopped")
        if self._on_progress is not None:
            self._on_progress(Progress(step, float(Fraction(frame) / self._plan.rate), self._plan.seconds))
