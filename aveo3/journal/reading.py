"""Opens a journal to read it, whatever state it was left in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aveo3.journal.journal import Journal


@contextmanager
def reading(path: Path) -> Iterator[Journal | None]:
    """The journal at `path`, to be read; None if there is none."""
    from aveo3.errors import JournalError
    from aveo3.journal.journal import Journal
    from aveo3.journal.sqlite_files import log_of

    if not path.is_file() and not log_of(path).exists():
        yield None
        return
    try:
        reader = Journal(path, writes=False)
    except JournalError:  # of an older version? A run may migrate it; any other error is raised again here
        Journal(path).close()
        reader = Journal(path, writes=False)
    with reader as journal:
        yield journal
