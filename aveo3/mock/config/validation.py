"""Turns pydantic errors into one sentence for a person: the value, what is allowed, the way out."""

import difflib
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError


class Strict(BaseModel):
    """A model that names the field that was meant, where it gets one that it does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _near_names(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            if not any(problem["type"] == "extra_forbidden" for problem in problems):
                raise
            details = [_hinted(problem, cls.model_fields) for problem in problems]
            raise ValidationError.from_exception_data(error.title, details) from None


def _hinted(problem: Any, fields: Iterable[str]) -> InitErrorDetails:
    """The same error; that of an unknown field with the names that are known. One further within has them already."""
    kind, place, said = problem["type"], problem["loc"], problem["msg"]
    if kind == "extra_forbidden":
        said = unknown(str(place[0]), fields) if len(place) == 1 else said
        kind = PydanticCustomError("extra_forbidden", "{said}", {"said": said})
    return {"type": kind, "loc": place, "input": problem["input"], "ctx": problem.get("ctx", {})}


UNLIMITED = "none"
"""How scenario files and command lines write None."""


def unlimited(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == UNLIMITED else value


def complaint(error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """Return the name of the first wrong field (empty: the whole model) and a sentence about the error.

    Messages of this package's own validators are kept. Pydantic's messages are replaced by the value and what is
    allowed.
    """
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "value_error":
        return name, str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        return "", unknown(name, model.model_fields)
    if len(first["loc"]) > 1 or name not in model.model_fields:
        return name, f"{shown(first['input'])}: {first['msg']}."
    return name, f"it takes {allowed(model.model_fields[name])}; not {shown(first['input'])}."


def unknown(name: str, names: Iterable[str], what: str = "option") -> str:
    names = list(names)
    near = difflib.get_close_matches(name, names, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"there is no {what} {name!r}.{hint} Known: {', '.join(names)}."


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def allowed(field: FieldInfo) -> str:
    """Describe the allowed values of `field`, such as "a whole number, at least 0, or none"."""
    kinds = _members(field.annotation)
    optional = NoneType in kinds
    words = " or ".join(filter(None, (_kind(kind) for kind in kinds if kind is not NoneType)))
    bounds = ""
    for mark in field.metadata:
        for sign, text in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
            if (bound := getattr(mark, sign, None)) is not None:
                bounds += f", {text} {bound:g}"
    return f"{words}{bounds}{f', or {UNLIMITED}' if optional else ''}"


def choices(field: FieldInfo) -> tuple[str, ...]:
    """Return the allowed values of a `Literal` field; () for other fields."""
    return tuple(str(value) for value in get_args(field.annotation)) if _is_choice(field.annotation) else ()


def _members(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _is_choice(annotation: Any) -> bool:
    return get_origin(annotation) is Literal


_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tuple: "a list",
}


def _kind(kind: Any) -> str:
    if _is_choice(kind):
        return "one of " + ", ".join(str(value) for value in get_args(kind))
    return _WORDS.get(get_origin(kind) or kind, "a text as shown in the help")
