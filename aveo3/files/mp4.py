"""Whether a file is a whole MP4, by its outermost boxes (ISO/IEC 14496-12, 4.2). What is in them is not read."""

from __future__ import annotations

from typing import BinaryIO

HEAD = 12
"""Bytes from which on a beginning can be judged."""


def begins_well(head: bytes) -> bool:
    """An MP4 begins with a box named ftyp."""
    return head[4:8] == b"ftyp"


def flaw(file: BinaryIO, size: int) -> str | None:
    """What keeps the `size` bytes of `file` from being a whole MP4; None if nothing does. Reads the boxes' heads only.

    A film that was cut off is found out by its last box, which promises more than is there, or by the box it lacks.
    (Not if its last box is one of those rare ones that reach as far as the file does.)
    """
    at, kinds = 0, set[bytes]()
    while at < size:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return f"{len(head)} bytes are left over at its end"
        length, kind, least = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:  # the length did not fit; it follows in 64 bits
            length, least = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:  # as far as the file goes
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
