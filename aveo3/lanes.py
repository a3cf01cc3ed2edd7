"""Lanes: places with a quota each, from a TOML file or from code. Reads and checks; opens nothing, sends nothing.

Without a lane of anybody's own, each model has one: at the place that the settings name, or at the other backend if
that is the one which has the model and its credentials are there.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aveo3.errors import UsageError
from aveo3.settings import DEFAULT_MODELS, Dollars, Seconds, Settings, on_this_machine, read_key

OF_A_PLACE = ("backend", "project", "location", "credentials_file", "base_url", "api_version", "output_gcs_uri")
OF_A_QUOTA = (
    *("rate_limit", "rate_period", "burst", "daily_limit", "max_concurrency", "spend_limit", "spend_period"),
    "quota_patience",
)


class LaneSettings(BaseModel):
    """One lane as people set it. What it leaves open is as the settings have it for all."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str | None = Field(default=None, pattern=r"^[\w.:/@-]{1,100}$", description="for people; unset: its place")
    backend: Literal["vertex", "gemini"] | None = Field(default=None, description="unset: as its model and keys say")
    project: str | None = Field(default=None, min_length=1, description="Google Cloud project")
    location: str | None = Field(default=None, min_length=1, description="Google Cloud region")
    model: str | None = Field(default=None, min_length=1, description="unset: the backend's usual one")
    api_key_env: str | None = Field(default=None, description="variable, here or in .env, that holds its API key")
    credentials_file: Path | None = Field(default=None, description="its service account or other credentials")
    base_url: str | None = None
    api_version: str | None = None
    output_gcs_uri: str | None = Field(default=None, pattern=r"^gs://.+")
    rate_limit: int | None = Field(default=None, ge=1)
    rate_period: Seconds | None = Field(default=None, gt=0)
    burst: int | None = Field(default=None, ge=1)
    daily_limit: int | None = Field(default=None, ge=1)
    max_concurrency: int | None = Field(default=None, ge=1)
    spend_limit: Dollars | None = Field(default=None, gt=0)
    spend_period: Seconds | None = Field(default=None, gt=0)
    quota_patience: Seconds | None = Field(default=None, ge=0)
    weight: int = Field(default=1, ge=1, le=1000, description="its share of the clips that several lanes could take")
    order: int = Field(default=1, ge=1, description="2 and up: a reserve, for when every lane before it is closed")

    @model_validator(mode="after")
    def _one_credential(self) -> LaneSettings:
        if self.api_key_env is not None and self.credentials_file is not None:
            raise ValueError("api_key_env and credentials_file cannot go together: give the one or the other")
        return self


@dataclass(frozen=True, eq=False)
class Lane:
    """One place with a quota of its own: where, with which model, and the settings as they are for it."""

    name: str
    model: str
    settings: Settings
    place: Mapping[str, str | None]
    """What it takes to find its operations again: backend, project, location, API version, whose credentials."""
    weight: int = 1
    order: int = 1


class Lanes:
    """The lanes of one client: those that were set, or one for each model as it comes.

    Raises `UsageError` naming the lane, its field and what is allowed.
    """

    def __init__(
        self,
        settings: Settings,
        given: Sequence[Lane | LaneSettings | Mapping[str, Any]] | None = None,
        *,
        custom: bool = False,
    ) -> None:
        self.settings = settings
        self._custom = custom  # a service of somebody's own, which has whatever is asked of it
        self.listed: list[Lane]
        if custom:
            self.listed = []
        elif given is None and settings.lanes is not None:
            self.listed = _all(read(settings.lanes), settings, str(settings.lanes))
        else:
            self.listed = [lane for lane in given or () if isinstance(lane, Lane)]
            fields = [_checked(lane, n, "lanes") for n, lane in enumerate(given or (), 1) if not isinstance(lane, Lane)]
            self.listed += _all(fields, settings, "lanes")
        self._by_model: dict[str, Lane] = {}
        self._by_place: dict[str, Lane] = {}  # what earlier runs have sent, whatever is set by now

    def of(self, model: str) -> list[Lane]:
        """The lanes that have `model`. Raises `UsageError` if nothing could have it, with what to set."""
        if self.listed:
            return [lane for lane in self.listed if lane.model == model]
        if model not in self._by_model:
            self._by_model[model] = self._here(model) if self._custom else _implied(model, self.settings)
        return [self._by_model[model]]

    def at(self, place: Mapping[str, str | None], model: str) -> Lane:
        """The lane that reaches what was sent from `place`, or else the one that is nearest to it."""

        def distance(lane: Lane) -> tuple[bool, bool, bool]:
            return not same_place(lane.place, place), lane.name != place.get("lane"), lane.model != model

        if self.listed:
            return min(self.listed, key=distance)
        try:
            return self.of(model)[0]
        except UsageError:
            return self._by_place.setdefault(model, self._here(model))

    def settings_at(self, place: Mapping[str, str | None]) -> Settings:
        """The settings with which an earlier run has sent from `place`, as far as they can be had again.

        Raises `UsageError` if its credentials are not there any more.
        """
        own: dict[str, Any] = {name: place.get(name) for name in PLACE}
        if place.get("backend") == "gemini":
            own["output_gcs_uri"] = None  # it writes to no bucket, whatever the others do
        if (whose := place.get("credentials")) is None:
            return self.settings.model_copy(update=own)
        if not whose.startswith("$"):
            return self.settings.model_copy(update={**own, "credentials_file": Path(whose), "api_key": None})
        if (key := read_key(whose[1:])) is None:
            raise UsageError(f"{whose[1:]}, whose key it was, is not set, here or in .env")
        return self.settings.model_copy(update={**own, "credentials_file": None, "api_key": key})

    def _here(self, model: str) -> Lane:
        place = {} if self._custom else _place(self.settings.backend_name(), self.settings)
        return Lane(model, model, self.settings.model_copy(update={"model": model}), place)

    @property
    def any_model(self) -> bool:
        """True if a prompt that names no model may go to any lane: lanes are set, and no model is."""
        return bool(self.listed) and "model" not in self.settings.model_fields_set


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
    if set(given) != {"lane"} or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        odd = ", ".join(sorted(set(given) - {"lane"})) or "no [[lane]]"
        raise UsageError(f"{where} holds {odd}: it takes a table [[lane]] for each lane, and nothing else.")
    lanes = [_checked(table, number, str(path)) for number, table in enumerate(tables, start=1)]
    return [
        lane
        if lane.credentials_file is None
        else lane.model_copy(update={"credentials_file": (path.parent / lane.credentials_file.expanduser()).absolute()})
        for lane in lanes
    ]


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
    words = problem["msg"].removeprefix("Value error, ")
    return f"{field}: {words[:1].lower()}{words[1:]}" if field else words


def _all(given: Sequence[LaneSettings], settings: Settings, where: str) -> list[Lane]:
    lanes = [_lane(lane, settings, f"{where}, {lane.name or f'lane {n}'}") for n, lane in enumerate(given, start=1)]
    for lane, other in combinations(lanes, 2):
        if (
            lane.model == other.model
            and lane.settings.base_url == other.settings.base_url
            and same_place(lane.place, other.place)
        ):
            raise UsageError(f"{where}: {lane.name} and {other.name} are one place, and one quota: make them one lane.")
        if lane.name == other.name:
            raise UsageError(f"{where}: two lanes are called {lane.name}: give each a name of its own.")
    if len({on_this_machine(lane.settings.base_url) for lane in lanes}) > 1:
        raise UsageError(f"{where}: some lanes are emulators on this machine, others are not. Use either in one run.")
    return lanes


def _lane(given: LaneSettings, common: Settings, where: str) -> Lane:
    backend = _backend_of(given, common)
    own: dict[str, Any] = {"backend": backend, "mock_mode": common.mock_mode or common.backend == "mock"}
    if backend == "gemini":
        own["output_gcs_uri"] = None  # that of all is for those that can write to one
    own |= {name: value for name in (*OF_A_PLACE, *OF_A_QUOTA) if (value := getattr(given, name)) is not None}
    if backend == "vertex" and (given.project or common.project):
        own["api_key"] = None  # no key opens a project, and that of all is for those that have none
    if given.rate_limit is not None and given.burst is None:
        own["burst"] = None  # that of all may be over this one's limit
    credentials = {}
    if given.api_key_env is not None:
        if backend == "vertex" and given.project is not None:
            raise UsageError(
                f"{where}: api_key_env is for Vertex AI's express mode, which knows no project: leave project out, or "
                "name a credentials_file."
            )
        if given.api_key_env.startswith("AIza") or not given.api_key_env.isidentifier():
            raise UsageError(
                f"{where}: api_key_env holds a key itself: put that into a variable or .env, and name that."
            )
        if (key := read_key(given.api_key_env)) is None:
            raise UsageError(f"{where}: api_key_env names {given.api_key_env}, which is not set, here or in .env.")
        own |= {"api_key": key, "credentials_file": None, "project": given.project}
        credentials = {"credentials": f"${given.api_key_env}"}
    elif given.credentials_file is not None:
        if not given.credentials_file.is_file():
            raise UsageError(f"{where}: credentials_file={given.credentials_file}: there is no such file.")
        own["api_key"] = None
        credentials = {"credentials": str(given.credentials_file.absolute())}  # found again from anywhere
    model = given.model or (common.model if "model" in common.model_fields_set else DEFAULT_MODELS[backend])
    settings = common.model_copy(update={**own, "model": model})
    _check(model, backend, settings, where)
    place = {**_place(backend, settings), **credentials}
    name = given.name or _name(place, model)
    return Lane(name, model, settings, {**place, "lane": name}, given.weight, given.order)


def _backend_of(given: LaneSettings, common: Settings) -> str:
    """The backend that is named, or has the model, or is the one for such credentials, or is everybody's."""
    if given.backend is not None:
        return given.backend
    if given.model is not None and (card := common.cards.models.get(given.model)) is not None:
        return card.backend
    if given.project is not None or given.credentials_file is not None:
        return "vertex"
    return "gemini" if given.api_key_env is not None else _spoken(common.model, common)


def _check(model: str, backend: str, settings: Settings, where: str) -> None:
    if (gone := settings.cards.retired.get(model)) is not None:
        raise UsageError(f"{where}: model {model} was retired by Google on {gone.on}: use {gone.replacement}.")
    try:
        settings.cards.check_backend(model, backend)
    except ValueError as error:
        raise UsageError(f"{where}: {error}.") from None
    limit = settings.rate(model).limit
    if settings.burst is not None and settings.burst > limit:
        raise UsageError(
            f"{where}: burst={settings.burst} is over the rate limit of {limit}: allowed are 1 to {limit}."
        )


def _implied(model: str, settings: Settings) -> Lane:
    """The lane of a model where none are listed: at the backend that has it."""
    name = settings.backend_name()
    card = settings.cards.models.get(model)
    if card is not None and name not in (card.backend, "mock") and settings.backend == "auto":
        name = card.backend
        missing = settings.api_key is None if name == "gemini" else settings.project is None
        if missing and not on_this_machine(settings.base_url):
            need = "GEMINI_API_KEY" if name == "gemini" else "GOOGLE_CLOUD_PROJECT"
            raise UsageError(f"model {model} is to be had with VEO3_BACKEND={name}, which needs {need}: set it")
        settings = settings.model_copy(
            update={"backend": name, **({"output_gcs_uri": None} if name == "gemini" else {})}
        )
    try:
        settings.cards.check_backend(model, _spoken(model, settings))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Lane(model, model, settings.model_copy(update={"model": model}), _place(name, settings))


def _spoken(model: str, settings: Settings) -> str:
    """Whose wire a model is spoken to in: the emulator knows both."""
    name = settings.backend_name()
    if name != "mock":
        return name
    card = settings.cards.models.get(model)
    return card.backend if card is not None else "vertex"


def spoken(lane: Lane) -> str:
    """Whose wire `lane` speaks: `vertex` or `gemini`."""
    return _spoken(lane.model, lane.settings)


def _place(backend: str, settings: Settings) -> dict[str, str | None]:
    return {"backend": backend, **{name: getattr(settings, name) for name in PLACE}}


def same_place(one: Mapping[str, str | None], other: Mapping[str, str | None]) -> bool:
    """True if what was sent from the one is known at the other."""
    names = ["backend", "credentials"] + ["project", "location"] * (one.get("backend") != "gemini")
    return all(one.get(name) == other.get(name) for name in names)


PLACE = ("project", "location", "api_version")
"""The settings that, with the backend, lead back to an operation."""


def _name(place: Mapping[str, str | None], model: str) -> str:
    """`my-project/us-central1/veo-3.1-generate-001`, `gemini/KEY_B/gemini-omni-1.1-flash`."""
    if place["backend"] == "vertex" and place["project"]:
        return f"{place['project']}/{place['location']}/{model}"
    whose = (place.get("credentials") or "").lstrip("$")
    return "/".join(filter(None, (place["backend"], Path(whose).name, model)))
