"""Shared by the tests of the Interactions wire: an emulator, and a raw client that shows every answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from aveo3.mock import MockOptions, MockServer

MODEL = "gemini-omni-1.1-flash"
VERTEX_MODEL = "gemini-omni-1.1-flash-preview"
PATH = "/v1/interactions"
VERTEX = "/v1beta1/projects/p/locations/global/interactions"
KEY = {"x-goog-api-key": "key"}
TOKEN = {"Authorization": "Bearer token"}
URI = {"type": "video", "delivery": "uri", "duration": "8s", "resolution": "720p", "aspect_ratio": "16:9"}
PRICE = 5792 * 17.5e-6
"""US$ for a second of Omni 1.1."""


class Heard(NamedTuple):
    """An answer. `status` is the name of the exception where there was none."""

    status: int | str
    body: Any
    headers: Any = None


class Talk:
    """Raw HTTP with one key."""

    def __init__(self, server: MockServer, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http

    async def ask(self, method: str, path: str, body: Any = None, headers: Any = KEY, **more: Any) -> Heard:
        try:
            url = self.server.url + path
            async with self.http.request(method, url, json=body, headers=headers, **more) as response:
                raw = await response.read()
                try:
                    return Heard(response.status, json.loads(raw), response.headers)
                except ValueError:
                    return Heard(response.status, raw, response.headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Heard(type(error).__name__, None)

    async def create(self, path: str = PATH, headers: Any = KEY, **body: Any) -> Heard:
        """A background interaction, its video by URI, unless told otherwise; what is None is left out."""
        chosen = {"model": MODEL, "input": "a boat", "background": True, "response_format": URI, **body}
        return await self.ask("POST", path, {k: v for k, v in chosen.items() if v is not None}, headers)

    async def get(self, name: str, path: str = PATH, headers: Any = KEY) -> Heard:
        return await self.ask("GET", f"{path}/{name}?stream=false", headers=headers)

    async def done(self, **body: Any) -> dict[str, Any]:
        """Create and poll. Latency is 0 in these tests, unless they say otherwise."""
        told: dict[str, Any] = (await self.get((await self.create(**body)).body["id"])).body
        return told


@asynccontextmanager
async def talking(*faults: str, now_utc: Any = None, **options: Any) -> AsyncIterator[Talk]:
    usual = {"latency": "0", "films": "bundled", "rpm": None, "speed": 1000, "hang": 20}
    chosen = MockOptions.model_validate({"faults": faults, **usual, **options})
    more = {"now_utc": now_utc} if now_utc is not None else {}
    async with MockServer(chosen, **more) as server, aiohttp.ClientSession() as http:
        yield Talk(server, http)


def video(interaction: dict[str, Any]) -> dict[str, Any]:
    """The video block of a completed interaction; steps have no fixed order."""
    [content] = [step["content"] for step in interaction["steps"] if step["type"] == "model_output"]
    [block] = content
    assert block["type"] == "video"
    found: dict[str, Any] = block
    return found


def film_path(interaction: dict[str, Any]) -> str:
    uri: str = video(interaction)["uri"]
    assert uri.startswith("https://")
    return "/" + uri.split("/", 3)[3]
