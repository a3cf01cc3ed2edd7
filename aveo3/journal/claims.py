"""Assigns the journal's jobs to the prompts of a batch, and holds each job for the batch that works on it.

Equal prompts of one batch get a job each, and the next batch gets the same jobs in the same order. Which jobs a batch
has met is known in memory, and only while it works.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from aveo3.errors import JournalError
from aveo3.journal.database import Row
from aveo3.journal.fresh import JOIN, Fresh, FreshBatches, goes_on, marks
from aveo3.journal.met import Met, key_of, order_of
from aveo3.journal.reader import JournalReader
from aveo3.journal.rows import JobRecord, from_row
from aveo3.journal.writer import Step, Write
from aveo3.lifecycle import ENDED, TO_SEND, State


class Claims:
    """Assigns the jobs of the journal that `reader` reads and `write` changes. `stamp` returns the time as text."""

    def __init__(self, reader: JournalReader, write: Write, stamp: Callable[[], str]) -> None:
        self._reader = reader
        self._write = write
        self._stamp = stamp
        self._fresh = FreshBatches(reader, write, stamp)
        self._streams = 0
        self._met: defaultdict[int, Met] = defaultdict(Met)  # by stream
        self._held: set[int] = set()  # the jobs that this process works on …
        self._resumed: set[int] = set()  # … and those among them that `resume` took up, without a prompt
        self._planned: dict[tuple[str, str], int] = {}  # the last ordinals, while they may not be in the database
        self._lost: set[int] = set()  # jobs that may be paid, and whose state here is not that of the journal

    def begin_stream(self, fresh: Fresh = False) -> int:
        """The number of a new batch of prompts. With `fresh`, they get new clips; see `aveo3.journal.fresh`."""
        self._streams += 1
        self._fresh.begin(self._streams, fresh)
        return self._streams

    def end_stream(self, stream: int, *, all_made: bool) -> None:
        """End a batch of prompts; `all_made` says that each of them has its video."""
        self._fresh.end(stream, self._met.pop(stream, Met()).jobs, all_made=all_made)

    def claim(self, stream: int, service: str, digests: Sequence[str]) -> JobRecord | None:
        """Claim for `stream` the job that earlier batches left for this prompt; None if there is none.

        Any of `digests` identifies the prompt. A fresh stream goes on with the fresh batch that an earlier one left.
        Otherwise it skips jobs that have ended, so that the prompt gets a new clip; a job that is under way is claimed
        even so, and joins its batch. Raises `JournalError` if a job of this prompt was lost (`lose`).
        """
        if self._lost and (lost := self._lost.intersection(self._known_as(service, digests))):
            raise JournalError(
                f"{self._reader.path}: job {min(lost)} may be paid, and could not be noted. Its prompt is not sent "
                "again. Close the client, then run it again."
            )
        if batches := self._fresh.left(stream, service):
            for column, digest in lookups(digests):
                if (found := self._next_of(batches, stream, service, column, digest)) is not None:
                    assert found.fresh_batch is not None
                    self._met[stream].jobs.add(found.id)
                    self._held.add(found.id)
                    self._fresh.go_on(stream, found.fresh_batch)
                    return found
        elif batches := self._fresh.superseded(stream, service):
            self._take_out_of(batches, service, digests)
        for column, digest in lookups(digests):
            if (found := self._next_free(stream, service, column, digest)) is not None:
                return found
        return None

    def plan(
        self, stream: int, service: str, digest: str, *, position: int, model: str, prompt: Mapping[str, Any]
    ) -> JobRecord:
        """A new job for a prompt, claimed for `stream`."""
        batch, begin = self._fresh.to_join(stream, service)
        record, steps = self.new(service, digest, position=position, model=model, prompt=prompt, batch=batch)
        self._write(*begin, *steps)
        self._fresh.joined(stream, batch, begin)
        met = self._met[stream]
        met.got(key_of("digest", digest), record.ordinal, sparse=record.ordinal == 1)  # there is none before the first
        met.jobs.add(record.id)
        self._held.add(record.id)
        return record

    def new(
        self,
        service: str,
        digest: str,
        *,
        position: int,
        model: str,
        prompt: Mapping[str, Any],
        batch: int | None = None,
    ) -> tuple[JobRecord, Step]:
        """A new job, and the statements that write it."""
        at, ordinal, job = self._stamp(), self._next_ordinal(service, digest), self._reader.next_job()
        values = (job, service, digest, ordinal, position, model, json.dumps(prompt), at, batch, State.PLANNED)
        begun = (EVENT, (job, at, State.PLANNED, json.dumps({"model": model})))
        record = JobRecord(
            id=job,
            service=service,
            digest=digest,
            ordinal=ordinal,
            position=position,
            model=model,
            prompt=prompt,
            queued_utc=datetime.fromisoformat(at),
            fresh_batch=batch,
            state=State.PLANNED,
        )
        return record, ((_PLAN, values), begun)

    def _next_ordinal(self, service: str, digest: str) -> int:
        """One more than any equal job has. Those that are not in the database yet are not waited for."""
        if self._reader.settled:
            self._planned.clear()
        last = "SELECT coalesce(max(ordinal), 0) FROM jobs WHERE service = ? AND digest = ?"
        known = int(self._reader.read_unsettled(last, service, digest)[0][0])
        ordinal = self._planned[service, digest] = max(known, self._planned.get((service, digest), 0)) + 1
        return ordinal

    def hold(self, job: int) -> bool:
        """Hold a job that came as a request; False if this process works on it already.

        No batch claims such a job by its prompt, so nothing else is noted.
        """
        if job in self._held:
            return False
        self._held.add(job)
        return True

    def take(self, stream: int, job: int) -> JobRecord | None:
        """Claim a job by its number, as it stands now; None, and no claim, if this process works on it."""
        if job in self._held:
            return None
        [record] = self._reader.select("SELECT * FROM jobs WHERE id = ?", job)
        met = self._met[stream]
        met.got(key_of("digest", record.digest), record.ordinal, sparse=False)
        met.jobs.add(job)
        self._held.add(job)
        self._resumed.add(job)
        return record

    def is_being_resumed(self, stream: int, service: str, digests: Sequence[str]) -> bool:
        """Whether `resume` holds a job that `stream` could otherwise claim for this prompt."""
        if not self._resumed:
            return False
        met = self._met[stream].jobs
        return any(job in self._resumed and job not in met for job in self._known_as(service, digests))

    def _known_as(self, service: str, digests: Sequence[str]) -> list[int]:
        """The jobs that have any of `digests`."""
        these = marks(digests)
        query = f"SELECT id FROM jobs WHERE service = ? AND (digest IN ({these}) OR sent_as IN ({these})) AND {OURS}"
        return [job for [job] in self._reader.read(query, service, *digests, *digests)]

    def holds(self, job: int) -> bool:
        """Whether this process works on a job."""
        return job in self._held

    def release(self, job: int) -> None:
        """End the claim, so that another batch may get the job."""
        self._held.discard(job)
        self._resumed.discard(job)

    def lose(self, job: int) -> None:
        """Keep the claim for good: the journal could not note what became of the job, which may be paid."""
        self._lost.add(job)

    def _next_of(self, batches: Sequence[int], stream: int, service: str, column: str, digest: str) -> JobRecord | None:
        """The next job for a prompt in one of the fresh `batches`; the latest batch goes first."""
        met, order = self._met[stream], order_of(column)
        query = (
            f"SELECT * FROM jobs WHERE service = ? AND {column} = ? AND {order} > ? AND +fresh_batch = ? "
            f"ORDER BY {order}"  # the plus keeps the index of the batch out, which has all of its jobs
        )
        for batch in sorted(batches, reverse=True):
            key, passed, all_met, found = key_of(column, digest, batch), 0, True, None
            upto = met.behind(key)
            with self._reader.rows(query, service, digest, upto, batch) as rows:
                for row in rows:
                    if row["id"] in met.jobs:
                        if all_met:
                            upto, passed = row[order], passed + 1
                        continue
                    all_met = False
                    free = row["id"] not in self._held and may_be_given(State(row["state"]), column, fresh=False)
                    if free and goes_on(record := from_row(row)):
                        found = record
                        break
            met.looked(key, upto, passed, over=False)
            if found is not None:
                return found
        return None

    def _take_out_of(self, batches: Sequence[int], service: str, digests: Sequence[str]) -> None:
        """Take the jobs for a prompt out of the fresh `batches`, which went on with them until now."""
        query = (
            f"SELECT id FROM jobs WHERE service = ? AND (digest IN ({marks(digests)}) OR sent_as IN "
            f"({marks(digests)})) AND fresh_batch IN ({marks(batches)})"
        )
        if jobs := self._reader.read(query, service, *digests, *digests, *batches):
            self._write(*((JOIN, (None, job)) for [job] in jobs))

    def _next_free(self, stream: int, service: str, column: str, digest: str) -> JobRecord | None:
        """The next job for a prompt by one of its digests, held from now on; None if there is none."""
        fresh, met, key = self._fresh.is_fresh(stream), self._met[stream], key_of(column, digest)
        order = order_of(column)
        query = f"SELECT * FROM jobs WHERE service = ? AND {column} = ? AND {order} > ? AND {OURS} ORDER BY {order}"
        upto, passed, over, found = met.behind(key), 0, False, None
        with self._reader.rows(query, service, digest, upto) as rows:
            for row in rows:
                if row["id"] in met.jobs:
                    if not over:
                        upto, passed = row[order], passed + 1
                elif self._is_free(row, column, fresh=fresh):
                    found = from_row(row)
                    break
                else:
                    over = True
        if found is not None:
            self._join(stream, found)
            self._held.add(found.id)
        met.looked(key, upto, passed, over=over)
        if found is not None:
            met.got(key, found.ordinal if order == "ordinal" else found.id, sparse=True)
            met.jobs.add(found.id)
        return found

    def _is_free(self, row: Row, column: str, *, fresh: bool) -> bool:
        return row["id"] not in self._held and may_be_given(State(row["state"]), column, fresh=fresh)

    def _join(self, stream: int, record: JobRecord) -> None:
        """Make a job part of the stream's fresh batch, if it has one."""
        batch, begin = self._fresh.to_join(stream, record.service)
        if batch is not None:
            self._write(*begin, (JOIN, (batch, record.id)))
            self._fresh.joined(stream, batch, begin)


class DryClaims:
    """What `Claims` would give out of `records`, in the order of their IDs, to the prompts of one batch. No writes.

    `batches` are the fresh batches that have not ended.
    """

    def __init__(self, records: Iterable[JobRecord], *, fresh: Fresh = False, batches: Collection[int] = ()) -> None:
        kinds: tuple[defaultdict[tuple[str, str], deque[JobRecord]], ...] = (defaultdict(deque), defaultdict(deque))
        self._of_batches, self._free = kinds
        self._met: set[int] = set()
        goes_on_with = batches if fresh and fresh != "new" else ()
        records = list(records)
        for record in sorted(records, key=lambda record: (-(record.fresh_batch or 0), record.id)):
            if record.fresh_batch in goes_on_with and goes_on(record):
                self._sort_in(self._of_batches, record, fresh=False)
        for record in records:
            self._sort_in(self._free, record, fresh=bool(fresh))

    @staticmethod
    def _sort_in(left: Mapping[tuple[str, str], deque[JobRecord]], record: JobRecord, *, fresh: bool) -> None:
        for column, digest in (("digest", record.digest), ("sent_as", record.sent_as)):
            if digest is not None and may_be_given(record.state, column, fresh=fresh):
                left[column, digest].append(record)

    def claim(self, digests: Sequence[str]) -> JobRecord | None:
        """The job that the next prompt of the batch gets, which is known by any of `digests`; see `Claims.claim`."""
        for kind in (self._of_batches, self._free):
            for key in lookups(digests):
                left = kind.get(key, deque())
                while left:
                    if (record := left.popleft()).id not in self._met:
                        self._met.add(record.id)
                        return record
        return None


def lookups(digests: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The columns and digests to look up the job of a prompt, in order: the requested prompt before what was sent."""
    return ((column, digest) for column in ("digest", "sent_as") for digest in digests)


def may_be_given(state: State, column: str, *, fresh: bool) -> bool:
    """Whether a prompt may get a job in `state` that was found by `column`."""
    if column == "sent_as" and state in TO_SEND:  # nothing was made with this digest yet
        return False
    return not (fresh and state in ENDED)


_PLAN = (
    "INSERT INTO jobs (id, service, digest, ordinal, position, model, prompt, queued_utc, fresh_batch, state) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
OURS = "NOT EXISTS (SELECT 1 FROM requests WHERE job = jobs.id)"
"""True for the jobs that runs of prompts claim. One that came as a request belongs to its caller."""
EVENT = "INSERT INTO events (job, at_utc, state, changes) VALUES (?, ?, ?, ?)"
"""Adds an event to a job's history."""
