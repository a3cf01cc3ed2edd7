"""What the journal says: its jobs, how each came where it stands, what they cost, who was at work. Writes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from aveo3.config.settings import JOURNAL
from aveo3.errors import JournalError
from aveo3.journal.database import Writer, refused, unreadable
from aveo3.journal.rows import Event, JobRecord, Left, Run, StateCount, from_row, to_time
from aveo3.lifecycle import SPENT, State

PAGE = 1000
"""Jobs that are read at once."""


class JournalReader:
    """What stands in the journal at `path`, open as `db`; what `writer` has not committed yet included.

    All of it raises `JournalError` naming the file if that cannot be read, or holds what makes no sense.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, writer: Writer) -> None:
        self.path = path
        self.home = path.parent.parent if path.parent.name == JOURNAL.parent.name else path.parent
        self._db = db
        self._writer = writer

    def entries(self, *states: State) -> Iterator[JobRecord]:
        """All jobs in the order they were planned, or those in `states`. Holds a page of them at a time."""
        wanted = states or tuple(State)
        marks = ", ".join("?" * len(wanted))
        query, last = f"SELECT * FROM jobs WHERE id > ? AND state IN ({marks}) ORDER BY id LIMIT {PAGE}", 0
        while page := self.select(query, last, *wanted):
            yield from page
            last = page[-1].id

    def match(self, name: str) -> list[JobRecord]:
        """The jobs that a person may mean by `name`: the beginning of a digest, and the ordinal unless it is 1."""
        start, _, ordinal = name.lower().partition(".")
        if not start or not set(start) <= set("0123456789abcdef"):
            return []
        found = self.select("SELECT * FROM jobs WHERE digest >= ? AND digest < ? ORDER BY id", start, start + "g")
        return [entry for entry in found if str(entry.ordinal) == (ordinal or "1")]

    def history(self, job: int) -> list[Event]:
        """The life of a job, first to last."""
        rows = self.read("SELECT at_utc, state, changes FROM events WHERE job = ? ORDER BY id", job)
        with self._reading():
            return [Event(datetime.fromisoformat(at), State(state), json.loads(changes)) for at, state, changes in rows]

    def spent(self, service: str) -> float:
        """What the jobs of `service` cost so far or may cost, in US$, attempts that were given up included."""
        marks = ", ".join("?" * len(SPENT))
        query = f"SELECT total(sunk_usd) + total(iif(state IN ({marks}), cost_usd, 0)) FROM jobs WHERE service = ?"
        return float(self.read(query, *SPENT, service)[0][0])

    def place_of(self, service: str, operation: str) -> Mapping[str, str | None] | None:
        """Where the clip was made that is known as `operation`; None if it is not known here."""
        found = self.read("SELECT place FROM jobs WHERE service = ? AND operation = ?", service, operation)
        return json.loads(found[0][0]) if found and found[0][0] else None

    def kept(self, service: str, kind: str) -> dict[str, dict[str, Any]]:
        """All that was kept of a kind, by its name."""
        rows = self.read("SELECT name, value FROM memory WHERE service = ? AND kind = ?", service, kind)
        with self._reading():
            return {name: json.loads(value) for name, value in rows}

    def events_since(self, service: str, since: datetime) -> Iterator[tuple[int, Event]]:
        """Every step of any job since an instant, with its job, the latest first. Reads them as they are asked for."""
        query = (
            "SELECT events.id, job, at_utc, events.state, changes FROM events JOIN jobs ON jobs.id = job "
            f"WHERE service = ? AND events.id < ? ORDER BY events.id DESC LIMIT {PAGE}"
        )
        last = 1 << 62
        while page := self.read(query, service, last):
            for number, job, at, state, changes in page:
                if (at_utc := datetime.fromisoformat(at)) < since:
                    return
                yield job, Event(at_utc, State(state), json.loads(changes))
                last = number

    def counts(self) -> dict[State, int]:
        """How many jobs stand where."""
        with self._reading():
            return {State(state): n for state, n in self.read("SELECT state, count(*) FROM jobs GROUP BY state")}

    def tallies(self) -> list[StateCount]:
        """The same, service by service, with what they cost."""
        query = (
            "SELECT service, state, count(*), total(cost_usd), count(*) - count(cost_usd) FROM jobs "
            "GROUP BY service, state"
        )
        rows = self.read(query)
        with self._reading():
            return [StateCount(service, State(state), *sums) for service, state, *sums in rows]

    def left(self, *states: State, but: str, since: datetime) -> list[Left]:
        """The jobs that stand in `states`, of all services `but` one, backend by backend; stale is who is from `since`
        or before."""
        marks = ", ".join("?" * len(states))
        query = (
            "SELECT json_extract(place, '$.backend'), count(*), changed, total(day <= julianday(?)), min(day) FROM "
            f"(SELECT place, changed, julianday(changed) AS day FROM (SELECT place, {_CHANGED} AS changed FROM jobs "
            f"WHERE state IN ({marks}) AND service != ?)) GROUP BY 1"
        )
        rows = self.read(query, since.isoformat(), *states, but)  # beside a min(), `changed` is that of its row
        with self._reading():
            return [Left(backend, n, datetime.fromisoformat(at), int(old)) for backend, n, at, old, _ in rows]

    def last_run(self) -> Run | None:
        """The process that wrote here last, or does now; None if none ever did."""
        with self._reading():
            for run, pid, host, started, ended in self.read("SELECT * FROM runs ORDER BY id DESC LIMIT 1"):
                return Run(run, pid, host, datetime.fromisoformat(started), to_time(ended))
        return None

    def locate(self, file: Mapping[str, Any]) -> Path:
        """Where one of `JobRecord.files` is."""
        return self.home / str(file["path"])

    def relative(self, path: Path) -> str:
        """`path` as the journal keeps it: a directory may be moved as a whole."""
        absolute, home = path.absolute(), self.home.absolute()
        return str(absolute.relative_to(home) if absolute.is_relative_to(home) else absolute)

    # ---- by any query ------------------------------------------------------------------------------------------

    def select(self, query: str, *values: Any) -> list[JobRecord]:
        """The jobs whose rows `query` finds."""
        rows = self.read(query, *values)
        with self._reading():
            return [from_row(row) for row in rows]

    def read(self, query: str, *values: Any) -> list[Any]:
        """The rows that `query` finds."""
        with self._reading():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def rows(self, query: str, *values: Any) -> Iterator[sqlite3.Cursor]:
        """The same, for as long as `with` lasts, each row when it is asked for."""
        with self._reading():
            found = self._db.execute(query, values)
            try:
                yield found
            finally:
                found.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            if self._writer.waiting:
                self._writer.begin()
            yield
        except JournalError:
            raise
        except sqlite3.Error as error:
            raise refused(self.path, error) from error
        except (ValueError, TypeError) as error:  # what stands in a column is no instant, state or JSON
            raise unreadable(self.path, error) from error


_CHANGED = "coalesce(fetched_utc, finished_utc, submitted_utc, queued_utc)"
