"""The operator's view: figures of all callers, for whom they are meant, and a true account of what waits and runs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aveo3.cli.commands import serve as serve_command
from aveo3.models import VideoPrompt
from aveo3.server.door import server_file
from aveo3.server.door.callers import Caller, CallerFile
from aveo3.server.door.media_store import MediaStore
from aveo3.server.door.server import DoorServer
from aveo3.telemetry import instruments
from tests.support.door import MODEL, serving
from tests.support.emulated import emulator, quick
from tests.support.terminal import run

DEVELOPER = f"/v1beta/models/{MODEL}"
OUT = Path("clips")


def add(name: str, **fields: Any) -> str:
    return CallerFile(OUT).add(Caller(name=name, **fields))


def save_key(key: str) -> None:
    Path("key").write_text(f"{key}\n")


async def submit(http: aiohttp.ClientSession, key: str | None, text: str = "a boat") -> str:
    headers = {} if key is None else {"x-goog-api-key": key}
    body = {"instances": [{"prompt": text}]}
    async with http.post(f"{DEVELOPER}:predictLongRunning", json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["name"])


async def scraped(http: aiohttp.ClientSession, key: str | None = None) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, as Prometheus's own parser reads them."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with http.get("/metrics", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        text = await answer.text()
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def values(seen: dict[tuple[str, ...], float], name: str) -> list[float]:
    return [value for key, value in seen.items() if key[0] == name]


def loop_time_utc() -> datetime:
    """The loop's time, which jumps, as a calendar time."""
    return datetime(2026, 11, 27, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


async def test_metrics_tell_what_waits_runs_is_done_and_what_it_cost() -> None:
    alice, bob, watch = add("alice"), add("bob"), add("watch", operator=True)
    async with (
        emulator(rpm=2, latency="40") as google,
        DoorServer(
            quick(google, journal="auto", poll_interval=0.5, rate_limit=2), port=0, now_utc=loop_time_utc
        ) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        for number in range(4):
            await submit(http, alice, f"boat {number}")
        name = await submit(http, bob, "a tree")
        await submit(http, bob, "a house")
        async with http.post(f"{DEVELOPER}:predictLongRunning", json={}, headers={"x-goog-api-key": bob}) as answer:
            assert answer.status == 400
        await asyncio.sleep(20)
        seen = await scraped(http, watch)
        assert seen["aveo3_requests_accepted_total", "alice"] == 4
        assert seen["aveo3_requests_accepted_total", "bob"] == 2
        assert seen["aveo3_accept_seconds_count",] == 6
        assert [sum(values(seen, f"aveo3_requests_{what}")) for what in ("waiting", "running")] == [4, 2]
        assert door.waiting == 2  # the next of each caller stands ready, and waits in no line any more
        assert max(values(seen, "aveo3_oldest_wait_seconds")) == pytest.approx(20, abs=1)
        assert seen["aveo3_lane_running", MODEL] == 2
        assert seen["aveo3_quota_used", MODEL] == seen["aveo3_quota_limit", MODEL] == 2
        assert seen["aveo3_breaker_state", MODEL, "closed"] == 1
        assert seen["aveo3_breaker_state", MODEL, "open"] == 0
        assert seen["aveo3_in_flight_usd",] > 0
        assert seen["aveo3_http_errors_total", "400"] == 1
        async with http.post(f"/v1beta/{name}:cancel", headers={"x-goog-api-key": bob}) as answer:
            is_cancelled = answer.status == 200
        await asyncio.sleep(300)
        seen = await scraped(http, watch)
        assert seen.get(("aveo3_requests_ended_total", "bob", "cancelled"), 0) == is_cancelled
        assert sum(values(seen, "aveo3_requests_ended_total")) == 6
        assert seen["aveo3_spent_usd_total",] == pytest.approx(google.books.billed_usd)
        assert values(seen, "aveo3_requests_waiting") == values(seen, "aveo3_requests_running") == []


async def test_refusals_are_counted_by_kind() -> None:
    async with (
        emulator(rpm=1) as google,
        serving(google, rate_limit=50) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        for number in range(3):
            await submit(http, None, f"boat {number}")
        await asyncio.sleep(600)
        seen = await scraped(http)
        refusals = {key[1:]: value for key, value in seen.items() if key[0] == "aveo3_google_refusals_total"}
        assert sum(refusals.values()) == google.books.refused > 0


async def test_metrics_have_every_name_of_opentelemetry_as_prometheus_spells_it() -> None:
    async with (
        emulator(latency="40") as google,
        DoorServer(quick(google, journal="auto", poll_interval=0.5), port=0, now_utc=loop_time_utc) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        await submit(http, None)
        await asyncio.sleep(300)
        async with http.get("/metrics") as answer:
            families = {each.name: each for each in text_string_to_metric_families(await answer.text())}
        for each in instruments.INSTRUMENTS.values():
            assert families[each.prometheus].type == each.kind
        duration = {
            sample.name: sample.value
            for sample in families["gen_ai_client_operation_duration_seconds"].samples
            if sample.labels.get("gen_ai_request_model") == MODEL and "le" not in sample.labels
        }
        assert duration["gen_ai_client_operation_duration_seconds_count"] == 1
        assert duration["gen_ai_client_operation_duration_seconds_sum"] >= 40
        assert families["aveo3_clips"].samples[0].labels == {"status": "succeeded"}


async def test_no_caller_sees_the_figures_of_others_and_an_operator_orders_nothing() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        assert ("aveo3_paused",) in await scraped(http)  # without keys, this machine may see all
        alice, watch = add("alice"), add("watch", operator=True)
        for key, status in ((None, 401), (alice, 403), (watch, 200)):
            headers = {} if key is None else {"x-goog-api-key": key}
            async with http.get("/metrics", headers=headers) as answer:
                assert answer.status == status
        body = {"instances": [{"prompt": "a boat"}]}
        headers = {"x-goog-api-key": watch}
        async with http.post(f"{DEVELOPER}:predictLongRunning", json=body, headers=headers) as answer:
            assert answer.status == 403
        assert google.books.submits == 0


async def test_however_many_callers_come_labels_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "MOST", 2)
    keys = [add(f"caller-{number}") for number in range(5)]
    watch = add("watch", operator=True)
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        for key in keys:
            await submit(http, key)
        seen = await scraped(http, watch)
        accepted = {key[1]: value for key, value in seen.items() if key[0] == "aveo3_requests_accepted_total"}
        assert accepted == {"caller-0": 1, "caller-1": 1, instruments.OTHER: 3}


async def test_without_the_package_the_door_works_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "aveo3.server.door.metrics")
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        await submit(http, None)
        async with http.get("/metrics") as answer:
            assert answer.status == 501
            assert "pip install 'aveo3[server]'" in await answer.text()


@pytest.mark.real_time  # the command asks the server from a thread of its own
async def test_status_finds_the_server_of_a_directory_and_tells_all() -> None:
    alice, watch = add("alice"), add("watch", operator=True)
    save_key(watch)
    async with emulator(latency="60") as google, serving(google, rate_limit=2) as door:
        async with aiohttp.ClientSession(door.url) as http:
            for number in range(5):
                await submit(http, alice, f"boat {number}")
            while google.books.accepted < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            for arguments in (["clips"], [door.url, "--key-file", "key"]):
                code, stdout, _ = await asyncio.to_thread(run, "serve", "status", "--json", *arguments)
                told = json.loads(stdout)
                assert code == 0
                assert told["server"] == {**told["server"], "url": door.url, "not_ready": None, "paused": False}
                [caller] = told["callers"]
                assert (caller["caller"], caller["waiting"], caller["running"]) == ("alice", 3, 2)
                [lane] = told["lanes"]
                assert (lane["lane"], lane["running"], lane["quota_limit"]) == (MODEL, 2, 2)
                assert lane["breaker"] == "closed"
            code, stdout, _ = await asyncio.to_thread(run, "serve", "status", "clips")
            assert code == 0
            assert stdout.startswith(f"{door.url} takes requests (process ")
            assert re.search(r"^alice \(local\) +3 +\d s +2 +", stdout, re.MULTILINE)
            assert f"lane {MODEL}: 2 of 2 in 60 s used; 2 running; 2 accepted, 0 refused; breaker closed" in stdout
            assert watch not in stdout
            for arguments in ([door.url], [f"{door.url}/v1", "--key-file", "key"]):
                code, stdout, stderr = await asyncio.to_thread(run, "serve", "status", *arguments)
                assert (code, stdout) == (2, "")
                assert "to operators only" in stderr or "is no server of aveo3" in stderr
        private = (OUT / server_file.FILE).stat().st_mode
        assert os.name == "nt" or private & 0o077 == 0
        left = (OUT / server_file.FILE).read_text()
    assert not (OUT / server_file.FILE).exists()
    (OUT / server_file.FILE).write_text(left)  # as a kill would have left it
    code, stdout, _ = await asyncio.to_thread(run, "serve", "status", "clips")
    assert code == 0
    assert stdout.startswith("no server runs: what waits goes on when `aveo3 serve` is started")
    assert re.search(r"^alice \(local\) +3 +\d s +2 +", stdout, re.MULTILINE)


def test_status_without_journal_or_server_says_so() -> None:
    code, _, stderr = run("serve", "status", "clips")
    assert (code, "clips does not exist, so there is no journal" in stderr) == (2, True)
    code, _, stderr = run("serve", "status", "http://127.0.0.1:1")
    assert (code, "no server answers at http://127.0.0.1:1" in stderr) == (2, True)
    code, _, stderr = run("serve", "status", "http://127.0.0.1:1", "--key-file", "missing")
    assert (code, stderr) == (2, "aveo3: --key-file missing cannot be read: No such file or directory.\n")


async def test_the_token_of_the_directory_shows_figures_and_nothing_else() -> None:
    add("alice")
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        found = server_file.read(OUT)
        assert found is not None
        for path, status in (("/status", 200), ("/metrics", 200), ("/v1/videos", 401)):
            async with http.get(path, headers={"x-goog-api-key": found[1]}) as answer:
                assert answer.status == status


def write_lanes(*projects: str) -> None:
    text = "".join(
        f'[[lane]]\nname = "{name}"\nproject = "{name}"\nmodel = "{MODEL}"\nrate_limit = 2\n\n' for name in projects
    )
    Path("lanes.toml").write_text(text)


def change_lanes(text: str) -> None:
    Path("lanes.toml").write_text(text)


async def test_new_lanes_are_used_without_losing_a_request(caplog: pytest.LogCaptureFixture) -> None:
    write_lanes("one")
    async with (
        emulator(rpm=2) as google,
        serving(google, lanes=Path("lanes.toml"), api_key=None, rate_limit=2) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        for number in range(12):
            await submit(http, None, f"boat {number}")
        await asyncio.sleep(10)
        [gate] = [opened.gate for opened in door.session.lane_pool.open_lanes.values()]
        write_lanes("one", "two")
        await door.reload()
        await asyncio.sleep(20)
        assert google.books.accepted == 4  # two of each lane, within half a minute
        write_lanes("two")
        await door.reload()
        await asyncio.sleep(500)
        assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(12)}
        assert google.books.refused == 0
        assert door.session.stats().gates["one"].accepted < 6
        write_lanes("one", "two")
        await door.reload()
        gates = {lane.name: opened.gate for lane, opened in door.session.lane_pool.open_lanes.items()}
        assert gates["one"] is gate  # its quota is counted once
        assert len(door.session.lane_pool.open_lanes) == 2
    assert "lanes stay as they were" not in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[lane", "lanes.toml"),
        ('[[lane]]\nname = "one"\nproject = "one"\nrate_limit = 3\n', "lane one is in use and has changed"),
        (
            '[[lane]]\nname = "two"\nproject = "two"\nmodel = "veo-3.1-fast-generate-001"\n',
            f"requests for {MODEL} wait, and the new lanes cannot take them",
        ),
    ],
)
async def test_lanes_that_cannot_be_used_are_told_and_the_old_ones_stay(
    text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_lanes("one")
    async with (
        emulator(rpm=2) as google,
        serving(google, lanes=Path("lanes.toml"), api_key=None, rate_limit=2) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        for number in range(5):
            await submit(http, None, f"boat {number}")
        await asyncio.sleep(1)
        change_lanes(text)
        await door.reload()
        assert said in caplog.text
        assert "the lanes stay as they were" in caplog.text
        await asyncio.sleep(300)
        assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(5)}


async def test_requests_wait_while_the_account_is_closed_and_go_on_after_a_reload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with (
        emulator(faults=["billing@1-2"]) as google,
        serving(google, rate_limit=10) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        names = [await submit(http, None, f"boat {number}") for number in range(5)]
        await asyncio.sleep(300)
        assert google.books.submits == 1  # one found out; the others do not ask again
        names.append(await submit(http, None, "boat 5"))
        for name in names[1], names[-1]:
            async with http.get(f"/v1beta/{name}") as answer:
                metadata = (await answer.json())["metadata"]
            assert metadata["state"] == "waiting"
            assert "whoever runs it must mend that first" in metadata["message"]
            assert "expectedStartTime" not in metadata
        async with http.get("/readyz") as answer:
            assert answer.status == 200
        await door.reload()
        await asyncio.sleep(300)
        assert google.books.submits == 2  # one at a time, and it is closed again
        assert google.books.accepted == 0
        await door.reload()
        await asyncio.sleep(100)
        assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(6)}
        assert f"lane {MODEL} was closed for good, and is tried again" in caplog.text


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
async def test_sighup_reloads_and_sigterm_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def on_signals(callback: Callable[[signal.Signals], object]) -> Iterator[None]:
        for number, name in enumerate(("SIGHUP", "SIGHUP", "SIGTERM"), start=1):
            asyncio.get_running_loop().call_later(10 * number, callback, signal.Signals[name])
        yield

    reloads = []

    async def reload(_: DoorServer) -> None:
        reloads.append(asyncio.get_running_loop().time())

    monkeypatch.setattr("aveo3.cli.signals.on_signals", on_signals)
    monkeypatch.setattr(DoorServer, "reload", reload)
    async with emulator() as google:
        await serve_command._serve(quick(google, journal="auto"), "127.0.0.1", 0, private_callbacks=False, quiet=True)
    assert len(reloads) == 2


async def test_a_request_whose_lanes_go_while_its_media_are_kept_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = "veo-3.1-fast-generate-001"
    of_two = f'[[lane]]\nname = "two"\nproject = "two"\nmodel = "{fast}"\n'
    of_one = f'[[lane]]\nname = "one"\nproject = "one"\nmodel = "{MODEL}"\n'
    change_lanes(of_one + of_two)
    kept, reloaded, original = threading.Event(), threading.Event(), MediaStore.record

    def record(self: MediaStore, prompt: VideoPrompt) -> Any:
        kept.set()
        assert reloaded.wait(20)
        return original(self, prompt)

    monkeypatch.setattr(MediaStore, "record", record)
    picture = {"bytesBase64Encoded": base64.b64encode(b"\x89PNG\r\n\x1a\n").decode(), "mimeType": "image/png"}
    async with (
        emulator() as google,
        serving(google, lanes=Path("lanes.toml"), api_key=None) as door,
        aiohttp.ClientSession(door.url) as http,
    ):

        async def order() -> int:
            body = {"instances": [{"prompt": "a boat", "image": picture}]}
            async with http.post(f"/v1/publishers/google/models/{fast}:predictLongRunning", json=body) as answer:
                return answer.status

        asking = asyncio.create_task(order())
        while not kept.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        change_lanes(of_one)
        await door.reload()
        reloaded.set()
        assert await asking == 404
        assert door.session.journal is not None
        assert list(door.session.journal.records()) == []
        assert list(Path("clips", ".aveo3", "media").iterdir()) == []  # noqa: ASYNC240
