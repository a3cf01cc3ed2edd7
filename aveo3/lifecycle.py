"""A job's states, what each of them means, and its legal moves. Pure: knows neither time nor network.

    planned ──► submitting ──► running ──► fetching ──► succeeded
       ▲            │             │
       └────────────┴─────────────┘   refused, unavailable, or failed at Google: a new attempt

A job may owe money from the moment it enters `submitting`; only an answer can prove that it does not. A run may end
while a job is running or fetching: the next run finds it there and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """The state of a job. The last seven are final within a run and are the clip's status."""

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
    # Also failed: the retries may be used up while the job waits for its next attempt.
    State.PLANNED: frozenset({State.SUBMITTING, State.REJECTED, State.DEFERRED, State.CANCELLED, State.FAILED}),
    # The answer decides. Back to planned only when it proves that nothing was created.
    State.SUBMITTING: frozenset({State.RUNNING, State.PLANNED, State.REJECTED, State.FILTERED, State.UNCERTAIN}),
    # The operation's end decides. Uncertain: it ended without a result, or polling stopped.
    State.RUNNING: frozenset(
        {State.FETCHING, State.FILTERED, State.REJECTED, State.FAILED, State.PLANNED, State.UNCERTAIN}
    ),
    # The video exists and is paid. Uncertain: it is not on disk; check its operation before you make it again.
    State.FETCHING: frozenset({State.SUCCEEDED, State.UNCERTAIN}),
    State.SUCCEEDED: frozenset(),
    State.FILTERED: frozenset(),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset(),
    # The answer was lost, but the video is in the bucket where Google was to put it.
    State.UNCERTAIN: frozenset({State.FETCHING}),
    State.DEFERRED: frozenset(),
    State.CANCELLED: frozenset(),
}

REOPEN: Mapping[State, frozenset[State]] = {
    # Nothing is owed for these: the next run may send them.
    State.DEFERRED: frozenset({State.PLANNED}),
    State.CANCELLED: frozenset({State.PLANNED}),
    State.FAILED: frozenset({State.PLANNED}),
    # A person decides: the prompt will be judged differently now, or its price may be paid a second time.
    State.FILTERED: frozenset({State.PLANNED}),
    State.REJECTED: frozenset({State.PLANNED}),
    State.UNCERTAIN: frozenset({State.PLANNED, State.RUNNING}),  # another poll is free
    # Its videos came inline and never reached the disk: its operation still has them.
    State.FETCHING: frozenset({State.RUNNING}),
    # The file is gone from the disk: the paid video is fetched again.
    State.SUCCEEDED: frozenset({State.FETCHING, State.RUNNING}),
}
"""The moves that the next run, or a person, may make with a job that the last run left."""

# ---- what a state means: money ---------------------------------------------------------------------------------------

UNSENT = frozenset({State.PLANNED, State.DEFERRED, State.CANCELLED})
"""No request is out and nothing is owed. `cost_usd` of such a job is at most an estimate."""

AT_STAKE = frozenset({State.SUBMITTING, State.RUNNING, State.UNCERTAIN})
"""A request was sent and may be paid; there is no video yet."""

IN_FLIGHT = frozenset({State.SUBMITTING, State.RUNNING})
"""While a run is active, it learns how these end. Without one, they are as uncertain as the rest of `AT_STAKE`."""

PAID = frozenset({State.FETCHING, State.SUCCEEDED})
"""There is a video, and it is paid."""

OWED = PAID | AT_STAKE
"""A video is paid, or may be: a new attempt needs an answer that says otherwise, or a person's consent."""

BILLED = PAID | {State.FILTERED, State.REJECTED, State.FAILED}
"""The job's cost is known. Without a video, Veo bills nothing, and Omni bills the words of the answer."""

SPENT = BILLED | AT_STAKE
"""`cost_usd` of such a job counts against a budget. More than `OWED`: money is gone even where no video is owed."""

NOTHING_CREATED = NEXT[State.SUBMITTING] - OWED
"""Reached from `submitting`, these states say that the answer was a refusal or a rejection."""

# ---- what a state means: the next run --------------------------------------------------------------------------------

TO_SEND = UNSENT | {State.FAILED}
"""The next run of the same prompts sends these. `failed` is not unsent: its retries are used up in this run only."""

UNDER_WAY = frozenset({State.RUNNING, State.FETCHING})
"""Google has accepted these: the next run polls or fetches them, and so does `aveo3 resume`."""

ENDED = frozenset({State.SUCCEEDED, State.FILTERED, State.REJECTED, State.UNCERTAIN})
"""The next run of the same prompts sends nothing for these; a fresh batch makes a new job beside them. `failed` is not
among them: it is sent again anyway, so a new job beside it would be one too many."""

WITHOUT_FILE = UNDER_WAY | {State.UNCERTAIN}
"""Google may have the video, and it is not on disk here. An emulator's video ends with the run."""

FOUND_AGAIN = frozenset({State.FETCHING, State.SUCCEEDED})
"""The operation's name is on disk already. If a power cut takes such a step, the next poll repeats it for free."""


def as_found(state: State) -> State:
    """The state in which the next run finds a job that a run left in `state`: the answer to an open submit is lost."""
    return State.UNCERTAIN if state is State.SUBMITTING else state


EMULATED = "mock"
"""The emulator's name, as a backend and as a service in the journal."""


SERVER = "server"
"""The name of an `aveo3 serve`, as a backend and as a service in the journal."""


def is_emulated(service: str) -> bool:
    """Whether a service (or a backend) is the emulator: it bills nobody and forgets everything when its run ends."""
    return service == EMULATED


class IllegalMove(RuntimeError):
    """A job was about to make a move that the tables do not list: a bug in aveo3, never a mistake of the user."""


def check_move(old: State, new: State) -> State:
    """Return `new` if a job may go there from `old` within a run; raise `IllegalMove` otherwise."""
    return _check(old, new, NEXT[old])


def check_reopen(old: State, new: State) -> State:
    """Return `new` if a job that a run left in `old` may be reopened there; raise `IllegalMove` otherwise."""
    return _check(old, new, REOPEN.get(old, frozenset()))


def _check(old: State, new: State, allowed: frozenset[State]) -> State:
    if new not in allowed:
        where = ", ".join(sorted(allowed)) or "nothing: it is final"
        raise IllegalMove(f"a job cannot go from {old} to {new}; from {old} it may go to {where}")
    return new
