"""Syncs files and directories to the disk, so that they outlive a power cut. All of it blocks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def sync_file(descriptor: int) -> None:
    """Sync an open file. Raises `OSError`."""
    if sys.platform == "darwin" and fcntl is not None:
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # macOS: `fsync` leaves the data in the drive's cache
        except OSError:  # file systems of other systems and networks know only `fsync`
            os.fsync(descriptor)
    else:
        os.fsync(descriptor)


def sync_data(descriptor: int) -> None:
    """Sync the content of an open file, and of what is noted about it only the length. Raises `OSError`."""
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        sync_file(descriptor)


def sync_directory(path: Path) -> None:
    """Sync the names in a directory. Raises `OSError`. Does nothing on Windows, which cannot open a directory."""
    if os.name != "posix":
        return
    directory = os.open(path, os.O_RDONLY)
    try:
        sync_file(directory)
    finally:
        os.close(directory)
