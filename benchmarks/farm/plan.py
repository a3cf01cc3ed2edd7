"""What a farm gets to do, what disturbs it, and the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.makespan import optimum
from benchmarks.rivals import Task

NONE, KILLS, AWAY, CLOCKS = "undisturbed", "five kill -9", "engine away 20 s", "clocks ± 30 s"
RESTART = "engine crashes three times"
DISTURBANCES = (NONE, KILLS, AWAY, CLOCKS)
"""What every contestant goes through."""
OF_OURS = (RESTART,)
"""What only aveo3 goes through."""

SKEWS = (30, -30, 30, -30)
"""Seconds by which the clocks of the workers are off, in `CLOCKS`."""


@dataclass(frozen=True)
class Plan:
    """`clips` for `workers` processes on a quota of `limit` in any `period` seconds."""

    clips: int = 200
    limit: int = 10
    period: float = 2.0
    latency: float = 1.0
    rtt: str = "0.005-0.035"
    workers: int = 4
    kills: int = 5
    away: float = 20.0
    restart_after: float = 1.0
    """A worker that has ended is started again after this, whoever's it is, as a service manager would."""

    @property
    def mock_options(self) -> dict[str, Any]:
        """The options of the emulator, the same for every contestant."""
        quota = {"rpm": self.limit, "period": self.period, "counting": "sliding"}
        return {**quota, "latency": str(self.latency), "rtt": self.rtt, "films": "bundled", "log": True}

    @property
    def optimum(self) -> float:
        """Seconds until the last film could be there."""
        return optimum.sliding(self.clips, self.limit, self.period) + self.latency

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(f"a paper boat, number {number}" for number in range(self.clips))

    def task(self, url: str, directory: Path, prompts: Sequence[str] = ()) -> Task:
        """The task of a worker. A minute of a contestant's documentation lasts one `period`."""
        return Task(tuple(prompts), directory, url, self.limit, self.period, self.period, self.clips)

    def kills_at(self) -> list[float]:
        """Seconds after the start at which a worker is killed: evenly, and never in the first or last moments."""
        return [self.optimum * (number + 1) / (self.kills + 1) + 0.3 for number in range(self.kills)]


QUICK_DISTURBANCES = (KILLS,)
QUICK = Plan(clips=40, limit=10, period=1.0, latency=0.3, kills=2, away=3.0)
