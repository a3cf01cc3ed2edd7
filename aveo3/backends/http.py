"""HTTP helpers of the backends: where the API key may go, removing it from messages, reading `Retry-After`."""

from __future__ import annotations

import re
import socket
import sys
from asyncio.staggered import staggered_race
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import aiohttp

from aveo3 import _threads
from aveo3.files.open_files import most_connections

if TYPE_CHECKING:
    import asyncio

    from pydantic import SecretStr


def key_for(uri: str, key: SecretStr | None, base_url: str | None) -> dict[str, str]:
    """The header that fetches `uri`: the key goes to Google and to the configured address, nowhere else.

    An address is scheme, host and port: another port of the same host may belong to somebody else.
    """
    to = _origin(uri)
    if key is None or to is None:
        return {}
    scheme, host, port = to
    is_google = scheme == "https" and port == 443 and host.endswith(".googleapis.com")
    return {"x-goog-api-key": key.get_secret_value()} if is_google or to == _origin(base_url or "") else {}


_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of `url`; None if it is no web address, or one that parsers read differently."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    host = parts.hostname or ""
    return (parts.scheme, host, port) if _HOST.fullmatch(host) and "\\" not in parts.netloc else None


def without_key(words: str, key: SecretStr | None) -> str:
    """`words` without the key: Google quotes the key of a suspended caller, and no log or clip may hold it."""
    return words.replace(key.get_secret_value(), "(the API key)") if key else words


def seconds(retry_after: str | None) -> float | None:
    """Seconds in a `Retry-After` header, which is a number or a date (RFC 9110, 10.2.3); None if it is neither."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def connector(**values: Any) -> aiohttp.TCPConnector:
    """aiohttp's connector, which looks up addresses in threads of our own. `values` are its arguments.

    It has at most as many connections as the system's limit of open files allows.
    """
    values = {"limit": most_connections(), **values}
    if aiohttp.DefaultResolver is not aiohttp.ThreadedResolver:  # aiodns is installed, and needs no threads
        return aiohttp.TCPConnector(**values)
    names = cast("asyncio.AbstractEventLoop", _Names())
    return aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver(names), **values)


class _Names:
    """The part of an event loop that aiohttp's resolver uses. The loop itself would use its own threads."""

    async def getaddrinfo(self, host: str, port: int, **values: Any) -> Any:
        return await _threads.network.run(socket.getaddrinfo, host, port, **values)

    async def getnameinfo(self, address: Any, flags: int = 0) -> Any:
        return await _threads.network.run(socket.getnameinfo, address, flags)


def look_up_in_own_threads(client: Any) -> None:
    """The same for an httpx (or httpx2) client, whose transports have no such parameter.

    Without the attributes of today's releases it changes nothing: lookups then use the loop's threads.
    """
    if hasattr(client, "_per_loop"):  # google-genai would use another client for each loop; ours has one loop
        client._per_loop = False
    for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        pool = getattr(transport, "_pool", None)
        if (network := getattr(pool, "_network_backend", None)) is not None:
            pool._network_backend = _Network(network)  # type: ignore[union-attr]


NEXT_ADDRESS = 0.25
"""Seconds after which the next address of a host is tried, too (RFC 8305)."""


class _Network:
    """httpcore's network backend, which gets addresses instead of names."""

    def __init__(self, network: Any) -> None:
        self._network = network

    async def connect_tcp(self, host: str, port: int, **values: Any) -> Any:
        library = sys.modules[type(self._network).__module__.partition(".")[0]]
        try:
            found = await _threads.network.run(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise library.ConnectError(f"{host}: {error}") from error
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        stream, _, failures = await staggered_race(
            [partial(self._network.connect_tcp, address, port, **values) for address in addresses], NEXT_ADDRESS
        )
        if stream is None:
            raise next(failure for failure in failures if failure is not None)
        return stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)
