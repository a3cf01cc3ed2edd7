"""Equal requests of callers who can send no idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from aveo3.mock import MockServer
from aveo3.server.door.callers import Caller, CallerFile
from aveo3.server.door.server import DoorServer
from tests.support.door import MODEL
from tests.support.emulated import emulator, quick
from tests.support.terminal import run

DEVELOPER = f"/v1beta/models/{MODEL}"
PICTURE = {"bytesBase64Encoded": "iVBORw0KGgo=", "mimeType": "image/png"}


def loop_time_utc() -> datetime:
    return datetime(2026, 11, 27, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


@asynccontextmanager
async def merging(google: MockServer, **values: Any) -> AsyncIterator[aiohttp.ClientSession]:
    settings = quick(google, journal="auto", poll_interval=0.5, **values)
    async with (
        DoorServer(settings, port=0, now_utc=loop_time_utc, merge_equal=30) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        yield http


async def submit(
    http: aiohttp.ClientSession, text: str, *, path: str = DEVELOPER, image: Any = None, **headers: str
) -> str:
    instance = {"prompt": text, **({} if image is None else {"image": image})}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post(f"{path}:predictLongRunning", json={"instances": [instance]}, headers=sent) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["name"])


async def test_equal_requests_within_the_time_are_one_operation_over_a_restart_too() -> None:
    async with emulator() as google:
        async with merging(google) as http:
            first = await submit(http, "a boat")
            assert await asyncio.gather(*(submit(http, "a boat") for _ in range(5))) == [first] * 5
            pictures = await asyncio.gather(*(submit(http, "it sails", image=PICTURE) for _ in range(5)))
            assert len({*pictures}) == 1
            assert await submit(http, "a tree") != first
            assert await submit(http, "a boat", path=f"/v1/publishers/google/models/{MODEL}") != first
        async with merging(google) as http:
            assert await submit(http, "a boat") == first
            await asyncio.sleep(31)
            assert await submit(http, "a boat") != first
            await asyncio.sleep(20)
        assert google.books.accepted_by_prompt == {"a boat": 3, "it sails": 1, "a tree": 1}


async def test_what_a_stop_has_interrupted_is_still_waiting_and_so_it_is_merged() -> None:
    async with emulator() as google:
        async with merging(google, rate_limit=1) as http:
            names = [await submit(http, f"boat {number}") for number in range(3)]
            await asyncio.sleep(1)
        async with merging(google, rate_limit=1) as http:
            assert [await submit(http, f"boat {number}") for number in range(3)] == names


async def test_a_key_says_for_itself_what_is_once_and_a_cancelled_request_is_not_come_back_to() -> None:
    async with emulator() as google, merging(google, rate_limit=1) as http:
        names = [
            await submit(http, "a boat"),
            await submit(http, "a boat", Idempotency_Key="1"),
            await submit(http, "a boat", Idempotency_Key="2"),
        ]
        assert len({*names}) == 3
        assert await submit(http, "a boat") == names[0]
        await submit(http, "a tree")
        waiting = await submit(http, "a house")
        async with http.post(f"/v1beta/{waiting}:cancel") as answer:
            assert answer.status == 200
        assert await submit(http, "a house") != waiting


async def test_no_caller_gets_anothers_operation() -> None:
    keys = [CallerFile(Path("clips")).add(Caller(name=name)) for name in ("alice", "bob")]
    async with emulator() as google, merging(google) as http:
        names = [await submit(http, "a boat", x_goog_api_key=key) for key in keys]
        assert names[0] != names[1]


def test_a_time_that_is_none_is_refused() -> None:
    code, _, stderr = run("serve", "--mock", "--merge-equal", "soon")
    assert (code, stderr) == (2, "aveo3: --merge-equal soon: it must be a time such as 30s, 90m, 12h, 7d or 4w\n")
    code, _, stderr = run("serve", "--mock", "--merge-equal", "0s")
    assert (code, "it must be more than 0" in stderr) == (2, True)
