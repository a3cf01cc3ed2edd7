"""Temporary files beside the videos: their names, their owners, and which of them outlive their process.

The process that holds the lock on a part owns it. The lock is released when the process ends, however it ends. Other
processes and containers see it; a process id would mean nothing to them. There are two kinds:

- `.{stem}.{identity}.part` stays when a download breaks off, for the next try, or the next process, to resume;
- `.inline-{pid}-{n}.part` is of no use to another process: when its own is dead, `sweep` removes it.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from aveo3.errors import FetchError
from aveo3.files import mp4
from aveo3.files.file_lock import lock, names_stay
from aveo3.files.open_files import TOO_MANY, WAY_OUT
from aveo3.files.syncing import sync_file

BLOCK = 1 << 20
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_LOOSE = re.compile(r"\.inline-\d+-\d+\.part")
_LASTING = re.compile(r"[0-9a-f]{16}\.part")
_ANY = re.compile(rf"{_LOOSE.pattern}|\..+\.{_LASTING.pattern}", re.DOTALL)

_numbers = count()
_handed_on: dict[Path, PartFile] = {}


class PartFile:
    """An open temporary file that this process owns, with the hashes of its content.

    Leaving `with` closes it, and removes it unless it is `lasting`. `write` and `read_again` block: call them in a
    thread, one at a time. Closing waits for that thread.
    """

    def __init__(self, path: Path, file: BinaryIO, *, lasting: bool, size: int = 0) -> None:
        self.path = path
        self.file = file
        self.lasting = lasting
        self.size = size
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False)  # Cloud Storage names no other
        self.head = b""
        self._pin: int | None = None

    def write(self, data: bytes) -> None:
        """Append. Nothing stays in a buffer, so the next process finds all that was written."""
        self.file.write(data)
        self.file.flush()
        self._note(data)
        self.size += len(data)

    def read_again(self) -> None:
        """Hash the content that an earlier try left, and move to its end."""
        self.file.seek(0)
        while block := self.file.read(BLOCK):
            self._note(block)

    def _note(self, data: bytes) -> None:
        self.sha256.update(data)
        self.md5.update(data)
        self.head += data[: mp4.HEAD - len(self.head)]

    @contextlib.contextmanager
    def pinned(self) -> Iterator[None]:
        """Keep the part until a thread has named it, even if its download is cancelled and closes it meanwhile."""
        self._pin = os.dup(self.file.fileno())  # shares the lock; raises if the part is closed already: it is too late
        try:
            yield
        finally:
            self._unpin()

    def _unpin(self) -> None:
        pin, self._pin = self._pin, None
        if pin is not None:
            os.close(pin)

    def sync(self) -> None:
        sync_file(self.file.fileno())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()

    def let_go(self) -> None:
        """Close the part where an open file can neither be renamed nor removed."""
        if names_stay():
            self.close()
            self._unpin()

    def discard(self) -> None:
        """Remove and close the part. Never raises: the file may be gone, or its directory may be the problem."""
        self.let_go()
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()

    def __enter__(self) -> PartFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.lasting:
            self.close()
        else:
            self.discard()


def loose(directory: Path) -> PartFile:
    """Make a part that no later download resumes."""
    while True:
        path = directory / f".inline-{os.getpid()}-{next(_numbers)}.part"
        try:
            file = path.open("x+b")
        except FileExistsError:  # left by another process with the same id: a dead one, or one in another container
            continue
        if lock(file, path) is not False:
            return PartFile(path, file, lasting=False)
        file.close()  # swept away in the moment before it was locked


def lasting(target: Path, identity: str | None) -> PartFile:
    """Make an empty part for the file that the server knows as `identity`. A later download can resume it.

    It is a loose part if there is no identity, no lock, or another download that uses the same name.
    """
    if identity is not None:
        path = target.with_name(f".{target.stem}.{identity}.part")
        if (old := _take_up(path)) is not None:
            old.discard()  # never truncated: the inode may be that of a finished video
        with contextlib.suppress(FileExistsError):
            file = path.open("x+b")
            ours = lock(file, path)
            if ours:
                return PartFile(path, file, lasting=True)
            file.close()
            if ours is None:
                path.unlink()
    return loose(target.parent)


def left_of(target: Path) -> list[Path]:
    """The parts that earlier tries to fetch `target` left, longest first."""
    begin, found = f".{target.stem}.", []
    with os.scandir(target.parent) as entries:
        for entry in entries:
            if entry.name.startswith(begin) and _LASTING.fullmatch(entry.name[len(begin) :]):
                with contextlib.suppress(FileNotFoundError):  # another process has just finished it
                    found.append((entry.stat().st_size, Path(entry.path)))
    return [path for _, path in sorted(found, reverse=True)]


def resume(paths: Iterable[Path]) -> PartFile | None:
    """The first of these parts that is usable and not in use. Unusable ones are removed."""
    chosen = None
    for path in paths:
        if (part := _take_up(path)) is None:
            continue
        if chosen is None and _sound(part):
            chosen = part
        else:
            part.discard()
    return chosen


def identity_of(part: PartFile) -> str:
    return part.path.suffixes[-2][1:]


def _take_up(path: Path) -> PartFile | None:
    """The part of that name; None if there is none, or another process owns it."""
    try:
        file = path.open("r+b")
    except OSError:
        return None
    if not lock(file, path):
        file.close()
        return None
    return PartFile(path, file, lasting=True, size=os.fstat(file.fileno()).st_size)


def _sound(part: PartFile) -> bool:
    """Whether the part has content that can be trusted.

    False if it has a second name: then it is a finished video. False if it is older than the system's start: after a
    power cut a file may have its full length and hold zeros.
    """
    status = os.fstat(part.file.fileno())
    if sys.platform == "linux":
        running = time.clock_gettime(time.CLOCK_BOOTTIME)
    else:  # this clock may stop while the machine sleeps: then an older part is fetched anew, which is safe
        running = time.monotonic()
    if status.st_mtime < time.time() - running:
        return False
    return part.size > 0 and status.st_nlink == 1


# ---- handed on by their path -----------------------------------------------------------------------------------------


def hand_on(part: PartFile) -> Path:
    """Return the path by which `take` or `drop` will find `part`. The part stays open, and so owned, until then."""
    _handed_on[part.path] = part
    return part.path


def take(path: Path) -> PartFile:
    """The part that was handed on by this path. If there is none, the file is read again. Blocks."""
    if (part := _handed_on.pop(path, None)) is None:
        file = path.open("r+b")
        part = PartFile(path, file, lasting=False, size=os.fstat(file.fileno()).st_size)
        part.read_again()
    return part


def drop(path: Path) -> None:
    """Remove a part that was handed on but is not needed. Never raises."""
    if (part := _handed_on.pop(path, None)) is not None:
        part.discard()


@atexit.register
def _close_all() -> None:
    """Leave unclaimed parts to the next `sweep`: a fork that exits must not remove its parent's."""
    for part in _handed_on.values():
        part.close()


def sweep(directory: Path) -> None:
    """Remove the loose parts that dead processes left in `directory`, and second names of finished videos.

    Parts to resume and parts in use stay.
    """
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        paths = [Path(entry.path) for entry in entries if _ANY.fullmatch(entry.name)]
        for path in paths:
            with contextlib.suppress(OSError):
                with path.open("r+b") as file:
                    needless = bool(_LOOSE.fullmatch(path.name)) or os.fstat(file.fileno()).st_nlink > 1
                    ours = needless and lock(file, path)
                    if ours and not names_stay():
                        path.unlink()
                if ours and names_stay():  # one that another process has taken meanwhile is open, and so it stays
                    path.unlink()


def refused(path: Path, error: OSError) -> FetchError:
    """The `FetchError` for an error of the disk. Too many open files are none: it passes, so try again."""
    if error.errno in TOO_MANY:
        return FetchError(f"cannot write {path}: {error.strerror or error}. The video is made and paid. {WAY_OUT}")
    return FetchError(
        f"cannot write {path}: {error.strerror or error}. The video is made and paid; free the disk or mend the "
        "directory before you make more.",
        final=True,
        disk=True,
    )
