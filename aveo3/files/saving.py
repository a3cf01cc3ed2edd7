"""Saves a finished video: writes it beside its target, checks it, then names it. A file is complete or absent.

`download` fetches videos, and `part_files` knows the owners of temporary files.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

from aveo3 import _threads
from aveo3.errors import FetchError
from aveo3.files import mp4, part_files
from aveo3.files.file_lock import lock, names_stay
from aveo3.files.names import nameable
from aveo3.files.part_files import PartFile
from aveo3.files.part_files import drop as drop
from aveo3.files.part_files import sweep as sweep
from aveo3.files.syncing import sync_directory


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A video at the moment it was named: its path, its size in bytes, and its SHA-256 in hex."""

    path: Path
    size: int
    sha256: str


async def save(data: bytes, target: Path, *, ours: bool = True) -> SavedFile:
    """Save a video that arrived inline. If another file has the name `target`, it gets the next of -2, -3, …

    `ours` says that no other clip has a name like `target`: then a file there with the same bytes is this video.
    Raises `FetchError` if it is not a whole MP4 or the disk refuses. Works off the event loop.
    """
    if (fault := _fault(data[: mp4.HEAD], io.BytesIO(data), len(data), str(target))) is not None:
        raise fault
    return await _threads.saving.run(_save, data, target, ours)


async def keep(part: Path, target: Path, *, ours: bool = True) -> SavedFile:
    """Let the finished temporary file `part` become `target`, as `save` does with bytes.

    Raises `FetchError` as `save` does. In any case `part` is gone afterwards.
    """
    return await _threads.saving.run(_keep, part, target, ours)


async def is_intact(file: SavedFile) -> bool:
    """Whether the file still has the content it was saved with. Compares the size before it reads the file."""
    return await _threads.saving.run(_holds, file.path, file.size, file.sha256)


# ---- on the disk; all of it blocks -----------------------------------------------------------------------------------


def _save(data: bytes, target: Path, ours: bool) -> SavedFile:
    try:
        target = place_for(target)
        with part_files.loose(target.parent) as part:
            part.write(data)
            return finish(part, target, str(target), ours=ours)
    except OSError as error:
        raise part_files.refused(target, error) from error


def _keep(path: Path, target: Path, ours: bool) -> SavedFile:
    try:
        with part_files.take(path) as part:
            return finish(part, place_for(target), str(target), ours=ours)
    except OSError as error:
        raise part_files.refused(target, error) from error


def place_for(target: Path) -> Path:
    """Make the directory of `target`. Returns `target`, under a name that the file system can hold."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return nameable(target)


def finish(part: PartFile, target: Path, source: str, *, ours: bool = True) -> SavedFile:
    """Check a part that is complete, sync it and give it its name. `source` names its origin in messages."""
    with part.pinned():
        if (fault := _fault(part.head, part.file, part.size, source)) is not None:
            raise fault
        part.sync()
        saved = _name(part, target, ours)
        sync_directory(saved.path.parent)  # the new name must outlive a power cut, too
        part.discard()
    return saved


def _name(part: PartFile, target: Path, ours: bool) -> SavedFile:
    """Give `part` the name of `target`, or one with -2, -3, …: an existing file was paid for, and stays.

    A file of `ours` with the same bytes is this video: an earlier run was killed after naming it and before noting it.
    """
    sha256 = part.sha256.hexdigest()
    for n in count(1):
        wanted = target if n == 1 else target.with_stem(f"{target.stem}-{n}")
        try:
            _rename(part, wanted)
        except FileExistsError:
            if not (ours and _holds(wanted, part.size, sha256)):
                continue
        break
    return SavedFile(wanted, part.size, sha256)


def _rename(part: PartFile, target: Path) -> None:
    """Give `part` the name `target`, in one atomic step. Raises `FileExistsError` if a file has it.

    Where the file system has hard links, the old name stays, too.
    """
    try:
        os.link(part.path, target)
    except FileExistsError:
        raise
    except OSError:  # exFAT, some network drives
        if names_stay():
            part.let_go()
            part.path.rename(target)  # on Windows this replaces no file
        else:
            _replace_nothing(part.path, target)


def _replace_nothing(part: Path, target: Path) -> None:
    """Rename `part` to `target` without hard links. Raises `FileExistsError` if a file has that name.

    Renaming replaces what is there, so that an empty file of ours takes the name first. It is locked meanwhile: one
    that is not was left by a process that was killed here.
    """
    try:
        place, made = target.open("x+b"), True
    except FileExistsError:
        try:
            place, made = target.open("r+b"), False
        except OSError:  # a directory; a file that may not be written to
            raise FileExistsError(target) from None
    with place:
        ours = lock(place, target)
        if ours is False or (not made and (ours is None or os.fstat(place.fileno()).st_size)):
            raise FileExistsError(target)
        try:
            part.replace(target)
        except OSError:
            target.unlink()
            raise


def _holds(path: Path, size: int, sha256: str) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except (OSError, ValueError):  # ValueError: a name that this locale cannot write
        return False


def _fault(head: bytes, file: BinaryIO, size: int, source: str) -> FetchError | None:
    if not mp4.begins_well(head):
        return not_an_mp4(head, source)
    if (flaw := mp4.flaw(file, size)) is not None:
        return FetchError(f"{source}: this MP4 is not whole: {flaw}")
    return None


def not_an_mp4(head: bytes, source: str) -> FetchError:
    """The error for a video that begins with `head`."""
    return FetchError(f"{source}: this is not an MP4: it begins with {head!r}", final=True)
