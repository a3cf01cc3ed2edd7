"""The settings of a lane, from a TOML file or from code: reads and checks them. Opens no connection."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aveo3 import near_names
from aveo3.config.environment import is_secret, why
from aveo3.config.field_types import BaseAddress, Count, Dollars, Region, Seconds, Word, at_home
from aveo3.errors import UsageError
from aveo3.models import Labels, ModelId

OF_A_PLACE = ("backend", "project", "location", "credentials_file", "base_url", "api_version", "output_gcs_uri")
OF_A_QUOTA = (
    *("rate_limit", "rate_period", "burst", "daily_limit", "max_concurrency", "spend_limit", "spend_period"),
    "quota_patience",
)
MAY_BE_NONE = frozenset(("base_url", "output_gcs_uri", *OF_A_QUOTA)) - {"rate_period", "spend_period"}
"""Fields where `none` means that this lane has no such value, even if the common settings have one."""


class LaneSettings(BaseModel):
    """The settings of one lane. A field that is not set takes its value from the common settings.

    Raises `UsageError` that names the field and the mistake.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str | None = Field(
        default=None,
        pattern=r"^[\w.:/@-]{1,100}$",
        examples=["my-lane"],
        description="name in messages; unset: the lane's place",
    )
    backend: Literal["vertex", "gemini"] | None = Field(
        default=None, description="unset: from the lane's model and credentials"
    )
    project: Word | None = Field(default=None, min_length=1, description="Google Cloud project")
    location: Region | None = Field(
        default=None, pattern=r"^[a-z0-9-]+$", examples=["us-central1"], description="Google Cloud region"
    )
    model: ModelId | None = Field(default=None, min_length=1, description="unset: the backend's default")
    api_key_env: Word | None = Field(
        default=None, description="variable, in the environment or .env, with the lane's API key"
    )
    credentials_file: Path | None = Field(default=None, description="file with a service account or other credentials")
    base_url: BaseAddress | None = None
    api_version: Word | None = Field(default=None, pattern=r"^v\d\w*$", examples=["v1", "v1beta1"])
    output_gcs_uri: Word | None = Field(default=None, pattern=r"^gs://.+", examples=["gs://bucket/prefix"])
    rate_limit: Count | None = Field(default=None, ge=1)
    rate_period: Seconds | None = Field(default=None, gt=0)
    burst: Count | None = Field(default=None, ge=1)
    daily_limit: Count | None = Field(default=None, ge=1)
    max_concurrency: Count | None = Field(default=None, ge=1)
    spend_limit: Dollars | None = Field(default=None, gt=0)
    spend_period: Seconds | None = Field(default=None, gt=0)
    quota_patience: Seconds | None = Field(default=None, ge=0)
    labels: Labels = Field(default={}, description="labels of this lane's requests, besides the common ones")
    weight: Count = Field(default=1, ge=1, le=1000, description="share of the clips that several lanes could take")
    order: Count = Field(
        default=1, ge=1, description="2 and up: a reserve, used when every lane of a lower order is closed"
    )

    if TYPE_CHECKING:  # fields take more than they hold

        def __init__(
            self,
            *,
            name: str | None = None,
            backend: Literal["vertex", "gemini"] | None = None,
            project: str | None = None,
            location: str | None = None,
            model: str | None = None,
            api_key_env: str | None = None,
            credentials_file: str | Path | None = None,
            base_url: str | None = None,
            api_version: str | None = None,
            output_gcs_uri: str | None = None,
            rate_limit: int | Literal["none"] | None = None,
            rate_period: float | None = None,
            burst: int | Literal["none"] | None = None,
            daily_limit: int | Literal["none"] | None = None,
            max_concurrency: int | Literal["none"] | None = None,
            spend_limit: float | Literal["none"] | None = None,
            spend_period: float | None = None,
            quota_patience: float | Literal["none"] | None = None,
            labels: str | Mapping[str, str] = ...,
            weight: int = 1,
            order: int = 1,
        ) -> None: ...

    else:

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise UsageError("; ".join(map(_sentence, error.errors(include_url=False)))) from None

    @model_validator(mode="before")
    @classmethod
    def _none_is_none(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: None if name in MAY_BE_NONE and value == "none" else value for name, value in values.items()}

    @field_validator("credentials_file")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return path if path is None else at_home(path)

    @model_validator(mode="after")
    def _one_credential(self) -> LaneSettings:
        if self.api_key_env is not None and self.credentials_file is not None:
            raise ValueError("api_key_env and credentials_file cannot go together: give one or the other")
        return self

    @property
    def own(self) -> dict[str, Any]:
        """The fields of `Settings` that this lane sets itself."""
        values = {name: getattr(self, name) for name in (*OF_A_PLACE, *OF_A_QUOTA)}
        none = self.model_fields_set & MAY_BE_NONE
        return {name: value for name, value in values.items() if value is not None or name in none}


def read(path: Path) -> list[LaneSettings]:
    """The lanes of a TOML file, one table `[[lane]]` each. Paths in the file are relative to the file.

    Raises `UsageError` that names the lane, the field and the mistake.
    """
    where = f"VEO3_LANES={path}"
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{where} is not valid TOML: {error}.") from None
    tables = content.get("lane")
    whole = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if set(content) != {"lane"} or not tables or not whole:
        odd = ", ".join(sorted(set(content) - {"lane"})) or "no [[lane]]"
        raise UsageError(f"{where} holds {odd}: write one table [[lane]] for each lane, and nothing else.")
    return [
        lane
        if lane.credentials_file is None
        else lane.model_copy(update={"credentials_file": (path.parent / lane.credentials_file).absolute()})
        for lane in checked(tables, str(path))
    ]


def checked(lanes: Sequence[LaneSettings | Mapping[str, Any]], where: str) -> list[LaneSettings]:
    """`lanes`, each as `LaneSettings`. Raises `UsageError` that names the lane and its mistakes.

    `where` is the start of the message: the file, or the argument.
    """
    return [_checked(lane, number, where) for number, lane in enumerate(lanes, start=1)]


def _checked(lane: LaneSettings | Mapping[str, Any], number: int, where: str) -> LaneSettings:
    if isinstance(lane, LaneSettings):
        return lane
    try:
        return LaneSettings.model_validate(lane)
    except ValidationError as error:
        name = lane.get("name") if isinstance(lane, Mapping) else None
        which = f"lane {number}" + (f" ({name})" if isinstance(name, str) else "")
        sentences = "; ".join(map(_sentence, error.errors(include_url=False)))
        raise UsageError(f"{where}, {which}: {sentences}{'' if sentences.endswith('?') else '.'}") from None


def _sentence(problem: Any) -> str:
    field = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        if field == "api_key":
            return "api_key: keys do not belong here; put the key in a variable or .env, and name it with api_key_env"
        return f"{field} is not a field of a lane: {near_names.hint(field, LaneSettings.model_fields)}"
    if field not in LaneSettings.model_fields:
        return str(problem["msg"]).removeprefix("Value error, ")
    return f"{field}={_shown(field, problem['input'])} is refused: {why(problem, LaneSettings.model_fields[field])}"


def _shown(field: str, value: Any) -> str:
    """A value as the file writes it. A key or password is never shown."""
    if field == "api_key_env" or is_secret(field, value):
        return "(hidden)"
    return f"{value:.80}" if isinstance(value, str) else json.dumps(value, default=str)
