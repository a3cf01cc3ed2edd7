"""The contestants that use google-genai, in virtual time: the real SDK, with another HTTP transport.

The SDK accepts a custom HTTP client. The transport of this one is a function that sends requests to the lane. So the
contestants read the same responses and the same SDK errors, and `HttpRetryOptions` retries as usual. The version of the
SDK decides the package of the client: httpx2 since google-genai 3, httpx before.
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
"""Prefix of the lane's operation names: the SDK derives the path of a poll from the name."""

CONCURRENCY = 100
"""Highest number of clips in flight, for contestants with such a setting. No contest's quota allows so many."""

FILM = "AAAA"
"""Base64 of a video that is never played."""


@dataclass(frozen=True)
class OverTheLane:
    """A real-time contestant, used in virtual time."""

    rival: Rival

    @property
    def NAME(self) -> str:  # noqa: N802  # as modules have it
        return self.rival.NAME

    async def make_all(self, google: VirtualGoogle, task: VirtualTask) -> None:
        """Make the clips of the task. The limit of clips in flight is never the bottleneck."""
        with tempfile.TemporaryDirectory() as directory:
            real_task = Task(
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
            async with self.rival.ready(real_task) as make_all:
                await make_all()


def transports(google: VirtualGoogle) -> dict[str, Any]:
    """Return fields for the SDK's `HttpOptions` that send its requests to `google`.

    The synchronous client is never used. It saves the 20 ms that the SDK needs to create its own.
    """
    try:
        import httpx2 as httpx
    except ImportError:
        import httpx  # type: ignore[import-not-found, no-redef, unused-ignore]

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(":fetchPredictOperation"):
            name = json.loads(request.content)["operationName"]
            return httpx.Response(200, json=await _operation(google, name))
        reply = await google.post()
        if isinstance(reply, str):
            return httpx.Response(200, json={"name": OPERATION + reply})
        return httpx.Response(reply.status, json=reply.body, headers=dict(reply.headers))

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
