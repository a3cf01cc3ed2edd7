"""Opens the database under a journal: the place says which."""

from __future__ import annotations

from pathlib import Path

from aveo3.errors import JournalError
from aveo3.journal.database import Database
from aveo3.journal.place import Place
from aveo3.journal.sqlite import SqliteDatabase


def opened(place: Place, *, writes: bool, checks: bool) -> Database:
    """The database at `place`, in the schema of this version.

    Raises `JournalError` naming it if it is no journal, damaged, of a newer version, cannot be reached, or, where only
    one process may write, is in use.
    """
    if isinstance(place, Path):
        return SqliteDatabase(place, writes=writes, checks=checks)
    try:
        from aveo3.journal.postgres import PostgresDatabase
    except ImportError as error:
        raise JournalError(f"a journal in PostgreSQL needs psycopg: pip install 'aveo3[postgres]' ({error})") from None
    return PostgresDatabase(place, writes=writes)
