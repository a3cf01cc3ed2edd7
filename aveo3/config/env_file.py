"""Reads a `.env` and refuses lines that would silently set nothing: what was meant as a budget must not be ignored."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from aveo3.errors import UsageError

PREFIX = "VEO3_"
ENCODING = "utf-8-sig"
"""Windows puts a mark before the first line. With plain UTF-8 the mark would be part of the first name."""

_NAMES = r"((?:VEO3_|GOOGLE_(?:API_KEY|CLOUD_|APPLICATION_|GENAI_)|GEMINI_API_KEY|STORAGE_EMULATOR_HOST)\w*)"
_NAME = re.compile(_NAMES, re.IGNORECASE)
_LINE = re.compile(rf"^[ \t]*(?:export[ \t]+)?{_NAMES}[ \t]*=", re.IGNORECASE | re.MULTILINE)


def read(path: Any) -> dict[str, str | None]:
    """The variables in the `.env` at `path`, if it is there.

    Raises `UsageError` if it cannot be read, or if a line that mentions a setting of aveo3 sets nothing.
    """
    if path is None:
        return {}
    try:
        if not Path(path).is_file():  # not there; or a pipe, which can be read only once
            values = dotenv_values(path, encoding=ENCODING)
        else:
            text = Path(path).read_bytes().decode(ENCODING)
            _refuse_lost_lines(text, path)
            values = dotenv_values(stream=io.StringIO(text))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}. Change its permissions, or move it away.") from None
    return {key.upper(): value for key, value in values.items()}


def _refuse_lost_lines(text: str, path: Any) -> None:
    if "\0" in text:
        raise UsageError(f"{path} is not UTF-8 text (it has null bytes, as UTF-16 has). Save it as UTF-8.")
    for binding in parse_stream(io.StringIO(text)):
        if (lost := _lost(binding)) is not None:
            number = binding.original.line + binding.original.string.count("\n", 0, lost.start(1))
            raise UsageError(
                f"{path}:{number}: this line mentions {lost[1]}, but sets nothing: write NAME=value, with nothing "
                "before NAME, and close every quote. A comment begins with #."
            )


def _lost(binding: Binding) -> re.Match[str] | None:
    """The name of a setting in `binding` that nothing would come of."""
    words, key = binding.original.string, binding.key
    if binding.error or (key is not None and (binding.value is None or not key.isidentifier())):
        return _NAME.search(words)
    if key is not None and (quoted := _LINE.search(words, words.index("=") + 1)) is not None:
        return quoted  # an open quote: the lines up to the next quote are one value
    return None
