"""A lane in use: what a job needs from it for submits and polls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aveo3.backends.base import Backend
from aveo3.lanes.lanes import Lane
from aveo3.quota.gate import QuotaGate
from aveo3.quota.server_gate import ServerGate
from aveo3.verdicts.problems import Problem


@dataclass(eq=False)
class OpenLane:
    """A lane with its gate and its connection, shared by all batches of a client."""

    lane: Lane
    gate: QuotaGate | ServerGate
    backend: Backend
    used: bool = False
    """True once a batch uses it."""
    taken: int = 0
    """Jobs submitted to it, by all batches."""
    problem: Problem | None = None
    """Why requests cannot leave for it, as found last."""
    diagnosing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while that is being found out."""
