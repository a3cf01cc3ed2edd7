"""Webhooks of single requests: a POST to each address that an interaction named, once it has ended.

They are signed as live deliveries were seen to be (googleapis/python-genai#2927, 2026-08-31): the scheme v1a of the
Standard Webhooks, Ed25519 over `id.timestamp.body`, with a key out of those at `/.well-known/jwks.json`. Google's page
on webhooks (2026-09-24) speaks of an RS256 token instead, and does not say what is in it.
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
"""Emulator seconds before each try. Google goes on for a day."""
_EVENTS = {"completed": "interaction.completed", "cancelled": "interaction.cancelled"}
_KEYS = 3
"""Published, as at Google. Which of them has signed is not said."""
_PATIENCE = aiohttp.ClientTimeout(total=10)  # of the real clock: a listener that answers later is not there


class Announcer:
    """Tells who wants to know. At least once: a listener that answers badly hears the same event again."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = [Ed25519PrivateKey.generate() for _ in range(_KEYS)]

    async def keys(self, _: web.Request) -> web.StreamResponse:
        """`GET /.well-known/jwks.json`: the public halves, to anybody."""
        published = [
            {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": f"mock-{n}", "x": _base64url(public)}
            for n, public in enumerate(key.public_key().public_bytes_raw() for key in self._keys)
        ]
        return web.json_response({"keys": published})

    def sign(self, number: str, timestamp: int, body: bytes) -> dict[str, str]:
        """The headers that a delivery goes out with. `timestamp` is on the listener's clock."""
        signature = self._keys[-1].sign(f"{number}.{timestamp}.".encode() + body)
        return {
            "content-type": "application/json",
            "webhook-id": number,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
        }

    def expect(self, interaction: Interaction) -> None:
        """Tell the addresses of `interaction` when it ends. Stops with the server."""
        for uri in interaction.wish.hooks:
            task = asyncio.create_task(self._tell(interaction, uri))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, interaction: Interaction, uri: str) -> None:
        emulator = self._emulator
        assert interaction.operation is not None
        await emulator.sit_out(interaction.operation)
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
                log.info("webhook %s: %s", uri, error)

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
