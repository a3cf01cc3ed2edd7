"""Says which field was meant, where a model of pydantic gets one that it does not have. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

UNKNOWN = "extra_forbidden"
"""Pydantic's type of error for a field that a model does not have."""


def hint(name: str, fields: Iterable[str]) -> str:
    """`did you mean seed?` for `name`; if no field is similar, all of them."""
    fields = list(fields)
    near = nearest(name, fields)
    return f"did you mean {near}?" if near is not None else f"the fields are {', '.join(fields)}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is most like `name`; None if none is."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return close[0] if close else None


def with_hints(error: ValidationError, fields: Iterable[str], *, meant: Callable[[str], str] = str) -> ValidationError:
    """`error` with a hint in place of "Extra inputs are not permitted"; types, places and inputs stay as they are.

    `fields` are those of the model; `meant` knows other words for them. A model within it has said its own hints.
    """
    problems = error.errors(include_url=False)
    if not any(problem["type"] == UNKNOWN for problem in problems):
        return error
    details: list[InitErrorDetails] = []
    for problem in problems:
        kind, place, said = problem["type"], problem["loc"], problem["msg"]
        if kind == UNKNOWN and len(place) == 1:
            field = meant(name := str(place[0]))
            said = f"there is no such field: {f'did you mean {field}?' if field != name else hint(name, fields)}"
        known = PydanticCustomError("extra_forbidden", "{said}", {"said": said}) if kind == UNKNOWN else kind
        details.append({"type": known, "loc": place, "input": problem["input"], "ctx": problem.get("ctx", {})})
    return ValidationError.from_exception_data(error.title, details)
