"""The contestants: aveo3, and what people write today. One file each, in the words of its own documentation.

Google counts by the minute, a benchmark's minute lasts a few seconds. So that nobody gains or loses by that, every
duration that a contestant's documentation names (1 s before the first retry, 10 s between polls) is given to it in
proportion, through `Task.seconds`; with a minute of 60 s all constants are literally theirs. What is built into a
contestant and cannot be set stays as it is.

In virtual time a minute is a minute, and every contestant but aveo3 is the very same code on the very same SDK: only
the transport below the SDK is another, `virtual_sdk`. There are three more who have no library to be had from, but
rules to go by: `pause`, `aimd` and `cubic`.

LiteLLM (1.106) is not among them. With an API key it takes a film only from the https address that the answer names, to
which it gets with a blocking call on the event loop; with a project it wants a Google login. Its router paces nothing
by itself: beyond `rpm` it refuses, or backs off as `sdk_retries` does. And it would bring forty packages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from benchmarks.harness.lane import VirtualGoogle

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
    lane: VirtualGoogle | None = None
    """Who answers in virtual time, where nobody is at `url`."""

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


# ---- in virtual time -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VirtualTask:
    """What a contestant in virtual time is asked for, and told."""

    clips: int
    told: int | None
    """The quota it is told: requests per `period`; None: nothing, and it goes by what it knows of the model."""
    period: float = 60.0
    seed: int = 0


class VirtualRival(Protocol):
    """A way to deal with a quota, on a loop whose time jumps. A minute lasts a minute."""

    @property
    def NAME(self) -> str: ...  # noqa: N802  # a constant where it is a module

    async def make_all(self, google: VirtualGoogle, task: VirtualTask) -> None: ...


def virtual_roster() -> dict[str, VirtualRival]:
    """All contestants in virtual time by the name of their module."""
    from benchmarks.rivals import aimd, cubic, pause, virtual_aveo3
    from benchmarks.rivals.virtual_sdk import OverTheLane

    over_the_sdk = {name: OverTheLane(rival) for name, rival in roster().items() if name != "aveo3"}
    return {"aveo3": virtual_aveo3, "pause": pause, "aimd": aimd, "cubic": cubic, **over_the_sdk}
