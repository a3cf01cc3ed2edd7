"""W3C trace context on its way: into the server with a request, and from a client to a server. Needs no OpenTelemetry.

Source: www.w3.org/TR/trace-context (level 2, read 2026-11-27).
"""

from __future__ import annotations

import re
from contextvars import ContextVar

HEADER = "traceparent"

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

outgoing: ContextVar[str | None] = ContextVar("outgoing", default=None)
"""The `traceparent` of the job whose task this is; None if it has no span."""


def checked(value: str | None) -> str | None:
    """The trace context in a header, in the form of version 00; None if there is none, or it cannot be read."""
    if value is None or (match := _FORM.fullmatch(value.strip())) is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(span, 16):
        return None
    return f"00-{trace}-{span}-{flags}"
