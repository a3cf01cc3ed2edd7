"""Standard output and standard error: no character that is written there ends a command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def prepare_streams() -> None:
    """Spell out what a stream has no characters for. On Windows, files and pipes are UTF-8.

    There Python writes the old code page into them, which no reader of our JSON expects. PYTHONIOENCODING still counts.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # none at all; one that is closed, or no stream of text
            utf8 = sys.platform == "win32" and not stream.isatty() and "PYTHONIOENCODING" not in os.environ
            stream.reconfigure(encoding="utf-8" if utf8 else None, errors="backslashreplace")  # type: ignore[union-attr]


def json_line(values: Any, default: Callable[[Any], Any] | None = None) -> str:
    """`values` as one line of JSON for standard output. `default` converts what JSON does not know."""
    line = json.dumps(values, ensure_ascii=False, default=default)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # half an emoji, or a stream that knows few characters: JSON can spell out each of them
        line = json.dumps(values, default=default)
    return line
