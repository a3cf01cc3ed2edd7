"""Locks on open files, which tell other processes that a file has an owner. They end with the process, however it ends.

Linux and macOS lock the whole file by `flock`. Windows locks bytes, and keeps other programs from reading and writing
them: there the lock is on one byte far behind the end of a video. The `filelock` package does not help here: it locks
files of its own, which would be left beside the videos.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

fcntl: Any = None
msvcrt: Any = None
with suppress(ImportError):
    import fcntl
with suppress(ImportError):  # Windows; a system that has neither locks no files
    import msvcrt

LOCKED_BYTE = (1 << 31) - 2
"""The last byte that Windows' C library can lock: `msvcrt.locking` counts with 32 bits and a sign."""


def names_stay() -> bool:
    """Whether a file keeps its name while it is open: Windows neither renames nor removes an open file."""
    return fcntl is None


def lock(file: BinaryIO, path: Path) -> bool | None:
    """Whether this process owns `file` from now on. False: another does, or the file is gone. None: unknown."""
    if fcntl is None:
        return _lock_byte(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock_byte(file: BinaryIO) -> bool | None:
    if msvcrt is None:
        return None
    before = file.tell()
    try:
        file.seek(LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EDEADLK) else None
    finally:
        file.seek(before)
    return True
