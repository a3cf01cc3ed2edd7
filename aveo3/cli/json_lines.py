"""Writes JSON on standard output, whichever characters that takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def in_json(values: Mapping[str, Any]) -> str:
    """`values` as one line of JSON. All but ASCII is escaped if standard output cannot take it."""
    line = json.dumps(values, ensure_ascii=False, default=_instant)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(values, default=_instant)
    return line


def _instant(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} has no form in JSON")
