"""Makes what others wrote safe to show: control characters are spelled out, addresses give no access."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of text around. Terminals obey them: they
can clear the screen, change its title, or show another text than the one that is there."""


def visible(text: str) -> str:
    """`text` with its control characters spelled out: an ESC becomes the four characters \\x1b."""
    return text if text.isprintable() else _HIDDEN.sub(_spelled_out, text)


def _spelled_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def unsigned(uri: str) -> str:
    """An address without its query, fragment and user, which may hold what gives access."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri.partition("?")[0].partition("#")[0]
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
