"""A disk that becomes full: submits stop before accepting does, and both go on by themselves."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from aveo3.lifecycle import State
from aveo3.server.door import disk_room
from aveo3.server.door.server import DoorServer
from tests.support.door import MODEL, serving
from tests.support.emulated import emulator

RESOURCE = f"/v1beta/models/{MODEL}"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A disk whose free bytes a test sets."""
    told = SimpleNamespace(free=10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: told)
    return told


async def submit(http: aiohttp.ClientSession, text: str, picture: bytes | None = None) -> int:
    instance: dict[str, Any] = {"prompt": text}
    if picture is not None:
        instance |= {"image": {"bytesBase64Encoded": base64.b64encode(picture).decode(), "mimeType": "image/png"}}
    async with http.post(f"{RESOURCE}:predictLongRunning", json={"instances": [instance]}) as answer:
        assert answer.status != 503 or answer.headers["Retry-After"] == "10"
        return answer.status


async def is_ready(http: aiohttp.ClientSession) -> bool:
    async with http.get("/readyz") as answer:
        assert answer.status == 200 or "disk is full" in await answer.text()
        return answer.status == 200


def counts(door: DoorServer) -> dict[State, int]:
    assert door.session.journal is not None
    return door.session.journal.counts()


async def test_submits_stop_before_accepting_does_and_what_runs_is_downloaded(disk: SimpleNamespace) -> None:
    disk.free = disk_room.FLOOR + 10**9
    async with (
        emulator(latency="60") as google,
        serving(google, rate_limit=2, rate_period=20) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        for number in range(6):
            assert await submit(http, f"boat {number}") == 200
        await asyncio.sleep(1)
        disk.free = disk_room.FLOOR + 1000
        await asyncio.sleep(200)
        assert counts(door) == {State.SUCCEEDED: 2, State.PLANNED: 4}
        assert google.books.submits == 2
        assert not door.session.stats().paused  # no person did it
        async with http.get("/status") as answer:
            server = (await answer.json())["server"]
        assert (server["disk_low"], server["disk_free"], server["not_ready"]) == (True, disk.free, None)


async def test_of_a_disk_that_is_low_everything_but_submits_goes_on(disk: SimpleNamespace) -> None:
    disk.free = disk_room.FLOOR + disk_room.USUAL_VIDEO // 2
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        assert await submit(http, "a boat") == 200
        await asyncio.sleep(100)
        assert (google.books.submits, await is_ready(http)) == (0, True)
        disk.free = disk_room.FLOOR - 1
        await asyncio.sleep(disk_room.OFTEN + 1)
        assert (await submit(http, "a tree"), await is_ready(http)) == (503, False)
        disk.free = 10**12
        await asyncio.sleep(disk_room.OFTEN + 1)
        assert (await submit(http, "a house"), await is_ready(http)) == (200, True)
        await asyncio.sleep(20)
        assert google.books.accepted_by_prompt == {"a boat": 1, "a house": 1}


async def test_media_do_not_eat_up_the_room_between_two_looks(disk: SimpleNamespace) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(400_000)
    disk.free = disk_room.FLOOR + 1_000_000
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        assert [await submit(http, f"boat {n}", picture + bytes([n])) for n in range(4)] == [200, 200, 503, 503]
        assert await submit(http, "without a picture") == 200


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 8 MB; skips where none can be mounted."""
    place = Path("small").absolute()
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if os.name == "nt" or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def test_on_a_real_disk_that_is_full_nothing_is_lost(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_room, "FLOOR", 2_000_000)
    monkeypatch.setattr(disk_room, "USUAL_VIDEO", 1_000_000)
    async with (
        emulator(latency="60") as google,
        serving(google, output_dir=small_disk / "clips") as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        assert await submit(http, "a boat") == 200
        await asyncio.sleep(10)
        filler = small_disk / "filler"
        room = shutil.disk_usage(small_disk).free
        filler.write_bytes(bytes(room - 1_500_000))
        await asyncio.sleep(10)
        assert (await submit(http, "a tree"), await is_ready(http)) == (503, False)
        await asyncio.sleep(100)
        assert counts(door) == {State.SUCCEEDED: 1}  # what ran was downloaded
        filler.write_bytes(bytes(room - 2_400_000 - 2 * 100_000))
        await asyncio.sleep(10)
        assert (await submit(http, "a tree"), await is_ready(http)) == (200, True)
        with filler.open("ab") as file, pytest.raises(OSError, match="No space left"):
            file.write(bytes(8_000_000))
        await submit(http, "a house", b"\x89PNG\r\n\x1a\n" + bytes(400_000))  # before it has looked
        await asyncio.sleep(200)
        filler.unlink()
        await asyncio.sleep(200)
        assert (await submit(http, "a garden"), await is_ready(http)) == (200, True)
        await asyncio.sleep(200)
        assert {**google.books.accepted_by_prompt, "a house": 1} == dict.fromkeys(
            ("a boat", "a tree", "a house", "a garden"), 1
        )
