"""A paid video reaches the disk whole, under a name of its own, or not at all; and the key stays at home."""

from __future__ import annotations

import asyncio
import base64
import errno
import fcntl
import gzip
import hashlib
import os
import random
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web as aiohttp_web
from aioresponses import aioresponses
from yarl import URL

from aveo3 import _threads
from aveo3.engine.retry import repeating
from aveo3.errors import FetchError
from aveo3.files import part_files, saving
from aveo3.files.download import MAX_BYTES, to_file
from aveo3.files.names import nameable
from aveo3.files.saving import SavedFile
from aveo3.mock import MockOptions, MockServer
from aveo3.mock.state.films import bundled
from aveo3.testing import run_virtual
from aveo3.testing.scripted import FILM
from tests.support.children import until

Result = TypeVar("Result")

URI = "https://films.example/v1/film.mp4?alt=media"
KEY = {"x-goog-api-key": "secret"}
LONG_FILM = FILM + bytes(range(256)) * 400
"""Seven of the chunks that the tests stream it in."""


@pytest.fixture(autouse=True)
def _nothing_half_done_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test does: no partial file stays behind."""
    monkeypatch.setattr("aveo3.files.download.CHUNK", 1 << 14)
    yield
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".part"] == []


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """In a directory that does not exist yet."""
    return tmp_path / "clips" / "film.mp4"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fetching(work: Callable[[aiohttp.ClientSession], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        async with asyncio.timeout(86_400), aiohttp.ClientSession() as session:
            return await work(session)

    return run_virtual(main())


def download(target: Path, uri: str = URI, headers: dict[str, str] | None = None) -> SavedFile:
    return fetching(lambda session: to_file(session, uri, target, headers or {}, silence=30))


def save(data: bytes, target: Path) -> SavedFile:
    async def main() -> SavedFile:
        return await saving.save(data, target)

    return run_virtual(main())


def download_fails(target: Path, uri: str = URI) -> FetchError:
    with pytest.raises(FetchError) as failed:
        download(target, uri)
    assert not target.exists()
    return failed.value


def asked_for(web: aioresponses) -> list[tuple[str, dict[str, str]]]:
    """Every address that was asked for, with the headers that were sent there."""
    asked = [(str(url), dict(call.kwargs["headers"])) for (_, url), calls in web.requests.items() for call in calls]
    assert all(headers.pop("Accept-Encoding") == "identity" for _, headers in asked)  # the length must be the film's
    return asked


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


# ---- whole, and under a name of its own ----------------------------------------------------------------------------


@pytest.mark.parametrize("film", [FILM, LONG_FILM], ids=["short", "long"])
def test_a_download_is_there_whole(web: aioresponses, target: Path, film: bytes) -> None:
    web.get(URI, body=film, headers={"Content-Length": str(len(film))})
    assert download(target) == SavedFile(target, len(film), sha256(film))
    assert target.read_bytes() == film


def test_a_download_of_unknown_length_is_taken_as_it_comes(web: aioresponses, target: Path) -> None:
    web.get(URI, body=FILM)
    assert download(target).path.read_bytes() == FILM


def test_an_inline_video_is_there_whole(target: Path) -> None:
    assert save(LONG_FILM, target) == SavedFile(target, len(LONG_FILM), sha256(LONG_FILM))
    assert target.read_bytes() == LONG_FILM


@pytest.mark.usefixtures("system")
def test_a_name_that_is_taken_is_never_written_over(web: aioresponses, target: Path) -> None:
    """What is there was paid for. The next names are -2, -3, …"""
    web.get(URI, body=FILM, repeat=True)
    target.parent.mkdir()
    target.write_text("the first")
    target.with_name("film-2.mp4").write_text("the second")
    assert download(target).path.name == "film-3.mp4"
    assert save(LONG_FILM, target).path.name == "film-4.mp4"
    assert target.read_text() == "the first"
    assert target.with_name("film-2.mp4").read_text() == "the second"


@pytest.mark.usefixtures("system")
def test_files_under_one_name_at_once_all_get_one(target: Path) -> None:
    films = [FILM + bytes([n]) for n in range(8)]

    async def main() -> list[SavedFile]:
        return await asyncio.gather(*(saving.save(film, target) for film in films))

    files = run_virtual(main())
    part_files.sweep(target.parent)  # Windows removes no name of a file that another thread is reading
    assert {file.path.name for file in files} == {"film.mp4", *(f"film-{n}.mp4" for n in range(2, 9))}
    assert [file.path.read_bytes() for file in files] == films


@pytest.mark.usefixtures("system")
def test_the_same_bytes_under_the_name_are_the_same_video(web: aioresponses, target: Path) -> None:
    """We were killed after it got its name, and before that was noted down."""
    web.get(URI, body=FILM, repeat=True)
    first = download(target)
    again = [download(target), save(FILM, target)]
    assert again == [first, first]
    assert beside(target) == []


@pytest.mark.usefixtures("system")
def test_the_same_bytes_under_a_later_name_are_the_same_video(target: Path) -> None:
    save(LONG_FILM, target)
    assert save(FILM, target) == save(FILM, target)
    assert sorted(path.name for path in target.parent.iterdir()) == ["film-2.mp4", "film.mp4"]


def test_a_directory_under_the_name_is_no_video(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target.mkdir(parents=True)
    assert save(FILM, target).path.name == "film-2.mp4"
    monkeypatch.setattr(os, "link", no_links)
    assert save(LONG_FILM, target).path.name == "film-3.mp4"


@pytest.mark.usefixtures("system")
def test_a_disk_without_hard_links_does_too(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_links)
    names = [save(FILM + bytes([n]), target).path.name for n in (1, 2, 3, 3)]
    assert names == ["film.mp4", "film-2.mp4", "film-3.mp4", "film-3.mp4"]


def test_a_disk_without_hard_links_gives_one_name_to_one_film(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another download takes the name in the moment before this one does."""
    others, replace = [FILM + b"other"], Path.replace

    def late(part: Path, name: Path) -> Path:
        if others:
            saving._save(others.pop(), target, ours=True)
        return replace(part, name)

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "replace", late)
    assert save(FILM, target).path == target
    assert target.read_bytes() == FILM
    assert target.with_name("film-2.mp4").read_bytes() == FILM + b"other"


def test_a_disk_without_hard_links_keeps_no_name_that_a_killed_process_had_taken(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    target.parent.mkdir()
    target.touch()
    with target.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a process that lives
        assert save(FILM, target).path.name == "film-2.mp4"
    assert save(LONG_FILM, target).path == target
    assert target.read_bytes() == LONG_FILM


def test_a_disk_without_hard_links_and_locks_writes_over_nothing(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(fcntl, "flock", no_links)
    target.parent.mkdir()
    target.touch()
    assert [save(FILM + bytes([n]), target).path.name for n in (1, 2)] == ["film-2.mp4", "film-3.mp4"]


def test_a_disk_that_refuses_to_rename_keeps_no_name(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "replace", no_links)
    with pytest.raises(FetchError, match="Operation not permitted"):
        save(FILM, target)
    assert list(target.parent.iterdir()) == []


def test_a_film_whose_first_bytes_trickle_in_one_by_one_is_a_film(target: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> SavedFile:
        async def trickle(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            response = aiohttp_web.StreamResponse(headers={"Content-Length": str(len(FILM))})
            await response.prepare(request)
            for byte in FILM:
                await response.write(bytes([byte]))
                await asyncio.sleep(1)
            return response

        async with _served(trickle) as address:
            return await to_file(session, address, target, {}, silence=30)

    assert fetching(work).path.read_bytes() == FILM


# ---- what is not a film ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b'{"error": {"code": 404}}', b"ftyp", b"\0" * 100])
def test_what_is_not_an_mp4_is_refused_for_good(web: aioresponses, target: Path, body: bytes) -> None:
    web.get(URI, body=body)
    failed = download_fails(target)
    assert failed.final
    assert str(failed) == f"{URI}: this is not an MP4: it begins with {body[:12]!r}"
    with pytest.raises(FetchError, match="this is not an MP4") as refused:
        save(body, target)
    assert refused.value.final
    assert not target.exists()


def test_an_empty_file_is_worth_another_try(web: aioresponses, target: Path) -> None:
    web.get(URI, body=b"")
    failed = download_fails(target)
    assert (str(failed), failed.final) == (f"{URI}: the file is empty", False)


def test_an_empty_inline_video_is_none(target: Path) -> None:
    with pytest.raises(FetchError, match="this is not an MP4"):
        save(b"", target)


@pytest.mark.parametrize("length", [len(FILM) + 1, len(FILM) - 1])
def test_a_wrong_length_is_worth_another_try(web: aioresponses, target: Path, length: int) -> None:
    web.get(URI, body=FILM, headers={"Content-Length": str(length)})
    failed = download_fails(target)
    assert (str(failed), failed.final) == (f"{URI}: {len(FILM)} of {length} bytes arrived", False)


def test_a_file_without_end_is_cut_off(web: aioresponses, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.files.download.MAX_BYTES", 1000)
    web.get(URI, body=LONG_FILM)
    failed = download_fails(target)
    assert failed.final
    assert "larger than 1000 bytes" in str(failed)


# ---- what the server says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "final"),
    [
        *((status, True) for status in (400, 401, 403, 404, 410)),
        *((status, False) for status in (304, 408, 429, 500, 502, 503)),
    ],
)
def test_which_answers_are_worth_another_try(web: aioresponses, target: Path, status: int, final: bool) -> None:
    web.get(URI, status=status, body="so it is " * 1000)
    failed = download_fails(target)
    assert failed.final is final
    assert failed.gone is (status in (404, 410))  # a 403 may be about the key
    assert str(failed).startswith(f"{URI}: HTTP {status}: so it is")
    assert len(str(failed)) < 600


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ServerDisconnectedError("gone"),
        aiohttp.ClientOSError(errno.ECONNRESET, "reset"),
        aiohttp.ClientPayloadError("half a film"),
        aiohttp.ServerTimeoutError("slow"),
        TimeoutError("slow"),
        aiohttp.InvalidURL("https://"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_on_the_way_is_worth_another_try(web: aioresponses, target: Path, error: Exception) -> None:
    """Some of these are OSErrors, and none of them is the disk's doing."""
    web.get(URI, exception=error)
    failed = download_fails(target)
    assert not failed.final
    assert str(failed).startswith(f"{URI}: {type(error).__name__}")
    assert failed.__cause__ is error


def test_a_server_that_breaks_off_midway_is_worth_another_try(target: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async def break_off(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            response = aiohttp_web.StreamResponse(headers={"Content-Length": str(len(LONG_FILM))})
            await response.prepare(request)
            await response.write(LONG_FILM[:100_000])
            assert request.transport is not None
            request.transport.close()
            return response

        async with _served(break_off) as address:
            with pytest.raises(FetchError, match="ClientPayloadError") as failed:
                await to_file(session, address, target, {}, silence=30)
        assert not failed.value.final

    fetching(work)
    assert not target.exists()


def test_a_server_that_falls_silent_is_left_after_a_while(target: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async def fall_silent(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            response = aiohttp_web.StreamResponse(headers={"Content-Length": str(len(LONG_FILM))})
            await response.prepare(request)
            await response.write(LONG_FILM[:100_000])
            await asyncio.sleep(3600)
            return response

        async with _served(fall_silent) as address:
            with pytest.raises(FetchError, match="Timeout") as failed:
                await to_file(session, address, target, {}, silence=30)
        assert not failed.value.final
        assert asyncio.get_running_loop().time() < 60

    fetching(work)
    assert not target.exists()


class _served:  # noqa: N801  # reads as a word: async with _served(handler) as address
    """A server in the same loop, its one address answered by `handler`."""

    def __init__(self, handler: Callable[[aiohttp_web.Request], Awaitable[aiohttp_web.StreamResponse]]) -> None:
        app = aiohttp_web.Application()
        app.router.add_get("/film.mp4", handler)
        self._runner = aiohttp_web.AppRunner(app, shutdown_timeout=0.1)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        site = aiohttp_web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/film.mp4"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


# ---- a break, and what comes after it -------------------------------------------------------------------------------

ETAG = {"ETag": '"one"'}


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


WHOLE = box(b"ftyp", b"isom\0\0\0\0") + box(b"mdat", bytes(range(256)) * 400) + box(b"moov", b"index")
"""Unlike FILM it shows if it is cut."""

HALF = 50_000


@dataclass
class Shelf:
    """A server of one film, which may break off, and the ranges that clients asked for.

    `answers[n]` says how it answers request n: the number of bytes after which it breaks off, a handler, or None for a
    whole answer. It breaks off only when the client has written the bytes: aiohttp may drop bytes that nobody has read.
    """

    directory: Path
    answers: list[int | Callable[[aiohttp_web.Request], aiohttp_web.StreamResponse] | None] = field(
        default_factory=list
    )
    film: bytes = WHOLE
    headers: dict[str, str] = field(default_factory=lambda: dict(ETAG))
    asked: list[str | None] = field(default_factory=list)

    async def answer(self, request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
        self.asked.append(request.headers.get("Range"))
        assert "If-Range" not in request.headers
        number = len(self.asked) - 1
        how = self.answers[number] if number < len(self.answers) else None
        if how is not None and not isinstance(how, int):
            return how(request)
        start = request.http_range.start or 0
        body = self.film[start:]
        response = aiohttp_web.StreamResponse(status=206 if start else 200, headers=self.headers)
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(self.film) - 1}/{len(self.film)}"
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[:how])
        if how is not None:
            while sum(part.stat().st_size for part in self.directory.glob(".*.part")) < start + how:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert request.transport is not None
            request.transport.close()
        return response


def fetched_from(shelf: Shelf, target: Path) -> list[FetchError]:
    """Try until the film is there, as the engine does; what went wrong on the way."""

    errors: list[FetchError] = []

    async def work(session: aiohttp.ClientSession) -> SavedFile:
        async with _served(shelf.answer) as address:
            while len(errors) < 10:
                try:
                    return await to_file(session, address, target, {}, silence=30)
                except FetchError as error:
                    errors.append(error)
        raise errors[-1]

    assert fetching(work) == SavedFile(target, len(shelf.film), sha256(shelf.film))
    assert target.read_bytes() == shelf.film
    assert beside(target) == []
    assert not any(error.final for error in errors)
    return errors


def beside(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir() if path != target]


def left_behind(target: Path, film: bytes = WHOLE, size: int = HALF, headers: dict[str, str] = ETAG) -> Path:
    """What a download that was killed after `size` bytes has left."""

    async def work(session: aiohttp.ClientSession) -> None:
        async with _served(Shelf(target.parent, [size], film, dict(headers)).answer) as address:
            with pytest.raises(FetchError):
                await to_file(session, address, target, {}, silence=30)

    fetching(work)
    [part] = part_files.left_of(target)
    assert part.read_bytes() == film[:size]
    return part


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("headers", [ETAG, {"Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}], ids=["ETag", "date"])
@pytest.mark.parametrize("breaks", [[HALF], [1], [1, 16_000, 30_000], [len(WHOLE) - 1]], ids=str)
def test_after_a_break_only_the_missing_bytes_are_asked_for(
    target: Path, breaks: list[int], headers: dict[str, str]
) -> None:
    shelf = Shelf(target.parent, [*breaks], headers=headers)
    errors = fetched_from(shelf, target)
    had = [sum(breaks[:n]) for n in range(len(breaks) + 1)]
    assert shelf.asked == [None, *(f"bytes={size}-" for size in had[1:])]
    assert [str(error).partition(": ")[2][:18] for error in errors] == ["ClientPayloadError"] * len(breaks)


@pytest.mark.usefixtures("system")
def test_what_another_process_left_is_gone_on_with(target: Path) -> None:
    left_behind(target)
    shelf = Shelf(target.parent)
    assert fetched_from(shelf, target) == []
    assert shelf.asked == [f"bytes={HALF}-"]


@pytest.mark.usefixtures("system")
def test_a_film_of_that_name_elsewhere_is_another_film(target: Path) -> None:
    part = left_behind(target)
    other = part.with_name(f".{target.stem}.{'0' * 16}.part")
    part.rename(other)
    shelf = Shelf(target.parent)
    assert fetched_from(shelf, target) == []
    assert shelf.asked == [f"bytes={HALF}-", None]


OTHER = WHOLE[:1000] + b"other" + WHOLE[1005:]


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize(
    ("film", "headers"),
    [
        (OTHER, {"ETag": '"two"'}),
        (OTHER, {}),
        (OTHER, {"ETag": 'W/"one"'}),
        (OTHER, {"ETag": 'W/"one"', "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}),
        (OTHER, {"Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}),
        (WHOLE + box(b"free"), ETAG),
    ],
    ids=["other ETag", "nothing said", "weak ETag", "weak ETag and date", "date", "other length"],
)
def test_a_film_that_is_not_surely_the_same_begins_anew(target: Path, film: bytes, headers: dict[str, str]) -> None:
    left_behind(target)
    shelf = Shelf(target.parent, film=film, headers=headers)
    assert fetched_from(shelf, target) == []
    assert shelf.asked == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"one"'}, {"ETag": ""}], ids=str)
def test_without_a_strong_validator_nothing_is_kept_for_later(target: Path, headers: dict[str, str]) -> None:
    shelf = Shelf(target.parent, [HALF, HALF], headers=headers)
    assert len(fetched_from(shelf, target)) == 2
    assert shelf.asked == [None, None, None]


def whole_film(_: object) -> aiohttp_web.Response:
    return aiohttp_web.Response(body=WHOLE, headers=ETAG)


def ranged(stretch: str | None, body: bytes, headers: dict[str, str] = ETAG) -> Callable[..., aiohttp_web.Response]:
    more = {} if stretch is None else {"Content-Range": stretch}
    return lambda _: aiohttp_web.Response(status=206, body=body, headers={**headers, **more})


END = len(WHOLE) - 1
ODD_ANSWERS = {
    "the wrong start": ranged(f"bytes {HALF + 1}-{END}/{END + 1}", WHOLE[HALF + 1 :]),
    "a start that begins like ours": ranged(f"bytes {HALF}0-{END}/{END + 1}", WHOLE[HALF:]),
    "from the beginning": ranged(f"bytes 0-{END}/{END + 1}", WHOLE),
    "no Content-Range": ranged(None, WHOLE[HALF:]),
    "a Content-Range without a length": ranged(f"bytes {HALF}-{END}/*", WHOLE[HALF:]),
    "a Content-Range in other words": ranged("about half of it", WHOLE[HALF:]),
    "another ETag": ranged(f"bytes {HALF}-{END}/{END + 1}", WHOLE[HALF:], {"ETag": '"two"'}),
    "no ETag": ranged(f"bytes {HALF}-{END}/{END + 1}", WHOLE[HALF:], {}),
    "416": lambda _: aiohttp_web.Response(status=416, headers={**ETAG, "Content-Range": f"bytes */{END + 1}"}),
}


@pytest.mark.parametrize("case", ODD_ANSWERS)
def test_an_answer_that_does_not_continue_what_we_have_is_not_appended(target: Path, case: str) -> None:
    left_behind(target)
    answer = ODD_ANSWERS[case]
    shelf = Shelf(target.parent, [answer])
    assert fetched_from(shelf, target) == []
    assert shelf.asked == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("film", [WHOLE, OTHER], ids=["the same", "another"])
def test_a_server_that_ignores_the_range_is_taken_at_its_200(target: Path, film: bytes) -> None:
    left_behind(target)
    shelf = Shelf(target.parent, [lambda _: aiohttp_web.Response(body=film, headers=ETAG)], film)
    assert fetched_from(shelf, target) == []
    assert shelf.asked == [f"bytes={HALF}-"]


def test_a_200_in_place_of_the_rest_can_be_resumed_itself(target: Path) -> None:
    left_behind(target, headers={"ETag": '"old"'})
    shelf = Shelf(target.parent, [ranged(None, b""), 70_000])
    assert len(fetched_from(shelf, target)) == 1
    assert shelf.asked == [f"bytes={HALF}-", None, "bytes=70000-"]


def test_a_stretch_that_ends_early_is_gone_on_with(target: Path) -> None:
    left_behind(target)
    shelf = Shelf(target.parent, [ranged(f"bytes {HALF}-{HALF + 999}/{END + 1}", WHOLE[HALF : HALF + 1000])])
    [error] = fetched_from(shelf, target)
    assert str(error).endswith(f": {HALF + 1000} of {END + 1} bytes arrived")
    assert shelf.asked == [f"bytes={HALF}-", f"bytes={HALF + 1000}-"]


def test_a_range_nobody_asked_for_is_no_film(target: Path) -> None:
    shelf = Shelf(target.parent, [ranged(f"bytes 0-{END}/{END + 1}", WHOLE)])
    [error] = fetched_from(shelf, target)
    assert ": HTTP 206: " in str(error)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_error_does_not_cost_what_has_arrived(target: Path, status: int) -> None:
    part = left_behind(target)
    shelf = Shelf(target.parent, [lambda _: aiohttp_web.Response(status=status)])

    async def work(session: aiohttp.ClientSession) -> None:
        async with _served(shelf.answer) as address:
            with pytest.raises(FetchError, match=f"HTTP {status}"):
                await to_file(session, address, target, {}, silence=30)
            assert part.stat().st_size == HALF
            await to_file(session, address, target, {}, silence=30)

    fetching(work)
    assert shelf.asked == [f"bytes={HALF}-"] * 2
    assert target.read_bytes() == WHOLE


@pytest.mark.usefixtures("system")
def test_of_several_things_left_the_longest_is_gone_on_with_and_the_others_go(target: Path) -> None:
    part = left_behind(target)
    for digit, size in (("a", 10), ("b", 0), ("c", HALF - 1)):
        part.with_name(f".{target.stem}.{digit * 16}.part").write_bytes(bytes(size))
    shelf = Shelf(target.parent)
    assert fetched_from(shelf, target) == []
    assert shelf.asked == [f"bytes={HALF}-"]


@pytest.mark.usefixtures("system")
def test_a_download_that_was_cancelled_is_gone_on_with(target: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        shelf = Shelf(target.parent, [HALF])
        async with _served(shelf.answer) as address:
            task = asyncio.create_task(to_file(session, address, target, {}, silence=30))
            while not (left := part_files.left_of(target) if target.parent.exists() else []):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            assert len(left) == 1
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            size = left[0].stat().st_size
            await to_file(session, address, target, {}, silence=30)
        assert shelf.asked == [None, f"bytes={size}-" if size else None]

    fetching(work)
    assert target.read_bytes() == WHOLE
    assert beside(target) == []


def sizes_left(target: Path) -> list[int]:
    return [part.stat().st_size for part in part_files.left_of(target)] if target.parent.exists() else []


@pytest.mark.real_time
async def test_a_child_that_dies_early_is_not_waited_for() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import no_such_module"), stderr=asyncio.subprocess.PIPE
    )
    with pytest.raises(AssertionError, match=r"(?s)^the child ended with 1: .*No module named 'no_such_module'"):
        await until(lambda: False, child)


@pytest.mark.real_time
async def test_what_a_killed_process_left_is_gone_on_with(target: Path) -> None:
    """Truly killed, in the middle of the film."""
    code = """if True:
        import asyncio, sys, aiohttp
        from pathlib import Path
        from aveo3.files.download import to_file
        async def main():
            async with aiohttp.ClientSession() as session:
                await to_file(session, sys.argv[1], Path(sys.argv[2]), {}, silence=30)
        asyncio.run(main())
    """
    shelf = Shelf(target.parent, [HALF])
    async with _served(shelf.answer) as address:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, address, str(target)), stderr=asyncio.subprocess.PIPE
        )
        await until(lambda: HALF in sizes_left(target), child)
        child.kill()
        await child.communicate()
        async with aiohttp.ClientSession() as session:
            file = await to_file(session, address, target, {}, silence=30)
    assert file == SavedFile(target, len(WHOLE), sha256(WHOLE))
    assert shelf.asked == [None, f"bytes={HALF}-"]
    assert beside(target) == []


# ---- whose a part is ------------------------------------------------------------------------------------------------


def test_a_part_that_another_download_is_writing_is_left_to_it(target: Path) -> None:
    part = left_behind(target)
    shelf = Shelf(target.parent)

    async def work(session: aiohttp.ClientSession) -> SavedFile:
        async with _served(shelf.answer) as address:
            return await to_file(session, address, target, {}, silence=30)

    with part.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert fetching(work) == SavedFile(target, len(WHOLE), sha256(WHOLE))
        assert shelf.asked == [None]
        assert part.read_bytes() == WHOLE[:HALF]
        assert beside(target) == [part.name]
    part.unlink()


@pytest.mark.usefixtures("system")
def test_downloads_of_one_film_at_once_are_one_film(target: Path) -> None:
    shelf = Shelf(target.parent, [HALF, HALF, None, HALF])

    async def work(session: aiohttp.ClientSession) -> None:
        async with _served(shelf.answer) as address:
            get = repeating(FetchError, base=1.0, max_value=1.0, rng=random.Random(1))(to_file)
            files = await asyncio.gather(*(get(session, address, target, {}, silence=30) for _ in range(4)))
        assert {file.path for file in files} == {target}

    fetching(work)
    part_files.sweep(target.parent)  # as above
    assert target.read_bytes() == WHOLE
    assert beside(target) == []


def test_a_disk_without_locks_resumes_nothing(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    left_behind(target)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    shelf = Shelf(target.parent, [HALF])

    async def work(session: aiohttp.ClientSession) -> None:
        async with _served(shelf.answer) as address:
            with pytest.raises(FetchError):
                await to_file(session, address, target, {}, silence=30)
            await to_file(session, address, target, {}, silence=30)

    fetching(work)
    assert shelf.asked == [None, None]
    [left] = part_files.left_of(target)
    left.unlink()
    assert beside(target) == []


def test_killed_between_its_two_names_a_film_is_not_touched_again(target: Path) -> None:
    """The part is the film itself then: to empty it for a new try would empty what was paid for."""
    part = left_behind(target)
    part.write_bytes(WHOLE)
    os.link(part, target)
    shelf = Shelf(target.parent, [HALF])
    assert len(fetched_from(shelf, target)) == 1
    assert shelf.asked == [None, f"bytes={HALF}-"]


def test_what_was_left_before_a_power_cut_is_not_trusted(target: Path) -> None:
    part = left_behind(target)
    os.utime(part, (1.0, 1.0))
    shelf = Shelf(target.parent)
    assert fetched_from(shelf, target) == []
    assert shelf.asked == [None]


# ---- films with something missing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [len(WHOLE) - 1, len(WHOLE) - 13, HALF, 20])
def test_a_cut_film_whose_length_agrees_is_found_out_and_fetched_again_from_zero(target: Path, size: int) -> None:
    shelf = Shelf(target.parent, [lambda _: aiohttp_web.Response(body=WHOLE[:size], headers=ETAG)])
    [error] = fetched_from(shelf, target)
    assert ": this MP4 is not whole: " in str(error)
    assert shelf.asked == [None, None]


def test_a_cut_film_is_found_out_after_a_resume_too(target: Path) -> None:
    left_behind(target, WHOLE[:70_000])
    shelf = Shelf(target.parent, [ranged(f"bytes {HALF}-69999/70000", WHOLE[HALF:70_000])])
    [error] = fetched_from(shelf, target)
    assert "is 102408 bytes long, of which 69984 are there" in str(error)
    assert shelf.asked == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("said", ["crc32c=AAAAAA==,md5={}", "md5={}", "crc32c=AAAAAA=="])
def test_the_md5_that_cloud_storage_names_is_checked(target: Path, said: str) -> None:
    right, wrong = (
        said.format(base64.b64encode(hashlib.md5(film, usedforsecurity=False).digest()).decode())
        for film in (WHOLE, OTHER)
    )
    named = Shelf(target.parent, [HALF], headers={**ETAG, "x-goog-hash": right})
    assert len(fetched_from(named, target)) == 1
    target.unlink()
    shelf = Shelf(
        target.parent,
        [HALF, ranged(f"bytes {HALF}-{END}/{END + 1}", WHOLE[HALF:], {**ETAG, "x-goog-hash": wrong})],
    )
    errors = fetched_from(shelf, target)
    if right == wrong:
        assert shelf.asked == [None, f"bytes={HALF}-"]
    else:
        assert str(errors[1]).endswith(": what arrived has not the MD5 that came with it")
        assert shelf.asked == [None, f"bytes={HALF}-", None]


def test_a_film_that_was_packed_on_the_way_is_whole(target: Path) -> None:
    """Against our wish; then neither length nor hash are those of what comes out."""
    packed = gzip.compress(WHOLE)
    headers = {**ETAG, "Content-Encoding": "gzip", "x-goog-hash": "md5=AAAAAAAAAAAAAAAAAAAAAA=="}
    shelf = Shelf(target.parent, [lambda _: aiohttp_web.Response(body=packed, headers=headers)])
    assert fetched_from(shelf, target) == []


def test_a_film_of_unknown_length_is_judged_by_itself(target: Path) -> None:
    def cut(_: object) -> aiohttp_web.Response:
        response = aiohttp_web.Response(body=WHOLE[:HALF], headers=ETAG)
        response.enable_chunked_encoding()
        return response

    shelf = Shelf(target.parent, [cut])
    [error] = fetched_from(shelf, target)
    assert ": this MP4 is not whole: " in str(error)


def test_too_much_is_refused_before_a_byte_is_read(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async def never_end(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            response = aiohttp_web.StreamResponse(headers={**ETAG, "Content-Length": str(MAX_BYTES + 1)})
            await response.prepare(request)
            await asyncio.sleep(3600)
            return response

        async with _served(never_end) as address:
            with pytest.raises(FetchError, match="larger than 2147483648 bytes") as failed:
                await to_file(session, address, target, {}, silence=7200)
        assert failed.value.final
        assert asyncio.get_running_loop().time() < 60

    fetching(work)
    assert beside(target) == []


@pytest.mark.parametrize(
    ("fault", "asked_again_for"),
    [
        ("download-drop", "the rest"),
        ("download-stall", "the rest"),
        ("download-length", "everything"),
        ("download-cut", "everything"),
        ("download-no-range", None),
        ("download-slow", None),
        ("download-500", "everything"),
        ("download-503", "everything"),
    ],
)
async def test_the_faults_of_the_emulator_cost_no_film(target: Path, fault: str, asked_again_for: str | None) -> None:
    options = MockOptions.model_validate(
        {"latency": "0", "films": "bundled", "rpm": None, "faults": [f"{fault}@1"], "hang": 0.05, "speed": 1000.0}
    )
    async with MockServer(options) as server, aiohttp.ClientSession() as session:
        address = await _stored(session, server.url)
        get = repeating(FetchError, base=0.001, max_value=0.001, rng=random.Random(1), max_tries=3)(to_file)
        file = await get(session, address, target, {"Authorization": "Bearer token"}, silence=5)
        film, books = bundled(), server.books
    assert file == SavedFile(target, len(film), sha256(film))
    assert file.path.read_bytes() == film
    assert beside(target) == []
    assert books.faults == {fault: 1}
    if fault != "download-length":  # whose rest is asked for first: the film was said to be longer
        assert books.downloads == (1 if asked_again_for is None else 2)
    if asked_again_for == "the rest":  # what broke off may have been lost in a buffer, and is sent again
        assert books.download_bytes <= len(film) + len(film) // 2


async def _stored(session: aiohttp.ClientSession, url: str) -> str:
    """Where a finished film lies in a bucket of the emulator."""
    model = f"{url}/v1/projects/p/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
    body = {"instances": [{"prompt": "a boat"}], "parameters": {"storageUri": "gs://bucket"}}
    headers = {"Authorization": "Bearer token"}
    async with session.post(f"{model}:predictLongRunning", json=body, headers=headers) as response:
        named = {"operationName": (await response.json())["name"]}
    async with session.post(f"{model}:fetchPredictOperation", json=named, headers=headers) as response:
        uri: str = (await response.json())["response"]["videos"][0]["gcsUri"]
    return f"{url}/storage/v1/b/bucket/o/{quote(uri.removeprefix('gs://bucket/'), safe='')}?alt=media"


# ---- temporary files that are whole ---------------------------------------------------------------------------------


def kept(part: Path, target: Path) -> SavedFile:
    async def main() -> SavedFile:
        return await saving.keep(part, target)

    return run_virtual(main())


@pytest.fixture(params=["handed on", "found"])
def finished(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a temporary file: one of this process, or just a path."""

    def make(film: bytes) -> Path:
        if request.param == "found":
            path = tmp_path / "film.part"
            path.write_bytes(film)
            return path
        part = part_files.loose(tmp_path)
        part.write(film)
        return part_files.hand_on(part)

    return make


def test_a_finished_temporary_file_becomes_the_video(finished: Callable[[bytes], Path], target: Path) -> None:
    part = finished(WHOLE)
    assert kept(part, target) == SavedFile(target, len(WHOLE), sha256(WHOLE))
    assert target.read_bytes() == WHOLE
    assert not part.exists()
    assert kept(finished(OTHER), target).path.name == "film-2.mp4"
    assert kept(finished(WHOLE), target).path == target


@pytest.mark.parametrize(("film", "final"), [(b"<html>", True), (WHOLE[:HALF], False)])
def test_a_temporary_file_that_is_no_whole_video_is_refused_and_goes(
    finished: Callable[[bytes], Path], target: Path, film: bytes, final: bool
) -> None:
    part = finished(film)
    with pytest.raises(FetchError) as failed:
        kept(part, target)
    assert failed.value.final is final
    assert not part.exists()
    assert not target.exists()


def test_a_temporary_file_that_the_disk_will_not_name_goes_too(finished: Callable[[bytes], Path], target: Path) -> None:
    part = finished(WHOLE)
    target.parent.write_text("not a directory")
    with pytest.raises(FetchError, match=r"cannot write .+: File exists") as failed:
        kept(part, target)
    assert failed.value.disk
    assert not part.exists()


def test_a_temporary_file_that_is_gone_is_a_clear_error(target: Path) -> None:
    with pytest.raises(FetchError, match=r"cannot write .*film\.mp4: No such file or directory"):
        kept(target.with_name("gone.part"), target)


def test_an_inline_video_that_is_cut_is_refused(target: Path) -> None:
    with pytest.raises(FetchError, match="this MP4 is not whole") as failed:
        save(WHOLE[:-1], target)
    assert not failed.value.final
    assert not target.parent.exists()


# ---- what was saved is still there ----------------------------------------------------------------------------------


def test_a_saved_file_is_intact_until_somebody_touches_it(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def intact(file: SavedFile) -> bool:
        return await saving.is_intact(file)

    file = save(WHOLE, target)
    assert run_virtual(intact(file))
    target.write_bytes(OTHER)
    assert not run_virtual(intact(file))
    target.write_bytes(WHOLE + b"\0")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", None)  # its size tells already
        assert not run_virtual(intact(file))
    target.unlink()
    assert not run_virtual(intact(file))
    target.mkdir()
    assert not run_virtual(intact(replace(file, size=target.stat().st_size)))


# ---- redirects, and the key -----------------------------------------------------------------------------------------


def test_the_key_goes_to_the_address_and_along_on_its_own_host(web: aioresponses, target: Path) -> None:
    web.get(URI, status=302, headers={"Location": "/elsewhere/film.mp4"})
    web.get("https://films.example/elsewhere/film.mp4", body=FILM)
    assert download(target, headers=KEY).path == target
    assert asked_for(web) == [(URI, KEY), ("https://films.example/elsewhere/film.mp4", KEY)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://storage.example/film.mp4",
        "https://films.example.evil/film.mp4",
        "https://films.example:8443/film.mp4",
        "http://films.example/film.mp4",
        "//storage.example/film.mp4",
    ],
)
def test_a_redirect_to_another_host_is_followed_without_the_key(
    web: aioresponses, target: Path, status: int, elsewhere: str
) -> None:
    """Another port is another server, and plain http is everybody's."""
    there = elsewhere if ":" in elsewhere else f"https:{elsewhere}"
    web.get(URI, status=status, headers={"Location": elsewhere})
    web.get(there, body=FILM)
    assert download(target, headers=KEY).path.read_bytes() == FILM
    assert asked_for(web) == [(URI, KEY), (there, {})]


def test_the_range_goes_along_to_another_host(web: aioresponses, target: Path) -> None:
    """Where the key does not."""
    target.parent.mkdir()
    part = target.with_name(f".film.{'0' * 16}.part")
    part.write_bytes(bytes(HALF))
    web.get(URI, status=302, headers={"Location": "https://storage.example/film.mp4"})
    web.get("https://storage.example/film.mp4", status=500)
    with pytest.raises(FetchError, match="HTTP 500"):
        download(target, headers=KEY)
    wanted = {"Range": f"bytes={HALF}-"}
    assert asked_for(web) == [(URI, KEY | wanted), ("https://storage.example/film.mp4", wanted)]
    part.unlink()


def test_a_redirect_to_nonsense_is_worth_another_try(web: aioresponses, target: Path) -> None:
    web.get(URI, status=302, headers={"Location": "http://[oops/"})
    failed = download_fails(target)
    assert (str(failed), failed.final) == (f"{URI}: redirected to 'http://[oops/': Invalid IPv6 URL", False)


def test_aiohttp_follows_no_redirect_by_itself(web: aioresponses, target: Path) -> None:
    """It would carry the key along."""
    web.get(URI, body=FILM)
    download(target, headers=KEY)
    [call] = web.requests[("GET", URL(URI))]
    assert call.kwargs["allow_redirects"] is False


def test_redirects_that_go_round_in_circles_end(web: aioresponses, target: Path) -> None:
    web.get(URI, status=302, headers={"Location": URI}, repeat=True)
    failed = download_fails(target)
    assert (str(failed), failed.final) == (f"{URI}: more than 5 redirects", True)
    assert len(asked_for(web)) == 5


def test_a_redirect_that_leads_nowhere_is_an_error_of_its_own(web: aioresponses, target: Path) -> None:
    web.get(URI, status=302)
    assert str(download_fails(target)) == f"{URI}: HTTP 302: "


def test_no_message_ever_shows_the_key(web: aioresponses, target: Path) -> None:
    web.get(URI, status=403, body="no")
    with pytest.raises(FetchError) as failed:
        download(target, headers=KEY)
    assert "secret" not in str(failed.value)


# ---- the disk -------------------------------------------------------------------------------------------------------


def both_ways(web: aioresponses, target: Path) -> Iterator[FetchError]:
    web.get(URI, body=FILM, repeat=True)
    with pytest.raises(FetchError) as failed:
        download(target)
    yield failed.value
    with pytest.raises(FetchError) as failed:
        save(FILM, target)
    yield failed.value


def test_a_file_in_place_of_the_directory_is_a_clear_error(web: aioresponses, target: Path) -> None:
    target.parent.write_text("not a directory")
    for failed in both_ways(web, target):
        assert failed.final
        assert str(failed) == (
            f"cannot write {target}: File exists. The video is made and paid; free the disk or mend the directory "
            "before you make more."
        )


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "Permission denied"), (errno.EROFS, "Read-only file system")]
)
def test_a_directory_that_may_not_be_written_to_is_a_clear_error(
    web: aioresponses, target: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    for failed in both_ways(web, target):
        assert failed.final
        assert f"cannot write {target}: {words}. The video is made and paid" in str(failed)


def test_a_full_disk_is_a_clear_error(web: aioresponses, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for failed in both_ways(web, target):
        assert failed.final
        assert f"cannot write {target}: No space left on device" in str(failed)
        assert not target.exists()


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize(
    ("number", "stays"), [(errno.ENOSPC, False), (errno.EDQUOT, False), (errno.EFBIG, False), (errno.EIO, True)]
)
def test_a_full_disk_gets_back_what_had_arrived(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int, stays: bool
) -> None:
    part = left_behind(target)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    async def work(session: aiohttp.ClientSession) -> None:
        async with _served(Shelf(target.parent).answer) as address:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", refuse)
                with pytest.raises(FetchError) as failed:
                    await to_file(session, address, target, {}, silence=30)
            assert (failed.value.disk, failed.value.final) == (True, True)
            assert part.exists() is stays
            await to_file(session, address, target, {}, silence=30)

    fetching(work)
    assert target.read_bytes() == WHOLE


def test_a_directory_that_vanishes_on_the_way_is_a_clear_error(
    web: aioresponses, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(os, "link", vanish)
    monkeypatch.setattr(Path, "replace", vanish)
    for failed in both_ways(web, target):
        assert failed.final
        assert "No such file or directory" in str(failed)


# ---- cancelled ------------------------------------------------------------------------------------------------------


async def finish_saving() -> None:
    """Wait for the threads: one that was at the disk goes on after its task was cancelled."""
    if (pool := _threads.saving._pool) is not None:
        await asyncio.to_thread(pool.shutdown)
        _threads.saving._pool = None


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("turns", range(0, 60, 3))
def test_cancelled_at_any_turn_a_download_leaves_a_whole_film_or_nothing(
    web: aioresponses, target: Path, turns: int
) -> None:
    web.get(URI, body=LONG_FILM)

    async def work(session: aiohttp.ClientSession) -> None:
        task = asyncio.create_task(to_file(session, URI, target, {}, silence=30))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await finish_saving()

    fetching(work)
    assert not target.exists() or target.read_bytes() == LONG_FILM


@pytest.mark.parametrize("way", ["download", "save"])
@pytest.mark.parametrize("number", range(1, 8))
def test_cancelled_while_a_thread_is_at_the_disk_it_leaves_a_whole_film_or_nothing(
    web: aioresponses, target: Path, monkeypatch: pytest.MonkeyPatch, number: int, way: str
) -> None:
    """The thread cannot be cancelled: it does its work after everybody has gone."""
    web.get(URI, body=LONG_FILM)
    run, release, calls = _threads.saving.run, threading.Event(), 0

    async def work(session: aiohttp.ClientSession) -> None:
        async def hold(func: Callable[..., Any], *args: Any, **values: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls != number:
                return await run(func, *args, **values)
            asyncio.get_running_loop().call_soon(task.cancel)

            def held() -> Any:
                release.wait()
                return func(*args, **values)

            return await run(held)

        monkeypatch.setattr(_threads.saving, "run", hold)
        fetched = to_file(session, URI, target, {}, silence=30) if way == "download" else saving.save(FILM, target)
        task = asyncio.ensure_future(fetched)
        try:
            await asyncio.wait({task})
            assert task.cancelled() is (calls >= number)
        finally:
            release.set()
        await finish_saving()

    fetching(work)
    assert calls
    assert not target.exists() or target.read_bytes() in (FILM, LONG_FILM)


# ---- names ----------------------------------------------------------------------------------------------------------


def test_a_clip_of_the_same_bytes_under_a_name_that_others_may_have_gets_a_file_of_its_own(target: Path) -> None:
    async def work() -> list[SavedFile]:
        return [await saving.save(FILM, target, ours=False) for _ in range(3)]

    saved = [file.path.name for file in asyncio.run(work())]
    assert saved == [target.name, f"{target.stem}-2.mp4", f"{target.stem}-3.mp4"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("0001-über-die-straße-1a2b3c4d.mp4", "0001-ber-die-strae-1a2b3c4d.mp4"),
        ("0001-紙の船-1a2b3c4d.2.mp4", "0001-1a2b3c4d.2.mp4"),
        ("紙.mp4", "video.mp4"),
        ("0001-plain-1a2b3c4d.mp4", "0001-plain-1a2b3c4d.mp4"),
    ],
)
def test_where_names_are_ascii_a_video_gets_the_rest_of_its_name(
    name: str, written: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("ascii"))
    assert nameable(target.with_name(name)).name == written


@pytest.mark.parametrize("name", ["\ud83d-1a2b3c4d.mp4", "x" * 300 + "-1a2b3c4d.mp4", "紙" * 150 + "-1a2b3c4d.mp4"])
def test_no_name_keeps_a_paid_video_from_the_disk(web: aioresponses, target: Path, name: str) -> None:
    web.get(URI, body=FILM, headers={"ETag": '"1"'})
    inline = save(FILM, target.with_name(name))
    assert inline.path.read_bytes() == FILM
    assert inline.path.name.endswith("1a2b3c4d.mp4")
    inline.path.unlink()
    assert download(target.with_name(name)).path == inline.path


def test_a_file_system_with_short_names_gets_short_names(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """eCryptfs holds 143 bytes, of which the name of a part needs some more."""
    monkeypatch.setattr(os, "pathconf", lambda *_: 143)
    name = nameable(target.with_name("0001-" + "紙" * 40 + "-1a2b3c4d-3.mp4")).name
    assert len(name.encode()) <= 143 - 30
    assert name.startswith("0001-")
    assert name.endswith("-1a2b3c4d-3.mp4")


def test_a_name_that_this_locale_cannot_write_is_no_intact_video(target: Path) -> None:
    assert not run_virtual(saving.is_intact(SavedFile(target.with_name("\ud83d.mp4"), 1, "")))


def test_the_parts_of_one_film_are_not_taken_for_those_of_another(target: Path) -> None:
    second = target.with_name("film.2.mp4")
    part = left_behind(second)
    assert fetched_from_first(target) == [None]
    part.unlink()


def fetched_from_first(target: Path) -> list[str | None]:
    shelf = Shelf(target.parent)

    async def work(session: aiohttp.ClientSession) -> None:
        async with _served(shelf.answer) as address:
            await to_file(session, address, target, {}, silence=30)

    fetching(work)
    return shelf.asked
