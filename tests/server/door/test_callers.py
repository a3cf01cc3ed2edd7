"""Named callers: a key each, shares and limits of their own, and nothing of another's."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aveo3.errors import UsageError
from aveo3.lifecycle import State
from aveo3.server.door.callers import Caller, CallerFile, Callers
from aveo3.server.door.server import DoorServer
from tests.support.door import MODEL, serving
from tests.support.emulated import emulator, quick
from tests.support.terminal import run

VERTEX = f"/v1/projects/p/locations/us-central1/publishers/google/models/{MODEL}"
DEVELOPER = f"/v1beta/models/{MODEL}"
OUT = Path("clips")


def add(name: str, **fields: Any) -> str:
    return CallerFile(OUT).add(Caller(name=name, **fields))


async def submit(http: aiohttp.ClientSession, key: str | None, text: str = "a boat", path: str = VERTEX) -> Any:
    """Status, body and headers of a submit."""
    headers = {} if key is None else {"x-goog-api-key": key}
    body = {"instances": [{"prompt": text}]}
    async with http.post(f"{path}:predictLongRunning", json=body, headers=headers) as answer:
        return answer.status, await answer.json(), answer.headers


async def test_a_wrong_key_is_googles_401_and_no_key_is_too() -> None:
    key = add("alice")
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        for wrong in (None, "aveo3_wrong", key[:-1], key + "x"):
            status, body, _ = await submit(http, wrong)
            assert (status, body["error"]["status"]) == (401, "UNAUTHENTICATED")
        for headers, query in (
            ({"x-goog-api-key": key}, ""),
            ({"Authorization": f"Bearer {key}"}, ""),
            ({}, f"?key={key}"),
        ):
            body = {"instances": [{"prompt": "a boat"}]}
            async with http.post(f"{VERTEX}:predictLongRunning{query}", json=body, headers=headers) as answer:
                assert answer.status == 200
        async with http.get("/healthz") as answer:
            assert answer.status == 200


async def test_nobody_sees_anothers_operations_files_or_keys() -> None:
    alice, bob = add("alice"), add("bob")
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        _, body, _ = await submit(http, alice, path=DEVELOPER)
        name = body["name"]
        await asyncio.sleep(10)
        statuses = []
        for key in (alice, bob):
            headers = {"x-goog-api-key": key}
            async with http.get(f"/v1beta/{name}", headers=headers) as answer:
                statuses.append(answer.status)
            async with http.get(f"/v1beta/files/{name.rpartition('/')[2]}0:download", headers=headers) as answer:
                statuses.append(answer.status)
            async with http.post(f"/v1beta/{name}:cancel", headers=headers) as answer:
                statuses.append(answer.status)
        assert statuses == [200, 200, 400, 404, 403, 404]
        headers = {"x-goog-api-key": bob, "Idempotency-Key": "1"}
        names = set()
        for key in (alice, bob):
            headers["x-goog-api-key"] = key
            async with http.post(
                f"{VERTEX}:predictLongRunning", json={"instances": [{"prompt": "a"}]}, headers=headers
            ) as answer:
                names.add((await answer.json())["name"])
        assert len(names) == 2


async def test_callers_share_the_quota_by_weight() -> None:
    keys = {"alice": add("alice"), "bob": add("bob", weight=3)}
    async with emulator() as google, serving(google, rate_limit=4, rate_period=60) as door:
        async with aiohttp.ClientSession(door.url) as http:
            for number in range(40):
                for name, key in keys.items():
                    status, *_ = await submit(http, key, f"{name} {number}")
                    assert status == 200
        await asyncio.sleep(60 * 9)
        shares = Counter(prompt.split()[0] for prompt in google.books.accepted_by_prompt)
        assert abs(shares["bob"] / shares.total() - 0.75) < 0.06, shares


async def test_too_many_waiting_is_a_429_whose_delay_is_true() -> None:
    key = add("alice", max_queued=2)
    async with (
        emulator() as google,
        serving(google, rate_limit=1, rate_period=60) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        assert (await submit(http, key))[0] == 200
        await asyncio.sleep(1)
        assert (await submit(http, key))[0] == 200  # stands ready
        await asyncio.sleep(1)
        for _ in range(2):
            assert (await submit(http, key))[0] == 200
        status, body, headers = await submit(http, key)
        assert (status, body["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
        [info] = body["error"]["details"]
        assert info["@type"] == "type.googleapis.com/google.rpc.RetryInfo"
        wait = int(info["retryDelay"].removesuffix("s"))
        assert headers["Retry-After"] == str(wait)
        await asyncio.sleep(wait + 1)
        assert (await submit(http, key))[0] == 200


async def test_a_budget_per_day_and_in_all_and_models_and_labels() -> None:
    daily, total = add("daily", day_budget=7), add("total", total_budget=4)
    some = add("some", models=["veo-3.1-fast-generate-001"], labels={"team": "film"})
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        assert [(await submit(http, daily))[0] for _ in range(3)] == [200, 200, 429]
        _, body, headers = await submit(http, daily)
        midnight = datetime.fromisoformat(body["error"]["message"].rpartition("begins at ")[2][:16]).replace(tzinfo=UTC)
        assert 0 <= (midnight - datetime.now(UTC)).total_seconds() + 60 - int(headers["Retry-After"]) < 120
        assert [(await submit(http, total))[0] for _ in range(2)] == [200, 402]
        assert (await submit(http, some))[0] == 403
        fast = VERTEX.replace(MODEL, "veo-3.1-fast-generate-001")
        assert (await submit(http, some, path=fast))[0] == 200
        assert door.session.journal is not None
        assert [*door.session.journal.records()][-1].prompt["labels"] == {"team": "film"}
        await asyncio.sleep(30)  # made: spent instead of reserved
        assert (await submit(http, daily))[0] == 429
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        assert [(await submit(http, key))[0] for key in (daily, total)] == [429, 402]


async def test_a_clip_that_was_not_billed_frees_the_budget() -> None:
    key = add("total", total_budget=4)
    async with (
        emulator(faults=["filtered-safety@1"]) as google,
        serving(google) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        assert (await submit(http, key))[0] == 200
        await asyncio.sleep(20)
        assert (await submit(http, key))[0] == 200


async def test_keys_count_at_once_and_a_door_with_keys_never_opens_again() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        assert (await submit(http, None))[0] == 200
        key = add("alice")
        assert (await submit(http, None))[0] == 401
        assert (await submit(http, key))[0] == 200
        CallerFile(OUT).remove("alice")
        assert (await submit(http, key))[0] == 401
        assert (await submit(http, None))[0] == 401
        await asyncio.sleep(10)
        assert door.session.journal is not None
        assert door.session.journal.counts() == {State.SUCCEEDED: 2}


async def test_a_door_to_other_machines_needs_keys() -> None:
    async with emulator() as google:
        with pytest.raises(UsageError, match="give each caller a key first"):
            DoorServer(quick(google, journal="auto"), host="0.0.0.0")
        add("alice")
        async with DoorServer(quick(google, journal="auto"), host="0.0.0.0", port=0):
            pass


def test_a_file_that_is_broken_is_told_and_changes_nothing_for_a_running_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = add("alice")
    callers = Callers(CallerFile(OUT), open_without_keys=True)
    file = CallerFile(OUT).path
    for content in ("{", '{"version": 2, "callers": []}', '{"callers": [{"name": "../x"}]}'):
        file.write_text(content)
        with pytest.raises(UsageError, match=r"callers\.json is no file of callers"):
            Callers(CallerFile(OUT), open_without_keys=True)
        found = callers.of(key)
        assert found is not None
        assert found.name == "alice"
    assert "is no file of callers" in caplog.text
    assert key not in caplog.text


def test_the_key_is_not_kept_and_only_the_owner_may_read_the_file() -> None:
    key = add("alice")
    file = CallerFile(OUT).path
    assert key not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert key not in repr(CallerFile(OUT).read()["alice"])
    with pytest.raises(UsageError, match="alice has a key already"):
        add("alice")


async def test_a_caller_with_the_name_of_an_earlier_one_sees_nothing_of_it_unless_it_takes_over() -> None:
    file = CallerFile(OUT)
    first = add("alice", total_budget=4)
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:

        async def seen(key: str) -> tuple[int, int, int]:
            """Whether the first request and its file are seen, and whether the budget has room for one more."""
            headers = {"x-goog-api-key": key}
            async with http.get(f"/v1beta/{name}", headers=headers) as answer:
                polled = answer.status
            number = name.rpartition("/")[2]
            async with http.get(f"/v1beta/files/{number}0:download?alt=media", headers=headers) as answer:
                return polled, answer.status, (await submit(http, key, "a tree", path=DEVELOPER))[0]

        _, body, _ = await submit(http, first, path=DEVELOPER)
        name = body["name"]
        await asyncio.sleep(10)
        file.remove("alice")
        second = add("alice", total_budget=4)
        assert await seen(second) == (404, 403, 200)
        file.remove("alice")
        third = add("alice", total_budget=4)  # the one before is in nobody's way, either
        assert await seen(third) == (404, 403, 200)
        file.remove("alice")
        again = file.add(Caller(name="alice", total_budget=4), take_over=True)
        assert await seen(again) == (404, 403, 402)  # those of the last one
        assert door.session.journal is not None
        accounts = [request.caller for request, _ in door.session.journal.requests.in_states("local", *State)]
        assert accounts == ["alice", "alice~2", "alice~3"]


async def test_a_new_key_for_the_same_caller_takes_over_what_was_its_own() -> None:
    file = CallerFile(OUT)
    key = add("alice")
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        _, body, _ = await submit(http, key, path=DEVELOPER)
        file.remove("alice")
        new = file.add(Caller(name="alice"), take_over=True)
        for each, status in ((key, 401), (new, 200)):
            async with http.get(f"/v1beta/{body['name']}", headers={"x-goog-api-key": each}) as answer:
                assert answer.status == status


async def test_nobody_inherits_what_a_server_without_keys_has_accepted() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        _, body, _ = await submit(http, None, path=DEVELOPER)
        key = add("local")
        async with http.get(f"/v1beta/{body['name']}", headers={"x-goog-api-key": key}) as answer:
            assert answer.status == 404


def test_keys_add_tells_what_becomes_of_the_requests_of_an_earlier_caller() -> None:
    code, _, stderr = run("serve", "keys", "add", "alice", "--take-over")
    assert (code, stderr) == (2, "aveo3: --take-over: no caller was called alice here before. Leave it out.\n")
    run("serve", "keys", "add", "alice")
    code, _, stderr = run("serve", "keys", "add", "alice")
    assert (code, "add it with --take-over to let its requests" in stderr) == (2, True)
    run("serve", "keys", "remove", "alice")
    _, _, stderr = run("serve", "keys", "add", "alice")
    assert "This key does not see its requests and files" in stderr
    assert "figures call it alice~2" in stderr
    run("serve", "keys", "remove", "alice")
    _, _, stderr = run("serve", "keys", "add", "alice", "--take-over")
    assert "alice goes on with the requests, files and budgets of the caller before it" in stderr
