"""Streamable HTTP: one desk for several clients, on this machine, or beyond it with a token.

A web page can post to any port of this machine, and a name of its own can point there (DNS rebinding). So without a
token only this machine's names are answered, and no page of another site; beyond this machine a token is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from aveo3.errors import UsageError
from aveo3.mcp_server.desk import Desk
from aveo3.mcp_server.transport import cancelled, resuming, server_of
from aveo3.server.door.guard import is_loopback

PATH = "/mcp"
PORT = 8791

ENDS_WITHIN = 2
"""Seconds that answers under way get when the server stops."""


def address_of(text: str) -> tuple[str, int]:
    """The host and the port of `--http`: HOST:PORT, or one of them. Raises `UsageError`."""
    if text.isdigit():
        text = f"127.0.0.1:{text}"
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "127.0.0.1", PORT if parts.port is None else parts.port
    except ValueError:
        raise UsageError(f"--http {text}: write HOST:PORT, such as 127.0.0.1:{PORT}") from None
    if parts.path or parts.query or parts.username is not None:
        raise UsageError(f"--http {text}: write HOST:PORT, such as 127.0.0.1:{PORT}")
    return host, port


class TokenRequired:
    """Lets requests pass to `app` that bring the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            given = Headers(scope=scope).get("authorization", "").encode("utf-8", "replace")
            if not compare_digest(given, self._expected):
                refusal = PlainTextResponse(
                    "This server needs its token: Authorization: Bearer TOKEN\n", 401, {"WWW-Authenticate": "Bearer"}
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def check_token(host: str, token: str | None) -> None:
    """Raise `UsageError` for a host that others reach, without a token."""
    if not is_loopback(host) and not token:
        raise UsageError(
            f"--http {host}: whoever reaches the server there could spend your money. Set VEO3_MCP_TOKEN to a long "
            "random text, which clients send as Authorization: Bearer, or use 127.0.0.1."
        )


def app_of(desk: Desk, version: str, host: str, token: str | None) -> ASGIApp:
    """The ASGI application of a desk that listens on `host`."""
    names = ["127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=is_loopback(host),  # elsewhere the token keeps pages of other sites out
        allowed_hosts=[each for name in names for each in (name, f"{name}:*")],
        allowed_origins=[each for name in names for each in (f"http://{name}", f"http://{name}:*")],
    )
    app: ASGIApp = server_of(desk, version).streamable_http_app(
        streamable_http_path=PATH, host=host, transport_security=security
    )
    return app if token is None else TokenRequired(app, token)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command line."""
        yield


async def serve_http(
    desk: Desk,
    version: str,
    stop: asyncio.Event,
    host: str,
    port: int,
    *,
    token: str | None = None,
    opened: Callable[[str], Any] = lambda _: None,
) -> None:
    """Serve clients at `host`:`port` until `stop` is set; port 0 takes a free one. `opened` gets the address.

    Raises `UsageError` for a host that others reach without a token, and if the port is taken.
    """
    check_token(host, token)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        try:
            if os.name == "posix":  # elsewhere it would share the port with a program that has it
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(100)  # from now on clients may connect
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"--http {host}:{port}: cannot listen there: {why}. Name another port.") from error
        config = uvicorn.Config(
            app_of(desk, version, host, token),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=ENDS_WITHIN,
        )
        server = _Server(config)
        async with desk, resuming(desk):
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            stopping = asyncio.create_task(stop.wait())
            shown = f"[{host}]" if family == socket.AF_INET6 else host
            opened(f"http://{shown}:{listening.getsockname()[1]}{PATH}")
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            await cancelled(stopping)
            desk.leave()
            server.should_exit = True
            await serving
