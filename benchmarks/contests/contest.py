"""The definition of a contest: one question, its cases on a virtual lane, the score of a run, and the goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.rivals import VirtualTask


@dataclass(frozen=True)
class Score:
    """The score of a run: its name, function and format."""

    header: str
    of: Callable[[VirtualGoogle, VirtualTask], float]
    digits: int = 3
    more: bool = False
    """True if higher scores are better."""


@dataclass(frozen=True)
class Goal:
    """The aims for some cases of a contest."""

    of: str
    """Name of these cases."""
    among: Callable[[str], bool] = lambda case: True
    """Selects the cases."""
    score: float | None = None
    """Limit for the mean score over the seeds, in every case: a minimum if more is better, otherwise a maximum."""
    per_100: float | None = None
    """Highest mean of refusals per 100 clips over the seeds, in every case."""
    refusals: int | None = None
    """Highest number of refusals in any single run."""


@dataclass(frozen=True)
class Contest:
    """One question, its cases, score and goals."""

    name: str
    QUESTION: str
    cases: Mapping[str, tuple[Service, VirtualTask]]
    score: Score
    goals: tuple[Goal, ...]
    lasts: float | None = None
    """Virtual seconds after which a run ends. None: it ends when all clips are made."""
    every_clip: bool = True
    """True: a clip that is not made is lost. False: there are more clips than any contestant can make."""
    optimum: Callable[[Service, VirtualTask], float] | None = None
    """Returns the best possible duration in virtual seconds, which limits a run that does not end."""
    sdk_seeds: int = 3
    """Seeds of contestants that use the SDK: they need much more CPU time than the others."""


def makespan(optimum: Callable[[Service, VirtualTask], float]) -> Score:
    """Return the score that divides the end of the last operation by its earliest possible time."""

    def score(google: VirtualGoogle, task: VirtualTask) -> float:
        return max(google.done_at, default=0.0) / optimum(google.service, task)

    return Score("x optimum", score)
