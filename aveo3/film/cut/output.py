"""The file that a film is written to: a temporary one beside the target, which takes its name when it is whole.

A process that is killed leaves the temporary file. The next film of that name removes it: nobody holds its lock.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aveo3.errors import UsageError
from aveo3.files.file_lock import lock
from aveo3.files.syncing import sync_directory, sync_file
from aveo3.film.cut.errors import FilmError

SUFFIXES = (".mp4", ".m4v")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_name(target: Path) -> None:
    """Raise `UsageError` if `target` is no name for a film. Can be asked before there is anything to cut."""
    if target.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{target} is no name of an MP4 file: let it end in .mp4")
    _check_no_directory(target)


def _check_no_directory(target: Path) -> None:
    if target.is_dir():
        raise UsageError(f"{target} is a directory: name a file, such as {target / 'film.mp4'}")


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A new empty file beside `target`. It replaces `target` when the block ends without an exception.

    Raises `FilmError` if the directory cannot be written to, or the disk is full.
    """
    _check_no_directory(target)
    with told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        part = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
        with part.open("xb") as owner:
            lock(owner, part)
            try:
                yield part
                sync_file(owner.fileno())
                if os.name != "posix":
                    owner.close()  # Windows renames no open file
                part.replace(target)
            finally:
                if os.name != "posix":
                    owner.close()
                part.unlink(missing_ok=True)
        sync_directory(target.parent)


@contextmanager
def told(target: Path) -> Iterator[None]:
    """What the disk of `target` raises within becomes a `FilmError`."""
    try:
        yield
    except OSError as error:  # PyAV's errors of the disk are `OSError`, too
        earlier = "The earlier film is as it was." if target.exists() else "No film was left."
        why = "the disk is full" if error.errno in FULL else error.strerror or str(error)
        raise FilmError(f"{target} cannot be written: {why}. {earlier}") from error


def _sweep(target: Path) -> None:
    """Remove what killed processes left beside `target`."""
    for part in target.parent.glob(f".{_escaped(target.name[:200])}.????????.part"):
        with suppress(OSError), part.open("r+b") as file:
            if lock(file, part):
                part.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
