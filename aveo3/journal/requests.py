"""Requests: jobs that came through the server, one for each request that it accepted, and who may see them.

A request and its job are written in one step. Equal requests are different jobs, unless they have the same key: a key
names one request of its caller for as long as its row lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from aveo3.journal import callbacks
from aveo3.journal.claims import Claims
from aveo3.journal.fresh import marks
from aveo3.journal.reader import PAGE, JournalReader
from aveo3.journal.rows import JobRecord
from aveo3.journal.writer import Write
from aveo3.lifecycle import State


class Extras(NamedTuple):
    """What a request says besides its prompt."""

    storage_uri: str | None = None
    """The gs:// prefix that the caller named for the videos."""
    traceparent: str | None = None
    """The W3C trace context of whoever asked for it: another process may make it, much later."""


@dataclass(frozen=True, slots=True)
class Request:
    """One accepted request, in the order of its columns."""

    job: int
    caller: str
    key: str | None
    """The caller's idempotency key."""
    body: str
    """Hex SHA-256 of what was requested: the same key with another body is another request."""
    priority: int
    """Within the requests of its caller; higher goes first."""
    door_name: str
    """The public name of its operation. Nobody can guess it."""
    resource: str
    """The path that stands before the name: the surface, project and model that the caller used."""
    storage_uri: str | None
    """See `Extras`."""
    deleted_utc: str | None = None
    """When the caller deleted it: it is not found any more."""
    merge_key: str | None = None
    """Equal requests of its caller have the same; None if it is not to be merged with others."""
    traceparent: str | None = None
    """See `Extras`."""

    @property
    def extras(self) -> Extras:
        """What it says besides its prompt."""
        return Extras(self.storage_uri, self.traceparent)


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """A step of a request's job: the state that it came to at `at_utc`."""

    id: int
    request: Request
    at_utc: datetime
    state: State
    error_kind: str | None


class Requests:
    """Accepts and finds the requests in the journal that `reader` reads and `write` changes."""

    def __init__(self, reader: JournalReader, write: Write, claims: Claims, stamp: Callable[[], str]) -> None:
        self._stamp = stamp
        self._reader = reader
        self._write = write
        self._claims = claims

    def accept(
        self,
        service: str,
        digest: str,
        *,
        model: str,
        prompt: Mapping[str, Any],
        position: int,
        caller: str,
        key: str | None,
        body: str,
        priority: int,
        door_name: str,
        resource: str,
        storage_uri: str | None,
        callback: tuple[str, str] | None = None,
        merge_key: str | None = None,
        traceparent: str | None = None,
    ) -> tuple[Request, JobRecord]:
        """A new request with a new job, committed in one step. It outlives a power cut after `Journal.on_disk`.

        `callback`: the address that is told of its end, and the server's own as the caller used it.

        Raises `KeyTaken` if the caller has used `key` before (`table` is `requests`), or another process has given the
        ordinal away meanwhile (`jobs`: accept it again), and any other `JournalError` if the database refuses. A shared
        one may only tell so in `Journal.on_disk`.
        """
        record, steps = self._claims.new(service, digest, position=position, model=model, prompt=prompt)
        where = door_name, resource, storage_uri
        request = Request(record.id, caller, key, body, priority, *where, None, merge_key, traceparent)
        told = () if callback is None else ((callbacks.ADD, astuple(callbacks.Callback(record.id, *callback))),)
        self._write(*steps, (_ACCEPT, astuple(request)), *told, commit=True, sync=True)
        return request, record

    def with_key(self, caller: str, key: str) -> Request | None:
        """The request of `caller` that has this idempotency key; None if there is none."""
        found = self._reader.read("SELECT * FROM requests WHERE caller = ? AND request_key = ?", caller, key)
        return Request(*found[0]) if found else None

    def equal_to(self, caller: str, merge_key: str, since: datetime) -> tuple[Request, JobRecord] | None:
        """The last request of `caller` with this merge key, accepted at `since` or later, and its job.

        None if there is none, or its caller deleted it.
        """
        found = self._reader.read(
            "SELECT requests.* FROM requests JOIN jobs ON jobs.id = job WHERE caller = ? AND merge_key = ? "
            "AND deleted_utc IS NULL AND queued_utc >= ? ORDER BY job DESC LIMIT 1",
            *(caller, merge_key, since.isoformat()),
        )
        if not found:
            return None
        request = Request(*found[0])
        [record] = self._reader.select("SELECT * FROM jobs WHERE id = ?", request.job)
        return request, record

    def named(self, door_name: str) -> tuple[Request, JobRecord] | None:
        """The request whose operation has this name, and its job as it stands now; None if there is none."""
        found = self._reader.read("SELECT * FROM requests WHERE door_name = ? AND deleted_utc IS NULL", door_name)
        if not found:
            return None
        request = Request(*found[0])
        [record] = self._reader.select("SELECT * FROM jobs WHERE id = ?", request.job)
        return request, record

    def page(
        self, caller: str, resource: str, *, after: int | None, limit: int, newest_first: bool
    ) -> list[tuple[Request, JobRecord]]:
        """Up to `limit` requests of `caller` to `resource`, behind the job `after`; None begins at the first."""
        beyond = "" if after is None else f"AND job {'<' if newest_first else '>'} ? "
        rows = self._reader.read(
            f"SELECT * FROM requests WHERE caller = ? AND resource = ? AND deleted_utc IS NULL {beyond}"
            f"ORDER BY job {'DESC' if newest_first else 'ASC'} LIMIT ?",
            *(caller, resource),
            *(() if after is None else (after,)),
            limit,
        )
        requests = [Request(*row) for row in rows]
        of_page = f"SELECT * FROM jobs WHERE id IN ({marks(requests)})"
        records = {record.id: record for record in self._reader.select(of_page, *(each.job for each in requests))}
        return [(request, records[request.job]) for request in requests]

    def delete(self, job: int) -> None:
        """Have a request not be found any more. Its job stays, for the books."""
        self._write(("UPDATE requests SET deleted_utc = ? WHERE job = ?", (self._stamp(), job)), commit=True, sync=True)

    def take_back(self, job: int, *, told: bool | None = None) -> None:
        """Free the key of a request whose caller was told that it was not taken, and let nobody hear of it.

        `told` says whether it has a callback; None to read that.
        """
        gone = "UPDATE requests SET request_key = NULL, deleted_utc = ? WHERE job = ?", (self._stamp(), job)
        if told is None:
            told = bool(self._reader.read("SELECT 1 FROM callbacks WHERE job = ?", job))
        self._write(gone, *([(callbacks.DROP, (job,))] if told else []), keep=True)

    def of_job(self, job: int) -> Request | None:
        """The request that `job` came as; None if it came otherwise."""
        found = self._reader.read("SELECT * FROM requests WHERE job = ?", job)
        return Request(*found[0]) if found else None

    def of_jobs(self, service: str, jobs: Sequence[int]) -> list[tuple[Request, JobRecord]]:
        """Those of `jobs` that came as requests to `service`, in the order of their acceptance."""
        query = (
            f"SELECT jobs.* FROM requests JOIN jobs ON jobs.id = job WHERE service = ? AND jobs.id IN ({marks(jobs)})"
        )
        records = self._reader.select(f"{query} ORDER BY jobs.id", service, *jobs)
        of_page = f"SELECT * FROM requests WHERE job IN ({marks(records)})"
        found = {row[0]: Request(*row) for row in self._reader.read(of_page, *(record.id for record in records))}
        return [(found[record.id], record) for record in records]

    def newest_event(self) -> int:
        """The number of the newest event of any job; 0 without any."""
        return int(self._reader.read("SELECT coalesce(max(id), 0) FROM events")[0][0])

    def events(self, caller: str, after: int, upto: int) -> list[RequestEvent]:
        """The steps of the requests of `caller` whose numbers are above `after`, up to `upto`. Reads that range.

        The 0 has the database begin with the range, and not with all requests of the caller.
        """
        rows = self._reader.read(
            f"SELECT events.id, at_utc, state, {self._reader.json_text('changes', 'error_kind')}, requests.* "
            "FROM events JOIN requests ON requests.job = events.job + 0 WHERE events.id > ? AND events.id <= ? "
            "AND caller = ? AND deleted_utc IS NULL ORDER BY events.id",
            *(after, upto, caller),
        )
        return [
            RequestEvent(number, Request(*request), datetime.fromisoformat(at), State(state), kind)
            for number, at, state, kind, *request in rows
        ]

    def in_states(self, service: str, *states: State) -> Iterator[tuple[Request, JobRecord]]:
        """The requests to `service` whose jobs are in `states`, with these jobs, in the order of their acceptance.

        Holds one page in memory.
        """
        query = (
            f"SELECT jobs.* FROM requests JOIN jobs ON jobs.id = job WHERE service = ? AND state IN ({marks(states)}) "
            f"AND jobs.id > ? ORDER BY jobs.id LIMIT {PAGE}"
        )
        last = 0
        while page := self._reader.select(query, service, *states, last):
            of_page = f"SELECT * FROM requests WHERE job IN ({marks(page)})"
            found = {row[0]: Request(*row) for row in self._reader.read(of_page, *(record.id for record in page))}
            yield from ((found[record.id], record) for record in page)
            last = page[-1].id


_ACCEPT = "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
