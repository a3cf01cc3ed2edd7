"""The event stream of a caller: the states of its requests, nobody else's, and what it missed if it comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from aveo3.server.door import event_stream
from aveo3.server.door.callers import Caller, CallerFile
from tests.support.door import MODEL, serving
from tests.support.emulated import emulator, quick

VERTEX = f"/v1/projects/p/locations/us-central1/publishers/google/models/{MODEL}"


class Reader:
    """Reads a stream; `events` are the data with their ids, `comments` what shows that it lives."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.events: list[tuple[int, Any]] = []
        self.comments = 0
        self.last_id = 0
        self.ended = False
        self._answer = answer

    async def read(self) -> None:
        async for raw in self._answer.content:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last_id = int(value)
            elif name == "data":
                self.events.append((self.last_id, json.loads(value)))
            self.comments += raw.startswith(b":")
        self.ended = True

    def states(self, name: str) -> list[str]:
        return [event["state"] for _, event in self.events if event["name"] == name]


@asynccontextmanager
async def reading(http: aiohttp.ClientSession, key: str, **headers: str) -> AsyncIterator[Reader]:
    async with http.get("/v1/events", headers={"x-goog-api-key": key, **headers}, timeout=None) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        reader = Reader(answer)
        task = asyncio.create_task(reader.read())
        await asyncio.sleep(1)
        try:
            yield reader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def order(http: aiohttp.ClientSession, key: str) -> str:
    body = {"instances": [{"prompt": "a boat"}]}
    async with http.post(f"{VERTEX}:predictLongRunning", json=body, headers={"x-goog-api-key": key}) as answer:
        name: str = (await answer.json())["name"]
        return name


async def test_each_caller_sees_the_states_of_its_own_requests_and_what_it_missed() -> None:
    async with emulator() as google:
        file = CallerFile(quick(google).output_dir)
        alice, bob = file.add(Caller(name="alice")), file.add(Caller(name="bob"))
        async with serving(google) as door, aiohttp.ClientSession(door.url) as http:
            async with reading(http, alice) as hers, reading(http, bob) as his:
                first = await order(http, alice)
                await asyncio.sleep(20)
                assert hers.states(first) == ["waiting", "submitting", "running", "fetching", "succeeded"]
                assert [event["done"] for _, event in hers.events] == [False] * 4 + [True]
                assert his.events == []
                assert his.comments > 0
            second = await order(http, alice)
            await asyncio.sleep(20)
        async with serving(google) as door, aiohttp.ClientSession(door.url) as http:
            async with reading(http, alice, **{"Last-Event-ID": str(hers.last_id)}) as again:
                assert again.states(second) == ["waiting", "submitting", "running", "fetching", "succeeded"]
                assert again.states(first) == []
            async with reading(http, bob, **{"Last-Event-ID": "0"}) as again:
                assert again.events == []
            async with http.get("/v1/events", headers={"Last-Event-ID": "x", "x-goog-api-key": bob}) as answer:
                assert answer.status == 400
            async with http.get("/v1/events") as answer:
                assert answer.status == 401


async def test_a_stream_ends_with_its_key_and_with_the_server_which_it_does_not_hold_up() -> None:
    async with emulator() as google:
        file = CallerFile(quick(google).output_dir)
        alice, bob = file.add(Caller(name="alice")), file.add(Caller(name="bob"))
        async with AsyncExitStack() as stack:
            door = await stack.enter_async_context(serving(google))
            async with (
                aiohttp.ClientSession(door.url) as http,
                reading(http, alice) as hers,
                reading(http, bob) as his,
            ):
                file.remove("alice")
                await asyncio.sleep(2)
                assert (hers.ended, his.ended) == (True, False)
                before = asyncio.get_running_loop().time()
                await stack.aclose()
                assert asyncio.get_running_loop().time() - before < 2
                await asyncio.sleep(0.1)
                assert his.ended


async def test_the_streams_of_a_caller_are_bounded_and_those_that_end_make_room() -> None:
    async with emulator() as google:
        alice = CallerFile(quick(google).output_dir).add(Caller(name="alice"))
        headers = {"x-goog-api-key": alice}
        async with serving(google) as door, aiohttp.ClientSession(door.url) as http:
            open_ones = [await http.get("/v1/events", headers=headers) for _ in range(event_stream.STREAMS)]
            async with http.get("/v1/events", headers=headers) as answer:
                assert answer.status == 429
            open_ones[0].close()
            await asyncio.sleep(2)
            async with http.get("/v1/events", headers=headers) as answer:
                assert answer.status == 200
            for each in open_ones:
                each.close()
