"""A job's states and its legal moves, as a table. Pure: knows neither time nor network.

    planned ──► submitting ──► running ──► fetching ──► succeeded
       ▲            │             │
       └────────────┴─────────────┘   refused, unavailable, or failed at Google: a new attempt

A job owes money from the moment it enters `submitting`; only an answer can say that it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a job stands. The last seven are final and are the clip's status."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    RUNNING = "running"
    FETCHING = "fetching"
    SUCCEEDED = "succeeded"
    FILTERED = "filtered"
    REJECTED = "rejected"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    DEFERRED = "deferred"
    CANCELLED = "cancelled"


NEXT: Mapping[State, frozenset[State]] = {
    # Decided before anything is sent: a request that cannot work, a lane that is closed, a run that was stopped.
    # Failed, too: the retries may be used up while the job waits for its next try.
    State.PLANNED: frozenset({State.SUBMITTING, State.REJECTED, State.DEFERRED, State.CANCELLED, State.FAILED}),
    # The answer decides. Back to planned only when it proves that nothing was created.
    State.SUBMITTING: frozenset({State.RUNNING, State.PLANNED, State.REJECTED, State.FILTERED, State.UNCERTAIN}),
    # The operation's end decides; uncertain when it ends without saying how, or we stop looking.
    State.RUNNING: frozenset(
        {State.FETCHING, State.FILTERED, State.REJECTED, State.FAILED, State.PLANNED, State.UNCERTAIN}
    ),
    # The video exists and is paid. Uncertain means: not on disk; look at its operation before you make it again.
    State.FETCHING: frozenset({State.SUCCEEDED, State.UNCERTAIN}),
    State.SUCCEEDED: frozenset(),
    State.FILTERED: frozenset(),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset(),
    State.UNCERTAIN: frozenset(),
    State.DEFERRED: frozenset(),
    State.CANCELLED: frozenset(),
}

FINAL: frozenset[State] = frozenset(state for state, following in NEXT.items() if not following)


class IllegalMove(RuntimeError):
    """A job was about to skip a state. A bug in aveo3, never the user's doing."""


def check_move(old: State, new: State) -> State:
    """Return `new` if a job may go there from `old`; raise `IllegalMove` otherwise."""
    if new not in NEXT[old]:
        allowed = ", ".join(sorted(NEXT[old])) or "nothing: it is final"
        raise IllegalMove(f"a job cannot go from {old} to {new}; from {old} it may go to {allowed}")
    return new
