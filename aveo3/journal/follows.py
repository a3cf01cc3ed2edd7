"""Who follows which running job: leaders offer them, and followers claim them for as long as a lease.

Only a database that processes share has them: without followers, each leader follows what it has sent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from aveo3.journal.writer import Statement

CLAIM_LASTS = 10.0
"""Seconds that a claim lasts after the last sign of life of its follower, by the database's clock."""

UNCLAIMED = 3.0
"""Seconds after which its leader takes a job back that nobody has claimed, or nobody again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job to be followed, with the number of its attempt."""

    job: int
    attempts: int
    again: bool
    """Another follower had it before."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What the database answers to a follower's sign of life."""

    held: frozenset[int]
    """Those of its jobs whose claims are its own, and last from now on."""
    followers: int
    """How many followers live, itself included."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How jobs stand that their leader has offered."""

    taken_back: frozenset[int]
    """Nobody follows them, or their follower has given them back: they are offered no more."""
    offered: frozenset[int]
    """They are claimed, or may be."""


class Follows(Protocol):
    """The claims of all processes. Methods raise `JournalError` while the database is away."""

    name: str
    """The name of this process as a follower."""

    async def beat(self, jobs: Collection[int]) -> Beat:
        """A sign of life of this follower, which follows `jobs`: their claims last longer."""
        ...

    async def claim(self, service: str, most: int) -> list[Claim]:
        """Claim up to `most` jobs that nobody follows; of many, about this follower's share."""
        ...

    async def give_back(self, jobs: Sequence[int]) -> None:
        """Let the leader go on with `jobs` itself."""
        ...

    async def leave(self) -> None:
        """Let other followers claim what this one has, at once, and be none any more."""
        ...

    async def followers(self) -> int:
        """How many followers live."""
        ...

    async def look(self, jobs: Sequence[int]) -> Waiting:
        """Take back those of `jobs` that nobody follows, and say how the others stand."""
        ...

    async def close(self) -> None:
        """Close the session with the database."""
        ...


def offer(job: int, service: str, attempts: int) -> Statement:
    """Offers a job to all followers."""
    return _OFFER, (job, service, attempts)


def held(job: int, follower: str) -> Statement:
    """Changes nothing, and cannot be made once `follower` has lost its claim."""
    return _HELD, (job, follower)


def ended(job: int, follower: str) -> Statement:
    """Ends the claim of `follower`, which it must have."""
    return _ENDED, (job, follower)


_OFFER = (
    "INSERT INTO follows (job, service, attempts) VALUES (?, ?, ?) ON CONFLICT (job) DO UPDATE SET "
    "attempts = excluded.attempts, worker = NULL, until = NULL, returned = false, offered = now()"
)
_HELD = "UPDATE follows SET worker = worker WHERE job = ? AND worker = ?"
_ENDED = "DELETE FROM follows WHERE job = ? AND worker = ?"
HOLDS = (
    "SELECT 1 FROM follows JOIN jobs ON jobs.id = job AND jobs.attempts = follows.attempts "
    "WHERE job = ? AND worker = ? AND state = 'fetching' AND until > now()"
)
"""Finds a row if a follower holds its claim of a job, and the job is where that follower has left it."""
FOLLOWERS = (
    "SELECT host, pid, since, (SELECT count(*) FROM follows WHERE worker = followers.id) FROM followers "
    "WHERE at > now() - make_interval(secs => ?) ORDER BY since, id"
)
"""The followers that live: host, process id, since when, and how many jobs each follows."""
