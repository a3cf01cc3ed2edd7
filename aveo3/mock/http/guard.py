"""Keeps web pages and strangers from using the emulator, and the emulator from posting where nobody wants it.

A page in a browser can post to any port of this machine, and a name of its own can point there. So the emulator answers
to this machine's names only, takes no posts from foreign pages, and delivers webhooks to this machine only, unless
`MockOptions.allow_hosts` names others.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from aveo3.mock import error_bodies
from aveo3.mock.error_bodies import RequestError

_READS = frozenset({"GET", "HEAD"})


class Guard:
    """Judges requests to an emulator that listens on `host`. `allowed` returns the hosts of its options."""

    def __init__(self, host: str, allowed: Callable[[], tuple[str, ...]]) -> None:
        self._host = host
        self._allowed = allowed
        self._is_local = _is_loopback(host)

    def check(self, request: web.Request) -> None:
        """Raise RequestError for a request to a name that is not ours, and for a post from a foreign web page."""
        host = _name_of(f"//{request.headers.get('Host', '')}")
        if host is None or (host and not self._is_ours(host)):
            raise RequestError(_refused(f"This emulator does not answer to the host {_shown(host)}.", host))
        if request.method in _READS:
            return
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if origin is not None:
            page = _name_of(origin)
            if not page or not (_is_loopback(page) or page == host or self._is_listed(page)):
                raise RequestError(_refused(f"This emulator takes no requests from web pages of {_shown(page)}.", page))
        elif site not in ("none", "same-origin"):
            raise RequestError(_refused("This emulator takes no requests from web pages of other sites.", None))

    def check_hook(self, uri: Any) -> None:
        """Raise RequestError unless webhooks may be delivered to `uri`."""
        host = _name_of(uri) if isinstance(uri, str) and uri.lower().startswith(("http://", "https://")) else None
        if not host:
            raise RequestError(error_bodies.invalid("'webhook_config.uris' takes http:// and https:// addresses."))
        if not (self._is_listed(host) or (self._is_local and _is_loopback(host))):
            raise RequestError(
                error_bodies.invalid(f"This emulator delivers no webhooks to {_shown(host)}. {_way_out(host)}")
            )

    def _is_ours(self, host: str) -> bool:
        if _is_loopback(host) or host == self._host or self._is_listed(host):
            return True
        return not self._is_local and _is_address(host)  # an address, unlike a name, cannot be turned to us by others

    def _is_listed(self, host: str) -> bool:
        return any(fnmatchcase(host, pattern.lower()) for pattern in self._allowed())


def _refused(why: str, host: str | None) -> error_bodies.Answer:
    return error_bodies.error(403, "PERMISSION_DENIED", f"{why} {_way_out(host)}")


def _way_out(host: str | None) -> str:
    return f"If that is yours, start it with --allow-host {_shown(host)}." if host else ""


def _shown(host: str | None) -> str:
    return (host or "")[:100] or "null"


def _name_of(url: str) -> str | None:
    """The host of `url` without its port, in small letters; empty without one; None if it is no host."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        name = (parts.hostname or "").rstrip(".")
    except ValueError:
        return None
    plain = name.replace("-", "").replace(".", "").replace("_", "").replace(":", "")
    return name if not plain or (plain.isascii() and plain.isalnum()) else None


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
