"""Size, MD5 and CRC32C of an object as Cloud Storage shows them; both checksums are in base64."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Self

_CASTAGNOLI = 0x82F63B78  # reflected, as in RFC 3720, B.4


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_CASTAGNOLI if byte & 1 else 0)
    return byte


_ROWS = tuple(_row(byte) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Checksums:
    size: int
    md5: str
    crc32c: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        return cls(len(data), _base64(md5), _base64(crc32c(data).to_bytes(4, "big")))


def crc32c(data: bytes) -> int:
    """CRC32C, computed byte by byte: a few milliseconds for a film of the emulator."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _ROWS[crc & 0xFF ^ byte]
    return crc ^ 0xFFFFFFFF


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
