"""The live page of the door: true figures of all callers, a bounded part of the requests, what an operator does."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aveo3.journal.reader import JournalReader
from aveo3.report.view import ClipRow
from aveo3.server.door import page_rows, page_view, server_file
from aveo3.server.door.callers import Caller, CallerFile
from aveo3.server.door.page_view import DoorView
from aveo3.server.door.server import DoorServer
from aveo3.server.page.relay import RelayAnswers
from aveo3.server.page.server import PageServer
from tests.support.door import MODEL, accept, serving
from tests.support.emulated import emulator
from tests.support.page import Browser, PlainAssets, news

OUT = Path("clips")


async def look(view: DoorView) -> dict[str, Any]:
    """What the page shows after a look that finds everything."""
    await asyncio.sleep(page_view.EVERY + 1)
    await view.refresh()
    return json.loads(json.dumps(view.shown.view()))  # type: ignore[no-any-return]


def order(door: DoorServer, number: int, *, caller: str = "alice", **values: Any) -> list[str]:
    """The keys of the rows of so many new requests."""
    made = [
        accept(door.session, door._dispatcher, f"boat {each} of {caller}", caller=caller, model=MODEL, **values)
        for each in range(number)
    ]
    journal = door.session.journal
    assert journal is not None
    journal.commit()
    return [str(request.job) for request in made]


def row_of(shown: dict[str, Any], key: str) -> ClipRow | None:
    found: list[ClipRow] = [row for row in shown["clips"] if row["key"] == key]
    return found[0] if found else None


def figures(shown: dict[str, Any], caller: str, *names: str) -> tuple[Any, ...]:
    [row] = [row for row in shown["server"]["callers"] if row["name"] == caller]
    return tuple(row[name] for name in names)


async def test_the_page_tells_what_waits_runs_and_is_done_by_caller() -> None:
    callers = CallerFile(OUT)
    alice, bob = callers.add(Caller(name="alice", day_budget=50, total_budget=500)), callers.add(Caller(name="bob"))
    callers.add(Caller(name="watch", operator=True))
    async with (
        emulator(rpm=2, latency="40") as google,
        serving(google, rate_limit=2) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        view = door.page_view()
        for key in (alice, alice, alice, alice, bob):
            body, headers = {"instances": [{"prompt": "a boat"}]}, {"x-goog-api-key": key}
            path = f"/v1beta/models/{MODEL}:predictLongRunning"
            async with http.post(path, json=body, headers=headers) as answer:
                assert answer.status == 200
        callers.remove("bob")
        await asyncio.sleep(20)
        shown = await look(view)
        assert shown["server"]["counts"] == {"waiting": 3, "running": 2}
        assert {row["name"] for row in shown["server"]["callers"]} == {"alice", "bob"}
        assert sum(figures(shown, name, "waiting")[0] for name in ("alice", "bob")) == 3
        assert [figures(shown, name, "has_key")[0] for name in ("alice", "bob")] == [True, False]
        assert sorted(row["status"] for row in shown["clips"]) == ["running"] * 2 + ["waiting"] * 3
        assert {row["caller"] for row in shown["clips"]} == {"alice", "bob"}
        [lane] = shown["lanes"]
        assert (lane["name"], lane["used"], lane["limit"], lane["running"]) == (MODEL, 2, 2, 2)
        assert lane["waits"] == "quota"
        await asyncio.sleep(300)
        shown = await look(view)
        assert shown["server"]["counts"] == {"succeeded": 5}
        assert figures(shown, "alice", "waiting", "running", "succeeded", "failed") == (0, 0, 4, 0)
        assert [row["status"] for row in shown["clips"]] == ["succeeded"] * 5
        spent = sum(figures(shown, name, "spent_usd")[0] for name in ("alice", "bob"))
        assert spent == pytest.approx(google.books.billed_usd)
        [mine] = figures(shown, "alice", "spent_usd")
        assert [(each["per"], each["left_usd"]) for each in figures(shown, "alice", "left")[0]] == [
            ("day", pytest.approx(50 - mine)),
            ("all", pytest.approx(500 - mine)),
        ]


async def test_the_page_shows_a_bounded_part_and_some_of_each_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("MOST_WAITING", 20), ("MOST_ENDED", 10), ("MOST_RUNNING", 5)):
        monkeypatch.setattr(page_rows, name, most)
    async with emulator(latency="5") as google, serving(google, rate_limit=20, max_concurrency=3) as door:
        view = door.page_view()
        order(door, 90)
        last = order(door, 2, caller="bob")
        shown = await look(view)
        assert len(shown["clips"]) <= 20 + 10 + 5
        assert all(row_of(shown, key) is not None for key in last)
        assert sum(shown["server"]["counts"].values()) == 92
        assert figures(shown, "bob", "waiting", "running", "succeeded")[0] + google.books.submits > 0
        await asyncio.sleep(120)
        shown = await look(view)
        ended = [row for row in shown["clips"] if row["status"] == "succeeded"]
        assert len(ended) == 10
        assert {row["caller"] for row in ended} == {"alice", "bob"}  # whose two ended long ago
        assert shown["server"]["counts"]["succeeded"] > 30
        other = door.page_view()  # of a server that had no page so far
        shown = await look(other)
        assert len([row for row in shown["clips"] if row["status"] == "succeeded"]) == 10


async def test_a_look_at_a_long_queue_reads_only_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures and rows of 3,000 requests cost as many rows as those of 30, once it is known what ended."""
    read: list[int] = []
    async with emulator(latency="600") as google, serving(google, rate_limit=1, rate_period=3600) as door:
        view = door.page_view()
        order(door, 3_000)
        await look(view)
        loaded = JournalReader.read

        def counted(journal: Any, *arguments: Any) -> Any:
            found = loaded(journal, *arguments)
            read.append(len(found))
            return found

        monkeypatch.setattr(JournalReader, "read", counted)
        shown = await look(view)
        assert shown["server"]["counts"]["waiting"] > 2_900
        assert 0 < sum(read) < 30


async def test_files_that_the_server_removed_are_no_trouble() -> None:
    async with emulator(latency="5") as google, serving(google) as door:
        view = door.page_view()
        first, second = order(door, 2)
        await asyncio.sleep(60)
        assert [len(row["videos"]) for row in (await look(view))["clips"]] == [1, 1]
        assert door.session.journal is not None
        door.session.journal.stored_files.remove([int(first)], datetime.now(UTC), "VEO3_RETENTION")
        door.session.journal.commit()
        shown = await look(view)
        gone, kept = row_of(shown, first), row_of(shown, second)
        assert gone is not None
        assert kept is not None
        assert (gone["videos"], gone["next_move"]) == ([], None)
        assert gone["error_message"] == "Its video is not kept on this server any more: VEO3_RETENTION."
        assert len(kept["videos"]) == 1
        assert view.films_of(first) == ()


async def test_an_operator_cancels_what_waits_and_nothing_else() -> None:
    async with emulator(latency="40") as google, serving(google, rate_limit=1) as door:
        view = door.page_view()
        first, second, third = order(door, 3)
        await look(view)
        assert await view.cancel(third) is None
        assert "has been sent" in (await view.cancel(first) or "")
        assert "has been sent" in (await view.cancel(third) or "")
        for wrong in ("99", "", "x", "1; DROP TABLE jobs", "٣"):
            assert await view.cancel(wrong) == "This page lists no such request."
        await asyncio.sleep(300)
        shown = await look(view)
        cancelled = row_of(shown, third)
        assert cancelled is not None
        assert (cancelled["status"], cancelled["error_message"]) == (
            "cancelled",
            "cancelled by the operator before it was sent",
        )
        assert [row_of(shown, key)["status"] for key in (first, second)] == ["succeeded"] * 2  # type: ignore[index]
        assert google.books.accepted == 2


async def test_a_pause_on_the_page_sends_nothing_and_loses_nothing() -> None:
    async with emulator(latency="10") as google, serving(google) as door:
        view = door.page_view()
        view.actions()["pause"]()
        order(door, 2)
        await asyncio.sleep(600)
        shown = await look(view)
        assert shown["run"]["paused"] is True
        assert (google.books.submits, shown["server"]["counts"]) == (0, {"waiting": 2})
        view.actions()["go-on"]()
        await asyncio.sleep(100)
        shown = await look(view)
        assert (google.books.accepted, shown["run"]["paused"]) == (2, False)
        assert set(view.actions()) == {"pause", "go-on"}  # a server is stopped by its terminal


async def test_a_paused_lane_says_why_and_until_when() -> None:
    async with emulator(rpm=1) as google, serving(google, rate_limit=50) as door:
        view = door.page_view()
        order(door, 3)
        await asyncio.sleep(10)
        [lane] = (await look(view))["lanes"]
        assert lane["opens_utc"] is not None
        assert "quota" in lane["reason"].lower()


@pytest.mark.real_time  # a client of the page's server
async def test_only_the_page_itself_may_cancel() -> None:
    async with emulator(latency="40") as google, serving(google, rate_limit=1, rate_period=600) as door:
        view = door.page_view()
        *_, last = order(door, 3)
        async with PageServer(view, assets=PlainAssets()) as server, Browser(server) as browser:
            await view.refresh()
            for origin in ("http://evil.example", "null", server.guard.url):
                async with browser.post(f"cancel/{last}", Origin=origin) as answer:
                    assert answer.status == 403
            async with browser.get(f"cancel/{last}") as answer:
                assert answer.status in (403, 404, 405)
            async with browser.post("cancel/12345") as answer:
                assert (answer.status, await answer.text()) == (409, "This page lists no such request.")
            assert google.books.submits <= 1
            async with browser.post(f"cancel/{last}") as answer:
                assert answer.status == 200
            async with browser.post(f"cancel/{last}") as answer:
                assert answer.status == 409


def test_of_whom_most_has_ended_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_rows, "MOST_ENDED", 6)
    rng = random.Random(1)
    ended = dict.fromkeys(range(2, 40), "alice") | {1: "bob"} | {50: "carol", 51: "carol"}
    page_rows.trim(ended)
    assert ended == {37: "alice", 38: "alice", 39: "alice", 1: "bob", 50: "carol", 51: "carol"}
    many = {job: f"caller-{rng.randint(1, 20)}" for job in range(500)}
    page_rows.trim(many)
    assert len(many) == 6


async def test_nobody_looks_so_nothing_is_read() -> None:
    async with emulator() as google, serving(google) as door:
        view = door.page_view()
        order(door, 3)
        async with PageServer(view, assets=PlainAssets()):
            await asyncio.sleep(60)
            assert view.shown.changes == 0
            assert view._known.event is None


async def statuses(http: aiohttp.ClientSession, key: str | None) -> list[int]:
    """What each address of the page answers to somebody with this key."""
    headers = {} if key is None else {"x-goog-api-key": key}
    found = []
    for method, path in (
        ("GET", "/page/events"),
        ("GET", "/page/videos/1/0"),
        ("GET", "/page/posters/1/0"),
        ("POST", "/page/actions/pause"),
        ("POST", "/page/actions/go-on"),
        ("POST", "/page/cancel/1"),
    ):
        async with http.request(method, path, headers=headers) as answer:
            found.append(answer.status)
    return found


async def test_from_other_processes_only_an_operator_or_the_owner_of_the_directory_reaches_the_page() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        found = server_file.read(OUT)
        assert found is not None
        assert await statuses(http, None) == [403] * 6  # whoever is on this machine may order, but stops nothing
        allowed = [200, 404, 404, 200, 200, 409]
        assert await statuses(http, found[1]) == allowed
        callers = CallerFile(OUT)
        alice, watch = callers.add(Caller(name="alice")), callers.add(Caller(name="watch", operator=True))
        boss = callers.add(Caller(name="boss", operator=True, steers=True))
        assert await statuses(http, None) == [401] * 6
        assert await statuses(http, "aveo3_wrong") == [401] * 6
        assert await statuses(http, alice) == [403] * 6
        assert await statuses(http, watch) == [*allowed[:3], 403, 403, 403]  # it only shows
        assert await statuses(http, boss) == allowed
        assert await statuses(http, found[1]) == allowed
        assert not door.session.stats().paused


@pytest.mark.real_time  # clients of two servers
async def test_a_page_in_another_process_passes_on_what_it_shows_and_does() -> None:
    watch = CallerFile(OUT).add(Caller(name="watch", operator=True, steers=True))
    async with emulator(latency="0.2") as google, serving(google, rate_limit=1, rate_period=600) as door:
        *_, last = order(door, 3)
        relay = RelayAnswers("clips", lambda: (door.url, watch))
        async with PageServer(answers=relay, assets=PlainAssets()) as server, Browser(server) as browser:
            async with browser.get("events") as stream:
                seen: dict[str, Any] = {}
                async for kind, data in news(stream):
                    assert watch not in json.dumps(data)
                    rows = {row["key"]: row for row in [*seen.get("clips", []), *data.get("clips", [])]}
                    seen = {**(seen if kind == "patch" else {}), **data, "clips": [*rows.values()]}
                    if any(row["videos"] for row in seen["clips"]) and last in rows:
                        break
            assert seen["server"]["counts"]["waiting"] == 2
            [video] = [video for row in seen["clips"] for video in row["videos"]]
            async with browser.get(video["src"], headers={"Range": "bytes=4-7"}) as answer:
                assert (answer.status, await answer.read()) == (206, b"ftyp")
            assert await browser.status("videos/..%2F..%2Fstatus/0") == 404
            async with browser.post(f"cancel/{last}", Origin="http://evil.example") as answer:
                assert answer.status == 403
            async with browser.post(f"cancel/{last}") as answer:
                assert answer.status == 200
            async with browser.post("actions/pause") as answer:
                assert answer.status == 200
            assert door.session.stats().paused
            assert door.waiting <= 1


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("found", "said"),
    [(None, "The server does not run."), (("http://127.0.0.1:1", None), "The server does not answer.")],
)
async def test_a_server_that_is_gone_is_told(found: tuple[str, str | None] | None, said: str) -> None:
    relay = RelayAnswers("clips", lambda: found)
    async with (
        PageServer(answers=relay, assets=PlainAssets()) as server,
        Browser(server) as browser,
        browser.get("events") as answer,
    ):
        assert (answer.status, await answer.text()) == (502, said)
