"""Callbacks: an end is told to the address that its caller named, signed, until somebody answers 2xx."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from aveo3.config.settings import Settings
from aveo3.lifecycle import State
from aveo3.server.door import callbacks
from aveo3.server.door.callback_address import is_public, why_not
from aveo3.server.door.callers import Caller, CallerFile, new_secret
from tests.support.door import MODEL, serving
from tests.support.emulated import emulator, quick

VERTEX = f"/v1/projects/p/locations/us-central1/publishers/google/models/{MODEL}"
DEVELOPER = f"/v1beta/models/{MODEL}"


class Receiver:
    """Somebody's web server: keeps what it gets, and answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.stuck: asyncio.Event | None = None
        self.url = ""
        self.got: list[tuple[float, dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((asyncio.get_running_loop().time(), dict(request.headers), await request.read()))
        if self.stuck is not None:
            await self.stuck.wait()
        return web.Response(status=self.status, headers={"Location": f"{self.url}elsewhere"})

    def told(self, secret: str) -> list[Any]:
        """The bodies, each of which the package finds signed."""
        return [Webhook(secret).verify(body, headers) for _, headers, body in self.got]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found, app = Receiver(), web.Application()
    app.router.add_post("/{any:.*}", found.take)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield found
    finally:
        await runner.cleanup()


def add(output: Settings, name: str = "alice", **fields: Any) -> tuple[dict[str, str], str]:
    """A new caller: the headers that show its key, and its secret."""
    secret = new_secret()
    caller = Caller(name=name, callback_secret=secret, **fields)
    return {"x-goog-api-key": CallerFile(output.output_dir).add(caller)}, secret


async def order(http: aiohttp.ClientSession, headers: dict[str, str], path: str = VERTEX) -> tuple[int, Any]:
    body = {"instances": [{"prompt": "a boat"}]}
    async with http.post(f"{path}:predictLongRunning", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_an_end_is_told_once_signed_with_where_to_get_the_video() -> None:
    async with emulator() as google, receiver() as mine, receiver() as other:
        key, secret = add(quick(google), callback=mine.url)
        async with serving(google, private_callbacks=True) as door, aiohttp.ClientSession(door.url) as http:
            names = [(await order(http, key, path))[1]["name"] for path in (VERTEX, DEVELOPER)]
            await order(http, {**key, "Aveo3-Callback": other.url})
            body = {"model": MODEL, "prompt": "a kite"}
            async with http.post("/v1/videos", json=body, headers=key) as answer:
                names.append((await answer.json())["id"])
            await asyncio.sleep(30)
            assert (len(mine.got), len(other.got)) == (3, 1)
            by_name = {told.get("name") or told["id"]: told for told in mine.told(secret)}
            assert by_name.keys() == {*names}
            assert by_name[names[2]]["status"] == "completed"
            [video] = by_name[names[0]]["response"]["videos"]
            [sample] = by_name[names[1]]["response"]["generateVideoResponse"]["generatedSamples"]
            for uri in (video["uri"], sample["video"]["uri"]):
                assert uri.startswith(door.url)
                async with http.get(uri, headers=key) as answer:
                    assert (await answer.read())[4:8] == b"ftyp"
                async with http.get(uri) as answer:
                    assert answer.status == 401
            assert mine.got[0][1]["webhook-id"] in str(by_name)
        async with serving(google, private_callbacks=True):
            await asyncio.sleep(200_000)
        assert (len(mine.got), len(other.got)) == (3, 1)


async def test_an_interaction_is_told_with_an_address_in_place_of_its_video() -> None:
    async with emulator() as google, receiver() as mine:
        omni = {"backend": "gemini", "model": "gemini-omni-1.2-flash"}
        key, secret = add(quick(google), callback=mine.url)
        async with serving(google, private_callbacks=True, **omni) as door, aiohttp.ClientSession(door.url) as http:
            body = {"model": omni["model"], "input": "a boat", "background": True}
            async with http.post("/v1beta/interactions", json=body, headers=key) as answer:
                number = (await answer.json())["id"]
            await asyncio.sleep(60)
            [told] = mine.told(secret)
            assert (told["id"], told["status"]) == (number, "completed")
            [video] = told["steps"][-1]["content"]
            assert "data" not in video
            async with http.get(video["uri"], headers=key) as answer:
                assert (await answer.read())[4:8] == b"ftyp"


async def test_filtered_and_cancelled_requests_are_told() -> None:
    async with emulator(faults=["filtered-safety@1"]) as google, receiver() as mine:
        key, secret = add(quick(google), callback=mine.url)
        async with (
            serving(google, private_callbacks=True, rate_limit=1, rate_period=3600) as door,
            aiohttp.ClientSession(door.url) as http,
        ):
            await order(http, key)
            await asyncio.sleep(5)
            await order(http, key)  # stands ready
            await asyncio.sleep(1)
            _, last = await order(http, key)
            async with http.post(f"/v1/{last['name']}:cancel", headers=key) as answer:
                assert answer.status == 200
            await asyncio.sleep(5)
            filtered, cancelled = mine.told(secret)
            assert filtered["response"]["raiMediaFilteredCount"] == 1
            assert (cancelled["name"], cancelled["error"]["code"]) == (last["name"], 1)


@pytest.mark.parametrize("status", [500, 302])
async def test_an_address_that_fails_is_tried_for_a_day_in_growing_waits_and_redirects_are_not_followed(
    status: int,
) -> None:
    async with emulator() as google, receiver() as mine:
        key, secret = add(quick(google), callback=mine.url + "hook")
        mine.status = status
        async with serving(google, private_callbacks=True) as door, aiohttp.ClientSession(door.url) as http:
            await order(http, key)
            await asyncio.sleep(200_000)
            instants = [at for at, _, _ in mine.got]
            waits = [after - before for before, after in pairwise(instants)]
            assert len(waits) == len(callbacks.WAITS)
            assert waits == sorted(waits)
            assert 20 * 3600 < sum(waits) < 25 * 3600
            assert len({headers["webhook-id"] for _, headers, _ in mine.got}) == 1
            assert mine.told(secret)[0] == mine.told(secret)[-1]
            assert door.session.journal is not None
            [[outcome]] = door.session.journal.read("SELECT outcome FROM callbacks")
            assert outcome == f"given up: HTTP {status}"


async def test_a_server_that_dies_between_end_and_delivery_tells_after_its_restart() -> None:
    async with emulator() as google, receiver() as mine:
        key, secret = add(quick(google), callback=mine.url)
        mine.stuck = asyncio.Event()
        async with serving(google, private_callbacks=True) as door, aiohttp.ClientSession(door.url) as http:
            _, body = await order(http, key)
            await asyncio.sleep(5)
            assert len(mine.got) == 1
            assert door.session.journal is not None
            [record] = door.session.journal.records()
            assert record.state is State.SUCCEEDED
            shutil.copytree(door.session.settings.output_dir, "killed")  # what a kill would leave by now
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < 10  # a callback under way holds up no stop
        mine.stuck.set()
        mine.stuck = None
        for number, home in enumerate(("killed", quick(google).output_dir), start=2):
            async with serving(google, private_callbacks=True, output_dir=home):
                await asyncio.sleep(100_000)
            assert len(mine.got) == number
        assert [told["name"] for told in mine.told(secret)] == 3 * [body["name"]]
        assert len({headers["webhook-id"] for _, headers, _ in mine.got}) == 1


async def test_a_dead_address_of_one_caller_delays_no_other() -> None:
    async with emulator() as google, receiver() as dead, receiver() as mine:
        stuck, _ = add(quick(google), "bob", callback=dead.url)
        key, secret = add(quick(google), "alice", callback=mine.url)
        dead.stuck = asyncio.Event()
        async with serving(google, private_callbacks=True) as door, aiohttp.ClientSession(door.url) as http:
            for _ in range(20):
                await order(http, stuck)
            await asyncio.sleep(3)
            assert len(dead.got) == callbacks.AT_A_TIME
            await order(http, key)
            await asyncio.sleep(3)
            assert len(mine.told(secret)) == 1
            assert len(dead.got) == callbacks.AT_A_TIME
            await asyncio.sleep(callbacks.ANSWER_WITHIN)
            assert len(dead.got) == 2 * callbacks.AT_A_TIME
            dead.stuck.set()


async def test_private_addresses_get_nothing_however_they_are_named() -> None:
    async with emulator() as google, receiver() as mine:
        key, _ = add(quick(google))
        port = mine.url.rsplit(":", 1)[1]
        async with serving(google) as door, aiohttp.ClientSession(door.url) as http:
            for url in (mine.url, f"https://127.0.0.1:{port}", "https://[::ffff:10.0.0.1]/", "ftp://a.b/", "https://"):
                status, body = await order(http, {**key, "Aveo3-Callback": url})
                assert status == 400, url
                assert body["error"]["message"].startswith("Aveo3-Callback: no callback can go to")
            for url in (f"https://localhost:{port}", f"https://2130706433:{port}", f"https://127.1:{port}"):
                assert (await order(http, {**key, "Aveo3-Callback": url}))[0] == 200
            await asyncio.sleep(20)
            assert door.session.journal is not None
            named, *numbers = (why for [why] in door.session.journal.read("SELECT outcome FROM callbacks ORDER BY job"))
            assert "127.0.0.1 is a private address, where this server connects to nothing" in named
            assert len(numbers) == 2
            assert all(numbers)
            assert mine.got == []


async def test_callbacks_need_a_secret() -> None:
    async with (
        emulator() as google,
        serving(google, private_callbacks=True) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        status, body = await order(http, {"Aveo3-Callback": "http://127.0.0.1:1/"})
        assert status == 400
        assert "aveo3 serve keys secret NAME" in body["error"]["message"]
        assert door.session.journal is not None
        assert not [*door.session.journal.records()]


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.1.1",
        ),
        *("255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "::127.0.0.1", "2001:db8::1"),
    ],
)
def test_no_private_address_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_on_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://user:word@a.b/", "it must not hold a user or a password"),
        ("https://a.b/ c", "no space"),
        ("https://a.b:99999/", "it is no address"),
        ("a.b/hook", "write it as https://host/path"),
        ("http://a.b/", "it must begin with https://"),
    ],
)
def test_an_address_that_cannot_work_is_told(url: str, why: str) -> None:
    assert why in (why_not(url, private=False) or "")
