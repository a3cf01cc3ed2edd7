"""Who may see and steer a page: its token, and what a browser says of where a request comes from. Pure.

The server listens on this machine only. Still, every program here and every page in its browser can reach it. So a
request needs the token, which only the printed link has, or the cookie that the link leaves. A page on the web, one of
another local server, or a host name that was made to point here gets nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from enum import Enum, auto
from hmac import compare_digest

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "media-src 'self'; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every answer. Charts put their styles into the page, which needs 'unsafe-inline' for styles, not for
scripts."""


class Access(Enum):
    """What a request may do."""

    LINK = auto()
    """It has the link: give it the cookie, and send it on to the page without the token."""
    GRANTED = auto()
    REFUSED = auto()


class Guard:
    """Checks the requests to one page, which the server shows at `port`. Makes the token."""

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self.cookie = f"aveo3_page_{port}"
        """Name of the cookie. Browsers do not tell ports apart, and several pages may be open."""
        names = {"127.0.0.1", "localhost"}
        self._hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        self.url = f"http://127.0.0.1:{port}/"

    @property
    def link(self) -> str:
        """The address that opens the page. It holds the token: print it, and keep it out of logs."""
        return f"{self.url}?token={self.token}"

    def check(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        given: str | None = None,
        cookie: str | None = None,
    ) -> Access:
        """What a request may do. `given` is the token in its address, `cookie` the value of our cookie."""
        host = headers.get("Host", "")
        if host not in self._hosts:
            return Access.REFUSED
        if method in ("GET", "HEAD"):
            if path == "/" and given is not None:
                return Access.LINK if self._is_ours(given) else Access.REFUSED
            # A page of another port is of the same site: its requests bring the cookie along.
            allowed = {"same-origin", "none", ""}
        elif method == "POST":
            allowed = {"same-origin", ""}
            if headers.get("Origin") != f"http://{host}":
                return Access.REFUSED
        else:
            return Access.REFUSED
        if headers.get("Sec-Fetch-Site", "") not in allowed or cookie is None or not self._is_ours(cookie):
            return Access.REFUSED
        return Access.GRANTED

    def _is_ours(self, token: str) -> bool:
        return compare_digest(token.encode("utf-8", "replace"), self.token.encode())
