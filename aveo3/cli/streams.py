"""Standard output and standard error: no character that is written there ends a command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def prepare_streams() -> None:
    """Spell out what a stream has no characters for. On Windows, files and pipes are UTF-8.

    There Python writes the old code page into them, which no reader of our JSON expects. PYTHONIOENCODING still counts.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # none at all; one that is closed, or no stream of text
            utf8 = sys.platform == "win32" and not stream.isatty() and "PYTHONIOENCODING" not in os.environ
            stream.reconfigure(encoding="utf-8" if utf8 else None, errors="backslashreplace")  # type: ignore[union-attr]
