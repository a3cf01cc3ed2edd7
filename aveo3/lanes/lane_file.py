"""One lane as people set it, in a TOML file or in code: its fields, and what is wrong with them. Opens nothing."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aveo3.config.environment import is_secret, why
from aveo3.config.field_types import Address, Count, Dollars, Region, Seconds
from aveo3.errors import UsageError

OF_A_PLACE = ("backend", "project", "location", "credentials_file", "base_url", "api_version", "output_gcs_uri")
OF_A_QUOTA = (
    *("rate_limit", "rate_period", "burst", "daily_limit", "max_concurrency", "spend_limit", "spend_period"),
    "quota_patience",
)
MAY_BE_NONE = frozenset(("base_url", "output_gcs_uri", *OF_A_QUOTA)) - {"rate_period", "spend_period"}
"""Where `none` says that this lane has none, whatever the settings have for all."""


class LaneSettings(BaseModel):
    """One lane as people set it. What it leaves open is as the settings have it for all."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str | None = Field(
        default=None, pattern=r"^[\w.:/@-]{1,100}$", examples=["my-lane"], description="for people; unset: its place"
    )
    backend: Literal["vertex", "gemini"] | None = Field(default=None, description="unset: as its model and keys say")
    project: str | None = Field(default=None, min_length=1, description="Google Cloud project")
    location: Region | None = Field(
        default=None, pattern=r"^[a-z0-9-]+$", examples=["us-central1"], description="Google Cloud region"
    )
    model: str | None = Field(default=None, min_length=1, description="unset: the backend's usual one")
    api_key_env: str | None = Field(default=None, description="variable, here or in .env, that holds its API key")
    credentials_file: Path | None = Field(default=None, description="its service account or other credentials")
    base_url: Address | None = None
    api_version: str | None = Field(default=None, pattern=r"^v\d\w*$", examples=["v1", "v1beta1"])
    output_gcs_uri: str | None = Field(default=None, pattern=r"^gs://.+", examples=["gs://bucket/prefix"])
    rate_limit: Count | None = Field(default=None, ge=1)
    rate_period: Seconds | None = Field(default=None, gt=0)
    burst: Count | None = Field(default=None, ge=1)
    daily_limit: Count | None = Field(default=None, ge=1)
    max_concurrency: Count | None = Field(default=None, ge=1)
    spend_limit: Dollars | None = Field(default=None, gt=0)
    spend_period: Seconds | None = Field(default=None, gt=0)
    quota_patience: Seconds | None = Field(default=None, ge=0)
    weight: Count = Field(default=1, ge=1, le=1000, description="its share of the clips that several lanes could take")
    order: Count = Field(default=1, ge=1, description="2 and up: a reserve, for when every lane before it is closed")

    @model_validator(mode="before")
    @classmethod
    def _none_is_none(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: None if name in MAY_BE_NONE and value == "none" else value for name, value in given.items()}

    @model_validator(mode="after")
    def _one_credential(self) -> LaneSettings:
        if self.api_key_env is not None and self.credentials_file is not None:
            raise ValueError("api_key_env and credentials_file cannot go together: give the one or the other")
        return self

    @property
    def own(self) -> dict[str, Any]:
        """What of the settings is this lane's own."""
        values = {name: getattr(self, name) for name in (*OF_A_PLACE, *OF_A_QUOTA)}
        none = self.model_fields_set & MAY_BE_NONE
        return {name: value for name, value in values.items() if value is not None or name in none}


def read(path: Path) -> list[LaneSettings]:
    """The lanes in a TOML file: a table `[[lane]]` each. Its paths are relative to it.

    Raises `UsageError` saying what is wrong with it, and where.
    """
    where = f"VEO3_LANES={path}"
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{where} is no TOML: {error}.") from None
    tables = given.get("lane")
    whole = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if set(given) != {"lane"} or not tables or not whole:
        odd = ", ".join(sorted(set(given) - {"lane"})) or "no [[lane]]"
        raise UsageError(f"{where} holds {odd}: it takes a table [[lane]] for each lane, and nothing else.")
    return [
        lane
        if lane.credentials_file is None
        else lane.model_copy(update={"credentials_file": (path.parent / lane.credentials_file.expanduser()).absolute()})
        for lane in checked(tables, str(path))
    ]


def checked(given: Sequence[LaneSettings | Mapping[str, Any]], where: str) -> list[LaneSettings]:
    """Lanes as they were given in a file or in code. Raises `UsageError` naming the lane and what is wrong with it."""
    return [_checked(lane, number, where) for number, lane in enumerate(given, start=1)]


def _checked(given: LaneSettings | Mapping[str, Any], number: int, where: str) -> LaneSettings:
    if isinstance(given, LaneSettings):
        return given
    try:
        return LaneSettings.model_validate(given)
    except ValidationError as error:
        name = given.get("name") if isinstance(given, Mapping) else None
        which = f"lane {number}" + (f" ({name})" if isinstance(name, str) else "")
        raise UsageError(f"{where}, {which}: {'; '.join(map(_sentence, error.errors(include_url=False)))}.") from None


def _sentence(problem: Any) -> str:
    field = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        if field == "api_key":
            return "api_key: keys do not belong here; put it into a variable or .env, and name that with api_key_env"
        close = difflib.get_close_matches(field, LaneSettings.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(LaneSettings.model_fields)}"
        return f"{field} is not a field of a lane: {hint}"
    if field not in LaneSettings.model_fields:
        return str(problem["msg"]).removeprefix("Value error, ")
    return f"{field}={_shown(field, problem['input'])} is refused: {why(problem, LaneSettings.model_fields[field])}"


def _shown(field: str, value: Any) -> str:
    """A value as the file has it; a key or password is never shown."""
    if field == "api_key_env" or is_secret(field, value):
        return "(hidden)"
    return f"{value:.80}" if isinstance(value, str) else json.dumps(value, default=str)
