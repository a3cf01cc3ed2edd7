"""Labels for Google's bill: what they may look like, how people write them, and those that one request carries. Pure.

The rules are those of google-genai 3.6 (`CreateModelInteraction.labels`) and of labels on Google Cloud.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MOST = 64
LONGEST = 63


def read(value: Any) -> Any:
    """Labels as people write them: a mapping, JSON, or `team=film, customer=acme`. Other types stay as they are.

    Raises `ValueError` that names the label and the rule.
    """
    if isinstance(value, str):
        value = _of_text(value)
    if not isinstance(value, Mapping):
        return value
    for name, tag in value.items():
        if (why := mistake(name, tag)) is not None:
            raise ValueError(why)
    if len(value) > MOST:
        raise ValueError(f"{len(value)} labels: Google takes at most {MOST}")
    return dict(value)


def _of_text(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            raise ValueError('labels look like team=film,customer=acme, or like {"team": "film"}') from None
    labels: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, tag = (part.strip() for part in pair.partition("="))
        if name in labels:
            raise ValueError(f"label {name} is there twice")
        labels[name] = tag
    return labels


def mistake(name: object, tag: object) -> str | None:
    """What is wrong with one label, in a sentence; None if Google takes it."""
    if not isinstance(name, str) or not isinstance(tag, str):
        return f"label {name!r}={tag!r}: name and value must be texts"
    if not name[:1].isalpha() or not _is_plain(name):
        return f"label name {name!r} must begin with a small letter and hold {_SIGNS}"
    if not _is_plain(tag):
        return f"label {name}={tag!r}: a value holds {_SIGNS}"
    return None


_SIGNS = f"only small letters, digits, _ and -, at most {LONGEST} of them"


def _is_plain(word: str) -> bool:
    small = all(sign in "_-" or ((sign.isalpha() or sign.isdecimal()) and sign == sign.lower()) for sign in word)
    return small and len(word) <= LONGEST and len(word.encode()) <= 2 * MOST


def of_request(
    common: Mapping[str, str], own: Mapping[str, str], *, project_label: str | None, project_id: str | None
) -> dict[str, str]:
    """The labels of one request: those of the settings, then the prompt's project, then those of the prompt itself.

    Raises `ValueError` if the project's name cannot be a label, or if there are too many.
    """
    project = {project_label: project_id} if project_label and project_id else {}
    for name, tag in project.items():
        if (why := mistake(name, tag)) is not None:
            raise ValueError(f"project_id cannot be a label: {why}")
    labels = {**common, **project, **own}
    if len(labels) > MOST:
        raise ValueError(f"{len(labels)} labels, with those of the settings: Google takes at most {MOST}")
    return labels
