"""A receiver for Google's webhooks. A delivery says that an interaction has ended, and aveo3 then polls it at once.

A delivery names the interaction and holds nothing else: a poll still finds the clip. So a delivery that is lost, late,
forged or malformed does no harm, and a delivery alone never changes a job.

Deliveries for `webhook_config` carry the signatures observed on live ones (googleapis/python-genai#2927, 2026-08-31):
the headers webhook-id, webhook-timestamp and webhook-signature of the Standard Webhooks, with the signature
`v1a,BASE64`: Ed25519 over `id.timestamp.body` with a key of /.well-known/jwks.json. Google's page on webhooks
(2026-09-24) shows an RS256 token instead, without its audience and claims. Such a delivery is rejected, and the rare
polls find the clip.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from aveo3.errors import UsageError

log = logging.getLogger(__name__)

GOOGLE = "https://generativelanguage.googleapis.com"
KEYS_PATH = "/.well-known/jwks.json"

OLDEST = 300.0
"""Largest difference in seconds between a delivery's timestamp and now. Google advises this value against replays."""

KEYS_LAST, KEYS_APART = 3600.0, 60.0
"""Seconds that fetched keys stay valid; and the shortest time from one fetch to the next, whatever deliveries come."""

BODY_LIMIT = 64 * 1024
REMEMBERED = 1_000
"""Recent deliveries that are recognised when they are repeated: Google delivers at least once."""


class Untrusted(Exception):
    """A delivery without proof that Google sent it. The message says why."""


def check(headers: Mapping[str, str], body: bytes, keys: list[Ed25519PublicKey], now: float) -> str:
    """The delivery's webhook-id, if one of `keys` signed it within five minutes of `now` (Unix seconds).

    Raises `Untrusted` otherwise.
    """
    number, stamp, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (number and stamp and signatures):
        raise Untrusted("webhook-id, webhook-timestamp or webhook-signature is missing")
    if not (stamp.isascii() and stamp.isdecimal() and abs(int(stamp[:15]) - now) <= OLDEST):
        raise Untrusted(f"its timestamp {stamp[:15]} is more than {OLDEST:g} s from now: check this machine's clock")
    signed = f"{number}.{stamp}.".encode() + body
    values = [value for scheme, _, value in (one.partition(",") for one in signatures.split()) if scheme == "v1a"]
    if not values:
        raise Untrusted("it has no signature of the scheme v1a")
    for value in values:
        for key in keys:
            try:
                key.verify(base64.b64decode(value, validate=True), signed)
            except (InvalidSignature, ValueError):
                continue
            return number
    raise Untrusted("it is not signed with a published key")


def read_keys(body: Any) -> list[Ed25519PublicKey]:
    """The Ed25519 keys of a JSON Web Key Set; skips everything else."""
    entries = body.get("keys") if isinstance(body, Mapping) else None
    keys = []
    for each in entries if isinstance(entries, list) else ():
        if isinstance(each, Mapping) and each.get("crv") == "Ed25519" and isinstance(x := each.get("x"), str):
            try:
                keys.append(Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))))
            except ValueError:
                log.debug("not an Ed25519 key: %.80s", x)
    return keys


class Receiver:
    """Listens while its `async with` lasts, and calls `wake` with the id of each interaction that has ended.

    Google sends to `address`, and the deliveries arrive at `listen` (HOST:PORT). `google` is the server that publishes
    the keys; None for Google's own. Entering raises `UsageError` if the port of `listen` cannot be used.
    """

    def __init__(
        self,
        address: str,
        listen: str,
        *,
        google: str | None = None,
        session: aiohttp.ClientSession,
        wake: Callable[[str], None],
        now_utc: Callable[[], datetime],
    ) -> None:
        self._listen = listen
        self._google = google or GOOGLE
        self._session = session
        self._wake = wake
        self._now_utc = now_utc
        self._keys: list[Ed25519PublicKey] = []
        self._fetched_at: float | None = None
        self._fetching = asyncio.Lock()
        self._deliveries: dict[str, None] = {}
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_post(urlsplit(address).path or "/", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        host, _, port = self._listen.rpartition(":")
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                f"VEO3_WEBHOOK_LISTEN={self._listen} cannot be used: {error.strerror or error}. Name another "
                "port, or unset VEO3_WEBHOOK to do without webhooks."
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port in use."""
        port: int = self._runner.addresses[0][1]
        return port

    async def _receive(self, request: web.Request) -> web.Response:
        """Answer 2xx at once if the delivery is Google's, even if malformed: Google would repeat it for a day."""
        body = await request.read()
        try:
            number = await self._check(request.headers, body)
        except Untrusted as why:
            log.warning("a webhook delivery is rejected: %s", why)
            return web.Response(status=401)
        if number not in self._deliveries:
            self._deliveries[number] = None
            if len(self._deliveries) > REMEMBERED:
                del self._deliveries[next(iter(self._deliveries))]
            if (name := _ended(body)) is not None:
                self._wake(name)
        return web.Response(status=204)

    async def _check(self, headers: Mapping[str, str], body: bytes) -> str:
        now = self._now_utc().timestamp()
        await self._fetch(KEYS_LAST)
        try:
            return check(headers, body, self._keys, now)
        except Untrusted:
            if not await self._fetch(KEYS_APART):  # the keys may have changed
                raise
            return check(headers, body, self._keys, now)

    async def _fetch(self, oldest: float) -> bool:
        """Fetch the keys if they are older than `oldest` seconds. True if it sent the request."""
        loop = asyncio.get_running_loop()
        async with self._fetching:
            if self._fetched_at is not None and loop.time() < self._fetched_at + oldest:
                return False
            self._fetched_at = loop.time()
            try:
                async with self._session.get(
                    self._google + KEYS_PATH, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=10)
                ) as answer:
                    answer.raise_for_status()
                    self._keys = read_keys(await answer.json(content_type=None)) or self._keys
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.warning("the webhook keys could not be fetched: %s", error)
            return True


def _ended(body: bytes) -> str | None:
    """The id of the interaction whose end a delivery reports; None if it reports something else."""
    try:
        event = json.loads(body)
        kind, name = event["type"], event["data"]["id"]
    except (ValueError, TypeError, LookupError):
        return None
    return name if isinstance(name, str) and isinstance(kind, str) and kind.startswith("interaction.") else None
