"""Turns what people, spreadsheets and other programs write into what a prompt holds. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import time
from typing import Any

ONE_MEDIUM = ("image", "last_frame", "video")
SEVERAL_MEDIA = ("reference_images", "reference_videos")
MEDIA_FIELDS = (*ONE_MEDIUM, *SEVERAL_MEDIA)
"""The fields of a prompt that hold pictures and videos."""


def model_id(name: Any) -> Any:
    """`name` as the catalog writes it: no blanks around it, no `publishers/google/models/` before it, Google's names in
    small letters. What is not a text stays as it is.

    One model under two names would have no price under one of them, and its clips would be made twice. Raises
    `ValueError` for a name that holds a project, which may be another one than that of the settings.
    """
    if not isinstance(name, str):
        return name
    plain = _UNSEEN.sub("", name).translate(_HYPHENS).strip()
    path = _RESOURCE.fullmatch(plain)
    if path is not None and path[1]:
        raise ValueError(f"names a project: set GOOGLE_CLOUD_PROJECT and its region, and give {path[2]} alone")
    plain = path[2].strip() if path is not None else plain
    return plain.lower() if re.match("veo-|gemini-", plain, re.IGNORECASE) else plain


_RESOURCE = re.compile(
    r"/?(projects/.*?)?(?:publishers/google/)?models/([^/:]+)(?::predictLongRunning)?", re.IGNORECASE
)
_UNSEEN = re.compile("[\u200b-\u200d\u2060\ufeff]")
_HYPHENS = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212), "-")  # web pages write them so


def ratio(value: Any) -> Any:
    """`9:16`, however a program has changed it: `09:16` and `9:16:00` are Excel's, 556 is YAML's (9 x 60 + 16)."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 60:
        return "{}:{}".format(*divmod(value, 60))
    if isinstance(value, time):
        return f"{value.hour}:{value.minute}"
    if isinstance(value, str) and (match := re.fullmatch(r"\s*0*(\d+)\s*[:/x×]\s*0*(\d+)(?::00)?\s*", value)):
        return f"{match[1]}:{match[2]}"
    return value


def of_data_url(url: str) -> dict[str, Any]:
    """The bytes and the type of `data:image/png;base64,…`."""
    head, comma, body = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ValueError("a data URL looks like data:image/png;base64,iVBORw0K…")
    data = _decoded(body, "this data URL")
    if not data:
        raise ValueError("this data URL holds nothing")
    return {"data": data, "mime_type": head.removeprefix("data:").removesuffix(";base64").partition(";")[0]}


def of_base64(value: Any) -> Any:
    """The bytes that a text stands for, with or without a `data:` URL around it. What is no text stays as it is."""
    if not isinstance(value, str):
        return value
    return of_data_url(value)["data"] if value.startswith("data:") else _decoded(value, "these bytes")


def _decoded(text: str, what: str) -> bytes:
    """The bytes of base64, in either of its alphabets."""
    try:
        return base64.b64decode("".join(text.split()).translate(_URL_SAFE), validate=True)
    except ValueError:
        raise ValueError(f"the base64 of {what} is broken: it was cut off or changed") from None


_URL_SAFE = {ord("-"): "+", ord("_"): "/"}


def in_base64(data: bytes | None) -> str | None:
    """Bytes as JSON has them."""
    return None if data is None else base64.b64encode(data).decode()


def plain_fields(row: Any) -> Any:
    """A mapping of fields, or a row of a pandas table, without its empty cells and with plain numbers.

    `NaN`, `NaT` and `NA` are cells that nobody filled in. What is neither mapping nor row stays as it is.
    """
    if not isinstance(row, Mapping):
        if not hasattr(row, "to_dict") or not hasattr(row, "index"):
            return row
        row = row.to_dict()
    return {key: value for key, cell in row.items() if (value := _plain_cell(cell)) is not _EMPTY}


_EMPTY = object()


def _plain_cell(cell: Any) -> Any:
    if type(cell).__name__ in ("NAType", "NaTType"):
        return _EMPTY
    if hasattr(cell, "dtype") and getattr(cell, "shape", None) == ():  # a number of numpy
        cell = cell.item()
    return _EMPTY if isinstance(cell, float) and cell != cell else cell


def rows_of(prompts: Any) -> Any:
    """The rows of a pandas table: iterating over the table itself would make a clip of each column's name."""
    if hasattr(prompts, "to_dict") and hasattr(prompts, "columns"):
        return prompts.to_dict("records")
    return prompts


def plain_reason(problem: Any) -> str:
    """What is wrong with a value, in plain words. `problem` is one of pydantic's errors; the value is not shown."""
    if (words := _REASONS.get(problem["type"])) is not None:
        return words
    message = re.sub("^(Value error, |Input should be (?=.))", _beginning, str(problem["msg"]))
    return f"{message[:1].lower()}{message[1:]}"


def _beginning(match: re.Match[str]) -> str:
    return "must be " if match[0].startswith("Input") else ""


_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "string_type": "must be text",
    "path_type": "must be a path",
}
