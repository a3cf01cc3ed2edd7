"""Takes the videos out of a JSON text that arrives in pieces, and decodes them from base64 into files."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable

from aveo3.files.part_files import PartFile

_QUOTE, _BACKSLASH = b'"', b"\\"
_SPECIAL = re.compile(rb'["\\]')
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
_HALF_ESCAPE = re.compile(rb"\\(u[0-9a-fA-F]{0,3})?\Z")
_STANDARD = bytes.maketrans(b"-_", b"+/")


LONGEST = 4 << 30
"""Bytes of base64 in one answer. A clip has some 30 million."""


class Sieve:
    """Passes a JSON text through, piece by piece, without the videos: their bytes go to the files that `open` creates.

    `key` is the name of the members that hold videos. `open` returns a new file, and the mark that replaces the video
    in the text.

    It parses just enough to distinguish a member's name from the same text within a string. Text that is not JSON
    passes unchanged, or stays invalid.
    """

    def __init__(self, key: bytes, open: Callable[[], tuple[bytes, PartFile]]) -> None:
        self.text = bytearray()
        """The text that passed so far."""
        self._key = key
        self._open = open
        self._state: Callable[[bytes, int], int] = self._between_strings
        self._string = bytearray()  # the start of the current string, while it may be the key
        self._escaped = False
        self._awaited = b""
        self._video: tuple[bytes, PartFile] | None = None
        self._rest = b""  # undecoded bytes of the video: half an escape, …
        self._odd = b""  # … or less than four base64 digits
        self._padded = False
        self._taken = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raises ValueError if a video is not base64, OSError from the disk."""
        at = 0
        while at < len(data):
            at = self._state(data, at)

    # Each state reads its part of `data` from `at` on, and returns where the next state begins.

    def _between_strings(self, data: bytes, at: int) -> int:
        end = data.find(_QUOTE, at) + 1
        if not end:
            self.text += data[at:]
            return len(data)
        self.text += data[at:end]
        self._string.clear()
        self._state = self._in_string
        return end

    def _in_string(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return self._through(data, at, at + 1)
        special = _SPECIAL.search(data, at)
        if special is None:
            return self._through(data, at, len(data))
        self._through(data, at, special.start())
        if special[0] == _BACKSLASH:
            self._escaped = True
            return self._through(data, special.start(), special.end())
        self.text += _QUOTE
        self._await(b":") if self._string == self._key else self._leave()
        return special.end()

    def _through(self, data: bytes, at: int, end: int) -> int:
        self.text += data[at:end]
        self._string += data[at : min(end, at + len(self._key) + 1 - len(self._string))]
        return end

    def _after_key(self, data: bytes, at: int) -> int:
        """After a string equal to the key. It is a name if a colon follows, and holds a video if a quote follows."""
        match = _NOT_SPACE.search(data, at)
        end = match.start() if match else len(data)
        self.text += data[at:end]
        if match is None:
            return end
        if match[0] != self._awaited:
            self._leave()
            return end
        self.text += match[0]
        if match[0] == _QUOTE:
            self._rest, self._odd, self._padded = b"", b"", False
            self._state = self._in_video
        else:
            self._await(_QUOTE)
        return end + 1

    def _await(self, sign: bytes) -> None:
        self._awaited = sign
        self._state = self._after_key

    def _leave(self) -> None:
        self._state = self._between_strings

    def _in_video(self, data: bytes, at: int) -> int:
        end = data.find(_QUOTE, at)
        if end < 0:
            self._decode(data[at:], last=False)
            return len(data)
        self._decode(data[at:end], last=True)
        if self._video is not None:
            self.text += base64.b64encode(self._video[0])
            self._video = None
        self.text += _QUOTE
        self._leave()
        return end + 1

    def _decode(self, piece: bytes, *, last: bool) -> None:
        digits, self._rest = self._rest + piece, b""
        if _BACKSLASH in digits:
            if not last and (half := _HALF_ESCAPE.search(digits)):
                digits, self._rest = digits[: half.start()], half[0]
            digits = json.loads(_QUOTE + digits + _QUOTE).encode("ascii")
        digits = self._odd + digits.translate(_STANDARD, b" \t\r\n")
        if last:
            digits += b"=" * (-len(digits) % 4)
        whole = len(digits) - len(digits) % 4
        self._odd = digits[whole:]
        if whole == 0:
            return
        if self._padded or digits.endswith(b"===", 0, whole):
            raise binascii.Error("base64 goes on after its end")
        self._padded = digits.endswith(b"=", 0, whole)
        self._taken += whole
        if self._taken > LONGEST:
            raise ValueError(f"the videos in the answer have more than {LONGEST:,} bytes of base64")
        if self._video is None:
            self._video = self._open()
        self._video[1].write(binascii.a2b_base64(memoryview(digits)[:whole], strict_mode=True))
