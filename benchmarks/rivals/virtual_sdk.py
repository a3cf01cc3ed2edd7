"""The contestants that go through google-genai, in virtual time: SDK and all, but for the last step, the wire.

The SDK takes an HTTP client of one's own; this one's transport is a function that asks the lane. So whatever a
contestant reads in an answer, or in the SDK's errors, is there, and `HttpRetryOptions` retries as ever. The SDK in use
decides which of the two packages the client comes from: httpx2 since google-genai 3, httpx before.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aveo3.backends.base import Running
from benchmarks.rivals import Rival, Task, VirtualTask

if TYPE_CHECKING:
    from benchmarks.harness.lane import VirtualGoogle

NOWHERE = "http://lane.invalid"

OPERATION = "projects/bench/locations/us-central1/publishers/google/models/veo/"
"""What stands before the lane's own name of an operation: the SDK asks where its name says."""

CONCURRENCY = 100
"""Clips that may be on their way at once, for those who want to be told: no contest's quota has room for so many."""

FILM = "AAAA"
"""Base64 of a video that nobody will look at."""


@dataclass(frozen=True)
class OverTheLane:
    """A contestant of the wall clock, asked for the same in virtual time."""

    rival: Rival

    @property
    def NAME(self) -> str:  # noqa: N802  # as modules have it
        return self.rival.NAME

    async def make_all(self, google: VirtualGoogle, task: VirtualTask) -> None:
        """Ask for the task's clips. How many may be on their way at once never keeps anybody waiting."""
        with tempfile.TemporaryDirectory() as directory:
            asked = Task(
                prompts=tuple(f"clip {number} of a contest" for number in range(task.clips)),
                directory=Path(directory),
                url=NOWHERE,
                limit=task.told or 50,
                period=task.period,
                minute=60.0,
                concurrency=min(task.clips, CONCURRENCY),
                seed=task.seed,
                lane=google,
            )
            async with self.rival.ready(asked) as make_all:
                await make_all()


def transports(google: VirtualGoogle) -> dict[str, Any]:
    """Fields for the SDK's `HttpOptions` that have it ask `google`.

    The synchronous client is never used; given one, the SDK does not spend 20 ms on making its own.
    """
    try:
        import httpx2 as httpx
    except ImportError:
        import httpx  # type: ignore[import-not-found, no-redef, unused-ignore]

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(":fetchPredictOperation"):
            name = json.loads(request.content)["operationName"]
            return httpx.Response(200, json=await _operation(google, name))
        said = await google.post()
        if isinstance(said, str):
            return httpx.Response(200, json={"name": OPERATION + said})
        return httpx.Response(said.status, json=said.body, headers=dict(said.headers))

    transport = httpx.MockTransport(answer)
    return {
        "httpx_async_client": httpx.AsyncClient(transport=transport),
        "httpx_client": httpx.Client(transport=transport),
    }


async def _operation(google: VirtualGoogle, name: str) -> dict[str, Any]:
    if isinstance(await google.poll(name.removeprefix(OPERATION)), Running):
        return {"name": name}
    video = {"bytesBase64Encoded": FILM, "mimeType": "video/mp4"}
    return {"name": name, "done": True, "response": {"videos": [video]}}
