"""Doors that share one database: each takes requests and tells of them, and one of them sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aveo3.lifecycle import State
from aveo3.mock import MockServer
from aveo3.server.door.server import DoorServer
from benchmarks.harness.postgres_server import PostgresServer
from tests.support.emulated import emulator, quick

pytestmark = pytest.mark.real_time

PATH = "/v1/publishers/google/models/veo-3.1-generate-001"


@asynccontextmanager
async def doors(
    url: str, tmp_path: Path, server: MockServer, number: int, **values: Any
) -> AsyncIterator[list[DoorServer]]:
    """Doors on one database; the first one leads."""
    usual = {"database": url, "journal": "auto", "output_dir": tmp_path / "clips", "poll_interval": 0.05}
    settings = quick(server, **{**usual, **values})
    settings.output_dir.mkdir()
    async with AsyncExitStack() as stack:
        opened: list[DoorServer] = []
        for _ in range(number):
            opened.append(await stack.enter_async_context(DoorServer(settings, port=0)))
            async with asyncio.timeout(10):
                while not opened[0].led:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        yield opened


async def order(door: DoorServer, text: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
    headers = {"Idempotency-Key": key} if key else {}
    async with (
        aiohttp.ClientSession(door.url) as http,
        http.post(f"{PATH}:predictLongRunning", json={"instances": [{"prompt": text}]}, headers=headers) as answer,
    ):
        return answer.status, {"retry-after": answer.headers.get("Retry-After"), **await answer.json()}


async def ask(door: DoorServer, name: str, what: str = "fetchPredictOperation") -> dict[str, Any]:
    async with aiohttp.ClientSession(door.url) as http:
        if what == "cancel":
            async with http.post(f"/v1/{name}:cancel") as answer:
                return {"status": answer.status, **await answer.json()}
        async with http.post(f"{PATH}:{what}", json={"operationName": name}) as answer:
            return dict(await answer.json())


async def until_done(door: DoorServer, name: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not (operation := await ask(door, name)).get("done"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return operation


async def test_a_request_that_any_door_takes_is_made_and_every_door_tells_of_it(
    postgres_url: str, tmp_path: Path
) -> None:
    async with emulator() as server, doors(postgres_url, tmp_path, server, 2) as (first, second):
        assert (len(first.led), second.led) == (1, ())
        name = (await order(second, "a boat"))[1]["name"]
        for door in (second, first):
            operation = await until_done(door, name)
            assert len(operation["response"]["videos"]) == 1
        assert server.books.accepted == 1


async def test_the_same_key_at_two_doors_is_one_request(postgres_url: str, tmp_path: Path) -> None:
    async with emulator() as server, doors(postgres_url, tmp_path, server, 2, max_concurrency=4) as both:
        answers = await asyncio.gather(*(order(door, f"boat {n}", f"key {n}") for n in range(8) for door in both))
        assert {status for status, _ in answers} == {200}
        names = [answer["name"] for _, answer in answers]
        assert names[::2] == names[1::2]
        assert len(set(names)) == 8
        await asyncio.gather(*(until_done(both[1], name) for name in names[::2]))
        assert server.books.accepted == 8
        status, refused = await order(both[0], "another boat", "key 1")
        assert (status, "belongs to another request" in str(refused)) == (409, True)


async def test_a_door_cancels_what_another_one_would_send(postgres_url: str, tmp_path: Path) -> None:
    values = {"rate_limit": 1, "rate_period": 3.0}
    async with emulator(latency="0.1") as server, doors(postgres_url, tmp_path, server, 2, **values) as (first, second):
        names = [(await order(second, f"boat {n}"))[1]["name"] for n in range(4)]
        await asyncio.sleep(0.5)
        assert (await ask(second, names[3], "cancel"))["status"] == 200  # it waits in the leader's line
        assert (await ask(second, names[1], "cancel"))["status"] == 200  # it stands ready there
        assert (await ask(second, names[0], "cancel"))["status"] == 400  # it was sent
        await until_done(first, names[2])
        assert {*server.books.accepted_by_prompt} == {"boat 0", "boat 2"}


async def test_a_budget_is_one_for_all_doors(postgres_url: str, tmp_path: Path) -> None:
    values = {"budget": 6.5, "rate_limit": 1, "rate_period": 2.0}
    async with emulator(latency="0.1") as server, doors(postgres_url, tmp_path, server, 2, **values) as (first, second):
        name = (await order(first, "boat 0"))[1]["name"]  # US$ 3.20 each
        assert (await order(second, "boat 1"))[0] == 200
        status, refused = await order(first, "boat 2")
        assert (status, "would exceed the budget of US$ 6.5" in str(refused)) == (402, True)
        await until_done(second, name)
        assert (await order(second, "boat 3"))[0] == 402
        assert server.books.accepted <= 2


async def test_without_the_database_a_door_says_503_and_what_was_taken_goes_on_when_it_is_back(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    values = {"rate_limit": 2, "rate_period": 1.0}
    async with emulator(latency="1") as server, doors(postgres_url, tmp_path, server, 1, **values) as [door]:
        names = [(await order(door, f"boat {n}", f"key {n}"))[1]["name"] for n in range(5)]
        await asyncio.sleep(0.2)
        sent = server.books.accepted
        await asyncio.to_thread(postgres_server.down, "immediate")
        try:
            status, refused = await order(door, "late boat", "late")
            assert (status, refused["retry-after"]) == (503, "10")
            await asyncio.sleep(3)
            assert server.books.accepted <= sent + 1  # nothing more is sent
        finally:
            await asyncio.to_thread(postgres_server.again)
        back = asyncio.get_running_loop().time()
        while server.books.accepted <= sent + 1:
            assert asyncio.get_running_loop().time() - back < 2.5
            await asyncio.sleep(0.01)
        for name in names:
            assert (await until_done(door, name))["response"]["videos"]
        assert max(server.books.accepted_by_prompt.values()) == 1
        status, taken = await order(door, "late boat", "late")
        assert status == 200
        assert (await until_done(door, taken["name"]))["response"]["videos"]
        assert server.books.accepted == 6
        journal = door.session.journal
        assert journal is not None
        assert journal.counts().get(State.UNCERTAIN, 0) == 0
