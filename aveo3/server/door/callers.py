"""Who uses the door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """One who sends requests. Nobody sees another's."""

    name: str
    weight: float = 1.0
    """Its share of the quota is this, divided by the weights of all who have something waiting."""
    max_queued: int | None = None
    """How many of its requests may wait; None for any number."""


LOCAL = Caller("local")
"""Whoever reaches a door without keys."""
