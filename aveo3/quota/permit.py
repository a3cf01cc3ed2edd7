"""A permit: the right to submit once, granted by the gate."""

from __future__ import annotations

from dataclasses import dataclass

from aveo3.quota.breaker import Admission


@dataclass(eq=False, slots=True)
class Permit:
    """The right to submit once. Settle it with the verdict; after `accepted`, finish it when the operation ends."""

    admission: Admission
    cost_usd: float
    granted_at: float
    waited: float
    """Seconds that it waited as the next in line."""
    settled: bool = False
    finished: bool = False
    refused: bool = False
    """Its submit was accepted at first and refused later."""
    over: bool = False
    """It went although the window was full, because a refusal would cost nothing: see `overflow`."""
