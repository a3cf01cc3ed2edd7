"""Where the journal of an output directory is, for those who want to read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aveo3.config.settings import Settings


def journal_path(settings: Settings) -> Path:
    """The path of the journal. Raises `UsageError` if the settings turn it off, `JournalError` if it does not exist."""
    from aveo3.errors import JournalError, UsageError

    path = settings.journal_path
    if path is None:
        raise UsageError("there is no journal to read: VEO3_JOURNAL=none. Unset it to keep a journal.")
    if not path.is_file():
        directory = settings.output_dir
        if settings.journal == "auto" and not directory.is_dir():
            what = "is a file" if directory.exists() else "does not exist"
            raise JournalError(f"{directory} {what}, so there is no journal. Name the directory with the videos.")
        raise JournalError(f"there is no journal {path}: no run has written to {directory} yet.")
    return path
