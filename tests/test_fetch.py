"""A paid video reaches the disk whole, under a name of its own, or not at all; and the key stays at home."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web as aiohttp_web
from aioresponses import aioresponses
from yarl import URL

from aveo3 import fetch
from aveo3.errors import FetchError
from aveo3.testing import run_virtual
from aveo3.testing.scripted import FILM

Result = TypeVar("Result")

URI = "https://films.example/v1/film.mp4?alt=media"
KEY = {"x-goog-api-key": "secret"}
LONG_FILM = FILM + bytes(range(256)) * 400
"""Seven of the chunks that the tests stream it in."""


@pytest.fixture(autouse=True)
def _nothing_half_done_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test does: no partial file stays behind."""
    monkeypatch.setattr(fetch, "CHUNK", 1 << 14)
    yield
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".part"] == []


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """In a directory that does not exist yet."""
    return tmp_path / "clips" / "film.mp4"


def fetching(work: Callable[[aiohttp.ClientSession], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        async with asyncio.timeout(86_400), aiohttp.ClientSession() as session:
            return await work(session)

    return run_virtual(main())


def download(target: Path, uri: str = URI, headers: dict[str, str] | None = None) -> Path:
    return fetching(lambda session: fetch.download(session, uri, target, headers or {}, silence=30))


def save(data: bytes, target: Path) -> Path:
    async def main() -> Path:
        return await fetch.save(data, target)

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


# ---- whole, and under a name of its own ----------------------------------------------------------------------------


@pytest.mark.parametrize("film", [FILM, LONG_FILM], ids=["short", "long"])
def test_a_download_is_there_whole(web: aioresponses, target: Path, film: bytes) -> None:
    web.get(URI, body=film, headers={"Content-Length": str(len(film))})
    assert download(target) == target
    assert target.read_bytes() == film


def test_a_download_of_unknown_length_is_taken_as_it_comes(web: aioresponses, target: Path) -> None:
    web.get(URI, body=FILM)
    assert download(target).read_bytes() == FILM


def test_an_inline_video_is_there_whole(target: Path) -> None:
    assert save(LONG_FILM, target) == target
    assert target.read_bytes() == LONG_FILM


def test_a_name_that_is_taken_is_never_written_over(web: aioresponses, target: Path) -> None:
    """What is there was paid for. The next names are -2, -3, …"""
    web.get(URI, body=FILM, repeat=True)
    target.parent.mkdir()
    target.write_text("the first")
    target.with_name("film-2.mp4").write_text("the second")
    assert download(target).name == "film-3.mp4"
    assert save(FILM, target).name == "film-4.mp4"
    assert target.read_text() == "the first"
    assert target.with_name("film-2.mp4").read_text() == "the second"


def test_files_under_one_name_at_once_all_get_one(target: Path) -> None:
    async def main() -> list[Path]:
        return await asyncio.gather(*(fetch.save(FILM, target) for _ in range(8)))

    paths = run_virtual(main())
    assert {path.name for path in paths} == {"film.mp4", *(f"film-{n}.mp4" for n in range(2, 9))}
    assert all(path.read_bytes() == FILM for path in paths)


def test_a_disk_without_hard_links_does_too(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert [save(FILM, target).name for _ in range(3)] == ["film.mp4", "film-2.mp4", "film-3.mp4"]


def test_a_film_whose_first_bytes_trickle_in_one_by_one_is_a_film(target: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> Path:
        async def trickle(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            response = aiohttp_web.StreamResponse(headers={"Content-Length": str(len(FILM))})
            await response.prepare(request)
            for byte in FILM:
                await response.write(bytes([byte]))
                await asyncio.sleep(1)
            return response

        async with _served(trickle) as address:
            return await fetch.download(session, address, target, {}, silence=30)

    assert fetching(work).read_bytes() == FILM


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
    monkeypatch.setattr(fetch, "MAX_BYTES", 1000)
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
                await fetch.download(session, address, target, {}, silence=30)
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
                await fetch.download(session, address, target, {}, silence=30)
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


# ---- redirects, and the key -----------------------------------------------------------------------------------------


def test_the_key_goes_to_the_address_and_along_on_its_own_host(web: aioresponses, target: Path) -> None:
    web.get(URI, status=302, headers={"Location": "/elsewhere/film.mp4"})
    web.get("https://films.example/elsewhere/film.mp4", body=FILM)
    assert download(target, headers=KEY) == target
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
    assert download(target, headers=KEY).read_bytes() == FILM
    assert asked_for(web) == [(URI, KEY), (there, {})]


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


def test_a_directory_that_vanishes_on_the_way_is_a_clear_error(
    web: aioresponses, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(os, "link", vanish)
    monkeypatch.setattr(Path, "rename", vanish)
    for failed in both_ways(web, target):
        assert failed.final
        assert "No such file or directory" in str(failed)


# ---- cancelled ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(0, 60, 3))
def test_cancelled_at_any_turn_a_download_leaves_a_whole_film_or_nothing(
    web: aioresponses, target: Path, turns: int
) -> None:
    web.get(URI, body=LONG_FILM)

    async def work(session: aiohttp.ClientSession) -> None:
        task = asyncio.create_task(fetch.download(session, URI, target, {}, silence=30))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

    fetching(work)
    assert not target.exists() or target.read_bytes() == LONG_FILM


@pytest.mark.parametrize("way", ["download", "save"])
@pytest.mark.parametrize("number", range(1, 8))
def test_cancelled_while_a_thread_is_at_the_disk_it_leaves_a_whole_film_or_nothing(
    web: aioresponses, target: Path, monkeypatch: pytest.MonkeyPatch, number: int, way: str
) -> None:
    """The thread cannot be cancelled: it does its work after everybody has gone."""
    web.get(URI, body=LONG_FILM)
    to_thread, release, calls = asyncio.to_thread, threading.Event(), 0

    async def work(session: aiohttp.ClientSession) -> None:
        async def hold(func: Callable[..., Any], *args: Any, **values: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls != number:
                return await to_thread(func, *args, **values)
            asyncio.get_running_loop().call_soon(task.cancel)

            def held() -> Any:
                release.wait(10)
                return func(*args, **values)

            return await to_thread(held)

        monkeypatch.setattr(asyncio, "to_thread", hold)
        fetched = (
            fetch.download(session, URI, target, {}, silence=30) if way == "download" else fetch.save(FILM, target)
        )
        task = asyncio.ensure_future(fetched)
        await asyncio.wait({task})
        assert task.cancelled() is (calls >= number)
        release.set()
        await asyncio.get_running_loop().shutdown_default_executor()

    fetching(work)
    assert not target.exists() or target.read_bytes() in (FILM, LONG_FILM)


# ---- names ----------------------------------------------------------------------------------------------------------

DIGEST = "1a2b3c4d5e6f"


@pytest.mark.parametrize(
    ("index", "text", "number", "name"),
    [
        (6, "A paper boat", None, "0007-a-paper-boat-1a2b3c4d.mp4"),
        (0, "A paper boat", 2, "0001-a-paper-boat-1a2b3c4d-2.mp4"),
        (99_999, "x", None, "100000-x-1a2b3c4d.mp4"),
        (0, "", None, "0001-video-1a2b3c4d.mp4"),
        (0, "  \n\t ", None, "0001-video-1a2b3c4d.mp4"),
        (0, "!!! ???", None, "0001-video-1a2b3c4d.mp4"),
        (0, "🚀🚀", None, "0001-video-1a2b3c4d.mp4"),
        (0, "../../etc/passwd", None, "0001-etc-passwd-1a2b3c4d.mp4"),
        (0, "C:\\CON.mp4\0", None, "0001-c-con-mp4-1a2b3c4d.mp4"),
        (0, "snake_case__words", None, "0001-snake-case-words-1a2b3c4d.mp4"),
        (0, "Über die Straße, s'il vous plaît", None, "0001-über-die-straße-s-il-vous-plaît-1a2b3c4d.mp4"),
        (0, "紙の船が川を下る", None, "0001-紙の船が川を下る-1a2b3c4d.mp4"),
        (0, "a" * 39 + " boat", None, f"0001-{'a' * 39}-1a2b3c4d.mp4"),
        (0, "word " * 4000, None, f"0001-{'word-' * 7}word-1a2b3c4d.mp4"),
    ],
)
def test_file_names(index: int, text: str, number: int | None, name: str) -> None:
    assert fetch.file_name(index, text, DIGEST, number) == name


def test_the_longest_name_fits_every_file_system() -> None:
    """255 bytes, with room for the suffix of a name that is taken."""
    longest = fetch.file_name(10**9, "𝔘" * 20_000, DIGEST, 4)
    assert len(longest.encode()) < 240
