"""One attempt of a job: where its request was sent and when, and the running slot that it holds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aveo3.backends.base import Backend
from aveo3.engine.job import Job
from aveo3.engine.open_lane import OpenLane
from aveo3.quota.permit import Permit
from aveo3.verdicts import Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One submit of `job`, from the moment that its request leaves."""

    job: Job
    lane: OpenLane
    backend: Backend
    """The lane's; for an attempt of an earlier run, the one that reaches the place it was sent to."""
    permit: Permit | None
    """None if it holds no running slot: an earlier run saw its operation end."""
    sent_at: float
    """On the loop's clock."""
    resumed: bool = False
    """An earlier run has sent it."""

    @property
    def is_probe(self) -> bool:
        """Whether it was sent for its lane's sake, to see whether the service is well again."""
        return self.permit is not None and self.permit.admission.probe

    def finish(self, *, succeeded: bool = False) -> None:
        """Free the running slot: the operation has ended, or nobody polls it any more. More than once is fine."""
        if self.permit is not None:
            self.lane.gate.finish(self.permit, succeeded=succeeded)

    def refuse_late(self, verdict: Verdict) -> None:
        """Tell the gate of a refusal that came after the submit was accepted. More than once counts once."""
        if self.permit is not None:
            self.lane.gate.refuse_late(self.permit, verdict)


def now() -> float:
    """Seconds on the loop's clock."""
    return asyncio.get_running_loop().time()
