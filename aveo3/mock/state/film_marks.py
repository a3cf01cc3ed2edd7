"""Marks in drawn films, by which a test finds each picture and each second again after the film was cut or encoded.

Each picture has a row of 16 cells, dark or light: 8 bits say which film it is, 8 bits which picture. Each whole second
begins with a beep of 50 ms at 1 kHz; its first sample sounds when the picture of that second begins to show.
"""

import math
from array import array
from collections.abc import Iterator, Sequence

SAMPLE_RATE = 48_000
BEEP_SECONDS = 0.05
BEEP_HERTZ = 1000
CELLS = 16
CELL = 8
"""Pixels of a cell's side."""
LEFT, ABOVE_BOTTOM = 12, 20
"""Where the row begins: pixels from the left edge of the picture, and from its lower edge."""

_DARK, _LIGHT = 16, 235


def mark(picture: bytearray, stride: int, height: int, film: int, number: int) -> None:
    """Draw the row of cells for picture `number` of `film` (both 0 to 255) into the luma plane `picture`."""
    bits = (film & 255) << 8 | (number & 255)
    cells = b"".join(bytes([_LIGHT if bits >> (CELLS - 1 - cell) & 1 else _DARK]) * CELL for cell in range(CELLS))
    for row in range(height - ABOVE_BOTTOM, height - ABOVE_BOTTOM + CELL):
        picture[row * stride + LEFT : row * stride + LEFT + len(cells)] = cells


def read_mark(luma: Sequence[int], stride: int, height: int, scale: float = 1.0) -> tuple[int, int] | None:
    """The film and the number that a luma plane shows. None if a cell is neither dark nor light, as in a cross-fade.

    `scale` is how many times larger than it was drawn the picture is; `height` is of the plane.
    """
    bits = 0
    row = height - round((ABOVE_BOTTOM - CELL / 2) * scale)
    for cell in range(CELLS):
        level = luma[row * stride + round((LEFT + (cell + 0.5) * CELL) * scale)]
        if 70 < level < 180:
            return None
        bits = bits << 1 | (level >= 180)
    return bits >> 8, bits & 255


def beeps(seconds: float, *, block: int = 1024) -> Iterator[bytes]:
    """The samples of one channel, 32-bit floats, in blocks of `block`; the last may be shorter."""
    length = round(BEEP_SECONDS * SAMPLE_RATE)
    beep = array(
        "f",
        (
            0.3 * math.cos(2 * math.pi * BEEP_HERTZ * at / SAMPLE_RATE) * min(1.0, (length - at) / 240)
            for at in range(length)
        ),
    )
    second = beep + array("f", bytes(4 * (SAMPLE_RATE - length)))
    total = round(seconds * SAMPLE_RATE)
    for start in range(0, total, block):
        end, at = min(start + block, total), start % SAMPLE_RATE
        yield (second[at : at + end - start] + second[: max(0, at + end - start - SAMPLE_RATE)]).tobytes()
