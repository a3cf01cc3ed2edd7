"""Temporary files: each has one owner, goes away with that process, and is never removed while it is in use."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aveo3.files import part_files

DEAD = ".inline-1-0.part"
LASTING = f".0001-a-boat-1a2b3c4d.{'0123456789abcdef'}.part"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.usefixtures("system")
def test_what_dead_processes_left_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    others = [LASTING, "0001-a-boat-1a2b3c4d.mp4", ".inline-notes.part", "inline-1-0.part", ".inline-1-0.part.txt"]
    for name in (DEAD, f".inline-{os.getpid()}-99999.part", *others):
        (tmp_path / name).write_bytes(b"x")
    part_files.sweep(tmp_path)
    assert names(tmp_path) == sorted(others)


@pytest.mark.usefixtures("system")
def test_a_second_name_of_a_finished_video_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / LASTING).write_bytes(b"a film")
    os.link(tmp_path / LASTING, tmp_path / "film.mp4")
    part_files.sweep(tmp_path)
    assert names(tmp_path) == ["film.mp4"]


@pytest.mark.usefixtures("system")
def test_what_is_in_use_is_not_swept_away(tmp_path: Path) -> None:
    with part_files.loose(tmp_path) as part:
        part_files.sweep(tmp_path)
        assert names(tmp_path) == [part.path.name]
    assert names(tmp_path) == []
    path = part_files.hand_on(part_files.loose(tmp_path))
    part_files.sweep(tmp_path)
    assert names(tmp_path) == [path.name]
    part_files.drop(path)
    assert names(tmp_path) == []


def test_another_process_sweeps_nothing_of_ours_while_we_live(tmp_path: Path) -> None:
    code = "import sys, pathlib; from aveo3.files import part_files; part_files.sweep(pathlib.Path(sys.argv[1]))"
    with part_files.loose(tmp_path) as part:
        (tmp_path / DEAD).touch()
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        assert names(tmp_path) == [part.path.name]


def test_on_a_disk_without_locks_nothing_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with part_files.loose(tmp_path) as part:
        (tmp_path / DEAD).touch()
        part_files.sweep(tmp_path)
        assert names(tmp_path) == sorted([DEAD, part.path.name])


def test_sweeping_where_nothing_is_or_may_be_read_is_no_error(tmp_path: Path) -> None:
    part_files.sweep(tmp_path / "missing")
    (tmp_path / "file").touch()
    part_files.sweep(tmp_path / "file")
    (tmp_path / DEAD).mkdir()
    part_files.sweep(tmp_path)
    assert names(tmp_path) == [DEAD, "file"]


def test_a_name_that_a_dead_process_of_our_number_left_is_passed_over(tmp_path: Path) -> None:
    with part_files.loose(tmp_path) as part:
        number = int(part.path.stem.rpartition("-")[2])
    taken = tmp_path / f".inline-{os.getpid()}-{number + 1}.part"
    taken.write_bytes(b"x")
    with part_files.loose(tmp_path) as part:
        assert part.path.name == f".inline-{os.getpid()}-{number + 2}.part"
    assert taken.read_bytes() == b"x"


def test_a_part_swept_away_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, swept = fcntl.flock, list[Path]()

    def sweep_first(file: object, how: int) -> None:
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        flock(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with part_files.loose(tmp_path) as part:
        assert part.path.exists()
        assert swept != [part.path]


def test_a_lasting_part_is_one_writers_at_a_time(tmp_path: Path) -> None:
    target, identity = tmp_path / "film.mp4", "0" * 16
    with part_files.lasting(target, identity) as first, part_files.lasting(target, identity) as second:
        assert (first.path.name, first.lasting) == (f".film.{identity}.part", True)
        assert (second.path.name[:8], second.lasting) == (".inline-", False)
        assert part_files.resume([first.path, second.path]) is None
        first.write(b"first")
        second.write(b"second")
    assert names(tmp_path) == [first.path.name]
    assert first.path.read_bytes() == b"first"
    again = part_files.resume(part_files.left_of(target))
    assert again is not None
    with again:
        again.read_again()
        again.write(b" and more")
    assert first.path.read_bytes() == b"first and more"
    assert (again.size, part_files.identity_of(again)) == (14, identity)
    assert again.sha256.digest() == hashlib.sha256(b"first and more").digest()


def test_a_new_part_never_empties_an_old_one(tmp_path: Path) -> None:
    """Which may by another name be a finished video."""
    target, identity = tmp_path / "film.mp4", "0" * 16
    part = target.with_name(f".film.{identity}.part")
    part.write_bytes(b"a film")
    os.link(part, target)
    with part_files.lasting(target, identity) as new:
        new.write(b"another")
    assert target.read_bytes() == b"a film"


def test_a_part_that_is_being_named_stays_locked_though_it_is_closed(tmp_path: Path) -> None:
    """A download is cancelled, and closes its part, while a thread is at the renaming."""
    target, identity = tmp_path / "film.mp4", "0" * 16
    part = part_files.lasting(target, identity)
    part.write(b"a film")
    with part.pinned():
        part.close()
        assert part_files.resume([part.path]) is None
    left = part_files.resume([part.path])
    assert left is not None
    with pytest.raises(ValueError, match="closed"), part.pinned():
        pass
    left.discard()


def test_a_part_is_discarded_once_and_for_all(tmp_path: Path) -> None:
    part = part_files.loose(tmp_path)
    part.discard()
    part.discard()
    part_files.drop(part.path)
    assert names(tmp_path) == []
