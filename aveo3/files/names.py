"""Names that a file system can hold: not all take every letter, or 255 bytes."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOM = 30
"""Bytes that the names made from a video's name have more: of its part, and of a name that is taken."""
TAIL = 40
"""Letters at the end of a name that stay when it is cut: the job's ID is there."""


def nameable(target: Path) -> Path:
    """`target`, or the next best name that its directory can hold. Blocks: asks the file system for its longest name.

    A video is paid for when it is named: a name that cannot be written must not keep it from the disk.
    """
    try:
        name = os.fsencode(target.name)
    except UnicodeEncodeError:  # half an emoji; any but ASCII where the locale is C
        plain = re.sub("-{2,}", "-", re.sub(r"[^\x20-\x7e]+", "", target.stem)).strip("-")
        target = target.with_name((plain or "video") + re.sub(r"[^\x20-\x7e]+", "", target.suffix))
        name = target.name.encode()
    room = _longest_in(target.parent) - ROOM
    if len(name) <= room:
        return target
    stem, suffix = target.stem, target.suffix
    tail = os.fsencode(stem[-TAIL:])[-(room // 2) :].decode(errors="ignore")
    head = os.fsencode(stem)[: max(0, room - len(tail.encode()) - len(suffix.encode()))].decode(errors="ignore")
    return target.with_name(head + tail + suffix)


def _longest_in(directory: Path) -> int:
    if sys.platform == "win32":
        return 255
    try:
        return os.pathconf(directory, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # no Unix; a file system that does not say
        return 255
