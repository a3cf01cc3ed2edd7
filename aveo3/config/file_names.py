"""The names of videos: the template that people write, and one safe file name out of it. Pure."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime
from string import Formatter
from typing import Any

from aveo3.models import VideoPrompt

DEFAULT = "{index:04}-{slug}-{job}"

FIELDS: Mapping[str, str] = {
    "index": "place of the prompt in its batch, from 1",
    "slug": "the first words of the prompt",
    "id": "the prompt's own `id`, else the ID of its job",
    "job": "the ID of its job, as `aveo3 status` shows it",
    "project_id": "the prompt's own `project_id`",
    "model": "the model that made it",
    "lane": "the lane that made it",
    "seed": "the prompt's own `seed`",
    "duration_seconds": "the prompt's own `duration_seconds`",
    "aspect_ratio": "the prompt's own `aspect_ratio`, as 16-9",
    "resolution": "the prompt's own `resolution`",
    "date": "the day on which it was sent, as 2026-11-27 (UTC)",
    "time": "the time at which it was sent, as 14-30-05 (UTC)",
}
"""What a template may hold in braces. What a prompt leaves open is left out."""

_NUMBERS = {"index", "seed", "duration_seconds"}
LONGEST = 200
"""Bytes of a name without its ending. File systems take 255, and a part's name is longer than the video's."""

_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = {
    *("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"),
    *(f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"),
}
"""On Windows these are devices, whatever follows a dot."""


def checked(template: str) -> str:
    """`template`, without `.mp4` at its end. Raises `ValueError` if names cannot be made of it."""
    template = re.sub(r"\.mp4$", "", template.strip(), flags=re.IGNORECASE)
    for literal, name, form in _parts(template):
        unsafe = [sign for sign in literal if _UNSAFE.match(sign) or not sign.isprintable()]
        if unsafe:
            raise ValueError(
                f"{unsafe[0]!r} cannot be in the name of a file; all videos lie in the output directory itself, in no "
                "directories below it"
            )
        if name is None:
            continue
        if name not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"did you mean {{{close[0]}}}?" if close else f"the fields are {', '.join(FIELDS)}"
            raise ValueError(f"{{{name}}} is not a field of a name: {hint}")
        if name in _NUMBERS and not re.fullmatch(r"(0?[1-9]\d?)?", form):
            raise ValueError(
                f"{{{name}:{form}}} is not a form of a number: write {{{name}}}, or {{{name}:04}} for 0007"
            )
        if name not in _NUMBERS and not re.fullmatch(r"(\.[1-9]\d{0,2})?", form):
            raise ValueError(
                f"{{{name}:{form}}} is not a form of a text: write {{{name}}}, or {{{name}:.20}} to cut it"
            )
    if not template:
        raise ValueError(f"must hold a field, as in {DEFAULT}")
    return template


def file_name(
    template: str,
    prompt: VideoPrompt,
    *,
    position: int,
    job: str,
    model: str,
    lane: str | None = None,
    sent_utc: datetime | None = None,
    number: int | None = None,
) -> str:
    """The name of a video of `prompt` under a checked template; `number` tells several videos of one prompt apart.

    It is one name on every system: no separators, no reserved names, not too long. It need not be unique.
    """
    values: dict[str, Any] = {
        "index": position + 1,
        "slug": slug(prompt.text),
        "id": prompt.id or job,
        "job": job,
        "project_id": prompt.project_id,
        "model": model,
        "lane": lane,
        "seed": prompt.seed,
        "duration_seconds": prompt.duration_seconds,
        "aspect_ratio": prompt.aspect_ratio,
        "resolution": prompt.resolution,
        "date": sent_utc and f"{sent_utc:%Y-%m-%d}",
        "time": sent_utc and f"{sent_utc:%H-%M-%S}",
    }
    stem = ""
    for literal, name, form in _parts(template):
        value = None if name is None else values[name]
        stem += literal + ("" if value is None else format(value, form))
    return f"{_safe(stem)}{'' if number is None else f'-{number}'}.mp4"


def slug(text: str) -> str:
    """The first words of a text, in small letters, with hyphens between them."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")[:40].rstrip("-") or "video"


def _safe(stem: str) -> str:
    stem = unicodedata.normalize("NFC", stem.encode(errors="replace").decode())
    stem = "".join(sign if sign.isprintable() else "-" for sign in _UNSAFE.sub("-", stem))
    stem = stem.lstrip(" .-")  # a dot would hide the file, a hyphen make an option of it
    stem = stem.encode()[:LONGEST].decode(errors="ignore").rstrip(" .-") or "video"
    return f"video-{stem}" if stem.partition(".")[0].rstrip().upper() in _RESERVED else stem


def _parts(template: str) -> Iterator[tuple[str, str | None, str]]:
    """The pieces of a template: a text, the name of the field after it, and that field's form."""
    try:
        for literal, name, form, conversion in Formatter().parse(template):
            yield literal, name if conversion is None else f"{name}!{conversion}", form or ""
    except ValueError:
        raise ValueError("a brace has no partner: write {index} for a field, and {{ or }} for a brace") from None
