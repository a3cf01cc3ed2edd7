"""A film of 60 clips of 8 s, by aveo3, ffmpeg's concat and MoviePy: seconds and peak memory.

The clips are the emulator's, and the same pictures at 6 Mbit/s, as large as Veo's. Each contestant is a process of its
own, from its start to its end. Memory is that of all its processes together. aveo3 also syncs the film to the disk.
MoviePy cannot copy. It wants an older Pillow than aveo3's tests, so it may live in an environment of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.mock.state import films
from aveo3.mock.state.films import FilmSpec
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.machine import ROOT
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "How long does a film of 60 clips take, copied and encoded, compared with ffmpeg and MoviePy?"

AIM = 1.2
"""Highest multiple of ffmpeg's time."""

COPY, LARGE, ENCODE = "copy", "copy, 6 Mbit/s", "encode"
AVEO3, FFMPEG, MOVIEPY = "aveo3", "ffmpeg concat", "MoviePy"
PRESET, CRF, BIT_RATE = "medium", "18", "192k"

_AVEO3 = """
import sys
from pathlib import Path
from aveo3.film.cut import Cut, Shot, assemble
shots = [Shot(path) for path in sorted(Path(sys.argv[1]).glob("*.mp4"))]
fade = 0.5 if sys.argv[3] == "encode" else 0  # else it would be copied
film = assemble(Cut(shots, loudness=None, fade_in=fade), sys.argv[2], preset=sys.argv[4], crf=int(sys.argv[5]))
assert film.encoded == bool(fade)
"""
_MOVIEPY = """
import sys
from pathlib import Path
from moviepy import VideoFileClip, concatenate_videoclips
clips = [VideoFileClip(str(path)) for path in sorted(Path(sys.argv[1]).glob("*.mp4"))]
concatenate_videoclips(clips).write_videofile(
    sys.argv[2], codec="libx264", preset=sys.argv[4], audio_codec="aac", audio_bitrate="192k", logger=None,
    ffmpeg_params=["-crf", sys.argv[5], "-movflags", "+faststart"],
)
"""


@dataclass(frozen=True)
class Run:
    """One film by one contestant."""

    case: str
    contestant: str
    seconds: float
    cpu_s: float
    peak_mb: float


def measure(clips: int, repeat: int, moviepy: str | None) -> list[Run]:
    """Make each film `repeat` times by each contestant, in turns."""
    runs = []
    with tempfile.TemporaryDirectory() as place:
        small, large = _clips(clips, Path(place))
        for _ in range(repeat):
            for case, directory in ((COPY, small), (LARGE, large), (ENCODE, small)):
                for contestant, command in _commands(case, directory, moviepy):
                    runs.append(_run(case, contestant, command))
                    typer.echo(f"{case}, {contestant}: {runs[-1].seconds:.1f} s", err=True)
    return runs


def _clips(number: int, place: Path) -> tuple[Path, Path]:
    small, large = place / "small", place / "large"
    for directory in (small, large):
        directory.mkdir()
    for each in range(number):
        path = small / f"{each:04}.mp4"
        path.write_bytes(films.draw(FilmSpec(f"clip {each}", 8, "16:9", "720p", 0)))
        filled = large / path.name
        if each:
            shutil.copyfile(large / "0000.mp4", filled)
        else:
            rate = ["-b:v", "6M", "-minrate", "6M", "-maxrate", "6M", "-bufsize", "6M", "-x264-params", "nal-hrd=cbr"]
            options = ["-c:v", "libx264", "-preset", "ultrafast", *rate, "-c:a", "copy"]
            subprocess.run(["ffmpeg", "-v", "error", "-i", path, *options, filled], check=True)
    for directory in (small, large):
        names = sorted(path.name for path in directory.glob("*.mp4"))
        (directory / "list.txt").write_text("".join(f"file '{name}'\n" for name in names))
    return small, large


def _commands(case: str, directory: Path, moviepy: str | None) -> list[tuple[str, list[str]]]:
    target = str(directory.parent / "film.mp4")
    kind = ENCODE if case == ENCODE else COPY
    arguments = [str(directory), target, kind, PRESET, CRF]
    codecs = ["-c:v", "libx264", "-preset", PRESET, "-crf", CRF, "-c:a", "aac", "-b:a", BIT_RATE]
    concat = ["ffmpeg", "-v", "error", "-y", "-f", "concat", "-i", str(directory / "list.txt")]
    commands = [
        (AVEO3, [sys.executable, "-c", _AVEO3, *arguments]),
        (FFMPEG, [*concat, *(codecs if case == ENCODE else ["-c", "copy"]), "-movflags", "+faststart", target]),
    ]
    if case == ENCODE and moviepy is not None:
        commands.append((MOVIEPY, [moviepy, "-c", _MOVIEPY, *arguments]))
    return commands


def _run(case: str, contestant: str, command: Sequence[str]) -> Run:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IMAGEIO_FFMPEG_EXE": shutil.which("ffmpeg") or ""}
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        peak = max(peak, _memory_mb(process.pid))
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{contestant} ended with {process.returncode}")
    return Run(case, contestant, seconds, usage.ru_utime + usage.ru_stime, peak)


def _memory_mb(pid: int) -> float:
    """The sum of the peaks of a process and of those it started that still run; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        return 0.0
    own = next((int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM:")), 0.0)
    return own + sum(_memory_mb(int(child)) for child in children)


def _of(result: Result, case: str, contestant: str, figure: str) -> list[float]:
    return [run[figure] for run in result["runs"] if (run["case"], run["contestant"]) == (case, contestant)]


def _entries(result: Result) -> list[tuple[str, str]]:
    return list(dict.fromkeys((run["case"], run["contestant"]) for run in result["runs"]))


def _times(result: Result, case: str, contestant: str, figure: str) -> float:
    """How many times ffmpeg's."""
    return median(_of(result, case, contestant, figure)) / median(_of(result, case, FFMPEG, figure))


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return a row per film and contestant."""
    rows = [
        [
            case,
            contestant,
            spread(_of(result, case, contestant, "seconds"), 1),
            f"{_times(result, case, contestant, 'seconds'):.2f}",
            spread(_of(result, case, contestant, "cpu_s"), 1),
            f"{_times(result, case, contestant, 'cpu_s'):.2f}",
            spread(_of(result, case, contestant, "peak_mb"), 0),
            f"{_times(result, case, contestant, 'peak_mb'):.2f}",
        ]
        for case, contestant in _entries(result)
    ]
    headers = ["film", "by", "s", "× ffmpeg", "CPU s", "× ffmpeg", "peak MB", "× ffmpeg"]
    options = result["options"]
    return (
        f"{table(headers, rows, markdown=markdown)}\n\n"
        f"Median [lowest-highest] of {options['repeat']} runs: {options['clips']} clips of 8 s, 320 by 180 pixels, "
        f"with sound, as whole processes. Encoded by libx264, preset {options['preset']}, crf {options['crf']}: aveo3 "
        f"with the one in PyAV, the others with that of {options['ffmpeg']}. aveo3 and MoviePy start Python; aveo3 "
        "also syncs the film to the disk. The first film has 35 kB a clip: there the start weighs most."
    )


def aims(result: Result) -> list[Aim]:
    """Return aveo3's processor time as a multiple of ffmpeg's: other work of the machine does not count in it."""
    found = []
    for case in (COPY, LARGE, ENCODE):
        times = _times(result, case, AVEO3, "cpu_s")
        moviepy = _of(result, case, MOVIEPY, "cpu_s")
        others = f"MoviePy {_times(result, case, MOVIEPY, 'cpu_s'):.2f} ×" if moviepy else ""
        name = f"{result['options']['clips']} clips, {case}: CPU time"
        found.append(Aim(name, f"≤ {AIM:g} × ffmpeg", f"{times:.2f} ×", others, times <= AIM))
    return found


PANELS = 2


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw processor time and memory, one bar per film and contestant."""
    for place, (figure, name) in enumerate((("cpu_s", "seconds of CPU"), ("peak_mb", "peak MB"))):
        bars = {f"{by}, {case}": _of(result, case, by, figure) for case, by in _entries(result)}
        plots.bars(axes[place], bars, name)


def main(
    clips: Annotated[int, typer.Option(help="Clips of the film.")] = 60,
    repeat: Annotated[int, typer.Option(help="Films by each contestant.")] = 3,
    moviepy: Annotated[
        str, typer.Option(help="A Python that has MoviePy; it is left out where there is none.")
    ] = sys.executable,
    quick: Annotated[bool, typer.Option("--quick", help="A short film, one run, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print a table."""
    if shutil.which("ffmpeg") is None:
        raise typer.BadParameter("ffmpeg is not on this machine: apt-get install ffmpeg")
    clips, repeat = (2, 1) if quick else (clips, repeat)
    version = _version(["ffmpeg", "-version"])
    has_moviepy = bool(_version([moviepy, "-c", "import moviepy; print(moviepy.__version__)"]))
    runs = measure(clips, repeat, moviepy if has_moviepy else None)
    options = {"clips": clips, "repeat": repeat, "preset": PRESET, "crf": CRF, "ffmpeg": " ".join(version.split()[:3])}
    result = new_result("assemble", QUESTION, ("aveo3", "av", "numpy"), options, runs)
    publish(result, summary(result), json_path)


def _version(command: Sequence[str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout if run.returncode == 0 else ""
