"""How long the files of ended requests stay: by age, by room, and never while somebody needs them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aveo3 import VeoClient
from aveo3.errors import JournalError
from aveo3.mock import MockServer
from aveo3.server.door import video_store
from aveo3.server.door.server import DoorServer
from tests.support.door import MODEL
from tests.support.emulated import emulator, quick

DEVELOPER = f"/v1beta/models/{MODEL}"
VERTEX = f"/v1/publishers/google/models/{MODEL}"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURE = {"bytesBase64Encoded": base64.b64encode(PNG).decode(), "mimeType": "image/png"}
SPAN = 100
"""Seconds that files are kept."""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_store, "EVERY", 5.0)
    monkeypatch.setattr(video_store, "GRACE", timedelta(seconds=50))


def loop_time_utc() -> datetime:
    return datetime(2026, 11, 27, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


@asynccontextmanager
async def serving(google: MockServer, **values: Any) -> AsyncIterator[tuple[DoorServer, aiohttp.ClientSession]]:
    chosen = quick(google, **{"journal": "auto", "poll_interval": 0.5, **values})
    async with DoorServer(chosen, port=0, now_utc=loop_time_utc) as door, aiohttp.ClientSession(door.url) as http:
        yield door, http


async def submit(http: aiohttp.ClientSession, text: str, *, resource: str = DEVELOPER, **instance: Any) -> str:
    async with http.post(
        f"{resource}:predictLongRunning", json={"instances": [{"prompt": text, **instance}]}
    ) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["name"])


async def poll(http: aiohttp.ClientSession, name: str) -> dict[str, Any]:
    if "publishers" in name:
        how = http.post(f"{VERTEX}:fetchPredictOperation", json={"operationName": name})
    else:
        how = http.get(f"/v1beta/{name}")
    async with how as answer:
        return dict(await answer.json())


async def fetch(http: aiohttp.ClientSession, name: str, *, span: str | None = None) -> int:
    """Download the video of a request; the status of the answer."""
    headers = {} if span is None else {"Range": f"bytes={span}"}
    number = name.rpartition("/")[2]
    async with http.get(f"/v1beta/files/{number}0:download?alt=media", headers=headers) as answer:
        await answer.read()
        return answer.status


def files(directory: Path) -> list[Path]:
    return [*directory.iterdir()]


def films() -> set[Path]:
    return set(Path("clips").rglob("*.mp4"))


async def test_files_go_when_they_are_old_and_a_poll_names_the_setting() -> None:
    async with emulator() as google:
        async with VeoClient(quick(google, journal="auto")) as veo:
            await veo.generate("a boat")  # in the same directory, and no business of the server
        kept = films()
        async with serving(google, retention=SPAN) as (_, http):
            names = [await submit(http, "a boat"), await submit(http, "a boat", resource=VERTEX)]
            await asyncio.sleep(SPAN - 30)
            assert len(films()) == 3
            assert [("error" in await poll(http, name)) for name in names] == [False, False]
            await asyncio.sleep(40)
            assert films() == kept
            for name in names:
                error = (await poll(http, name))["error"]
                assert error["code"] == 5
                assert "not kept on this server any more: VEO3_RETENTION since 2026-11-27 00:" in error["message"]
            assert await fetch(http, names[0]) == 404
        async with serving(google) as (_, http):
            assert (await poll(http, names[0]))["error"]["code"] == 5
            assert films() == kept


async def test_media_of_requests_that_failed_go_by_age_and_those_of_waiting_ones_stay() -> None:
    media = Path("clips", ".aveo3", "media")
    async with emulator(faults=["filtered-input:1"]) as google:
        async with serving(google, retention=SPAN, rate_limit=1, rate_period=200) as (_, http):
            failed = await submit(http, "a boat", image=PICTURE)
            await asyncio.sleep(20)
            other = {**PICTURE, "bytesBase64Encoded": base64.b64encode(PNG + b"\0").decode()}
            await submit(http, "a tree", image=PICTURE)
            await submit(http, "a house", image=other)
            assert "error" in await poll(http, failed)
            await asyncio.sleep(SPAN + 20)
            assert len(files(media)) == 2  # both wait for their turn with them
        async with serving(google, retention=SPAN) as (_, http):
            await asyncio.sleep(600)
            assert files(media) == []
            assert google.books.accepted_by_prompt == {"a boat": 1, "a tree": 1, "a house": 1}


async def test_for_room_only_what_was_fetched_goes_the_one_longest_ago_first() -> None:
    async with emulator() as google:
        async with serving(google) as (_, http):
            names = [await submit(http, f"boat {number}") for number in range(4)]
            await asyncio.sleep(20)
            size = next(iter(films())).stat().st_size
            assert await fetch(http, names[2]) == 200
            await asyncio.sleep(1)
            assert await fetch(http, names[0]) == 200
        async with serving(google, disk_limit=int(3.5 * size)) as (door, http):
            await asyncio.sleep(30)
            assert len(films()) == 4  # it was fetched a moment ago, and may be fetched again
            await asyncio.sleep(60)
            assert [await fetch(http, name, span="0-0") for name in names] == [206, 206, 404, 206]
            assert "VEO3_DISK_LIMIT" in (await poll(http, names[2]))["error"]["message"]
            assert door.session.journal is not None
            assert door.session.journal.stored_files.total().everything == 3 * size
            async with http.get("/metrics") as answer:
                figures = dict(line.rsplit(" ", 1) for line in (await answer.text()).splitlines())
            assert float(figures["aveo3_stored_bytes"]) == 3 * size
            assert float(figures["aveo3_stored_fetched_bytes"]) == size
            assert float(figures['aveo3_requests_removed_total{setting="VEO3_DISK_LIMIT"}']) == 1
            async with http.get("/status") as answer:
                status = await answer.json()
            assert status["videos"] == {"bytes": 3 * size, "fetched_bytes": size}
            assert status["server"]["disk_limit"] == int(3.5 * size)
        async with serving(google, disk_limit=1) as (_, http):
            await asyncio.sleep(SPAN)
            assert [await fetch(http, name, span="0-0") for name in names] == [404, 206, 404, 206]


@pytest.mark.parametrize(
    ("spans", "goes"), [(["0-99"], False), (["0-99", "100-"], True), (["100-"], True), (["-1"], True)]
)
async def test_a_video_is_fetched_when_its_last_byte_was_sent(spans: list[str], goes: bool) -> None:
    async with emulator() as google, serving(google, disk_limit=1) as (_, http):
        name = await submit(http, "a boat")
        await asyncio.sleep(20)
        for span in spans:
            assert await fetch(http, name, span=span) == 206
        await asyncio.sleep(SPAN)
        assert films() == set() if goes else len(films()) == 1


async def test_of_two_videos_of_a_request_none_goes_before_both_were_fetched() -> None:
    async with emulator() as google, serving(google, disk_limit=1) as (_, http):
        body = {"instances": [{"prompt": "a boat"}], "parameters": {"sampleCount": 2}}
        async with http.post(f"{VERTEX}:predictLongRunning", json=body) as answer:
            name = (await answer.json())["name"]
        await asyncio.sleep(20)
        assert await fetch(http, name) == 200
        await asyncio.sleep(SPAN)
        assert len(films()) == 2
        assert len((await poll(http, name))["response"]["videos"]) == 2  # inline: both at once
        await asyncio.sleep(SPAN)
        assert films() == set()


async def test_what_is_being_sent_stays_until_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator() as google, serving(google, retention=SPAN) as (_, http):
        name = await submit(http, "a boat")
        await asyncio.sleep(SPAN - 10)
        let_go = asyncio.Event()
        original = aiohttp.web.StreamResponse.write_eof

        async def later(self: Any, data: bytes = b"") -> None:
            if isinstance(self, aiohttp.web.FileResponse):
                await let_go.wait()
            await original(self, data)

        monkeypatch.setattr(aiohttp.web.StreamResponse, "write_eof", later)
        download = asyncio.create_task(fetch(http, name))
        await asyncio.sleep(30)
        assert len(films()) == 1
        let_go.set()
        assert await download == 200
        await asyncio.sleep(20)
        assert films() == set()


async def test_what_the_journal_could_not_note_is_noted_by_the_next_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator() as google, serving(google, retention=SPAN) as (door, http):
        name = await submit(http, "a boat")
        assert door.session.journal is not None
        stored = door.session.journal.stored_files
        failures: list[int] = []
        remove = stored.remove

        def refuse_once(*arguments: Any) -> None:
            if not failures:
                failures.append(len(films()))
                raise JournalError("the disk is full")
            remove(*arguments)

        monkeypatch.setattr(stored, "remove", refuse_once)
        await asyncio.sleep(SPAN + 20)
        assert failures == [0]  # the file was gone by then
        assert "VEO3_RETENTION" in (await poll(http, name))["error"]["message"]
        assert stored.total().everything == 0


async def test_another_file_in_the_place_of_a_video_stays() -> None:
    async with emulator() as google, serving(google, retention=SPAN) as (_, http):
        await submit(http, "a boat")
        await asyncio.sleep(20)
        [film] = films()
        film.write_bytes(b"my own")
        await asyncio.sleep(SPAN + 20)
        assert film.read_bytes() == b"my own"


async def test_a_video_that_its_caller_deleted_takes_no_room_any_more() -> None:
    async with emulator() as google, serving(google) as (door, http):
        async with http.post("/v1/videos", json={"prompt": "a boat"}) as answer:
            video = (await answer.json())["id"]
        await asyncio.sleep(20)
        assert door.session.journal is not None
        assert door.session.journal.stored_files.total().everything > 0
        async with http.delete(f"/v1/videos/{video}") as answer:
            assert answer.status == 200
        assert door.session.journal.stored_files.total().everything == 0
