"""Tells by its outermost boxes whether a file is a complete MP4 (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

from typing import BinaryIO

HEAD = 12
"""Bytes that are needed to judge a file's beginning."""


def begins_well(head: bytes) -> bool:
    """An MP4 begins with a box named ftyp."""
    return head[4:8] == b"ftyp"


def flaw(file: BinaryIO, size: int) -> str | None:
    """Why the `size` bytes of `file` are no complete MP4; None if they are one. Reads the headers of boxes only.

    A truncated film has a last box that promises more bytes than there are, or it lacks a box. (A last box that
    reaches to the end of the file, which is rare, hides this.)
    """
    at, kinds = 0, set[bytes]()
    while at < size:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return f"{len(head)} bytes are left over at its end"
        length, kind, least = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:  # the length needs 64 bits and follows
            length, least = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:  # to the end of the file
            length = size - at
        if at == 0 and kind != b"ftyp":
            return f"its first box is {kind!r}, not ftyp"
        if length < least:
            return f"its box {kind!r} at byte {at} claims to be {length} bytes long"
        if length > size - at:
            return f"its box {kind!r} at byte {at} is {length} bytes long, of which {size - at} are there"
        kinds.add(kind)
        at += length
    if not kinds & {b"moov", b"moof"}:
        return "it has no index (moov)"
    if b"mdat" not in kinds:
        return "it has no pictures (mdat)"
    return None
