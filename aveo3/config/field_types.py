"""Types of the fields that users write: numbers, addresses, names, keys. Wrong values get an error in words."""

from __future__ import annotations

import ntpath
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr, TypeAdapter, ValidationError


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _off_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() in ("off", "none") else value


def _plain_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as http://127.0.0.1:8089")
    if parts.username or parts.query:
        raise ValueError("must hold no user name, password or query; put the key into GOOGLE_API_KEY")
    return url.rstrip("/")


def _server_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as http://127.0.0.1:8790")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("must hold no user name, password or query; put the key into VEO3_SERVER_KEY")
    if (version := re.search(r"/v\d\w*/?$", url)) is not None:
        raise ValueError(f"must not end in {version[0]}, because the version is added: leave it out")
    return url.rstrip("/")


def _without_version(url: str) -> str:
    if (version := re.search(r"/(v\d\w*)$", url)) is not None:
        raise ValueError(
            f"must not end in {version[0]}, because the version is added: leave it out, and set "
            f"VEO3_API_VERSION={version[1]} if it is not the usual one"
        )
    return url


def trimmed(value: Any) -> Any:
    """`value` without the spaces, line ends and quotes that files, clipboards and shells leave around a text."""
    if not isinstance(value, str):
        return value
    text = value.translate(_UNSEEN).strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()  # `set KEY="..."` on Windows keeps the quotes
    return text


_UNSEEN = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))


def at_home(path: Path) -> Path:
    """`path` with `~` expanded. Raises `ValueError` if that user has no home directory."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("there is no such user's home directory: write the whole path") from None


def writable_name(path: Path) -> Path:
    """`path` as it is. Raises `ValueError` if no file can have that name here."""
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"file names are {error.encoding} here: set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or use another name"
        ) from None
    if b"\0" in name:
        raise ValueError("there is a null byte in it")
    return path


def reachable(path: Path, room: int) -> Path:
    """`path` as Windows opens it, and files below it with names of up to `room` characters. Elsewhere as it is."""
    if sys.platform != "win32":
        return path
    absolute = ntpath.abspath(path)
    if len(absolute) + room < _MAX_PATH or absolute.startswith("\\\\?\\"):
        return path
    return Path("\\\\?\\" + (f"UNC\\{absolute[2:]}" if absolute.startswith("\\\\") else absolute))


_MAX_PATH = 260
"""Windows refuses longer paths without that prefix, unless a person has changed that for the whole machine."""


def duration(value: Any) -> Any:
    """A time as people write it in seconds: `90`, `30s`, `1.5h`, `7d`. What is no text stays as it is.

    Raises `ValueError` for other texts.
    """
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]*)", trimmed(value).lower())
    if found is None or found[2] not in _UNITS:
        raise ValueError("must be a time such as 30s, 90m, 12h, 7d or 4w")
    return float(found[1]) * _UNITS[found[2]]


_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def size(value: Any) -> Any:
    """`500MB`, `50GB` or `2TiB` in bytes. What is no text stays as it is. Raises `ValueError` for other texts."""
    if not isinstance(value, str):
        return value
    try:
        return int(TypeAdapter(ByteSize).validate_python(trimmed(value)))
    except ValidationError:
        raise ValueError("must be a size such as 500MB, 50GB or 2TB") from None


def key_of(value: Any) -> Any:
    """An API key as it goes into a header. Raises `ValueError`, which does not show the key, for other characters."""
    hidden = isinstance(value, SecretStr)
    text = trimmed(value.get_secret_value() if hidden else value)
    if not isinstance(text, str):
        return value
    for place, sign in enumerate(text, start=1):
        if not "!" <= sign <= "~":
            raise ValueError(f"character {place} of {len(text)} is not one that a key can hold: copy the key again")
    return SecretStr(text) if hidden else text


Count = Annotated[int, BeforeValidator(_no_bool)]
Seconds = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_bool)]
Dollars = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_bool)]
DollarsOrOff = Annotated[
    float | None, Field(allow_inf_nan=False), BeforeValidator(_no_bool), BeforeValidator(_off_is_none)
]
PerMinute = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_bool)]
Duration = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_bool), BeforeValidator(duration)]
"""Seconds, which may be written with a unit."""
Size = Annotated[int, BeforeValidator(_no_bool), BeforeValidator(size)]
"""Bytes, which may be written with a unit."""
Address = Annotated[str, BeforeValidator(trimmed), AfterValidator(_plain_address)]
Word = Annotated[str, BeforeValidator(trimmed)]
"""A name or ID. Spaces, line ends and quotes around it do not count."""
Key = Annotated[SecretStr, BeforeValidator(key_of)]
BaseAddress = Annotated[Address, AfterValidator(_without_version)]
"""The address of an API, without the version: that is a setting of its own."""
ServerAddress = Annotated[str, BeforeValidator(trimmed), AfterValidator(_server_address)]
Region = Annotated[str, BeforeValidator(lambda text: text.strip().lower() if isinstance(text, str) else text)]
"""A region of Google Cloud, in small letters: `us-central1`."""
