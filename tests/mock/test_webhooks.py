"""Webhooks of interactions: deliveries, retries and signatures."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.support.interactions import PATH, talking

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@asynccontextmanager
async def listening(
    *statuses: int, raw_bodies: bool = False
) -> AsyncIterator[tuple[str, asyncio.Queue[tuple[Any, Any]]]]:
    """Yield a URL that answers with these statuses in turn, and a queue of (headers, body); bytes with `raw_bodies`."""
    heard: asyncio.Queue[tuple[Any, Any]] = asyncio.Queue()
    answers = iter(statuses)

    async def listen(request: web.Request) -> web.Response:
        raw = await request.read()
        await heard.put((request.headers, raw if raw_bodies else json.loads(raw)))
        return web.Response(status=next(answers))

    app = web.Application()
    app.router.add_post("/hook", listen)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with asyncio.timeout(10):
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", heard
    finally:
        await runner.cleanup()


async def test_a_failed_delivery_is_repeated_until_it_succeeds() -> None:
    async with listening(503, 204) as (uri, heard), talking("error-13@1") as talk:
        hook = {"uris": [uri], "user_metadata": {"job": 7}}
        failed = (await talk.create(webhook_config=hook)).body["id"]
        first, body = await heard.get()
        again, repeated = await heard.get()
        assert (first["webhook-id"], body) == (again["webhook-id"], repeated)
        assert (body["type"], body["version"], body["user_metadata"]) == ("interaction.failed", "v1", {"job": 7})
        assert (body["data"]["id"], body["data"]["error_code"]) == (failed, "api_error")


async def test_completions_and_cancellations_are_delivered_at_once() -> None:
    async with listening(204, 204) as (uri, heard), talking("stuck@2", latency="20") as talk:
        hook = {"uris": [uri]}
        completed = (await talk.create(webhook_config=hook)).body["id"]
        event = (await heard.get())[1]
        assert (event["type"], event["data"]) == ("interaction.completed", {"id": completed})
        cancelled = (await talk.create(webhook_config=hook)).body["id"]
        await talk.ask("POST", f"{PATH}/{cancelled}/cancel")
        event = (await heard.get())[1]
        assert (event["type"], event["data"]) == ("interaction.cancelled", {"id": cancelled})


async def test_a_delivery_is_signed_with_one_of_the_published_keys_and_dated_on_the_listeners_clock() -> None:
    ahead = {"speed": 600, "latency": "20", "now_utc": lambda: NOON}  # by ten minutes per second
    async with listening(503, 204, raw_bodies=True) as (uri, heard), talking(**ahead) as talk:
        await talk.create(webhook_config={"uris": [uri]})
        keys = (await talk.ask("GET", "/.well-known/jwks.json", headers={})).body["keys"]
        assert {(key["kty"], key["crv"]) for key in keys} == {("OKP", "Ed25519")}
        for _ in range(2):
            headers, body = await heard.get()
            stamp = headers["webhook-timestamp"]
            assert int(stamp) == NOON.timestamp()
            scheme, _, signature = headers["webhook-signature"].partition(",")
            assert scheme == "v1a"
            signed = f"{headers['webhook-id']}.{stamp}.".encode() + body
            assert sum(fits(key["x"], base64.b64decode(signature), signed) for key in keys) == 1
            assert not any(fits(key["x"], base64.b64decode(signature), signed + b" ") for key in keys)


def fits(x: str, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=")).verify(signature, signed)
    except InvalidSignature:
        return False
    return True
