"""The contestants: aveo3, and what people write today. One file each, following the contestant's own documentation.

Google counts per minute, but a minute of a benchmark lasts a few seconds. To be fair, every duration in the
documentation of a contestant (1 s before the first retry, 10 s between polls) shrinks in proportion, through
`Task.seconds`. With a minute of 60 s all constants are those of the documentation. Constants that cannot be set stay.

In virtual time a minute is a minute. Every contestant except aveo3 runs the same code on the same SDK there; only the
transport below the SDK differs, see `virtual_sdk`. Three more contestants are algorithms without a library: `pause`,
`aimd` and `cubic`.

LiteLLM (1.106) is not included. With an API key it downloads a film only from the https address in the response, with a
blocking call on the event loop; with a project it needs a Google login. Its router does no pacing: above `rpm` it
refuses, or backs off like `sdk_retries`. It would also add forty packages.
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
"""Makes as many clips as it can and writes them to the task's directory. The return value is ignored."""


@dataclass(frozen=True)
class Task:
    """The task of a contestant in real time, with the settings that it gets."""

    prompts: tuple[str, ...]
    directory: Path
    url: str
    limit: int
    """The configured quota: requests per `period`."""
    period: float
    minute: float
    """How many seconds a minute of the documentation lasts here."""
    concurrency: int
    """The highest number of clips in flight."""
    seed: int = 0
    lane: VirtualGoogle | None = None
    """The service in virtual time, where no server listens at `url`."""

    def seconds(self, documented: float) -> float:
        """Convert seconds of the documentation to seconds of this task."""
        return documented * self.minute / 60

    @property
    def poll_interval(self) -> float:
        """Seconds between polls of contestants without polling: 10 s, as in the docstring of generate_videos."""
        return self.seconds(10)


class Rival(Protocol):
    """A module of this package. `ready` imports and opens everything, untimed. Only the yielded function is timed."""

    NAME: str
    PACKAGES: tuple[str, ...]

    def ready(self, task: Task) -> AbstractAsyncContextManager[MakeAll]: ...


def roster() -> dict[str, Rival]:
    """Return all contestants by the name of their module."""
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
    """The task of a contestant in virtual time, with the settings that it gets."""

    clips: int
    told: int | None
    """The configured quota: requests per `period`. None: not set, so the contestant uses its default."""
    period: float = 60.0
    seed: int = 0


class VirtualRival(Protocol):
    """A way to handle a quota, on a loop in virtual time. A minute lasts a minute."""

    @property
    def NAME(self) -> str: ...  # noqa: N802  # a constant where it is a module

    async def make_all(self, google: VirtualGoogle, task: VirtualTask) -> None: ...


def virtual_roster() -> dict[str, VirtualRival]:
    """Return all contestants in virtual time by the name of their module."""
    from benchmarks.rivals import aimd, cubic, pause, virtual_aveo3
    from benchmarks.rivals.virtual_sdk import OverTheLane

    over_the_sdk = {name: OverTheLane(rival) for name, rival in roster().items() if name != "aveo3"}
    return {"aveo3": virtual_aveo3, "pause": pause, "aimd": aimd, "cubic": cubic, **over_the_sdk}
