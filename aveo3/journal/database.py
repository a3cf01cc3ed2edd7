"""What the journal needs of a database, whichever it is: SQLite (`sqlite`) or PostgreSQL.

Statements are those that both understand, with `?` where values go. No other module names a database's own types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from aveo3.errors import JournalError
from aveo3.journal.bell import Bell
from aveo3.journal.follows import Follows
from aveo3.journal.lane_locks import LaneLocks
from aveo3.journal.place import Place
from aveo3.journal.writer import Writer


class DatabaseError(JournalError):
    """What went wrong in the database. All errors of its driver become one of these."""


class Unreachable(DatabaseError):
    """The database is locked, full, write-protected or away: what was asked for may work later."""


class Damaged(DatabaseError):
    """The database cannot be read, or holds what makes no sense."""


class WrongValues(DatabaseError):
    """The database does not take a statement or its values, and never will."""


class KeyTaken(WrongValues):
    """Another row has the key that must be its own: somebody else was first.

    `table` has that row. `jobs`: the number or the ordinal was given out meanwhile, another one will do. `requests`:
    its caller has used the idempotency key.
    """

    def __init__(self, message: str, table: str) -> None:
        super().__init__(message)
        self.table = table


class RowChanged(DatabaseError):
    """A row is not as the step expects it: somebody else has changed it, and the step was not made."""


class Row(Protocol):
    """A row that was found: its values by number or by column, in the order of the columns."""

    def keys(self) -> Sequence[str]: ...
    def __getitem__(self, column: int | str, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...


class Database(Protocol):
    """An open database that holds a journal, in the schema of this version. All its errors are `DatabaseError`s."""

    @property
    def place(self) -> Place:
        """Where it is: messages name it."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other processes write to it, too."""
        ...

    @property
    def writer(self) -> Writer:
        """All changes go through it."""
        ...

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Sequence[Row]:
        """The rows that `query` finds. It changes nothing."""
        ...

    def rows(self, query: str, values: Sequence[Any] = (), /) -> AbstractContextManager[Iterator[Row]]:
        """The same, read row by row while the `with` block lasts."""
        ...

    def json_text(self, column: str, field: str) -> str:
        """SQL for the text of one field of a JSON object in a column of text; NULL without that field."""
        ...

    def next_job(self) -> int:
        """A number for a new job, above all that this process was given before. No other process gets it."""
        ...

    def now_utc(self) -> datetime:
        """The time by the database's clock."""
        ...

    def unreadable(self, why: object) -> JournalError:
        """The error for values that make no sense, and what to do."""
        ...

    def run_begun(self) -> None:
        """Told when the beginning of this process's run was written."""
        ...

    def run_ends(self) -> None:
        """Told before the end of this process's run is written."""
        ...

    def bell(self) -> Bell:
        """What rings when other processes may have written."""
        ...

    def lane_locks(self) -> LaneLocks:
        """The locks of the lanes that it keeps."""
        ...

    def follows(self) -> Follows | None:
        """The claims of followers that it keeps; None if no other process can follow a job."""
        ...

    def in_use(self) -> bool:
        """True if a process works with the journal now."""
        ...

    def close(self, *, in_order: bool = True) -> None:
        """Close it. `in_order` says that the end of the run was written, or that no run had begun."""
        ...
