"""One end of a move: what the move needs of a place where a journal is, or is to be. And the tables that move."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from aveo3.journal.moving.mark import KIND, OURS, Mark, mark_in

Row = tuple[Any, ...]

TABLES: dict[str, tuple[str, ...]] = {
    "batches": ("id",),
    "jobs": ("id",),
    "events": ("id",),
    "runs": ("id",),
    "memory": ("service", "kind", "name"),
    "requests": ("job",),
    "callbacks": ("job",),
    "lane_events": ("id",),
    "request_totals": ("service", "caller", "state", "why"),
    "stored_files": ("job",),
    "stored_bytes": ("id",),
}
"""Every table with its key, in an order in which references point backwards."""

LEFT_OUT = {"memory": f"NOT ({OURS})"}
"""What of a table does not move."""


class Side(Protocol):
    """A place. Its methods raise `JournalError` naming it."""

    name: str
    """The place as people see it, without a password."""

    def opened(self) -> AbstractContextManager[None]:
        """Hold it, so that nobody else writes. Makes an empty journal where there is none, if it is a destination."""
        ...

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Execute one statement with `?` where its values go."""
        ...

    def columns(self, table: str) -> list[str]: ...

    def rows(self, table: str, columns: Sequence[str]) -> AbstractContextManager[Iterator[Row]]:
        """What moves of a table, in the order of its key, read piece by piece."""
        ...

    def mark(self, mark: Mark | None, identity: str) -> None:
        """Set or take away the mark, and have the database itself refuse writers meanwhile. On disk on return."""
        ...

    def receiving(self) -> AbstractContextManager[Side]:
        """What takes all rows, empty; they are there, on disk, when the block has ended without an error."""
        ...

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
        """Put rows into a table that is empty, without its triggers. Returns their number."""
        ...


def kept_by(side: Side) -> dict[str, dict[str, Any]]:
    """What the journal says about itself."""
    rows = side.execute("SELECT name, value FROM memory WHERE service = '' AND kind = ?", (KIND,))
    return {name: json.loads(value) for name, value in rows}


def mark_of(side: Side) -> Mark | None:
    """The mark of the journal; None if it is at home there."""
    return mark_in(kept_by(side))


def identity_of(side: Side) -> str | None:
    """What tells this journal from others, wherever it moves; None if it has never moved."""
    value = kept_by(side).get("identity")
    return None if value is None else str(value["id"])


def query(table: str, columns: Sequence[str]) -> str:
    """The statement that reads what moves of a table."""
    where = f" WHERE {LEFT_OUT[table]}" if table in LEFT_OUT else ""
    return f"SELECT {', '.join(columns)} FROM {table}{where} ORDER BY {', '.join(TABLES[table])}"


KEEP = (
    "INSERT INTO memory (service, kind, name, value) VALUES ('', ?, ?, ?) "
    "ON CONFLICT (service, kind, name) DO UPDATE SET value = excluded.value"
)
FORGET = "DELETE FROM memory WHERE service = '' AND kind = ? AND name = ?"
