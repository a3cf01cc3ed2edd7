"""Settings as users write them, in variables, `.env` or arguments: lists them, finds their origins, explains mistakes.

It knows no setting by name: the caller passes the fields of `Settings`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from aveo3.config import env_file
from aveo3.config.env_file import PREFIX as PREFIX
from aveo3.config.field_types import key_of
from aveo3.errors import UsageError
from aveo3.input_forms import plain_reason

ENV_FILE = Path(".env")

Fields = Mapping[str, FieldInfo]


class Variable(NamedTuple):
    """One setting as users see it."""

    field: str
    name: str
    default: str
    meaning: str


def describe(fields: Fields) -> Iterator[Variable]:
    """All settings with variable, default, allowed values and meaning, in the order of their declaration."""
    for name, field in fields.items():
        values = allowed(field)
        yield Variable(
            name,
            " or ".join(variables_of(name, field)),
            "unset" if field.default in (None, (), {}) else str(field.default).lower(),
            f"{field.description}{f' ({values})' if values else ''}",
        )


def variables_of(name: str, field: FieldInfo) -> list[str]:
    """The variables that set a field. If several are set, the first one counts."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [PREFIX + name.upper()]


def origins(fields: Fields) -> dict[str, str]:
    """The origin of each field's value if it is no argument: default, .env or environment."""
    environment, env_file = {key.upper() for key in os.environ if os.environ[key]}, read_env_file()
    return {
        name: "environment"
        if environment & set(variables)
        else str(ENV_FILE)
        if any(env_file.get(v) for v in variables)
        else "default"
        for name, field in fields.items()
        for variables in [variables_of(name, field)]
    }


def sources(name: str, field: FieldInfo) -> list[str]:
    """Where values of a field stand, in words without the values. The first counts when no argument is given."""
    variables, env_file = variables_of(name, field), read_env_file()
    environment = {key.upper() for key, value in os.environ.items() if value.strip()}
    here = [f"from {variable} in the environment" for variable in variables if variable in environment]
    return here + [f"from {variable} in {ENV_FILE}" for variable in variables if (env_file.get(variable) or "").strip()]


def gcloud_login() -> Path:
    """The file where `gcloud auth application-default login` leaves a login, whether or not it is there."""
    if not (home := os.environ.get("CLOUDSDK_CONFIG", "")):
        appdata = os.environ.get("APPDATA") if os.name == "nt" else None
        home = os.path.join(appdata or os.path.expanduser("~/.config"), "gcloud")  # noqa: PTH111, PTH118
    return Path(home, "application_default_credentials.json")


def allowed(field: FieldInfo) -> str:
    """The allowed values of a field in words: `at least 1`, `vertex, gemini, mock or auto`, `true or false`."""
    words = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
    bounds = [
        phrase.format(bound)
        for rule in field.metadata
        for word, phrase in words.items()
        if (bound := getattr(rule, word, None)) is not None
    ]
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not type(None)]
    kinds = [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds]
    if Path in kinds:
        return ""
    if bool in kinds:
        return "true or false"
    if any(isinstance(kind, str) or get_args(kind) for kind in kinds):
        names = [n for kind in kinds for n in (get_args(kind) or (kind,)) if isinstance(n, str)]
        if names:
            return " or ".join(names)
    if int in kinds:
        bounds.insert(0, "a whole number")
    return ", ".join(bounds)


def read_key(variable: str) -> SecretStr | None:
    """The API key in a variable of the environment or of `.env`; None if the variable is not set.

    Raises `UsageError`, which does not show the key, if the value cannot be a key.
    """
    value = os.environ.get(variable) or read_env_file().get(variable.upper())
    try:
        key = key_of(value)
    except ValueError as error:
        raise UsageError(f"{variable} is refused: {error}") from None
    return SecretStr(key) if key else None


def read_env_file(path: Any = ENV_FILE) -> dict[str, str | None]:
    """The variables of a `.env` file; none if it does not exist. Raises `UsageError` if it cannot be read."""
    return env_file.read(path)


def refuse_unknown(fields: Fields, values: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a name that is no setting, with the most similar one: its default would apply silently."""
    known, path = _known(fields), values.get("_env_file", ENV_FILE)
    seen = [(key, "in the environment") for key in os.environ if key.upper().startswith(PREFIX)]
    seen += [(key, f"in {path}") for key in read_env_file(path) if key.startswith(PREFIX)]
    unknown = [(key, where, sorted(known)) for key, where in seen if key.upper() not in known]
    unknown += [
        (key, "as an argument", sorted(fields))
        for key in values
        if key not in fields and key not in known and not key.startswith("_")
    ]
    for key, where, candidates in unknown:
        tail = "_" + key.upper().removeprefix(PREFIX)
        close = [name for name in candidates if name.upper().endswith(tail)]
        close = close or difflib.get_close_matches(key.upper() if candidates[0].isupper() else key, candidates, n=1)
        hint = f"did you mean {' or '.join(close)}?" if close else f"the settings are {', '.join(candidates)}"
        raise UsageError(f"{key} ({where}) is not a setting of aveo3: {hint}")


def explain(error: ValidationError, fields: Fields, values: Mapping[str, Any]) -> str:
    """A sentence for each wrong value: variable, value, origin, reason, allowed values. It never shows secrets."""
    path = values.get("_env_file", ENV_FILE)
    known, env_file = _known(fields), read_env_file(path)
    environment = {key.upper(): value for key, value in os.environ.items()}
    sentences = []
    for problem in error.errors(include_url=False, include_context=False):
        key = str(problem["loc"][0]) if problem["loc"] else ""
        name = known.get(key.upper(), key)
        field = fields.get(name)
        if field is None:
            sentences.append(problem["msg"].removeprefix("Value error, "))
            continue
        variables = variables_of(name, field)
        argument = next((key for key in (name, *variables) if key in values), None)
        variable = next((v for v in variables if v in environment), None)
        if argument is not None:
            shown, value, where = argument, values[argument], "as an argument"
        elif variable is not None:
            shown, value, where = variable, environment[variable], "in the environment"
        else:
            shown = next((v for v in variables if v in env_file), variables[0])
            value, where = env_file.get(shown), f"in {path}"
        text = "(hidden)" if is_secret(name, value) else str(value)
        sentences.append(f"{shown}={text} ({where}) is refused: {why(problem, field)}")
    return "; ".join(sentences)


def is_secret(name: str, value: object) -> bool:
    """True if the value of a field is a key, or may contain a key or password."""
    is_address = name.endswith(("url", "webhook", "server"))
    return name.endswith("_key") or name == "database" or (is_address and any(sign in str(value) for sign in "@?"))


def why(problem: Mapping[str, Any], field: FieldInfo) -> str:
    """The reason why pydantic refuses a value of a field, and the allowed values."""
    values, reason = allowed(field), plain_reason(problem)
    if problem["type"] == "string_pattern_mismatch" and field.examples:
        reason = f"must look like {' or '.join(map(str, field.examples))}"
    return f"{reason}{f'; allowed: {values}' if values else ''}"


def _known(fields: Fields) -> dict[str, str]:
    return {v: name for name, field in fields.items() for v in variables_of(name, field)}
