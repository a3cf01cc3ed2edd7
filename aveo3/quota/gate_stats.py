"""What is known of a lane's gate at one instant."""

from __future__ import annotations

from dataclasses import dataclass

from aveo3.quota.breaker import BreakerState


@dataclass(frozen=True, slots=True)
class AtServer:
    """How this client's requests stand at an `aveo3 serve`, as far as it has told."""

    waiting: int = 0
    """Requests that wait in its queue."""
    running: int = 0
    """Requests that it has sent to Google."""
    place: int | None = None
    """The place in its queue of the first that waits, from 1."""
    starts_in: float | None = None
    """Seconds until that one is sent."""
    silent_for: float = 0.0
    """Seconds since it answered last, if it does not answer."""


@dataclass(frozen=True, slots=True)
class GateStats:
    """A gate at one instant. Durations in seconds."""

    breaker: BreakerState
    opens_in: float
    """Seconds until a submit is possible again; 0 if the gate is not paused."""
    quota_used: float
    quota_limit: float
    quota_period: float
    running: int
    running_limit: float
    accepted: int
    refused: int
    closed: str | None
    """Why no submit will ever be possible again; None if the gate is not closed."""
    next_in: float | None = None
    """Seconds until the next submit may go; None if that depends on an answer, an operation's end or a person."""
    quota_learnt: bool = False
    """True if the limit is from refusals, in this run or an earlier one; else it is the set or the usual one."""
    at_server: AtServer | None = None
    """For the lane of a server, which has no quota of its own here: its limit is then infinite."""
