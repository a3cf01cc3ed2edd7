"""Media that requests name by `https://`: fetched where the operator allows it, and from public addresses only."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aveo3.server.door import media_fetcher
from tests.support.door import MODEL, serving
from tests.support.emulated import emulator

PATH = f"/v1/publishers/google/models/{MODEL}:predictLongRunning"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for this machine, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = tmp_path_factory.mktemp("certificate") / "localhost.pem"
    file.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return file


@asynccontextmanager
async def shop(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A web server with pictures, which the door trusts. Gives its address."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(certificate)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    serves = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serves.load_cert_chain(certificate)

    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/boat.png")

    def with_body(body: bytes) -> Any:
        async def handle(_: web.Request) -> web.Response:
            return web.Response(body=body)

        return handle

    app = web.Application()
    app.router.add_get("/boat.png", with_body(PNG))
    app.router.add_get("/page.png", with_body(b"<html>"))
    app.router.add_get("/large.png", with_body(PNG + bytes(200)))
    app.router.add_get("/slow.png", never)
    app.router.add_get("/moved.png", moved)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serves)
    await site.start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def order(uri: str, mime_type: str = "image/png") -> dict[str, Any]:
    return {"instances": [{"prompt": "it sails", "image": {"gcsUri": uri, "mimeType": mime_type}}]}


async def test_a_picture_that_is_named_by_https_is_fetched_and_kept_before_the_answer(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        emulator() as google,
        shop(certificate, monkeypatch) as url,
        serving(google, private_media=True) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        async with http.post(PATH, json=order(f"{url}/boat.png?size=1")) as answer:
            assert answer.status == 200, await answer.text()
        [kept] = (door.session.settings.output_dir / ".aveo3" / "media").iterdir()
        assert kept.read_bytes() == PNG
        await asyncio.sleep(30)
        body = {"model": MODEL, "prompt": "it sinks", "input_reference": {"image_url": f"{url}/boat.png"}}
        async with http.post("/v1/videos", json=body) as answer:
            assert answer.status == 200, await answer.text()
        await asyncio.sleep(30)
        assert google.books.accepted_by_prompt == {"it sails": 1, "it sinks": 1}


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/moved.png", "no redirect is followed"),
        ("/none.png", "HTTP 404"),
        ("/page.png", "it holds text/html, not image/png"),
        ("/large.png", "the media of one request have at most"),
        ("/slow.png", "it did not arrive within 60 seconds"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_the_reason_and_nothing_is_accepted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    monkeypatch.setattr(media_fetcher, "LARGEST", len(PNG) + 100)
    async with (
        emulator() as google,
        shop(certificate, monkeypatch) as url,
        serving(google, private_media=True) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        async with http.post(PATH, json=order(url + path)) as answer:
            assert answer.status == 400
            assert why in (await answer.json())["error"]["message"]
        assert door.session.journal is not None
        assert [*door.session.journal.records()] == []


async def test_nothing_is_fetched_from_private_addresses_however_they_are_named_nor_unless_it_is_allowed(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with emulator() as google, shop(certificate, monkeypatch) as url:
        port = url.rpartition(":")[2]
        async with serving(google, fetch_media=True) as door, aiohttp.ClientSession(door.url) as http:
            for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]"):
                async with http.post(PATH, json=order(f"https://{host}:{port}/boat.png")) as answer:
                    assert answer.status == 400
                    assert "private address" in (await answer.json())["error"]["message"]
        async with (
            serving(google) as door,
            aiohttp.ClientSession(door.url) as http,
            http.post(PATH, json=order(f"{url}/boat.png")) as answer,
        ):
            assert answer.status == 400
            assert "Vertex AI reads media from gs:// only" in (await answer.json())["error"]["message"]
