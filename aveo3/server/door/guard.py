"""Keeps web pages in a browser from using the door: what reaches this machine is not always meant by its user.

A page can post to any port of this machine, and a name of its own can point there (DNS rebinding). A door without keys
would take its orders. So it answers to this machine's names only, and takes no request that a foreign page makes.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from aveo3.server.door.google_errors import Refused


class Guard:
    """Judges requests to a server that listens on `host`. While it `has_keys`, every request shows who sends it."""

    def __init__(self, host: str, has_keys: Callable[[], bool]) -> None:
        self._host = host
        self._has_keys = has_keys

    def check(self, request: web.Request) -> None:
        """Raise `Refused` for a request that its user may not have meant."""
        if self._has_keys():
            return
        host = _name_of(f"//{request.headers.get('Host', '')}")
        if host is None or not (host == self._host or is_loopback(host)):
            raise Refused(403, "This server has no keys, so it answers to the names of its own machine only.")
        origin = request.headers.get("Origin")
        if origin is not None and not is_loopback(_name_of(origin) or ""):
            raise Refused(403, "This server has no keys, so it takes no requests from web pages of other sites.")
        if origin is None and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Refused(403, "This server has no keys, so it takes no requests from web pages of other sites.")


def is_loopback(host: str) -> bool:
    """True for the names and addresses by which only this machine reaches itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _name_of(url: str) -> str | None:
    try:
        return (urlsplit(url).hostname or "").rstrip(".") or None
    except ValueError:
        return None
