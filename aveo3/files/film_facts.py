"""Reads how long an MP4 film lasts and how large its pictures are (ISO/IEC 14496-12, 8.2.2 and 8.3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_MOST_BOXES = 10_000
"""Boxes that are looked at: a spoilt file may claim to hold millions."""


class FilmFacts(NamedTuple):
    """What the index of a film says. None where it says nothing, or the file is no MP4."""

    seconds: float | None = None
    width: int | None = None
    height: int | None = None

    def fills(self, short_side: int) -> bool:
        """True if its pictures are known to be as large as 16:9 or 9:16 with this short side, in either direction."""
        if self.width is None or self.height is None:
            return False
        return min(self.width, self.height) >= short_side or max(self.width, self.height) * 9 >= short_side * 16


def film_facts(file: BinaryIO, size: int) -> FilmFacts:
    """The facts of the `size` bytes of `file`. Reads the headers of boxes and little more."""
    seconds, sizes = None, [(0, 0)]
    for kind, content in _index(file, 0, size, [_MOST_BOXES]):
        long = content[:1] == b"\1"  # version 1 has times of 64 bits
        if kind == b"mvhd":
            at, length = (20, 8) if long else (12, 4)
            scale = int.from_bytes(content[at : at + 4], "big")
            ticks = content[at + 4 : at + 4 + length]
            unknown = len(ticks) < length or ticks == b"\xff" * length
            seconds = None if unknown or not scale else round(int.from_bytes(ticks, "big") / scale, 3) or None
        else:
            at = 88 if long else 76
            if len(content) >= at + 8:  # both are numbers with 16 bits behind the point; sound has none
                sizes.append(
                    (int.from_bytes(content[at : at + 2], "big"), int.from_bytes(content[at + 4 : at + 6], "big"))
                )
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return FilmFacts(seconds, width or None, height or None)


def _index(file: BinaryIO, at: int, end: int, left: list[int], within: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """The contents of the film's header (mvhd) and of those of its tracks (tkhd)."""
    while at + 8 <= end and left[0]:
        left[0] -= 1
        file.seek(at)
        head = file.read(16)
        length, kind, least = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, least = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = end - at
        if length < least or length > end - at:
            return
        if kind == _OPENED.get(within):
            yield from _index(file, at + least, at + length, left, kind)
        elif within == _HOME.get(kind):
            file.seek(at + least)
            yield kind, file.read(min(length - least, 128))
        at += length


_OPENED = {b"": b"moov", b"moov": b"trak"}
_HOME = {b"mvhd": b"moov", b"tkhd": b"trak"}
