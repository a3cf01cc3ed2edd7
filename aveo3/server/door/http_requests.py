"""What a request over HTTP carries beside its path: credential, idempotency key, priority, and a body of JSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from aveo3.server.door import callback_address
from aveo3.server.door.callers import Caller
from aveo3.server.door.google_errors import Refused, invalid
from aveo3.telemetry.trace_context import HEADER, checked

Body = TypeVar("Body")

SLOWEST_BODY = 120.0
"""Seconds in which a body must arrive."""


def credential_of(request: web.Request) -> str | None:
    """`Authorization: Bearer`, `x-goog-api-key` or `?key=`, in this order; None without any."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("x-goog-api-key") or request.query.get("key") or None


def priority_of(request: web.Request) -> int:
    """The header `Aveo3-Priority`; 0 without it. Raises `Refused`."""
    text = request.headers.get("Aveo3-Priority", "0")
    try:
        priority = int(text)
    except ValueError:
        priority = 1000
    if abs(priority) > 100:
        raise invalid(f"Aveo3-Priority: {text[:20]!r} must be a whole number from -100 to 100; higher goes first.")
    return priority


def key_of(request: web.Request) -> str | None:
    """The idempotency key in the header or in the query; None without one."""
    return request.headers.get("Idempotency-Key") or request.query.get("idempotencyKey")


def traceparent_of(request: web.Request) -> str | None:
    """The trace context of whoever asks; None without one, or if it cannot be read."""
    values = request.headers.getall(HEADER, [])
    return checked(values[0]) if len(values) == 1 else None


def callback_of(request: web.Request, caller: Caller, *, private: bool) -> tuple[str, str] | None:
    """The address that is told of the end, and the server's own as the caller used it; None if nobody is told.

    The header `Aveo3-Callback`, else the caller's own. Raises `Refused` if nothing can be sent there.
    """
    if (url := request.headers.get("Aveo3-Callback", caller.callback)) is None:
        return None
    if (why := callback_address.why_not(url, private=private)) is not None:
        raise invalid(f"Aveo3-Callback: no callback can go to {url[:100]!r}: {why}.")
    if not caller.callback_secret:
        raise invalid(
            "Aveo3-Callback: callbacks are signed, and this caller has no secret. Whoever runs the server gives it "
            "one: aveo3 serve keys secret NAME."
        )
    scheme = "https" if request.headers.get("X-Forwarded-Proto", request.scheme) == "https" else "http"
    return url, f"{scheme}://{request.host}"


async def bytes_of(request: web.Request) -> bytes:
    """The body. Raises `Refused` if its sender is too slow."""
    try:
        async with asyncio.timeout(SLOWEST_BODY):
            return await request.read()
    except TimeoutError:
        raise Refused(408, "The request took too long to arrive.", status="DEADLINE_EXCEEDED") from None


def parsed(raw: bytes, read: Callable[[Any], Body]) -> tuple[Body, str]:
    """What `read` makes of the JSON in `raw`, and the hex SHA-256 of `raw`. Raises `Refused`."""
    try:
        body = json.loads(raw, parse_constant=_refuse)
        if b"\\ud" in raw or b"\\uD" in raw:
            json.dumps(body, ensure_ascii=False).encode()  # raises for half an emoji, which cannot be written
        return read(body), hashlib.sha256(raw).hexdigest()
    except (ValueError, RecursionError):
        raise invalid("Invalid JSON payload received. Unexpected token.") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
