"""HTTP helpers of the backends: where the API key may go, removing it from messages, reading `Retry-After`."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pydantic import SecretStr


def key_for(uri: str, key: SecretStr | None, base_url: str | None) -> dict[str, str]:
    """The headers for fetching `uri`. The key goes to Google and to the configured address, nowhere else."""
    to = urlsplit(uri)
    host, ours = to.hostname or "", urlsplit(base_url or "").hostname
    if key is not None and (host == ours or (to.scheme == "https" and host.endswith(".googleapis.com"))):
        return {"x-goog-api-key": key.get_secret_value()}
    return {}


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
