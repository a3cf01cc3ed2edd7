"""Validates the labels of a request. The rules are those that google-genai states; the messages are guessed."""

import re
from typing import Any

from aveo3.mock.error_bodies import RequestError, invalid

_NAME = re.compile(r"[^\W\d_A-Z][\w-]{0,62}")
_VALUE = re.compile(r"[\w-]{0,63}")


def check_labels(labels: Any) -> dict[str, str] | None:
    """The labels; None without any. Raises RequestError with a 400."""
    if labels is None:
        return None
    if not isinstance(labels, dict):
        raise RequestError(invalid("Invalid value at 'labels': expected an object."))  # guessed
    if len(labels) > 64:
        raise RequestError(invalid("The number of labels must not exceed 64."))  # guessed
    for name, value in labels.items():
        if not _NAME.fullmatch(name) or name != name.lower():
            raise RequestError(invalid(f"Invalid label key: '{name}'."))  # guessed
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or value != value.lower():
            raise RequestError(invalid(f"Invalid value '{value}' of label '{name}'."))  # guessed
    return labels or None
