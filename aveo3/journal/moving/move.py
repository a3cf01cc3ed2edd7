"""The move itself: the order of steps in which a kill at any moment loses nothing and leaves one journal that writes.

1. The source is marked as `moving`: from now on it takes no writer. 2. The destination takes all rows, which are
compared one by one, and the journal's identity, in one transaction. 3. The source is marked as `moved`. A kill before
the end of 2 leaves the destination as it was; a kill after it leaves two copies, of which only the destination writes,
and the same command ends the move.
"""

from __future__ import annotations

import json
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Literal

from aveo3.errors import JournalError, UsageError
from aveo3.journal.moving.mark import KIND, Mark
from aveo3.journal.moving.side import KEEP, TABLES, Row, Side, identity_of, mark_of


class ArrivalUnknown(JournalError):
    """The destination was asked to keep the journal, and its answer was lost."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move has done."""

    source: str
    destination: str
    rows: dict[str, int]
    """How many rows of each table were written and compared; empty if an interrupted move had done that."""
    state: Literal["moved", "finished", "before"]
    """`finished`: an interrupted move, of which only the last mark was missing. `before`: nothing was left to do."""


def move(source: Side, destination: Side) -> Moved:
    """Move the journal at `source` to `destination`, which has none, or this one before it moved away from there.

    Raises `JournalError` if either is in use, and `UsageError` if the destination holds another journal.
    """
    with ExitStack() as stack:
        stack.enter_context(source.opened())
        stack.enter_context(destination.opened())
        mark, identity, arrived = mark_of(source), identity_of(source), identity_of(destination)
        is_there = arrived is not None and arrived == identity
        there = mark_of(destination)
        if mark is not None and is_there and there is None:
            if mark.state == "moved":
                return Moved(source.name, destination.name, {}, "before")
            source.mark(Mark("moved", destination.name, _now()), identity or "")
            return Moved(source.name, destination.name, {}, "finished")
        if mark is not None and (mark.state == "moved" or mark.to != destination.name):
            raise _elsewhere(source, mark)
        if is_there and there is None:
            raise UsageError(
                f"{destination.name} and {source.name} hold the same journal, and both take writers: one of them is a "
                "copy. Remove the one that was not used last. Nothing was changed."
            )
        if not is_there:
            _check_empty(destination)
        identity = identity or uuid.uuid4().hex
        source.mark(Mark("moving", destination.name, _now()), identity)
        try:
            with destination.receiving() as empty:
                rows = {table: _copy(source, empty, table) for table in TABLES}
                empty.execute(KEEP, (KIND, "identity", json.dumps({"id": identity})))
                empty.execute(KEEP, (KIND, "arrived", json.dumps({"from": source.name, "at_utc": _now()})))
        except ArrivalUnknown:
            raise  # the mark stays
        except BaseException:
            source.mark(None, identity)
            raise
        source.mark(Mark("moved", destination.name, _now()), identity)
        return Moved(source.name, destination.name, rows, "moved")


def give_up(source: Side, destination: Side) -> bool:
    """Take writers at `source` again after an interrupted move to `destination`. False if it takes them anyway.

    Raises `UsageError` if the journal has arrived there.
    """
    with source.opened(), destination.opened():
        mark, identity = mark_of(source), identity_of(source)
        if mark is None:
            return False
        if mark.state == "moved" or mark.to != destination.name:
            raise _elsewhere(source, mark)
        if identity_of(destination) == identity and mark_of(destination) is None:
            raise UsageError(
                f"the journal has arrived at {destination.name}: run the move again without --give-up, which ends it."
            )
        source.mark(None, identity or "")
        return True


def _copy(source: Side, destination: Side, table: str) -> int:
    """Copy a table, and compare every row as the destination gives it back."""
    columns = source.columns(table)
    if sorted(columns) != sorted(destination.columns(table)):
        raise JournalError(f"{source.name} and {destination.name} differ in the columns of {table}: update aveo3.")
    with source.rows(table, columns) as rows:
        number = destination.fill(table, columns, map(_portable, rows))
    with source.rows(table, columns) as rows, destination.rows(table, columns) as copies:
        for row, copy in zip_longest(map(_portable, rows), copies):
            if row != copy:
                key = dict(zip(columns, row or copy or (), strict=False))
                where = ", ".join(f"{name} {key.get(name)}" for name in TABLES[table])
                raise JournalError(
                    f"a row of {table} ({where}) did not arrive at {destination.name} as it is in {source.name}. "
                    "Nothing was moved."
                )
    return number


def _portable(row: Row) -> Row:
    """A row as both databases can hold it: PostgreSQL has no null character."""
    if any(isinstance(value, str) and "\0" in value for value in row):
        return tuple(value.replace("\0", "\\x00") if isinstance(value, str) else value for value in row)
    return row


def _check_empty(destination: Side) -> None:
    """Raise `UsageError` if the destination holds jobs, or anything that a run has learnt."""
    found = {table: destination.execute(f"SELECT count(*) FROM {table}")[0][0] for table in _EMPTY}
    if any(found.values()):
        words = ", ".join(f"{number:,} {table.replace('_', ' ')}" for table, number in found.items() if number)
        raise UsageError(
            f"{destination.name} is not empty ({words}): a move never mixes two journals. Name another database or "
            "directory. Nothing was changed."
        )


_EMPTY = ("jobs", "events", "requests", "batches", "lane_events")
"""Tables that have no row in a journal that was not used. A process that only looked has left a row in `runs`."""


def _elsewhere(source: Side, mark: Mark) -> JournalError:
    if mark.state == "moved":
        return mark.refusal(source.name)
    return JournalError(
        f"a move of {source.name} to {mark.to} was interrupted: run that one again, or take it back with --give-up. "
        "Nothing was changed."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()
