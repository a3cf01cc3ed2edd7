"""Videos in the JSON of an answer go to files, however the bytes arrive, and the rest stays unchanged."""

from __future__ import annotations

import asyncio
import base64
import errno
import gzip
import json
import os
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from aveo3 import _threads
from aveo3.backends import inline
from aveo3.backends.inline import InlineVideoResponse, InlineVideos
from aveo3.errors import FetchError
from aveo3.files import part_files

VIDEO = bytes(range(256)) * 40
LONG_VIDEO = VIDEO * 200
KEY = "bytesBase64Encoded"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def answer(*videos: bytes, **more: Any) -> dict[str, Any]:
    listed = [{KEY: b64(video), "mimeType": "video/mp4"} for video in videos]
    return {"name": "op", "done": True, "response": {"@type": "x", "videos": listed, **more}}


def sieved(text: bytes, directory: Path, *cuts: int) -> bytes:
    """`text` after the sieve, fed in pieces cut at `cuts`, with every mark replaced again by what is in its file."""
    with InlineVideos(directory) as inline_videos:
        sieve = inline_videos.sieve()
        edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
        for start, stop in pairwise(edges):
            inline_videos.feed(sieve, text[start:stop])
        return unmarked(bytes(sieve.text), inline_videos)


def unmarked(text: bytes, inline_videos: InlineVideos) -> bytes:
    def back(mark: re.Match[bytes]) -> bytes:
        if (path := inline_videos.take(base64.b64decode(mark[1]))) is None:
            return mark[0]
        video = part_files.take(path)
        data = path.read_bytes()
        video.discard()
        assert len(data) == video.size
        return b'"' + base64.b64encode(data) + b'"'

    return re.sub(rb'"([A-Za-z0-9+/]{32})"', back, text)


def left(shelf: Path) -> list[str] | None:
    """The files there; None if the directory does not exist."""
    return [path.name for path in shelf.iterdir()] if shelf.exists() else None


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The directory for videos, which does not exist yet."""
    return tmp_path / "clips"


# ---- what is a video, and what is not --------------------------------------------------------------------------------


def test_each_video_is_in_a_file_and_has_its_mark_in_its_place(shelf: Path) -> None:
    films = [VIDEO, LONG_VIDEO, b"x"]
    with InlineVideos(shelf) as inline_videos:
        sieve = inline_videos.sieve()
        sieve.feed(json.dumps(answer(*films)).encode())
        assert len(sieve.text) < 500
        seen = json.loads(bytes(sieve.text))
        marks = [base64.b64decode(video.pop(KEY)) for video in seen["response"]["videos"]]
        assert seen["response"]["videos"] == [{"mimeType": "video/mp4"}] * 3
        paths = [inline_videos.take(mark) for mark in marks]
        assert [inline_videos.take(mark) for mark in marks] == [None] * 3  # each is handed over once
    assert [path.read_bytes() for path in paths if path] == films
    assert sorted(shelf.iterdir()) == sorted(path for path in paths if path)
    assert all(re.fullmatch(rf"\.inline-{os.getpid()}-\d+\.part", path.name) for path in shelf.iterdir())
    for path in paths:
        assert path is not None
        part_files.drop(path)


UNTOUCHED = {
    "no video": json.dumps({"name": "op"}),
    "nothing": "",
    "not JSON": "<html>It works!</html>",
    "not JSON, with quotes": '<a href="x">bytesBase64Encoded: "AAAA"</a>',
    "the words in a text": json.dumps({"prompt": f'say "{KEY}": "AAAA"', "x": f'\\"{KEY}\\": \\"AAAA\\"'}),
    "the words as a text": json.dumps({"prompt": KEY, "list": [KEY, "AAAA"], KEY + "s": "AAAA", "x" + KEY: "AAAA"}),
    "the words at the end of a text": json.dumps({"prompt": f'"{KEY}', "AAAA": "AAAA"}),
    "a text that ends in a backslash": json.dumps({"a": "\\", "b": f'\\",{KEY}', "c": "\\\\"}),
    "no text in it": json.dumps({KEY: 7, "a": {KEY: None, "b": {KEY: ["AAAA"]}, "c": {KEY: {"AAAA": 1}}}}),
    "an empty video": json.dumps({KEY: ""}),
    "in a bucket": json.dumps({"videos": [{"gcsUri": "gs://b/1.mp4", "mimeType": "video/mp4"}]}),
    "a name in escapes": '{"bytes\\u0042ase64Encoded": "AAAA"}',
    "broken off in a name": f'{{"{KEY}',
    "broken off after a name": f'{{"{KEY}" ',
    "broken off before a value": f'{{"{KEY}": ',
    "a colon too many": f'{{"{KEY}":: "AAAA"}}',
    "not ASCII": json.dumps({"prompt": 'Löwenzahn 🌼 \u2028 "quoted"'}, ensure_ascii=False),
}


@pytest.mark.parametrize("case", UNTOUCHED)
def test_what_is_no_video_passes_as_it_is(case: str, shelf: Path) -> None:
    text = UNTOUCHED[case].encode()
    for cut in range(len(text) + 1):
        assert sieved(text, shelf, cut) == text
    assert left(shelf) is None


VIDEOS = {
    "spaces": f'{{ "{KEY}" \t\r\n:\n  "{b64(VIDEO[250:260])}" }}',
    "escaped slashes": f'{{"{KEY}": "{b64(bytes([255] * 12)).replace("/", chr(92) + "/")}"}}',
    "other escapes": f'{{"{KEY}": "\\u002f\\u002B/8AA\\u003d="}}',
    "line breaks": f'{{"{KEY}": "AAAA\\r\\nBBBB\\n"}}',
    "for URLs": f'{{"{KEY}": "{base64.urlsafe_b64encode(bytes([251, 255, 254] * 3)).decode()}"}}',
    "without padding": f'{{"{KEY}": "AAAAAA"}}',
    "padded once": f'{{"{KEY}": "AAAAAAA="}}',
    "echoed": f'{{"prompt": "\\"{KEY}\\": \\"AAAA\\"", "{KEY}": "QUJD", "b": ["{KEY}", {{"{KEY}": "REVG"}}]}}',
    "beside its place": f'{{"gcsUri": "gs://b/1", "{KEY}": "QUJD", "mimeType": "video/mp4"}}',
}


def plain(text: str) -> Any:
    """The parsed JSON, with its videos decoded."""

    def decode(members: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: decoded(value) if name == KEY else value for name, value in members}

    def decoded(value: str) -> bytes:
        digits = re.sub(r"\s", "", value)
        return base64.b64decode(digits + "=" * (-len(digits) % 4), altchars="-_" if set("-_") & set(value) else None)

    return json.loads(text, object_pairs_hook=decode)


@pytest.mark.parametrize("case", VIDEOS)
def test_a_video_is_found_and_decoded_wherever_the_answer_is_cut(case: str, shelf: Path) -> None:
    text = VIDEOS[case]
    for first in range(len(text) + 1):
        for second in range(first, min(first + 9, len(text) + 1)):
            assert plain(sieved(text.encode(), shelf, first, second).decode()) == plain(text)
    assert not left(shelf)


JSON = st.recursive(
    st.none()
    | st.integers()
    | st.text(st.sampled_from('"\\/:bK{}, é🌼\n') | st.characters(codec="utf-8"))
    | st.just(KEY),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("prompt"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    videos=st.lists(st.binary(max_size=80), max_size=3),
    more=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
    slashes=st.booleans(),
    cuts=st.lists(st.integers(0, 2000), max_size=20),
)
def test_however_it_is_cut_the_answer_says_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    videos: list[bytes],
    more: dict[str, Any],
    indent: int | None,
    ascii_only: bool,
    slashes: bool,
    cuts: list[int],
) -> None:
    shelf = tmp_path_factory.getbasetemp() / "sieved"
    text = json.dumps(answer(*videos, **more), indent=indent, ensure_ascii=ascii_only)
    if slashes:
        text = text.replace("/", "\\/")
    back = sieved(text.encode("utf-8", "surrogatepass"), shelf, *cuts)
    assert json.loads(back) == json.loads(text)
    assert not left(shelf)


@pytest.mark.parametrize(
    "digits",
    [
        "!!!!",
        "AAA!",
        "AAAAA",
        "A",
        "=",
        "A=AA",
        "AA==AAAA",
        "AAAA=AAA",
        "AA=AAAAA",
        "AAAA====",
        "\\q",
        "\\u00e9AAA",
        "é",
    ],
)
def test_what_is_not_base64_is_an_error_and_leaves_nothing(digits: str, shelf: Path) -> None:
    text = f'{{"{KEY}": "{digits}"}}'.encode()
    for cut in range(len(text) + 1):
        with pytest.raises(ValueError):  # noqa: PT011  (of several kinds)
            sieved(text, shelf, cut)
    assert not left(shelf)


def test_a_video_that_breaks_off_leaves_no_json_and_no_file(shelf: Path) -> None:
    with InlineVideos(shelf) as inline_videos:
        sieve = inline_videos.sieve()
        sieve.feed(f'{{"{KEY}": "{b64(LONG_VIDEO)}'.encode())
        assert len(left(shelf) or ()) == 1
        with pytest.raises(json.JSONDecodeError):
            json.loads(bytes(sieve.text))
    assert not left(shelf)


def test_a_disk_that_refuses_says_so(shelf: Path) -> None:
    shelf.write_text("not a directory")
    with InlineVideos(shelf) as inline_videos, pytest.raises(FetchError) as failed:
        inline_videos.feed(inline_videos.sieve(), json.dumps(answer(VIDEO)).encode())
    assert (failed.value.disk, failed.value.final) == (True, True)
    assert str(failed.value).startswith(f"cannot write {shelf}: File exists. The video is made and paid")


def test_a_full_disk_gets_its_room_back(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(part_files.PartFile, "write", full)
    with InlineVideos(shelf) as inline_videos, pytest.raises(FetchError, match="No space left on device"):
        inline_videos.feed(inline_videos.sieve(), json.dumps(answer(VIDEO)).encode())
    assert not left(shelf)


# ---- through aiohttp -------------------------------------------------------------------------------------------------

Handler = Callable[[web.Request], Any]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A server, and a session whose responses put videos aside."""
    app = web.Application()
    app.router.add_post("/look", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(response_class=InlineVideoResponse) as session:
            yield session, f"http://{host}:{port}/look"
    finally:
        await runner.cleanup()


def says(body: bytes | str, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        data = body if isinstance(body, bytes) else body.encode()
        kind = {"Content-Type": "application/json; charset=UTF-8"}
        return web.Response(
            body=data, status=status, headers={**kind, **{n.replace("_", "-"): v for n, v in headers.items()}}
        )

    return handler


POLL = json.dumps(answer(LONG_VIDEO, VIDEO))


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_is_read_in_pieces_and_seen_with_its_marks(shelf: Path, packed: bool) -> None:
    handler = says(gzip.compress(POLL.encode()), Content_Encoding="gzip") if packed else says(POLL)
    async with serving(handler) as (session, url):
        with InlineVideos(shelf) as inline_videos:
            async with session.post(url) as response:
                text = await response.text()
                assert await response.text() == text  # read once
            assert len(text) < 500
            assert json.loads(unmarked(text.encode(), inline_videos)) == answer(LONG_VIDEO, VIDEO)
        async with session.post(url) as response:  # the connection can be reused, and no video is put aside now
            assert await response.json() == answer(LONG_VIDEO, VIDEO)
    assert not left(shelf)


@pytest.mark.parametrize(
    "handler",
    [
        says(POLL, 500),
        says(POLL, 404),
        says(POLL, 201),
        says(POLL.encode("utf-16"), Content_Type="application/json; charset=utf-16"),
        says("<html>"),
        says(""),
    ],
    ids=["500", "404", "201", "utf-16", "html", "empty"],
)
async def test_other_answers_are_aiohttps_own(shelf: Path, handler: Handler) -> None:
    async with serving(handler) as (session, url):
        async with session.post(url) as response:
            plain_text = await response.text()
        with InlineVideos(shelf):
            async with session.post(url) as response:
                assert await response.text() == plain_text
    assert left(shelf) is None


@pytest.mark.parametrize("stop", [10, 200, 300_000, len(POLL) - 1])
async def test_a_body_that_breaks_off_is_aiohttps_error_and_leaves_nothing(shelf: Path, stop: int) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(POLL))})
        await response.prepare(request)
        await response.write(POLL.encode()[:stop])
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(break_off) as (session, url):
        with InlineVideos(shelf), pytest.raises(aiohttp.ClientPayloadError):
            async with session.post(url) as response:
                await response.text()
    assert not left(shelf)


async def test_a_body_that_takes_too_long_is_aiohttps_error_and_leaves_nothing(shelf: Path) -> None:
    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(POLL))})
        await response.prepare(request)
        await response.write(POLL.encode()[:600_000])
        await asyncio.Event().wait()
        return response

    async with serving(stall) as (session, url):
        with InlineVideos(shelf), pytest.raises(TimeoutError):
            async with session.post(url, timeout=aiohttp.ClientTimeout(total=0.05)) as response:
                await response.text()
    assert not left(shelf)


async def test_cancelled_while_a_thread_is_at_the_disk_it_leaves_nothing(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread gets its turn after the exit, and does nothing."""
    run, holding, release = _threads.saving.run, asyncio.Event(), threading.Event()
    threads: list[asyncio.Task[Any]] = []

    async def hold(func: Callable[..., Any], *args: Any) -> Any:
        def held() -> Any:
            release.wait()
            return func(*args)

        holding.set()
        threads.append(asyncio.create_task(run(held)))
        return await asyncio.shield(threads[0])

    async def poll(session: aiohttp.ClientSession, url: str) -> None:
        with InlineVideos(shelf):
            async with session.post(url) as response:
                await response.text()

    monkeypatch.setattr(_threads.saving, "run", hold)
    async with serving(says(POLL)) as (session, url):
        task = asyncio.create_task(poll(session, url))
        await holding.wait()
        task.cancel()
        try:
            await asyncio.wait({task})
            assert task.cancelled()
        finally:
            release.set()
        await threads[0]
    assert not left(shelf)


async def test_polls_at_once_do_not_mix_up_their_videos(shelf: Path) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(answer(bytes([int(await request.text())]) * 500_000))

    async def poll(session: aiohttp.ClientSession, url: str, number: int) -> None:
        with InlineVideos(shelf) as inline_videos:
            async with session.post(url, data=str(number)) as response:
                text = await response.read()
            assert json.loads(unmarked(text, inline_videos)) == answer(bytes([number]) * 500_000)

    async with serving(echo) as (session, url):
        await asyncio.gather(*(poll(session, url, number) for number in range(8)))
    assert not left(shelf)


async def test_large_answers_are_read_a_few_at_once_and_short_ones_do_not_wait(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(func: Callable[..., Any], *args: Any) -> Any:
        return func(*args)

    monkeypatch.setattr(_threads.saving, "run", at_once)  # so that a few rounds of the loop are enough for anything
    readers, go_on, begun = asyncio.Semaphore(2), asyncio.Event(), 0
    text = json.dumps(answer(bytes(inline.PIECE))).encode()

    async def large() -> AsyncIterator[bytes]:
        nonlocal begun
        yield text[: inline.PIECE]
        begun += 1  # the first piece is taken: it has its place in the line
        await go_on.wait()
        yield text[inline.PIECE :]

    async def short() -> AsyncIterator[bytes]:
        yield b'{"done": false}'

    async def read(blocks: AsyncIterator[bytes]) -> bytes:
        with InlineVideos(shelf, readers=readers) as inline_videos:
            return await inline.strain(blocks, inline_videos)

    several = [asyncio.create_task(read(large())) for _ in range(5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert begun == 2
    assert await read(short()) == b'{"done": false}'
    go_on.set()
    assert len(await asyncio.gather(*several)) == begun == 5


async def test_a_small_answer_needs_no_thread(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads.saving, "run", None)
    async with serving(says('{"name": "op"}')) as (session, url):
        with InlineVideos(shelf):
            async with session.post(url) as response:
                assert await response.json() == {"name": "op"}
    assert inline.PIECE > 1000
