"""HTTP helpers of the backends: where the API key may go, removing it from messages, reading `Retry-After`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
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
