"""Where callbacks may go, and media come from. Callers choose the address, so it must not lead to what only this
machine can reach."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import aiohttp
from yarl import URL

LONGEST = 2000
"""Characters of an address."""

_NAT64 = IPv6Network("64:ff9b::/96")


def why_not(url: str, *, private: bool) -> str | None:
    """Why callbacks cannot go to `url`; None if they can, as far as it shows before a connection is made."""
    try:
        parts = URL(url)
        host, _ = parts.host, parts.port
    except ValueError:
        return "it is no address"
    if len(url) > LONGEST or not (url.isascii() and url.isprintable()) or " " in url:
        return f"an address has at most {LONGEST} printable ASCII characters and no space"
    if not host or parts.scheme not in ("https", "http"):
        return "write it as https://host/path"
    if parts.user is not None or parts.password is not None:
        return "it must not hold a user or a password: callbacks are signed"
    if parts.scheme == "http" and not private:
        return "it must begin with https://: anybody on the way could read an http:// callback"
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return None if private or is_public(address) else f"{address} is a private address"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """True for an address on the Internet. An IPv4 address within an IPv6 one must be public, too."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.sixtofour or address.teredo or address.is_reserved or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_unspecified or address.is_loopback)


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket to connect to the address in `info`, as `getaddrinfo` gives it. Raises `OSError` if it is private.

    It is called with the very address that is connected to, so a name that is resolved anew cannot deceive it.
    """
    address = ip_address(str(info[4][0]).partition("%")[0])
    if not is_public(address):
        raise PermissionError(errno.EACCES, f"{address} is a private address, where this server connects to nothing")
    return socket.socket(*info[:3])


def session(within: float, *, private: bool, headers: Mapping[str, str] | None = None) -> aiohttp.ClientSession:
    """A session for addresses that callers name: it keeps no connection, cookie or look-up, and unpacks nothing.

    A request may take `within` seconds. Without `private` it connects to public addresses only.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            force_close=True,
            use_dns_cache=False,
            socket_factory=None if private else public_socket,
        ),
        timeout=aiohttp.ClientTimeout(total=within),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # a small answer must not become a large one
        headers=headers,
    )
