"""The page over HTTP: who gets in, what is sent, and that nobody makes it open or keep more than it should."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from aveo3.errors import UsageError
from aveo3.mock.state.films import bundled
from aveo3.report.from_journal import Film
from aveo3.server.page import files, server, viewers
from aveo3.server.page.answers import SourceAnswers
from aveo3.server.page.server import PageServer
from aveo3.server.page.shown import CLIPS_AT_ONCE
from aveo3.testing.scripted import FILM
from tests.support.page import Browser, PlainAssets, Shelf, clip, news, raw


def inside(page: PageServer) -> SourceAnswers:
    """What answers in this process."""
    assert isinstance(page._answers, SourceAnswers)
    return page._answers


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    home = tmp_path / "clips"
    home.mkdir()
    return Shelf(home)


@pytest_asyncio.fixture
async def page(shelf: Shelf) -> AsyncIterator[PageServer]:
    async with PageServer(shelf, assets=PlainAssets()) as opened:
        yield opened


@pytest_asyncio.fixture
async def browser(page: PageServer) -> AsyncIterator[Browser]:
    async with Browser(page) as opened:
        yield opened


def port_of(page: PageServer) -> int:
    return int(page.guard.url.rstrip("/").rpartition(":")[2])


def cookie_of(page: PageServer) -> str:
    return f"{page.guard.cookie}={page.guard.token}"


# ---- who gets in ---------------------------------------------------------------------------------------------------


async def test_the_link_leaves_a_cookie_and_the_token_goes_out_of_the_address(page: PageServer) -> None:
    answer = await raw(
        port_of(page), f"GET /?token={page.guard.token} HTTP/1.0\r\nHost: 127.0.0.1:{port_of(page)}\r\n\r\n"
    )
    head, _, body = answer.partition("\r\n\r\n")
    assert "200 OK" in head
    [cookie] = [line for line in head.splitlines() if line.startswith("Set-Cookie: ")]
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))
    assert cookie_of(page) in cookie
    assert 'http-equiv="refresh" content="0;url=/"' in body
    assert page.guard.token not in body


@pytest.mark.parametrize(
    "path", ["", "?token=", "?token=wrong", "?token=%C3%A4", "events", "static/main.js", "videos/a/0"]
)
async def test_without_the_token_there_is_nothing(page: PageServer, shelf: Shelf, path: str) -> None:
    shelf.paths["a"] = (shelf.home / "a.mp4",)
    answer = await raw(port_of(page), f"GET /{path} HTTP/1.0\r\nHost: 127.0.0.1:{port_of(page)}\r\n\r\n")
    assert " 403 " in answer.splitlines()[0]
    assert "aveo3 has printed" in answer
    assert "Set-Cookie" not in answer


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"Host": "{own}"}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Host": "127.0.0.1:1"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 403),
        ({"Host": "{own}", "Cookie": "{name}=wrong"}, 403),
        ({"Host": "{own}", "Cookie": "{name}="}, 403),
        ({"Host": "{own}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "{own}", "Sec-Fetch-Site": "same-site"}, 403),  # a page of another port brings the cookie along
        ({"Host": "{own}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "{own}", "Sec-Fetch-Site": "none"}, 200),
    ],
)
async def test_only_the_page_itself_gets_anything(page: PageServer, given: dict[str, str], status: int) -> None:
    port = port_of(page)
    filled = {
        name: value.format(port=port, own=f"127.0.0.1:{port}", name=page.guard.cookie)
        for name, value in {"Cookie": cookie_of(page), **given}.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in filled.items())
    assert f" {status} " in (await raw(port, f"GET / HTTP/1.0\r\n{head}\r\n")).splitlines()[0]


async def test_every_answer_has_the_headers_that_keep_a_page_to_itself(browser: Browser) -> None:
    for path in ("", "static/main.js", "videos/none/0", "nowhere"):
        async with browser.get(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "script-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy
            assert policy.startswith("default-src 'none'")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


# ---- what a person does --------------------------------------------------------------------------------------------


async def test_an_action_is_a_post_of_the_page_itself(browser: Browser, shelf: Shelf) -> None:
    async with browser.post("actions/pause") as answer:
        assert answer.status == 200
    assert shelf.acted == ["pause"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Cookie": "aveo3_page=wrong"},
    ],
)
async def test_another_page_cannot_act(
    browser: Browser, page: PageServer, shelf: Shelf, headers: dict[str, str]
) -> None:
    given = {"Host": f"127.0.0.1:{port_of(page)}", "Origin": browser.origin, "Cookie": cookie_of(page), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    answer = await raw(port_of(page), f"POST /actions/stop HTTP/1.0\r\n{head}Content-Length: 0\r\n\r\n")
    assert " 403 " in answer.splitlines()[0]
    assert shelf.acted == []


async def test_no_get_changes_anything_and_no_unknown_action_does(browser: Browser, shelf: Shelf) -> None:
    assert await browser.status("actions/stop") == 405
    async with browser.post("actions/destroy") as answer:
        assert answer.status == 409
        assert "another process" in await answer.text()
    async with browser.post("") as answer:
        assert answer.status == 405
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        head = f"Host: 127.0.0.1:{browser.url.split(':')[2].rstrip('/')}\r\n"
        assert " 403 " in (await raw(int(browser.url.split(":")[2].rstrip("/")), f"{method} / HTTP/1.0\r\n{head}\r\n"))
    assert shelf.acted == []


async def test_an_error_of_the_source_is_an_answer_and_no_more(
    browser: Browser, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(key: str) -> tuple[Film, ...]:
        raise RuntimeError(f"{key} is broken")

    shelf.films_of = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO):
        assert await browser.status("videos/a/0") == 500
    assert [record.getMessage() for record in caplog.records] == []


# ---- videos --------------------------------------------------------------------------------------------------------

BODY = FILM + bytes(range(256)) * 4000


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        (None, 200, slice(None)),
        ("bytes=0-", 206, slice(None)),
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=-5", 206, slice(-5, None)),
        (f"bytes={len(BODY) - 1}-", 206, slice(-1, None)),
        ("bytes=0-99999999999", 206, slice(None)),
        ("bytes=-99999999999", 206, slice(None)),
        (f"bytes={len(BODY)}-", 416, slice(0)),
        ("bytes=5-2", 200, slice(None)),
        ("pages=1-2", 200, slice(None)),
    ],
)
async def test_a_listed_video_is_sent_in_whole_or_in_part(
    browser: Browser, shelf: Shelf, asked: str | None, status: int, part: slice
) -> None:
    film = shelf.home / "film.mp4"
    film.write_bytes(BODY)
    shelf.paths["1a2b3c4d.2"] = (film,)
    async with browser.get("videos/1a2b3c4d.2/0", headers={"Range": asked} if asked else {}) as answer:
        assert (answer.status, await answer.read() if status != 416 else b"") == (status, BODY[part])
        if status == 206:
            start, stop, _ = part.indices(len(BODY))
            assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(BODY)}"
        if status != 416:
            assert (answer.headers["Content-Type"], answer.headers["Accept-Ranges"]) == ("video/mp4", "bytes")


@pytest.mark.parametrize(
    "path",
    [
        "videos/a/1", "videos/a/-1", "videos/a/00000", "videos/a/x", "videos/a/%C2%B2", "videos/b/0", "videos/a/0/..",
        "videos/..%2fsecret.mp4/0", "videos/%2e%2e/0", "videos/a", "static/..%2fsecret.mp4", "static/../secret.mp4",
        "secret.mp4", "static/", "videos/a/0%00",
    ],
)  # fmt: skip
async def test_no_path_of_a_client_is_opened(browser: Browser, shelf: Shelf, path: str) -> None:
    (shelf.home / "film.mp4").write_bytes(BODY)
    (shelf.home.parent / "secret.mp4").write_bytes(BODY)
    shelf.paths["a"] = (shelf.home / "film.mp4",)
    assert await browser.status("videos/a/0") == 200
    assert await browser.status(path) == 404


async def test_what_is_no_film_of_the_directory_is_not_sent_although_it_is_listed(
    browser: Browser, shelf: Shelf
) -> None:
    outside = shelf.home.parent / "secret.mp4"
    outside.write_bytes(BODY)
    film = shelf.home / "film.mp4"
    film.write_bytes(BODY)
    link_out, link_in, up = shelf.home / "out.mp4", shelf.home / "in.mp4", shelf.home / ".." / "secret.mp4"
    link_out.symlink_to(outside)
    link_in.symlink_to(film)
    pipe, text, directory = shelf.home / "pipe.mp4", shelf.home / "text.mp4", shelf.home / "directory.mp4"
    os.mkfifo(pipe)
    text.write_text("a secret")
    directory.mkdir()
    gone = shelf.home / "gone.mp4"
    shelf.paths["a"] = (link_out, up, pipe, text, directory, gone, Path("/dev/zero"), link_in, film)
    found = [await browser.status(f"videos/a/{number}") for number in range(9)]
    assert found == [404] * 7 + [200] * 2


async def test_a_browser_that_does_not_read_costs_one_chunk_and_is_cut_off(
    page: PageServer, browser: Browser, shelf: Shelf
) -> None:
    film = shelf.home / "film.mp4"
    film.write_bytes(FILM + bytes(20_000_000))
    shelf.paths["a"] = (film,)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(page))
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(
        f"GET /videos/a/0 HTTP/1.1\r\nHost: 127.0.0.1:{port_of(page)}\r\nCookie: {cookie_of(page)}\r\n\r\n".encode()
    )
    await asyncio.sleep(1)
    assert len(inside(page)._videos._sending) == 1
    await asyncio.sleep(files.STALLED + 10)
    assert len(inside(page)._videos._sending) == 0
    assert await browser.status("videos/a/0", headers={"Range": "bytes=0-9"}) == 206
    writer.close()
    del reader


async def test_one_video_too_many_takes_the_place_of_the_oldest(
    page: PageServer, browser: Browser, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "AT_ONCE", 3)
    film = shelf.home / "film.mp4"
    film.write_bytes(FILM + bytes(20_000_000))
    shelf.paths["a"] = (film,)
    async with AsyncExitStack() as stack:
        answers = [await stack.enter_async_context(browser.get("videos/a/0")) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert len(inside(page)._videos._sending) == 3
        with pytest.raises(Exception, match=r"payload|Connection|closed"):
            await answers[0].read()


async def test_a_still_is_cut_from_a_listed_film_and_from_nothing_else(browser: Browser, shelf: Shelf) -> None:
    pytest.importorskip("av")
    film, broken, outside = shelf.home / "film.mp4", shelf.home / "broken.mp4", shelf.home.parent / "secret.mp4"
    film.write_bytes(bundled())
    broken.write_bytes(BODY)
    outside.write_bytes(bundled())
    link = shelf.home / "link.mp4"
    link.symlink_to(outside)
    shelf.paths["a"] = (film, broken, link, shelf.home / "gone.mp4")
    for _ in range(2):  # the second time it is kept
        async with browser.get("posters/a/0") as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
            assert (await answer.read())[8:12] == b"WEBP"
    assert [await browser.status(f"posters/a/{number}") for number in range(1, 5)] == [404] * 4


# ---- viewers -------------------------------------------------------------------------------------------------------


async def test_a_viewer_gets_the_view_and_then_only_what_changes(browser: Browser, shelf: Shelf) -> None:
    shelf.shown.put_clip(clip("a"), ended=False)
    shelf.shown.put_clip(clip("b"), ended=False)
    async with browser.get("events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        events = news(answer)
        kind, view = await anext(events)
        assert (kind, view["title"], [row["key"] for row in view["clips"]]) == ("view", "clips", ["a", "b"])
        assert (view["lanes"], view["steps"], view["lane_steps"]) == ([], [], [])
        for status in ("waiting", "submitting", "running"):  # before the next refresh: one patch
            shelf.shown.put_clip(clip("b", status=status), ended=False)
        shelf.shown.set(title="more clips")
        kind, patch = await anext(events)
        assert (kind, patch) == ("patch", {"title": "more clips", "clips": [clip("b", status="running")]})


async def test_patches_come_at_most_four_times_a_second(browser: Browser, shelf: Shelf) -> None:
    async with browser.get("events") as answer:
        events = news(answer)
        await anext(events)
        loop, got = asyncio.get_running_loop(), 0
        began = loop.time()

        async def change() -> None:
            for number in range(400):
                shelf.shown.put_clip(clip("a", index=number), ended=False)
                await asyncio.sleep(0.01)

        changing = asyncio.create_task(change())
        async for _, patch in events:
            got += 1
            if patch["clips"][0]["index"] == 399:
                break
        await changing
        assert got <= 4 * (loop.time() - began) + 2


async def test_a_large_view_comes_in_pieces_and_only_once(browser: Browser, shelf: Shelf) -> None:
    many = 3 * CLIPS_AT_ONCE + 7
    for number in range(many):
        shelf.shown.put_clip(clip(f"{number}"), ended=True)
    async with browser.get("events") as answer:
        seen: list[str] = []
        async for _, part in news(answer):
            seen += [row["key"] for row in part["clips"]]
            assert len(part["clips"]) <= CLIPS_AT_ONCE
            if len(seen) >= many:
                break
    assert seen == [f"{number}" for number in range(many)]


async def test_a_viewer_that_does_not_read_skips_to_what_is_newest(
    page: PageServer, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it is one piece, however much has changed; and after a minute it is cut off."""
    for number in range(5_000):
        shelf.shown.put_clip(clip(f"{number}", text="x" * 2_000), ended=False)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(page), limit=2**16)
    writer.write(
        f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port_of(page)}\r\nCookie: {cookie_of(page)}\r\n\r\n".encode()
    )
    await reader.read(10)
    await asyncio.sleep(1)
    assert page.viewers == 1
    [cursor] = inside(page)._viewers._cursors.values()
    await asyncio.sleep(viewers.STALLED + 20)
    assert page.viewers == 0
    writer.close()
    del cursor


async def test_many_viewers_share_what_is_made_and_one_too_many_is_told(
    browser: Browser, page: PageServer, shelf: Shelf
) -> None:
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(viewers.MOST):
            streams.append(news(await stack.enter_async_context(browser.get("events"))))  # noqa: PERF401
        for events in streams:
            assert (await anext(events))[0] == "view"
        assert page.viewers == viewers.MOST
        assert await browser.status("events") == 503
        shelf.shown.put_clip(clip("a"), ended=False)
        for events in streams:
            assert (await anext(events))[1]["clips"] == [clip("a")]
    await asyncio.sleep(1)
    assert page.viewers == 0


async def test_nothing_is_refreshed_while_nobody_looks(browser: Browser, page: PageServer, shelf: Shelf) -> None:
    await asyncio.sleep(100)
    assert shelf.refreshed == 0
    async with browser.get("events") as answer:
        await anext(news(answer))
        await asyncio.sleep(10)
        assert 30 < shelf.refreshed < 45
    await asyncio.sleep(5)
    refreshed = shelf.refreshed
    await asyncio.sleep(100)
    assert shelf.refreshed == refreshed


async def test_a_viewer_without_news_gets_a_sign_of_life(browser: Browser) -> None:
    async with browser.get("events") as answer:
        assert b"event: view" in await answer.content.readany()
        assert b": still here" in await answer.content.readany()


async def test_the_last_state_is_sent_before_the_page_closes(shelf: Shelf) -> None:
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(PageServer(shelf, assets=PlainAssets()))
        opened = Browser(page)
        await opened.__aenter__()
        async with opened.get("events") as answer:
            events = news(answer)
            await anext(events)
            shelf.shown.put_clip(clip("a", status="succeeded"), ended=True)
            closing = asyncio.create_task(stack.aclose())
            assert [part["clips"][0]["status"] async for _, part in events] == ["succeeded"]
            await closing
        await opened.__aexit__()


# ---- the machine ---------------------------------------------------------------------------------------------------


async def test_it_listens_on_this_machine_only(page: PageServer) -> None:
    [name] = {bound.getsockname()[0] for bound in (page._server.sockets if page._server else ())}
    assert name == "127.0.0.1"


async def test_a_port_that_is_taken_is_told(page: PageServer, shelf: Shelf) -> None:
    with pytest.raises(UsageError, match=rf"port {port_of(page)} of 127\.0\.0\.1: Address already in use"):
        async with PageServer(shelf, port=port_of(page), assets=PlainAssets()):
            pass


async def test_connections_have_a_bound(page: PageServer, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 10)
    connections = [await asyncio.open_connection("127.0.0.1", port_of(page)) for _ in range(20)]
    await asyncio.sleep(0.1)
    alive = 0
    for reader, writer in connections:
        try:
            async with asyncio.timeout(0.01):
                ended = await reader.read(1) == b""
        except TimeoutError:
            ended = False
        except ConnectionError:
            ended = True
        alive += not ended
        writer.close()
    assert alive <= 10


async def test_what_is_no_http_does_not_reach_the_terminal_of_the_run(
    page: PageServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert " 400 " in await raw(port_of(page), "\x00\x01 nonsense\r\n\r\n")
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []
    assert capsys.readouterr().err == ""


def test_the_link_is_in_no_repr_and_no_log(shelf: Shelf) -> None:
    page = PageServer(shelf, assets=PlainAssets())
    assert page.guard.token not in repr(page)
    assert page.guard.token not in repr(page.guard)
    assert len(page.guard.token) >= 43
    assert page.guard.token != PageServer(shelf, assets=PlainAssets()).guard.token
