"""Tells by the first bytes what a picture or a video is. Pure."""

from __future__ import annotations

import re

HEAD = 64
"""How many bytes of a file are enough to tell."""

_MAGIC = (
    (rb"\x89PNG", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"RIFF....WEBP", "image/webp"),
    (rb"....ftyp(?:heic|heix|hevc|heim|heis|mif1|msf1)", "image/heic"),
    (rb"....ftypavi[fs]", "image/avif"),
    (rb"....ftypqt  ", "video/quicktime"),
    (rb"....ftyp", "video/mp4"),
    (rb"....(?:moov|mdat|wide|free|skip|pnot)", "video/quicktime"),
    (rb"\0\0\x01[\xb0-\xbf]", "video/mpeg"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-wmv"),
    (rb"FLV\x01", "video/x-flv"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"BM....\0\0", "image/bmp"),
    (rb"II\*\0|MM\0\*", "image/tiff"),
    (rb"8BPS", "image/vnd.adobe.photoshop"),
    (rb"\x1aE\xdf\xa3", "video/webm"),
    (rb"RIFF....AVI ", "video/x-msvideo"),
    (rb"%PDF", "application/pdf"),
    (rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)", "text/html"),
    (rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<svg", "image/svg+xml"),
    (rb"(?:\xef\xbb\xbf)?\s*<", "application/xml"),
    (rb"\s*\{", "application/json"),
    (rb"version https://git-lfs", "text/plain"),
)


def type_of(head: bytes) -> str | None:
    """The media type of what begins with `head`; None if nobody can tell."""
    for magic, mime_type in _MAGIC:
        if re.match(magic, head, re.DOTALL | re.IGNORECASE):
            return mime_type
    return None


def mismatch(head: bytes, mime_type: str) -> str | None:
    """The rest of a sentence on a file that begins with `head`, but is taken for a `mime_type`; None if it may be one.

    One kind of picture under another's name is no mistake, as long as Google takes both: it goes out as what it is.
    """
    if not head:
        return "is empty"
    actual = type_of(head)
    if actual is None:
        known = mime_type.startswith("video/") and mime_type in _KNOWN  # pictures have more beginnings than these
        return f"does not begin like {mime_type}: convert it, or name another file" if known else None
    if actual in (mime_type, *_SENT) and actual.partition("/")[0] == mime_type.partition("/")[0]:
        return None
    return f"holds {actual}, not {mime_type}: convert it, or name another file"


_KNOWN = {mime_type for _, mime_type in _MAGIC}
"""The types that always begin in the same way."""

_SENT = ("image/png", "image/jpeg", "image/webp", "video/mp4", "video/quicktime", "video/webm")
