"""How a request stands, from the state of its job: it waits, it is under way, or it has ended for its caller. Pure.

What the next run of a prompt does with a job that was stopped or not sent, the server does by itself. So such a request
still waits, whatever its clip's status.
"""

from __future__ import annotations

from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State

WITHDRAWN = "withdrawn"
"""The `error_kind` of a job that its caller has cancelled."""

_SENT_BY_US = {State.CANCELLED: ("stopped",), State.DEFERRED: ("journal", "not_sent")}
"""Jobs that are sent as soon as possible, by why they were not: the server stopped, its disk was full, or `aveo3
resume`, which sends nothing, found that their operation had failed."""

_ENDED = frozenset({State.SUCCEEDED, State.FILTERED, State.REJECTED, State.FAILED})


def is_waiting(record: JobRecord) -> bool:
    """True if the request is to be sent, and nothing is under way for it."""
    return waits(record.state, record.error_kind)


def waits(state: State, error_kind: str | None) -> bool:
    """`is_waiting` of a job in `state`."""
    return state is State.PLANNED or error_kind in _SENT_BY_US.get(state, ())


def has_ended(record: JobRecord, *, busy: bool) -> bool:
    """True if nothing more will happen by itself. `busy` says that this process works on the job.

    An uncertain job's video may still be found where Google was told to put it.
    """
    if record.state in _ENDED:
        return True
    if record.state is State.UNCERTAIN:
        return not busy
    return record.state in _SENT_BY_US and not is_waiting(record)
