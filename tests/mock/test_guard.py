"""Who may use the emulator: this machine and whoever is named, and no web page; what it refuses to read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from aveo3.mock import MockOptions, MockServer
from tests.support.interactions import PATH, Talk, talking

URL = "/v1beta1/publishers/google/models/veo-3.1-generate-001:predictLongRunning"
BODY = {"instances": [{"prompt": "a boat"}], "parameters": {"durationSeconds": 4}}


async def submit(talk: Talk, **headers: str) -> tuple[int | str, Any]:
    heard = await talk.ask("POST", f"{URL}?key=k", BODY, {name.replace("_", "-"): v for name, v in headers.items()})
    return heard.status, heard.body


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:80", "[::1]:9", "app.localhost", "LOCALHOST", "localhost.", ""]
)
async def test_names_of_this_machine_are_answered(host: str) -> None:
    async with talking() as talk:
        assert (await submit(talk, Host=host))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "10.0.0.5", "127.0.0.1.evil.example", "localhost@evil.example", "a b"]
)
@pytest.mark.parametrize("path", ["/", "/books.json", URL])
async def test_another_name_gets_nothing_not_even_the_books(host: str, path: str) -> None:
    async with talking() as talk:
        heard = await talk.ask("GET", path, headers={"Host": host})
        assert heard.status == 403
        assert "does not answer to the host" in heard.body["error"]["message"]
        assert talk.server.books.posts == {}


async def test_a_name_that_is_allowed_is_answered_and_the_way_there_is_told() -> None:
    async with talking() as talk:
        _, body = await submit(talk, Host="mock:8787")
        assert body["error"]["message"] == (
            "This emulator does not answer to the host mock. If that is yours, start it with --allow-host mock."
        )
        talk.server.change(allow_hosts=["mock", "*.example"])
        assert (await submit(talk, Host="mock:8787"))[0] == 200
        assert (await submit(talk, Host="a.example"))[0] == 200


async def test_on_all_networks_addresses_are_answered_and_names_are_not() -> None:
    options = MockOptions.model_validate({"latency": "0", "films": "bundled"})
    async with MockServer(options, host="0.0.0.0") as server, talking() as talk:
        talk.server = server
        assert (await submit(talk, Host="192.168.1.7:8787"))[0] == 200
        assert (await submit(talk, Host="evil.example"))[0] == 403


FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
    "an old browser": {"Origin": "https://evil.example"},
    "a sandbox or a file": {"Origin": "null"},
    "no origin": {"Sec_Fetch_Site": "cross-site"},
    "a neighbour": {"Sec_Fetch_Site": "same-site"},
    "a name that looks like ours": {"Origin": "http://localhost.evil.example"},
    "nothing": {"Origin": ""},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_a_foreign_web_page_cannot_post(headers: dict[str, str]) -> None:
    async with talking() as talk:
        assert (await submit(talk, Content_Type="text/plain", **headers))[0] == 403
        assert talk.server.books.submits == 0


OWN: dict[str, dict[str, str]] = {
    "no browser": {},
    "Node": {"Sec_Fetch_Mode": "cors"},
    "its own page": {"Origin": "http://127.0.0.1:1", "Sec_Fetch_Site": "same-origin"},
    "a page under development": {"Origin": "http://localhost:5173", "Sec_Fetch_Site": "same-site"},
    "the address bar": {"Sec_Fetch_Site": "none"},
}


@pytest.mark.parametrize("headers", OWN.values(), ids=OWN)
async def test_programs_and_pages_of_this_machine_can_post(headers: dict[str, str]) -> None:
    async with talking() as talk:
        assert (await submit(talk, **headers))[0] == 200


async def test_a_page_whose_host_is_allowed_can_post() -> None:
    async with talking(allow_hosts=["studio.example"]) as talk:
        headers = {"Origin": "https://studio.example", "Sec_Fetch_Site": "cross-site"}
        assert (await submit(talk, **headers))[0] == 200


INTERNAL = ["http://10.0.0.5/", "http://169.254.169.254/latest", "http://db:5432/", "http://evil.example/"]


@pytest.mark.parametrize("uri", [*INTERNAL, "file:///etc/passwd", "gopher://127.0.0.1/", "", 7, "http://[::1"])
async def test_a_webhook_goes_to_this_machine_only(uri: Any) -> None:
    async with talking() as talk:
        heard = await talk.create(webhook_config={"uris": [uri]})
        assert heard.status == 400
        assert talk.server.books.accepted == 0


@pytest.mark.parametrize("uris", [5, True, "http://127.0.0.1:1/", {}, ["http://127.0.0.1:1/"] * 30])
async def test_what_is_no_short_list_of_webhooks_is_a_bad_request(uris: Any) -> None:
    async with talking() as talk:
        assert (await talk.create(webhook_config={"uris": uris})).status == 400


async def test_a_webhook_goes_to_a_host_that_is_allowed_and_on_all_networks_to_no_other() -> None:
    got = asyncio.Event()

    async def listen(_: web.Request) -> web.Response:
        got.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", listen)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    options = MockOptions.model_validate({"latency": "0", "films": "bundled"})
    try:
        async with MockServer(options, host="0.0.0.0") as server, talking() as talk:
            talk.server = server
            heard = await talk.create(webhook_config={"uris": [hook]})
            assert (heard.status, "--allow-host 127.0.0.1" in heard.body["error"]["message"]) == (400, True)
            server.change(allow_hosts=["127.0.0.1"])
            assert (await talk.create(webhook_config={"uris": [hook]})).status == 200
            await got.wait()
    finally:
        await runner.cleanup()


UNREADABLE = {
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 900 + b"1" + b"}" * 900,
    "101 levels": json.dumps({**BODY, "parameters": json.loads("[" * 100 + "]" * 100)}).encode(),
    "huge integer": b'{"instances": [{"prompt": "a"}], "parameters": {"seed": ' + b"9" * 5000 + b"}}",
    "big integer": b'{"instances": [{"prompt": "a"}], "parameters": {"durationSeconds": ' + b"9" * 400 + b"}}",
    "endless": b'{"instances": [{"prompt": "a"}], "parameters": {"durationSeconds": 1e999}}',
    "not a number": b'{"instances": [{"prompt": "a"}], "parameters": {"durationSeconds": NaN}}',
    "half an emoji": b'{"instances": [{"prompt": "\\ud83d"}]}',
    "no text": b'{"instances": [{"prompt": "\xff"}]}',
    "nothing": b"",
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("path", [URL, URL.replace("predictLongRunning", "fetchPredictOperation"), PATH])
async def test_a_body_that_google_would_not_read_is_a_bad_request(path: str, raw: bytes) -> None:
    async with talking() as talk:
        url = f"{talk.server.url}{path}?key=k"
        async with talk.http.post(url, data=raw, headers={"content-type": "text/plain"}) as answer:
            assert answer.status == 400, await answer.text()


async def test_brackets_in_a_prompt_are_no_levels_and_a_whole_emoji_is_read() -> None:
    async with talking() as talk:
        raw = json.dumps({"instances": [{"prompt": "[" * 500 + "\N{PARTY POPPER}"}]}).encode()
        async with talk.http.post(f"{talk.server.url}{URL}?key=k", data=raw) as answer:
            assert answer.status == 200
