"""Streamable HTTP: the official client on a real socket; who may not come in stays out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from aveo3 import UsageError
from aveo3.mcp_server.http import address_of, check_token, serve_http
from tests.support.agents import clips, desk_of
from tests.support.studio import Studio

pytestmark = pytest.mark.real_time

TOKEN = "t0ken-of-the-operator"
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


stops: dict[str, asyncio.Event] = {}


@asynccontextmanager
async def served(home: Path, *, token: str | None = None, studio: Studio | None = None) -> AsyncIterator[str]:
    """The address of a server."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    desk = desk_of(studio or Studio(latency=0.05), home, poll_interval=0.01)
    server = asyncio.create_task(serve_http(desk, "1", stop, "127.0.0.1", 0, token=token, opened=url.set_result))
    try:
        address = await asyncio.wait_for(url, 20)
        stops[address] = stop
        yield address
    finally:
        stop.set()
        await server


async def test_two_clients_share_a_desk_and_its_budget(tmp_path: Path) -> None:
    studio = Studio(latency=0.05)
    async with served(tmp_path, studio=studio) as url, Client(url) as one, Client(url, mode="legacy") as other:
        started: Any = await one.call_tool("start", {"clips": clips("one", "two")})
        again: Any = await other.call_tool("start", {"clips": clips("one", "two")})
        names = [job["job"] for job in started.structured_content["jobs"]]
        assert [job["job"] for job in again.structured_content["jobs"]] == names
        refused: Any = await other.call_tool("start", {"clips": clips("three", "four")})
        assert refused.is_error
        done: Any = await other.call_tool("wait", {"jobs": names})
        assert [job["status"] for job in done.structured_content["jobs"]] == ["succeeded", "succeeded"]
    assert len(studio.prompts) == 2


async def test_clips_go_on_when_their_client_leaves(tmp_path: Path) -> None:
    async with served(tmp_path) as url:
        async with Client(url) as client:
            await client.call_tool("start", {"clips": clips("one")})
        async with Client(url) as client:
            done: Any = await client.call_tool("wait", {})
    assert done.structured_content["jobs"][0]["status"] == "succeeded"


async def test_who_waits_is_let_go_when_the_server_stops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(tmp_path, studio=Studio(latency=100)) as url, Client(url) as client:
        await client.call_tool("start", {"clips": clips("one")})
        first = asyncio.Event()

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            first.set()

        waiting = asyncio.create_task(client.call_tool("wait", {"seconds": 60}, progress_callback=tell))
        await first.wait()
        stops[url].set()
        result: Any = await asyncio.wait_for(waiting, 5)
        assert not result.structured_content["all_ended"]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def answers(url: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as web, web.post(url, json=PING, headers={**HEADERS, **headers}) as response:
        return response.status


async def test_pages_of_other_sites_and_names_of_others_stay_out(tmp_path: Path) -> None:
    async with served(tmp_path) as url:
        assert await answers(url, Host="evil.example.com") == 421
        assert await answers(url, Origin="https://evil.example.com") == 403
        assert await answers(url, Origin="null") == 403


async def test_a_token_is_asked_for(tmp_path: Path) -> None:
    async with served(tmp_path, token=TOKEN) as url:
        assert await answers(url) == 401
        assert await answers(url, Authorization="Bearer wrong") == 401
        assert await answers(url, Authorization="Bearer ") == 401
        authorized = create_mcp_http_client(headers={"Authorization": f"Bearer {TOKEN}"})
        async with authorized, Client(streamable_http_client(url, http_client=authorized)) as client:
            assert not (await client.call_tool("budget", {})).is_error


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_beyond_this_machine_a_token_is_needed(host: str) -> None:
    with pytest.raises(UsageError, match="Set VEO3_MCP_TOKEN"):
        check_token(host, None)
    check_token(host, TOKEN)
    check_token("127.0.0.1", None)


def test_addresses_are_host_and_port() -> None:
    assert address_of("127.0.0.1:9000") == ("127.0.0.1", 9000)
    assert address_of("9000") == ("127.0.0.1", 9000)
    assert address_of("[::1]:0") == ("::1", 0)
    assert address_of("localhost") == ("localhost", 8791)
    for wrong in ("127.0.0.1:port", "http://127.0.0.1:9000", "127.0.0.1:99999", "a/b"):
        with pytest.raises(UsageError, match="write HOST:PORT"):
            address_of(wrong)


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async with served(tmp_path) as url:
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(UsageError, match="cannot listen there"):
            await serve_http(desk_of(Studio(), tmp_path / "b"), "1", asyncio.Event(), "127.0.0.1", port)
