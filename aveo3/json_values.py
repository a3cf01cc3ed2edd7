"""Keeps the user's own objects as JSON: what JSON has no form for becomes text, within bounds. Pure; never raises."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

DEPTH = 50
"""Levels of lists and mappings. Python's own JSON gives up at some thousand, and may take the process along."""
ITEMS = 100_000
CHARACTERS = 10_000_000
SHOWN = 1_000
"""Characters kept of an object that is neither text nor bytes."""
BITS = 1024
"""Integers up to this size stay numbers; Python cannot print those of more than 4,300 digits."""


def json_value(value: Any) -> Any:
    """`value` as plain JSON: text, numbers, true, false, null, lists, and mappings with text as keys.

    Only prompts' metadata goes through here. It is never sent, so an odd object in it must not cost the user a clip.
    """
    return _Writer().kept(value, DEPTH)


def text_of(value: Any, longest: int = SHOWN) -> str:
    """`str(value)`, cut to `longest` characters; the name of its type if it has no text."""
    try:
        text = hex(value) if type(value) is int and value.bit_length() > BITS else str(value)
        return _utf8(text if len(text) <= longest else text[: longest - 1] + "…")
    except Exception:  # the user's own class: it may raise anything
        return f"<{type(value).__name__}>"


def repr_of(value: Any, longest: int) -> str:
    """`repr(value)` for a message, cut to `longest` characters; the name of its type if it has none."""
    try:
        return repr(value)[:longest]
    except Exception:
        return f"<{type(value).__name__}>"[:longest]


class _Writer:
    """Converts one value. It counts what it keeps: a small object may hold the same list many times."""

    def __init__(self) -> None:
        self._items = ITEMS
        self._characters = CHARACTERS
        self._open: set[int] = set()
        """The lists and mappings that it is inside of; one that holds itself ends there."""

    def kept(self, value: Any, depth: int) -> Any:
        self._items -= 1
        if self._items < 0:
            return "…"
        try:
            return self._kept(value, depth)
        except Exception:
            return self._cut(text_of(value))

    def _kept(self, value: Any, depth: int) -> Any:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, Enum):
            value = value.value
        elif hasattr(value, "dtype") and getattr(value, "shape", None) == ():
            value = value.item()  # a number of numpy
        if isinstance(value, str):
            return self._cut(value)
        if isinstance(value, int):
            return text_of(int(value)) if value.bit_length() > BITS else int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, bytes | bytearray):
            return base64.b64encode(value[: self._characters]).decode()
        if isinstance(value, date | time | timedelta | Decimal | UUID | PurePath):
            return self._cut(str(to_jsonable_python(value)))
        if isinstance(value, BaseModel):
            value = {name: getattr(value, name) for name in type(value).model_fields}
        elif is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name) for field in fields(value)}
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth == 0 or id(value) in self._open:
                return f"<{type(value).__name__}>"
            self._open.add(id(value))
            try:
                return self._inside(value, depth - 1)
            finally:
                self._open.discard(id(value))
        return self._cut(text_of(value))

    def _inside(self, value: Any, depth: int) -> Any:
        if not isinstance(value, Mapping):
            kept = []
            for each in value:
                if self._items <= 0:
                    break
                kept.append(self.kept(each, depth))
            return kept
        pairs = {}
        for key, each in value.items():
            if self._items <= 0:
                break
            pairs[self._cut(key if isinstance(key, str) else text_of(key))] = self.kept(each, depth)
        return pairs

    def _cut(self, text: str) -> str:
        text = _utf8(text[: self._characters])
        self._characters = max(0, self._characters - len(text))
        return text


def _utf8(text: str) -> str:
    """`text` as UTF-8 can hold it: half an emoji is spelled out."""
    return str(text).encode("utf-8", "backslashreplace").decode()
