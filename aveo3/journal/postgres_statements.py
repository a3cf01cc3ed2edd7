"""Statements of the journal in the form that PostgreSQL takes. Pure.

A step of several statements becomes one, a chain of data-modifying common table expressions: one trip to the server,
whole or not at all. It fails unless each of its statements changes exactly one row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

from aveo3.journal.writer import Step


class Command(NamedTuple):
    """One statement with `$1`, `$2`, … where its values go."""

    text: str
    values: tuple[Any, ...]


def query(text: str, values: Sequence[Any]) -> Command:
    """A statement that reads."""
    return Command(_numbered(text), tuple(map(_column, values)))


def commands(step: Step) -> list[Command]:
    """The statements that make `step`: one, where PostgreSQL can do it in one."""
    texts = tuple(text for text, _ in step)
    if _may_be_chained(texts):
        return [Command(_chained(texts), tuple(_column(value) for _, values in step for value in values))]
    return [Command(_chained((text,)), tuple(map(_column, values))) for text, values in step]


def _column(value: Any) -> Any:
    """A value as PostgreSQL's columns take it: no types of Python's own, and no NUL, which its texts cannot hold."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and "\0" in value:
        return value.replace("\0", "\\x00")
    return value.isoformat() if isinstance(value, datetime) else value


@lru_cache(2048)
def _numbered(text: str) -> str:
    return _number(text, count(1))


def _number(text: str, numbers: count[int]) -> str:
    """`text` with each `?` that stands in no quotes replaced by the next of `$1`, `$2`, …"""
    return _MARK.sub(lambda found: f"${next(numbers)}" if found[0] == "?" else found[0], text)


@lru_cache(512)
def _chained(texts: tuple[str, ...]) -> str:
    numbers = count(1)
    parts = [f"s{place} AS ({_number(text, numbers)} RETURNING 1)" for place, text in enumerate(texts)]
    each = " AND ".join(f"(SELECT count(*) FROM s{place}) = 1" for place in range(len(texts)))
    return f"WITH {', '.join(parts)} SELECT CASE WHEN {each} THEN 1 ELSE journal_row_changed() END"


@lru_cache(512)
def _may_be_chained(texts: tuple[str, ...]) -> bool:
    """Whether no row is touched twice: the parts of a chain all see the rows as they were before it."""
    tables: dict[str, bool] = {}
    for text in texts:
        if (found := _TARGET.match(text)) is None:
            return False
        only_adds = found["verb"].startswith("INSERT") and "ON CONFLICT" not in text
        if not (tables.get(found["table"], True) and (only_adds or found["table"] not in tables)):
            return False
        tables[found["table"]] = only_adds
    return True


_MARK = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\?")
_TARGET = re.compile(r"\s*(?P<verb>INSERT INTO|UPDATE|DELETE FROM)\s+(?P<table>\w+)")
