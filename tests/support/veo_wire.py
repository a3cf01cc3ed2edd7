"""Raw HTTP to the emulator on Veo's wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from aveo3.mock import MockOptions, MockServer

VERTEX = "/v1/projects/p/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
EXPRESS = "/v1beta1/publishers/google/models/veo-3.1-generate-001"
DEVELOPER = "/v1beta/models/veo-3.1-generate-preview"
TOKEN = {"Authorization": "Bearer token"}
KEY = {"x-goog-api-key": "key"}


class Wire:
    """A raw HTTP client. It returns (status, parsed body)."""

    def __init__(self, server: MockServer, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http

    async def ask(self, method: str, path: str, body: Any = None, headers: Any = None) -> tuple[int, Any]:
        async with self.http.request(method, self.server.url + path, json=body, headers=headers) as response:
            raw = await response.read()
            return response.status, json.loads(raw) if response.content_type == "application/json" else raw

    async def submit(self, path: str = DEVELOPER, headers: Any = KEY, prompt: str = "a boat", **more: Any) -> Any:
        body = {"instances": [{"prompt": prompt}], "parameters": more}
        return await self.ask("POST", f"{path}:predictLongRunning", body, headers)

    async def film(self) -> str:
        """Submit, poll without waiting, and return the path of the film."""
        _, accepted = await self.submit()
        _, done = await self.ask("GET", f"/v1beta/{accepted['name']}", headers=KEY)
        uri: str = done["response"]["generateVideoResponse"]["generatedSamples"][0]["video"]["uri"]
        return "/" + uri.split("/", 3)[3]


@asynccontextmanager
async def talking(now_utc: Any = None, **options: Any) -> AsyncIterator[Wire]:
    chosen = MockOptions.model_validate({"latency": "0", "films": "bundled", **options})
    more = {"now_utc": now_utc} if now_utc is not None else {}
    async with MockServer(chosen, **more) as server, aiohttp.ClientSession() as http:
        yield Wire(server, http)
