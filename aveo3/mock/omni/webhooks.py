"""Webhooks of single requests: a POST to each address that an interaction names, after its end.

They are signed like observed live deliveries (googleapis/python-genai#2927, 2026-08-31): the scheme v1a of Standard
Webhooks, Ed25519 over `id.timestamp.body`, with one of the keys at `/.well-known/jwks.json`. Google's page on webhooks
(2026-09-24) describes an RS256 token instead, but not its contents.
"""

import asyncio
import base64
import json
import logging
import uuid
from typing import Any

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aveo3.mock.omni.responses import Interaction, iso
from aveo3.mock.state.emulator import Emulator

log = logging.getLogger(__name__)

_WAITS = (0.0, 10.0, 60.0)
"""Emulator seconds before each delivery attempt. Google retries for a day."""
_EVENTS = {"completed": "interaction.completed", "cancelled": "interaction.cancelled"}
_KEYS = 3
"""Number of published keys, as at Google. A delivery does not name its key."""
_PATIENCE = aiohttp.ClientTimeout(total=10)  # real seconds: a listener that answers later counts as absent


class Announcer:
    """Delivers events at least once: after a failed delivery the listener gets the same event again."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = [Ed25519PrivateKey.generate() for _ in range(_KEYS)]

    async def keys(self, _: web.Request) -> web.StreamResponse:
        """`GET /.well-known/jwks.json`: the public keys, without a credential."""
        published = [
            {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": f"mock-{n}", "x": _base64url(public)}
            for n, public in enumerate(key.public_key().public_bytes_raw() for key in self._keys)
        ]
        return web.json_response({"keys": published})

    def sign(self, number: str, timestamp: int, body: bytes) -> dict[str, str]:
        """Return the headers of a delivery. `timestamp` is on the listener's clock."""
        signature = self._keys[-1].sign(f"{number}.{timestamp}.".encode() + body)
        return {
            "content-type": "application/json",
            "webhook-id": number,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
        }

    def expect(self, interaction: Interaction) -> None:
        """Start a delivery to each address of `interaction` for its end. Deliveries stop with the server."""
        for uri in interaction.wish.hooks:
            task = asyncio.create_task(self._deliver(interaction, uri))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, interaction: Interaction, uri: str) -> None:
        emulator = self._emulator
        assert interaction.operation is not None
        await emulator.wait_for_end(interaction.operation)
        if not interaction.operation.done:  # the server stops
            return
        body, number = json.dumps(self._body(interaction)).encode(), f"msg_{uuid.uuid4()}"
        for wait in _WAITS:
            await emulator.idle(wait)
            if emulator.closing.is_set():
                return
            headers = self.sign(number, int(emulator.clock.client_utc().timestamp()), body)
            try:
                async with (
                    aiohttp.ClientSession(timeout=_PATIENCE) as http,
                    http.post(uri, data=body, headers=headers, allow_redirects=False) as answer,
                ):
                    if answer.ok:
                        return
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.info("webhook delivery to %s failed: %s", uri, error)

    @staticmethod
    def _body(interaction: Interaction) -> dict[str, Any]:
        operation = interaction.operation
        assert operation is not None
        assert operation.ended is not None
        data: dict[str, Any] = {"id": interaction.id}
        event = _EVENTS.get(interaction.status, "interaction.failed")
        if event == "interaction.failed":
            _, data["error_code"], data["error_message"] = interaction.error
        body = {"type": event, "version": "v1", "timestamp": iso(operation.ended), "data": data}
        metadata = interaction.wish.metadata
        return body if metadata is None else {**body, "user_metadata": metadata}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
