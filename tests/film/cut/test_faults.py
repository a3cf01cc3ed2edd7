"""What goes wrong is told with the name of the shot, and an earlier film stays as it was."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aveo3.errors import UsageError
from aveo3.film.cut import AssemblyStopped, BrokenShot, Card, Cut, FilmError, Music, Progress, Shot, assemble
from tests.support.marked_films import made, marks, spec

EARLIER = b"an earlier film"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "film.mp4"
    path.parent.mkdir()
    path.write_bytes(EARLIER)
    return path


def as_it_was(film: Path) -> bool:
    return film.read_bytes() == EARLIER and list(film.parent.iterdir()) == [film]


def cut_short(path: Path) -> None:
    """Half of the file, with its index at the front: it looks whole."""
    whole = path.with_name("whole.mp4")
    path.rename(whole)
    assemble(Cut([Shot(whole)], loudness=None), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def playlist(path: Path) -> None:
    path.write_text(f"#EXTM3U\n#EXTINF:2,\n{path.with_name('a.mp4')}\n#EXT-X-ENDLIST\n")


def list_of_files(path: Path) -> None:
    path.write_text(f"ffconcat version 1.0\nfile {path.with_name('a.mp4')}\n")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b""), "is broken, or no video file"),
        (lambda path: path.write_bytes(b"<html>not found</html>" * 100), "is broken, or no video file"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "is broken, or no video file"),
        (cut_short, "(is cut off|is broken|cannot be read)"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
        (playlist, "is broken, or no video file"),
        (list_of_files, "is broken, or no video file"),
        (lambda path: made(path.parent, path.stem, transfer=16), r"is in HDR \(PQ\)"),
    ],
    ids=["missing", "empty", "page", "head", "half", "directory", "playlist", "list", "hdr"],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_a_spoilt_shot_is_named_and_the_earlier_film_stays(
    tmp_path: Path, film: Path, spoil: Callable[[Path], object], says: str, encoded: bool
) -> None:
    shots = [Shot(made(tmp_path, "a", 1)), Shot(made(tmp_path, "b", 1), name="the boat")]
    spoil(shots[1].path)
    with pytest.raises(BrokenShot, match=rf"^shot 'the boat' \(.*b\.mp4\) {says}") as error:
        assemble(Cut(shots, loudness=None, fade_in=0.1 if encoded else 0), film, preset="ultrafast")
    assert error.value.item is shots[1]
    assert as_it_was(film)


def test_an_address_is_no_file_even_if_it_looks_like_one(tmp_path: Path, film: Path) -> None:
    for name in ("http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "data:video/mp4;base64,AAAA"):
        with pytest.raises(BrokenShot, match="is missing"):
            assemble(Cut([Shot(Path(name))]), film)
    assert as_it_was(film)


def test_a_cut_that_the_files_do_not_hold_says_how_long_they_are(tmp_path: Path, film: Path) -> None:
    path = made(tmp_path, "a", 2)
    with pytest.raises(BrokenShot, match=r"lasts 2 s: it has nothing at 9 s"):
        assemble(Cut([Shot(path, 0, 9)]), film)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" * 200)
    with pytest.raises(BrokenShot, match=r"music 'a.jpg' .* is broken, or no sound file"):
        assemble(Cut([Shot(path)], music=Music(tmp_path / "a.jpg")), film)
    with pytest.raises(UsageError, match=r"is the file of shot 'a.mp4': give the film another name"):
        assemble(Cut([Shot(path)]), path)
    assert as_it_was(film)


@pytest.mark.parametrize("at", ["levels", "film"])
def test_a_film_that_is_stopped_leaves_the_earlier_one(tmp_path: Path, film: Path, at: str) -> None:
    stop = threading.Event()

    def watch(progress: Progress) -> None:
        if progress.step == at and progress.done > 0.5:
            stop.set()

    with pytest.raises(AssemblyStopped):
        assemble(Cut([Shot(made(tmp_path, "a", 2))]), film, stop=stop, on_progress=watch)
    assert as_it_was(film)


FULL = """
import resource, signal, sys
from pathlib import Path
from aveo3.film.cut import Cut, FilmError, Shot, assemble
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    assemble(Cut([Shot(Path(sys.argv[1]))] * 3, loudness=None), sys.argv[2])
except FilmError as error:
    print(error)
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from aveo3.film.cut import Cut, Shot, assemble
def die(progress):
    if progress.done > 1:
        os.kill(os.getpid(), signal.SIGKILL)
assemble(Cut([Shot(Path(sys.argv[1]))] * 3, loudness=None), sys.argv[2], on_progress=die)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals and limits of POSIX")
def test_a_full_disk_is_told_and_the_earlier_film_stays(tmp_path: Path, film: Path) -> None:
    path = str(made(tmp_path, "a", 2))
    run = subprocess.run([sys.executable, "-c", FULL, path, str(film)], capture_output=True, text=True, check=True)
    assert run.stdout == f"{film} cannot be written: the disk is full. The earlier film is as it was.\n"
    assert as_it_was(film)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")
def test_a_killed_assembly_leaves_the_earlier_film_and_the_next_one_sweeps_up(tmp_path: Path, film: Path) -> None:
    path = made(tmp_path, "a", 2)
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), str(film)], check=False)
    assert run.returncode == -9
    assert film.read_bytes() == EARLIER
    assert len(list(film.parent.iterdir())) == 2
    assemble(Cut([Shot(path)], loudness=None), film)
    assert marks(film) == [(spec("a").mark, number) for number in range(48)]
    assert list(film.parent.iterdir()) == [film]


def test_a_directory_in_the_place_of_the_film_is_told(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").mkdir()
    with pytest.raises(UsageError, match="is a directory"):
        assemble(Cut([Card("a", 1)]), tmp_path / "film.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(FilmError, match=r"cannot be written: .*No film was left"):
        assemble(Cut([Card("a", 1)]), tmp_path / "file" / "film.mp4", preset="ultrafast")
