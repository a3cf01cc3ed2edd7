"""Reads the journal: its jobs and their histories, what they cost, and which process wrote last. Writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from aveo3.errors import JournalError
from aveo3.journal.database import Database, Row
from aveo3.journal.lane_steps import LaneStep
from aveo3.journal.lane_steps import from_row as to_lane_step
from aveo3.journal.place import Place, home_of
from aveo3.journal.rows import Event, JobRecord, Left, Run, StateCount, from_row, to_time
from aveo3.lifecycle import OWED, SPENT, State

PAGE = 1000
"""Rows that are read at once."""

SUMS = (
    "count(*), coalesce(sum(cost_usd), 0.0), count(*) - count(cost_usd), coalesce(sum(sunk_usd), 0.0), "
    "CAST(coalesce(sum(sunk_unpriced), 0) AS INTEGER)"
)
"""The columns of a `StateCount`, from `jobs` on."""


class JournalReader:
    """Reads the journal in `database`, including what its writer has not committed yet.

    Every method raises `JournalError` naming it if it cannot be read, or holds values that make no sense.
    """

    def __init__(self, database: Database) -> None:
        self.place: Place = database.place
        self.home = home_of(self.place)
        self._database = database
        self._writer = database.writer

    @property
    def path(self) -> Path:
        """The journal's file; of a shared one, the directory that all its processes see."""
        return self.place if isinstance(self.place, Path) else self.place.home

    def records(self, *states: State) -> Iterator[JobRecord]:
        """All jobs, or those in `states`, in the order in which they were planned. Holds one page in memory."""
        wanted = states or tuple(State)
        marks = ", ".join("?" * len(wanted))
        query, last = f"SELECT * FROM jobs WHERE id > ? AND state IN ({marks}) ORDER BY id LIMIT {PAGE}", 0
        while page := self.select(query, last, *wanted):
            yield from page
            last = page[-1].id

    def requested(self) -> set[int]:
        """The jobs that came as requests: runs of prompts leave them alone."""
        return {job for [job] in self.read("SELECT job FROM requests")}

    def prompts_with_files(self, service: str) -> Iterator[dict[str, Any]]:
        """The prompts of `service` whose media are, or were, local files, in the order in which they were planned."""
        query, last = f"SELECT id, prompt FROM jobs WHERE service = ? AND id > ? AND {_WITH_FILES} LIMIT {PAGE}", 0
        while page := self.read(query, service, last):
            for last, prompt in page:
                with self._reading(f"job {last}"):
                    yield _mapping(prompt)

    def match(self, name: str) -> list[JobRecord]:
        """The jobs that a person may mean by `name`: the beginning of a digest, and the ordinal unless it is 1."""
        start, _, ordinal = name.lower().partition(".")
        if not start or not set(start) <= set("0123456789abcdef"):
            return []
        found = self.select("SELECT * FROM jobs WHERE digest >= ? AND digest < ? ORDER BY id", start, start + "g")
        return [record for record in found if str(record.ordinal) == (ordinal or "1")]

    def prompt_of(self, service: str, name: str) -> dict[str, Any] | None:
        """The recorded prompt of the job that has this name for people; None if there is none."""
        start, _, ordinal = name.partition(".")
        query = "SELECT prompt FROM jobs WHERE service = ? AND digest >= ? AND digest < ? AND ordinal = ?"
        for [prompt] in self.read(query, service, start, start + "g", int(ordinal or 1)):
            with self._reading(f"the prompt of job {name}"):
                return _mapping(prompt)
        return None

    def newest_with(self, service: str, ids: Iterable[str]) -> list[JobRecord]:
        """The newest job of `service` for each of these `id`s of prompts, without requests. Reads all jobs."""
        text = self.json_text("prompt", "id")
        query = (
            f"SELECT * FROM jobs WHERE id IN (SELECT max(id) FROM jobs WHERE service = ? AND {text} IN ({{}}) "
            f"AND NOT EXISTS (SELECT 1 FROM requests WHERE job = jobs.id) GROUP BY {text})"
        )
        return self.select_among(query, [*dict.fromkeys(ids)], service)

    def history(self, job: int) -> list[Event]:
        """The life of a job, first to last."""
        rows = self.read("SELECT at_utc, state, changes FROM events WHERE job = ? ORDER BY id", job)
        with self._reading(f"an event of job {job}"):
            return [_event(*row) for row in rows]

    def spent(self, service: str) -> float:
        """What the jobs of `service` cost so far or may cost, in US$, attempts that were given up included."""
        marks = ", ".join("?" * len(SPENT))
        query = (
            f"SELECT coalesce(sum(sunk_usd), 0) + coalesce(sum(cost_usd) FILTER (WHERE state IN ({marks})), 0) "
            "FROM jobs WHERE service = ?"
        )
        return float(self.read(query, *SPENT, service)[0][0])

    def unpriced(self, service: str) -> int:
        """How many clips of `service` are or may be paid at a price that was unknown: `spent` counts them as free."""
        marks = ", ".join("?" * len(OWED))
        query = (
            f"SELECT count(*) FILTER (WHERE state IN ({marks}) AND cost_usd IS NULL) + coalesce(sum(sunk_unpriced), 0) "
            "FROM jobs WHERE service = ?"
        )
        return int(self.read(query, *OWED, service)[0][0])

    def place_of(self, service: str, operation: str) -> Mapping[str, str | None] | None:
        """Where the clip of `operation` was made; None if the journal does not know it."""
        found = self.read("SELECT place FROM jobs WHERE service = ? AND operation = ?", service, operation)
        with self._reading(f"the place of {operation}"):
            return _mapping(found[0][0]) if found and found[0][0] else None

    def of_operation(self, service: str, operation: str) -> list[JobRecord]:
        """The jobs of `service` whose operation has this name, in any place."""
        return self.select("SELECT * FROM jobs WHERE service = ? AND operation = ?", service, operation)

    def others_with(self, operation: str, job: JobRecord) -> list[JobRecord]:
        """The jobs of the same service, other than `job`, whose operation has this name, in any place."""
        return [
            other
            for other in self.select("SELECT * FROM jobs WHERE operation = ? AND id != ?", operation, job.id)
            if other.service == job.service
        ]

    def kept(self, service: str, kind: str) -> dict[str, dict[str, Any]]:
        """Every value that was kept under `kind`, by name."""
        rows = self.read("SELECT name, value FROM memory WHERE service = ? AND kind = ?", service, kind)
        with self._reading(f"what was kept of {kind}"):
            return {name: _mapping(value) for name, value in rows}

    def last_event(self) -> int:
        """The number of the last event; 0 without any."""
        return int(self.read("SELECT coalesce(max(id), 0) FROM events")[0][0])

    def changed_since(self, event: int, most: int) -> tuple[list[JobRecord], int]:
        """Up to `most` jobs that changed after the event of this number, and the number of the last event of these."""
        found = self.read("SELECT id, job FROM events WHERE id > ? ORDER BY id LIMIT ?", event, most)
        if not found:
            return [], event
        jobs = list(dict.fromkeys(job for _, job in found))
        marks = ", ".join("?" * len(jobs))
        records = self.select(f"SELECT * FROM jobs WHERE id IN ({marks}) ORDER BY id", *jobs)
        return records, int(found[-1][0])

    def events_since(self, service: str, since: datetime) -> Iterator[tuple[int, Event]]:
        """Every event since an instant with the number of its job, latest first. Reads page by page."""
        query = (
            "SELECT events.id, job, at_utc, events.state, changes FROM events JOIN jobs ON jobs.id = job "
            f"WHERE service = ? AND events.id < ? ORDER BY events.id DESC LIMIT {PAGE}"
        )
        last = 1 << 62
        while page := self.read(query, service, last):
            for number, job, at, state, changes in page:
                with self._reading(f"event {number}"):
                    event = _event(at, state, changes)
                if event.at_utc < since:
                    return
                yield job, event
                last = number

    def lane_steps(self, service: str | None = None) -> Iterator[LaneStep]:
        """The changes of the lanes of one service, or of all, oldest first. Reads page by page."""
        query = f"SELECT * FROM lane_events WHERE id > ? AND service = coalesce(?, service) ORDER BY id LIMIT {PAGE}"
        last = 0
        while page := self.read(query, last, service):
            for row in page:
                last = row["id"]
                with self._reading(f"change {last} of a lane"):
                    step = to_lane_step(row)
                yield step

    def last_position(self) -> int:
        """The highest position of any job; -1 without jobs."""
        return int(self.read("SELECT coalesce(max(position), -1) FROM jobs")[0][0])

    def counts(self) -> dict[State, int]:
        """The number of jobs in each state."""
        with self._reading():
            return {State(state): n for state, n in self.read("SELECT state, count(*) FROM jobs GROUP BY state")}

    def tallies(self) -> list[StateCount]:
        """The number of jobs and what they cost, by service and state."""
        query = f"SELECT service, state, {SUMS} FROM jobs GROUP BY service, state"
        rows = self.read(query)
        with self._reading():
            return [StateCount(service, State(state), *sums) for service, state, *sums in rows]

    def left(self, *states: State, but: str, since: datetime) -> list[Left]:
        """The jobs in `states`, of all services `but` one, by backend; `stale` counts those unchanged since `since`."""
        marks = ", ".join("?" * len(states))
        text = self.json_text("place", "backend")
        query = f"SELECT {text}, {_CHANGED} FROM jobs WHERE state IN ({marks}) AND service != ?"
        found: dict[str | None, Left] = {}
        with self.rows(query, *states, but) as rows:
            for backend, noted in rows:  # in any time zone, so the texts have no order
                at = datetime.fromisoformat(noted)
                of = found.get(backend, Left(backend, 0, at, 0))
                found[backend] = Left(backend, of.jobs + 1, min(of.oldest_utc, at), of.stale + (at <= since))
        return sorted(found.values(), key=lambda left: left.backend or "")

    def open_batches(self, service: str) -> dict[int, datetime]:
        """The fresh batches of `service` that have not ended, and when each began."""
        query = "SELECT id, begun_utc FROM batches WHERE service = ? AND ended_utc IS NULL ORDER BY id"
        rows = self.read(query, service)
        with self._reading("a fresh batch"):
            return {batch: datetime.fromisoformat(begun) for batch, begun in rows}

    def fresh_batches(self) -> list[tuple[datetime, int, int]]:
        """When each fresh batch began that has not ended, with the number of its jobs, and of those that are made."""
        query = (
            "SELECT begun_utc, count(*), count(*) FILTER (WHERE state = ?) "
            "FROM batches JOIN jobs ON fresh_batch = batches.id WHERE ended_utc IS NULL GROUP BY batches.id"
        )
        rows = self.read(query, State.SUCCEEDED)
        with self._reading("a fresh batch"):
            return [(datetime.fromisoformat(begun), jobs, made) for begun, jobs, made in rows]

    def last_run(self) -> Run | None:
        """The process that writes now or wrote last; None if none ever did."""
        with self._reading("the last run"):
            for run, pid, host, started, ended in self.read("SELECT * FROM runs ORDER BY id DESC LIMIT 1"):
                return Run(run, pid, host, datetime.fromisoformat(started), to_time(ended))
        return None

    def locate(self, file: Mapping[str, Any]) -> Path:
        """The path of one of `JobRecord.files`."""
        return self.home / str(file["path"])

    def relative(self, path: Path) -> str:
        """`path` as the journal keeps it: relative where possible, so that the directory may be moved as a whole."""
        absolute, home = path.absolute(), self.home.absolute()
        return str(absolute.relative_to(home) if absolute.is_relative_to(home) else absolute)

    def json_text(self, column: str, field: str) -> str:
        """SQL for the text of one field of a JSON object in a column; NULL without that field."""
        return self._database.json_text(column, field)

    def next_job(self) -> int:
        """A number for a new job."""
        return self._database.next_job()

    # ---- by any query ------------------------------------------------------------------------------------------

    def select(self, query: str, *values: Any) -> list[JobRecord]:
        """The jobs whose rows `query` finds."""
        rows = self.read(query, *values)
        with self._reading():
            return [from_row(row) for row in rows]

    def read(self, query: str, *values: Any) -> list[Any]:
        """The rows that `query` finds."""
        with self._reading():
            return list(self._database.execute(query, values))

    def read_unsettled(self, query: str, *values: Any) -> list[Row]:
        """The same, perhaps without the last steps of this process: it does not wait for them."""
        return list(self._database.execute(query, values))

    @property
    def settled(self) -> bool:
        """Whether all steps of this process are in the database."""
        return not self._writer.waiting

    def among(self, query: str, values: Sequence[Any], *before: Any) -> list[Any]:
        """The rows that `query` finds, where `{}` stands for `values` of any number, behind all others.

        It is asked once for each page of them, so what it counts must add up.
        """
        rows: list[Any] = []
        for start in range(0, len(values), PAGE):
            page = values[start : start + PAGE]
            rows += self.read(query.format(", ".join("?" * len(page))), *before, *page)
        return rows

    def select_among(self, query: str, values: Sequence[Any], *before: Any) -> list[JobRecord]:
        """The jobs whose rows `among` finds."""
        rows = self.among(query, values, *before)
        with self._reading():
            return [from_row(row) for row in rows]

    @contextmanager
    def rows(self, query: str, *values: Any) -> Iterator[Iterator[Row]]:
        """The same, read row by row while the `with` block lasts."""
        with self._reading(), self._database.rows(query, values) as found:
            yield found

    @contextmanager
    def _reading(self, place: str = "") -> Iterator[None]:
        """Turn what makes no sense into a `JournalError`, which names `place`."""
        try:
            self._writer.settle()
            yield
        except JournalError:
            raise
        except (ValueError, TypeError, RecursionError) as error:  # a column holds no instant, state or JSON
            raise self._database.unreadable(f"{place}: {error}" if place else error) from error


def _event(at: str, state: str, changes: str) -> Event:
    at_utc = datetime.fromisoformat(at)
    if at_utc.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    return Event(at_utc, State(state), _mapping(changes))


def _mapping(text: str) -> dict[str, Any]:
    """JSON that must be an object."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError(f"{text:.60} is no JSON object")
    return values


_WITH_FILES = """prompt LIKE '%"path":%' ORDER BY id"""
_CHANGED = "coalesce(fetched_utc, finished_utc, submitted_utc, queued_utc)"
