"""A permit: leave to submit once, given by the gate."""

from __future__ import annotations

from dataclasses import dataclass

from aveo3.quota.breaker import Admission


@dataclass(eq=False, slots=True)
class Permit:
    """Leave to submit once. Settle it with the answer's verdict; if that was `accepted`, finish it later."""

    admission: Admission
    cost_usd: float
    granted_at: float
    waited: float
    """Seconds it waited as the next in line."""
    settled: bool = False
    finished: bool = False
    refused: bool = False
    """Its submit was accepted, and refused afterwards."""
    over: bool = False
    """It went though the window was full, where a refusal would cost nothing: see `overflow`."""
