"""The contestants: aveo3, and what people write today. One file each, in the words of its own documentation.

Google counts by the minute, a benchmark's minute lasts a few seconds. So that nobody gains or loses by that, every
duration that a contestant's documentation names (1 s before the first retry, 10 s between polls) is given to it in
proportion, through `Task.seconds`; with a minute of 60 s all constants are literally theirs. What is built into a
contestant and cannot be set stays as it is.

LiteLLM (1.106) is not among them. With an API key it takes a film only from the https address that the answer names, to
which it gets with a blocking call on the event loop; with a project it wants a Google login. Its router paces nothing
by itself: beyond `rpm` it refuses, or backs off as `sdk_retries` does. And it would bring forty packages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MODEL = "veo-3.1-generate-001"

MakeAll = Callable[[], Awaitable[object]]
"""Makes every clip it can and writes it to the task's directory. What it returns is not looked at."""


@dataclass(frozen=True)
class Task:
    """What every contestant is asked for, and told."""

    prompts: tuple[str, ...]
    directory: Path
    url: str
    limit: int
    """The quota it is told: requests per `period`."""
    period: float
    minute: float
    """Seconds that a minute of its documentation lasts here."""
    concurrency: int
    """Clips that may be on their way at once."""
    seed: int = 0

    def seconds(self, documented: float) -> float:
        """How long `documented` seconds last here."""
        return documented * self.minute / 60

    @property
    def poll_interval(self) -> float:
        """For those with no way of polling of their own: every 10 s, as in the SDK's docstring of generate_videos."""
        return self.seconds(10)


class Rival(Protocol):
    """A module of this package. `ready` imports and opens all it needs, which is not timed; what it yields is."""

    NAME: str
    PACKAGES: tuple[str, ...]

    def ready(self, task: Task) -> AbstractAsyncContextManager[MakeAll]: ...


def roster() -> dict[str, Rival]:
    """All contestants by the name of their module."""
    from benchmarks.rivals import async_batch_llm, aveo3, cookbook, gather, limiter, sdk_retries, tenacity_alone

    return {
        "aveo3": aveo3,
        "async_batch_llm": async_batch_llm,
        "limiter": limiter,
        "cookbook": cookbook,
        "tenacity_alone": tenacity_alone,
        "sdk_retries": sdk_retries,
        "gather": gather,
    }
