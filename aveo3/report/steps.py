"""The steps of all jobs for the timeline, read from the events of the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from aveo3.journal.rows import job_name
from aveo3.lifecycle import State
from aveo3.report.view import Step

if TYPE_CHECKING:
    from aveo3.journal.reader import JournalReader

_QUERY = """
SELECT events.job, jobs.digest, jobs.ordinal, jobs.model, events.at_utc, events.state, events.changes
FROM events JOIN jobs ON jobs.id = events.job
WHERE (events.state != 'planned' OR events.changes LIKE '%"attempts"%')
"""
"""Of the events `planned`, those after an attempt. An attempt that is only planned again moves nothing on the page."""


def steps_of(journal: JournalReader) -> list[Step]:
    """The steps of every job, in the order in which they were noted. A request that never left is none."""
    with journal.rows(f"{_QUERY} ORDER BY events.id") as rows:
        return list(in_order(rows))


def steps_of_job(journal: JournalReader, job: int) -> list[Step]:
    """The steps of one job; see `steps_of`."""
    return list(in_order(journal.read(f"{_QUERY} AND events.job = ? ORDER BY events.id", job)))


def in_order(rows: Iterable[Any]) -> Iterator[Step]:
    """The steps that these events make: of job, digest, ordinal, model, instant, state and changes each."""
    last: dict[int, State] = {}
    lanes: dict[int, str] = {}
    retries: dict[int, int] = {}
    sent: dict[int, Step] = {}
    steps: list[Step] = []
    for job, digest, ordinal, model, at, state, changes in rows:
        before, now = last.get(job), State(state)
        if now is before:
            continue
        last[job] = now
        key = job_name(digest, ordinal)

        def step(kind: str, key: str = key, at: str = at, job: int = job) -> Step:
            return Step(at_utc=at, key=key, kind=kind, lane=lanes.get(job))

        if now is State.SUBMITTING:
            known = json.loads(changes)
            lanes[job] = (known.get("place") or {}).get("lane") or known.get("model") or model
            sent[job] = step("submitted")
            steps.append(sent[job])
        elif now is State.PLANNED:
            known = json.loads(changes)
            again = known.get("retries", 0) > retries.get(job, 0)
            retries[job] = known.get("retries", 0)
            if before is State.SUBMITTING and not known.get("error_kind"):
                sent[job]["kind"] = ""  # it was not sent after all
            elif before in (State.SUBMITTING, State.RUNNING):
                steps.append(step("retrying" if again or before is State.RUNNING else "refused"))
        else:
            steps += map(step, _KINDS.get((before, now), _ENDED.get(now, ())))
    yield from (each for each in steps if each["kind"])


_KINDS: dict[tuple[State | None, State], tuple[str, ...]] = {
    (State.SUBMITTING, State.RUNNING): ("accepted",),
    (State.RUNNING, State.FETCHING): ("finished",),
    (State.RUNNING, State.FILTERED): ("finished", "ended"),
    (State.RUNNING, State.REJECTED): ("finished", "ended"),
    (State.RUNNING, State.FAILED): ("finished", "ended"),
    (State.RUNNING, State.UNCERTAIN): ("finished", "ended"),
}
_ENDED: dict[State, tuple[str, ...]] = {
    State.SUCCEEDED: ("saved", "ended"),
    **dict.fromkeys(
        (State.FILTERED, State.REJECTED, State.FAILED, State.UNCERTAIN, State.DEFERRED, State.CANCELLED), ("ended",)
    ),
}
