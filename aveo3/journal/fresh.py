"""Fresh batches: prompts that get new clips beside those they have, once each, however often the run is interrupted.

A fresh batch has a row in the journal from its first job on, and it ends when each of its prompts has a video. Until
then `fresh` goes on with it: what it made is handed out, what it left is resumed or sent, and what was filtered or
rejected is tried with a new job. The batches of streams that still work are left to them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from aveo3.errors import UsageError
from aveo3.journal.reader import JournalReader
from aveo3.journal.rows import JobRecord
from aveo3.journal.writer import Statement, Write
from aveo3.lifecycle import State

Fresh = bool | Literal["new"]
"""Whether prompts get new clips. True goes on with a fresh batch that has not ended, `"new"` always begins another."""

TRIED_ANEW = frozenset({State.FILTERED, State.REJECTED})
"""Nothing was made and hardly anything paid: a fresh batch tries these again with a new job."""

clips_log = logging.getLogger("aveo3.clips")


def check_fresh(fresh: Fresh) -> None:
    """Raise `UsageError` if `fresh` is none of its values: another text would be true, and paid for."""
    if fresh not in (True, False, "new"):
        raise UsageError(f'fresh={fresh!r}: use False, True (go on with a fresh batch, or begin one) or "new"')


@dataclass(slots=True)
class FreshStream:
    """The fresh batches that one stream works on. New jobs join the last of them."""

    anew: bool
    batches: list[int] = field(default_factory=list)


class FreshBatches:
    """The fresh batches that have not ended, and the streams that work on them."""

    def __init__(self, reader: JournalReader, write: Write, stamp: Callable[[], str]) -> None:
        self._reader = reader
        self._write = write
        self._stamp = stamp
        rows = reader.read("SELECT id, service, begun_utc FROM batches WHERE ended_utc IS NULL")
        self._open: dict[int, tuple[str, str]] = {batch: (service, begun) for batch, service, begun in rows}
        self._last = int(reader.read("SELECT coalesce(max(id), 0) FROM batches")[0][0])
        self._owners: dict[int, int] = {}  # the stream that works on a batch
        self._streams: dict[int, FreshStream] = {}

    def begin(self, stream: int, fresh: Fresh) -> None:
        """Note that `stream` makes new clips. Any later call for another stream does nothing."""
        if fresh:
            self._streams[stream] = FreshStream(anew=fresh == "new")

    def is_fresh(self, stream: int) -> bool:
        """Whether the prompts of `stream` get new clips."""
        return stream in self._streams

    def left(self, stream: int, service: str) -> list[int]:
        """The batches whose jobs `stream` may go on with."""
        if not self._open or (fresh := self._streams.get(stream)) is None or fresh.anew:
            return []
        return self._free(stream, service)

    def superseded(self, stream: int, service: str) -> list[int]:
        """The batches that `stream` begins anew: their jobs for its prompts are no longer part of them."""
        if not self._open or (fresh := self._streams.get(stream)) is None or not fresh.anew:
            return []
        return [batch for batch in self._free(stream, service) if batch not in fresh.batches]

    def _free(self, stream: int, service: str) -> list[int]:
        return [
            batch
            for batch, (of, _) in self._open.items()
            if of == service and self._owners.get(batch, stream) == stream
        ]

    def go_on(self, stream: int, batch: int) -> None:
        """Note that `stream` works on `batch`, which an earlier one left."""
        fresh = self._streams[stream]
        if batch not in fresh.batches:
            fresh.batches.append(batch)
            self._owners[batch] = stream
            clips_log.warning(
                "fresh=True goes on with the fresh batch of %s, which has not ended: what it has made is not made "
                'again (fresh="new" begins another)',
                in_words(datetime.fromisoformat(self._open[batch][1])),
            )

    def to_join(self, stream: int, service: str) -> tuple[int | None, Sequence[Statement]]:
        """The batch that the next new job of `stream` is part of, and what must be written with it; call `joined`."""
        if (fresh := self._streams.get(stream)) is None:
            return None, ()
        if fresh.batches:
            return fresh.batches[-1], ()
        batch = self._last + 1
        return batch, [(_BEGIN, (batch, service, self._stamp()))]

    def joined(self, stream: int, batch: int | None, begun: Sequence[Statement]) -> None:
        """Note that a job has joined `batch`; both as `to_join` gave them."""
        for _, (number, service, at) in begun:
            assert number == batch
            self._last = number
            self._open[number] = service, at
            self._owners[number] = stream
            self._streams[stream].batches.append(number)

    def end(self, stream: int, met: Set[int], *, all_made: bool) -> None:
        """End the work of `stream`, which has met these jobs.

        If all of its prompts have a video, and so has the rest of its batches, they end together; or not at all: else
        what is left of one would be made beside what the other has made.
        """
        if (fresh := self._streams.pop(stream, None)) is None:
            return
        for batch in fresh.batches:
            self._owners.pop(batch, None)
        if not all_made or not fresh.batches or self._has_more(fresh.batches, met):
            return
        at = self._stamp()
        self._write(*((_END, (at, batch)) for batch in fresh.batches), commit=True, keep=True)
        for batch in fresh.batches:
            del self._open[batch]

    def _has_more(self, batches: Sequence[int], met: Set[int]) -> bool:
        """Whether `batches` have jobs that are not made, or that are not among those `met`."""
        query = f"SELECT id, state FROM jobs WHERE fresh_batch IN ({marks(batches)})"
        with self._reader.rows(query, *batches) as rows:
            return any(state != State.SUCCEEDED if job in met else state not in TRIED_ANEW for job, state in rows)


def goes_on(record: JobRecord) -> bool:
    """Whether a fresh batch goes on with the job of `record`, which is part of it."""
    return record.state not in TRIED_ANEW


def in_words(begun_utc: datetime) -> str:
    """A fresh batch as messages name it: by its beginning."""
    return f"{begun_utc:%Y-%m-%d %H:%M:%S} UTC"


def marks(values: Sequence[object]) -> str:
    """The placeholders of `values` in a query."""
    return ", ".join("?" * len(values))


JOIN = "UPDATE jobs SET fresh_batch = ? WHERE id = ?"
"""Puts a job into a fresh batch, or out of one."""
_BEGIN = "INSERT INTO batches (id, service, begun_utc) VALUES (?, ?, ?)"
_END = "UPDATE batches SET ended_utc = ? WHERE id = ?"
