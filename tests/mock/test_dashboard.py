"""The dashboard: the page, its event stream, and the masking of keys."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aveo3.mock import MockOptions, MockServer, Scenario
from aveo3.mock import dashboard as view_module
from aveo3.mock.dashboard import PAGE, snapshot
from aveo3.mock.state.request_log import KEPT, Masks, shortened

PUBLISHER = "publishers/google/models/veo-3.1-generate-001"
PROJECT, EXPRESS = f"/v1/projects/alpha/locations/us-central1/{PUBLISHER}", f"/v1/{PUBLISHER}"
DEVELOPER = "/v1beta/models/veo-3.1-generate-preview"
TOKEN, KEY = {"Authorization": "Bearer token"}, {"x-goog-api-key": "key"}


class Visitor:
    """A client that also views the dashboard."""

    def __init__(self, server: MockServer, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        async with self.http.request(method, self.server.url + path, **more) as response:
            raw = await response.read()
            return json.loads(raw) if response.content_type == "application/json" else raw.decode()

    async def submit(self, path: str = PROJECT, headers: Any = TOKEN, prompt: str = "a boat", **more: Any) -> Any:
        body = {"instances": [{"prompt": prompt}], "parameters": more}
        return await self.ask("POST", f"{path}:predictLongRunning", json=body, headers=headers)

    async def poll(self, name: str, path: str = PROJECT, headers: Any = TOKEN) -> Any:
        body = {"operationName": name}
        return await self.ask("POST", f"{path}:fetchPredictOperation", json=body, headers=headers)

    async def newest(self) -> dict[str, Any]:
        """Return the latest request, as the page shows it."""
        request: dict[str, Any] = snapshot(self.server.emulator)["recent"][0]
        return request


@asynccontextmanager
async def visiting(scenario: Scenario | None = None, **options: Any) -> AsyncIterator[Visitor]:
    chosen = MockOptions.model_validate({"latency": "0", "films": "bundled", **options})
    async with MockServer(chosen, scenario=scenario) as server, aiohttp.ClientSession() as http:
        yield Visitor(server, http)


@asynccontextmanager
async def watching(visitor: Visitor) -> AsyncIterator[aiohttp.StreamReader]:
    async with visitor.http.get(f"{visitor.server.url}/events", timeout=aiohttp.ClientTimeout(total=5)) as response:
        assert response.content_type == "text/event-stream"
        yield response.content


async def message(stream: aiohttp.StreamReader) -> str:
    """Return the next event or comment, without its blank line."""
    text = (await stream.readuntil(b"\n\n")).decode()
    return text.removesuffix("\n\n")


async def event(stream: aiohttp.StreamReader) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((await message(stream)).removeprefix("data: "))
    return data


@pytest.fixture
def fast_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "REFRESH", 0.003)


# -- the page ----------------------------------------------------------------------------------------------------------


async def test_the_page_loads_nothing_from_other_hosts_and_forbids_it() -> None:
    async with visiting() as visitor, visitor.http.get(visitor.server.url) as response:
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]
    assert response.content_type == "text/html"
    assert policy.startswith("default-src 'none';")
    links = re.findall(r"""(?:src|href|url|@import)\s*[=(]\s*["']([^"']+)""", page)
    assert sorted(link for link in links if not link.startswith("data:")) == ["/books.json", "/events"]


async def test_without_scripts_the_page_still_has_the_summary() -> None:
    async with visiting() as visitor:
        await visitor.submit()
        page = await visitor.ask("GET", "/")
        assert re.search(r"<noscript><pre[^>]*>1 submits: 1 accepted, 0 refused, 0 rejected\n", page)


async def test_the_page_reads_only_fields_that_the_stream_sends() -> None:
    """No other test would notice if the snapshot renamed a field."""
    async with visiting(rpm=1, scenario=Scenario.parse('[[at]]\ntime = 0\nnote = "x"')) as visitor:
        await visitor.submit()
        shown = snapshot(visitor.server.emulator)
    script = PAGE.read_text("utf-8").partition("<script>")[2]
    for letter, value in (("s", shown), ("r", shown["recent"][0]), ("lane", shown["quotas"][0])):
        fields = set(re.findall(rf"\b{letter}\.(\w+)", script))
        assert fields, letter
        assert fields - value.keys() == set(), letter
    rules = shown["quotas"][0]["rules"][0].keys() | shown["rules"][0].keys()
    assert set(re.findall(r"\brule\.(\w+)", script)) == rules


def test_the_script_of_the_page_is_valid_javascript(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; nothing else here parses JavaScript")
    script = tmp_path / "page.js"
    script.write_text(PAGE.read_text("utf-8").partition("<script>")[2].partition("</script>")[0], "utf-8")
    assert subprocess.run([node, "--check", str(script)], capture_output=True, text=True).stderr == ""


# -- the stream --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fast_refresh")
async def test_a_viewer_gets_the_books_at_once_and_after_each_change() -> None:
    async with visiting() as visitor, watching(visitor) as stream:
        assert (await event(stream))["accepted"] == 0
        await visitor.submit()
        update = await event(stream)
        assert (update["accepted"], update["recent"][0]["prompt"]) == (1, "a boat")


@pytest.mark.usefixtures("fast_refresh")
async def test_without_changes_there_are_only_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "HEARTBEAT", 0.03)
    async with visiting() as visitor, watching(visitor) as stream:
        await event(stream)
        assert [await message(stream) for _ in range(2)] == [": still here", ": still here"]
        await visitor.submit()
        assert (await event(stream))["accepted"] == 1


@pytest.mark.usefixtures("fast_refresh")
async def test_many_viewers_share_one_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def counting_snapshot(emulator: Any) -> dict[str, Any]:
        nonlocal count
        count += 1
        return {**snapshot(emulator), "number": count}  # all snapshots differ, so each is sent

    monkeypatch.setattr(view_module, "snapshot", counting_snapshot)
    async with visiting() as visitor:

        async def view() -> list[int]:
            async with watching(visitor) as stream:
                return [(await event(stream))["number"] for _ in range(3)]

        views = await asyncio.gather(*(view() for _ in range(30)))
    assert len(views) == 30
    assert all(numbers == sorted(set(numbers)) for numbers in views)  # always newer, even if a slow viewer skips some
    assert count < 30  # ninety events were sent


@pytest.mark.usefixtures("fast_refresh")
async def test_without_viewers_no_snapshot_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "HEARTBEAT", 0.01)
    snapshots = []

    def recording_snapshot(emulator: Any) -> dict[str, Any]:
        snapshots.append(emulator)
        return snapshot(emulator)

    monkeypatch.setattr(view_module, "snapshot", recording_snapshot)
    async with visiting() as visitor:
        await asyncio.sleep(0.02)
        assert snapshots == []
        async with watching(visitor) as stream:
            await event(stream)
        async with asyncio.timeout(5):
            before = -1
            while before != len(snapshots):  # the server notices at its next heartbeat that the viewer is gone
                before = len(snapshots)
                await asyncio.sleep(0.05)
        async with watching(visitor) as stream:
            assert (await event(stream))["accepted"] == 0  # the next viewer is served like the first


async def test_the_server_stops_at_once_with_viewers_connected() -> None:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http:
        async with MockServer() as server:
            visitor = Visitor(server, http)
            streams = [watching(visitor) for _ in range(5)]
            open_streams = [await stream.__aenter__() for stream in streams]
            for stream in open_streams:
                await event(stream)
            left_at = loop.time()
        assert loop.time() - left_at < 0.9
        assert [await stream.read() for stream in open_streams] == [b""] * 5  # ended properly, not cut
        for watched in streams:
            await watched.__aexit__(None, None, None)


async def test_the_dashboard_has_no_round_trip_and_does_not_count_in_the_books() -> None:
    async with visiting(rtt="1000") as visitor:
        started_at = asyncio.get_running_loop().time()
        await visitor.ask("GET", "/")
        books = await visitor.ask("GET", "/books.json")
        assert asyncio.get_running_loop().time() - started_at < 5
        assert (books["posts"], books["submits"]) == ({}, 0)


# -- the request log ---------------------------------------------------------------------------------------------------


async def test_the_log_shows_a_clip_from_accepted_to_fetched() -> None:
    async with visiting(latency="100", speed=1000) as visitor:
        name = (await visitor.submit(durationSeconds=4))["name"]
        running = await visitor.newest()
        assert (running["answer"], running["state"], running["usd"]) == ("accepted", "running", 0)
        await asyncio.sleep(0.105)
        await visitor.poll(name)
        done = await visitor.newest()
        assert (done["state"], done["polls"], done["fetched"], done["usd"]) == ("done", 1, True, 1.6)
        assert done["done_at"] - done["at"] == pytest.approx(100, abs=20)
        assert done["owner"] == "project alpha"


async def test_a_file_counts_as_fetched_only_after_a_whole_download() -> None:
    async with visiting(faults=["download-drop@1"]) as visitor:
        name = (await visitor.submit(DEVELOPER, KEY))["name"]
        done = await visitor.ask("GET", f"/v1beta/{name}", headers=KEY)
        uri = done["response"]["generateVideoResponse"]["generatedSamples"][0]["video"]["uri"]
        path = "/v1beta/" + uri.partition("/v1beta/")[2]
        with pytest.raises(aiohttp.ClientPayloadError):
            await visitor.ask("GET", path, headers=KEY)
        assert (await visitor.newest())["fetched"] is False
        async with visitor.http.get(visitor.server.url + path, headers=KEY) as response:
            assert (await response.read())[4:8] == b"ftyp"
        assert (await visitor.newest())["fetched"] is True


async def test_the_log_distinguishes_refusals_rejections_and_faults() -> None:
    async with visiting(rpm=1, faults=["503@1", "error-13@1"]) as visitor:
        entries = []
        for seconds in (8, 8, 8, 5):
            await visitor.submit(prompt="  a\n boat ", durationSeconds=seconds)
            request = await visitor.newest()
            entries.append(
                (request["answer"], request["why"][:4], request["fault"], request.get("state"), request["prompt"])
            )
        assert entries == [
            ("failed", "", "503", None, "a boat"),
            ("accepted", "", "", "error-13", "a boat"),
            ("refused", "minu", "", None, "a boat"),
            ("rejected", "400:", "", None, "a boat"),
        ]


async def test_the_log_shows_an_accepted_request_with_a_lost_response() -> None:
    async with visiting(faults=["500-after"]) as visitor:
        await visitor.submit()
        request = await visitor.newest()
        assert (request["answer"], request["fault"], request["state"]) == ("accepted", "500-after", "done")


async def test_the_snapshot_does_not_grow_with_the_run() -> None:
    async with visiting() as visitor:
        for number in range(KEPT + 20):
            await visitor.submit(PROJECT.replace("alpha", f"p{number}"), prompt="x" * 5000)
        shown = snapshot(visitor.server.emulator)
        assert len(shown["recent"]) == KEPT
        assert shown["recent"][0]["number"] == KEPT + 20
        assert [lane["owner"] for lane in shown["quotas"]][-1] == f"project p{KEPT + 19}"
        assert len(shown["quotas"]) < KEPT
        assert len(json.dumps(shown)) < 60_000


async def test_quotas_in_use_are_shown_for_each_project_or_key_and_model() -> None:
    async with visiting(rpm=3, quotas=["project=alpha,rpm=2,spend=10"]) as visitor:
        for _ in range(3):
            await visitor.submit()
        await visitor.submit(EXPRESS, KEY)
        alpha, key = (await visitor.ask("GET", "/books.json"))["quotas"]
        assert (alpha["owner"], alpha["accepted"], alpha["refused"]) == ("project alpha", 2, 1)
        assert alpha["rules"] == [
            {"kind": "minute", "used": 2, "limit": 2, "period": 60},
            {"kind": "spend", "used": 6.4, "limit": 10, "period": 600},
        ]
        assert (key["owner"], key["rules"]) == (
            "key …",
            [{"kind": "minute", "used": 1, "limit": 3, "period": 60}],
        )


# -- keys --------------------------------------------------------------------------------------------------------------

SECRETS = ["AIzaSyD-1234567890-very-secret-abcdefghi", "geheim", "k3y", "ya29.a-token-of-some-length"]


@pytest.mark.usefixtures("fast_refresh")
async def test_no_key_is_shown_in_full_anywhere() -> None:
    quotas = [f"key={secret}{more},rpm=1" for secret in SECRETS for more in ("", "*")]
    scenario = Scenario.parse(f"[[at]]\ntime = 0\nquotas = {json.dumps(quotas)}")
    async with visiting(scenario) as visitor, watching(visitor) as stream:
        for secret in SECRETS:
            for headers in ({"x-goog-api-key": secret}, {"Authorization": f"Bearer {secret}"}):
                for _ in range(2):
                    await visitor.submit(EXPRESS, headers)
            await visitor.ask("POST", f"{DEVELOPER}:predictLongRunning?key={secret}", json={})
        shown = json.dumps(snapshot(visitor.server.emulator))
        text = await message(stream)
        while '"submits": 20' not in text:
            text = await message(stream)
        page, books = await visitor.ask("GET", "/"), await visitor.ask("GET", "/books.json")
        everything = [shown, text, page, json.dumps(books), visitor.server.books.summary()]
        assert visitor.server.books.refused > 0  # the rules for these keys applied
        assert [secret for secret in SECRETS for part in everything if secret in part] == []


def test_masked_keys_show_at_most_four_characters_and_differ() -> None:
    masks = Masks()
    shown = [masks.mask(secret) for secret in (*SECRETS, "AIzaSyX-another-key-of-somebody-ending-hi", SECRETS[0])]
    assert shown == ["key AI…hi", "key g…", "key …", "key ya…th", "key AI…hi #2", "key AI…hi"]


def test_prompts_are_shortened_to_one_line() -> None:
    assert shortened("a\n  boat") == "a boat"
    assert len(shortened("x" * 500)) == 140
    assert shortened(None) == ""
