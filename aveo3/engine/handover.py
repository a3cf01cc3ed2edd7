"""What the engine asks of processes that follow jobs for each other: a leader hands over, a follower holds a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aveo3.errors import AveoError
from aveo3.models import VideoClip

if TYPE_CHECKING:
    from aveo3.engine.attempt import Attempt


class ClaimLost(AveoError):
    """Another process may follow the job by now: this one stops, and writes nothing more."""


class Handover(Protocol):
    """Lets other processes follow what this one has sent."""

    async def see_through(self, attempt: Attempt) -> VideoClip | Attempt:
        """The clip of an accepted attempt that another process follows; the attempt if it is to be followed here.

        Cancelling it returns a clip, too: the other process goes on.
        """
        ...


class JobClaim(Protocol):
    """The claim of this process on a job that another one has sent."""

    def check(self) -> None:
        """Raise `ClaimLost` if the claim may have ended, as far as this process knows."""
        ...

    async def confirm(self) -> None:
        """Raise `ClaimLost` unless the journal says that the claim holds, and has all moves of the job by now."""
        ...
