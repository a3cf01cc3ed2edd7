"""Windows' rules for files, imitated on Linux: locks on bytes, and open files that keep their name.

Nothing here proves that aveo3 works on Windows. It shows which pieces of it were replaced and what they then do.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aveo3.files import file_lock


def keep_to_windows_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aveo3's file handling meet what it would meet on Windows."""
    monkeypatch.setattr(file_lock, "fcntl", None)
    monkeypatch.setattr(file_lock, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=_locking))
    monkeypatch.setattr(os, "rename", _refusing(os.rename, replaces=False))
    monkeypatch.setattr(os, "replace", _refusing(os.replace, replaces=True))
    monkeypatch.setattr(os, "unlink", _refusing(os.unlink, replaces=True))


def _locking(descriptor: int, mode: int, count: int) -> None:
    """Lock bytes from the file's position on, as far as a C `long` of Windows reaches."""
    assert (mode, count) == (2, 1)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) + count < 1 << 31
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def _refusing(change: Callable[..., None], *, replaces: bool) -> Callable[..., None]:
    def changed(path: Any, *more: Any, **options: Any) -> None:
        for place in (path, *more):
            if _is_open(Path(place)):
                raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used")
        if more and not replaces and Path(*more).exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        change(path, *more, **options)

    return changed


def _is_open(path: Path) -> bool:
    """Whether this process has the file open, by whatever name."""
    try:
        wanted = path.stat()
    except OSError:
        return False
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            if os.path.samestat(os.fstat(int(name)), wanted):
                return True
        except OSError:
            continue
    return False
