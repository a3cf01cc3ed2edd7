"""A network that lets nothing through: the run ends at once, says what `aveo3 check` says, and owes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aveo3 import ClipStatus, VeoClient
from tests.support.emulated import KEY, emulator
from tests.support.settings import settings

PASSWORD = "user:sekret-of-the-proxy"
WAYS: dict[str, dict[str, Any]] = {
    "vertex": {"backend": "vertex", "model": "veo-3.1-generate-001"},
    "gemini": {"backend": "gemini", "model": "gemini-omni-1.1-flash"},
}

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@asynccontextmanager
async def a_proxy(status: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy that answers each CONNECT with `status`: its address, and what it got."""
    got: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", got


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["407", "403", "refused", "no name"])
async def test_a_bad_proxy_ends_the_run_at_once(kind: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with a_proxy(f"{kind} No".encode()) as (address, got):
        where = {"refused": "127.0.0.1:9", "no name": "nobody.invalid:3128"}.get(kind, address)
        monkeypatch.setenv("HTTPS_PROXY", f"http://{PASSWORD}@{where}")
        async with VeoClient(settings(api_key=KEY, **WAYS[way])) as veo:
            clips = await veo.generate_many(["a boat", "another", "a third"])
    assert {(clip.status, clip.error_kind, clip.attempts) for clip in clips} == {(ClipStatus.DEFERRED, "proxy", 0)}
    assert "Check HTTPS_PROXY" in str(clips[0].error_message)
    assert PASSWORD.partition(":")[2] not in str(clips[0].error_message)
    assert len(got) <= 4, "one submit of each prompt at most, and one free request"
    assert all(request.startswith(b"CONNECT ") for request in got)


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_whose_tls_is_refused_ends_the_run_at_once(way: str) -> None:
    async with emulator() as server:
        url = server.url.replace("http://", "https://")
        async with VeoClient(settings(api_key=KEY, base_url=url, **WAYS[way])) as veo:
            clips = await veo.generate_many(["a boat", "another"])
        assert server.books.posts == {}
    assert {(clip.status, clip.error_kind) for clip in clips} == {(ClipStatus.DEFERRED, "tls")}
    assert "SSL_CERT_FILE" in str(clips[0].error_message)
