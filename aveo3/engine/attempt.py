"""One attempt of a job: its request's destination and time, and its running slot."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aveo3.backends.base import Backend
from aveo3.engine.handover import JobClaim
from aveo3.engine.job import Job
from aveo3.engine.open_lane import OpenLane
from aveo3.quota.permit import Permit
from aveo3.verdicts import Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One submit of `job`, from the moment its request leaves."""

    job: Job
    lane: OpenLane
    backend: Backend
    """The lane's backend; for an attempt of an earlier run, the backend that reaches the place it was sent to."""
    permit: Permit | None
    """None if it holds no running slot, because an earlier run saw its operation end."""
    sent_at: float
    """On the loop's clock."""
    resumed: bool = False
    """An earlier run sent it."""
    claim: JobClaim | None = None
    """The claim by which this process follows it for another; None if it is this process's own."""

    @property
    def is_probe(self) -> bool:
        """True if it tests whether the service of its lane has recovered."""
        return self.permit is not None and self.permit.admission.probe

    def finish(self, *, succeeded: bool = False) -> None:
        """Free the running slot: the operation has ended, or is no longer polled. Calling it again changes nothing."""
        if self.permit is not None:
            self.lane.gate.finish(self.permit, succeeded=succeeded)

    def refuse_late(self, verdict: Verdict) -> None:
        """Report to the gate a refusal that came after the submit was accepted. Repeated calls count once."""
        if self.permit is not None:
            self.lane.gate.refuse_late(self.permit, verdict)


def now() -> float:
    """Seconds on the loop's clock."""
    return asyncio.get_running_loop().time()
