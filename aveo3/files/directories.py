"""Makes directories that outlive a power cut, and checks them before anything is paid for."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from aveo3.errors import UsageError
from aveo3.files.syncing import sync_directory


def make_directory(path: Path) -> None:
    """Make `path` and its missing parents, so that they outlive a power cut together with their contents."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for place in missing:
        with suppress(OSError):  # it may not be readable, or its file system has no such sync
            sync_directory(place.parent)


def check_writable(directory: Path) -> None:
    """Make the output directory. Raises `UsageError` if no file can be written there: its video would be paid."""
    try:
        make_directory(directory)
    except OSError as error:
        why = "it is a file" if directory.is_file() else error.strerror
        raise UsageError(f"VEO3_OUTPUT_DIR={directory} cannot be made: {why}. Name another one.") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"VEO3_OUTPUT_DIR={directory} cannot be written to. Change its permissions or name another.")
