"""Lanes: places with a quota each, as they were set, checked against each other. Opens nothing, sends nothing.

Without a lane of anybody's own, each model has one: at the place that the settings name, or at the other backend if
that is the one which has the model and its credentials are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from aveo3.config.backend_choice import DEFAULT_MODELS
from aveo3.config.environment import read_key
from aveo3.config.settings import Settings, on_this_machine
from aveo3.errors import UsageError
from aveo3.lanes.lane_file import LaneSettings, checked, read


@dataclass(frozen=True, eq=False)
class Lane:
    """One place with a quota of its own: where, with which model, and the settings as they are for it."""

    name: str
    model: str
    settings: Settings
    place: Mapping[str, str | None]
    """What it takes to find its operations again: backend, project, location, API version, whose credentials, and its
    address if it has one of its own."""
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
        self.custom = custom  # a service of somebody's own, which has whatever is asked of it
        self.listed: list[Lane]
        if custom:
            self.listed = []
        elif given is None and settings.lanes is not None:
            self.listed = _all(read(settings.lanes), settings, str(settings.lanes))
        else:
            self.listed = [lane for lane in given or () if isinstance(lane, Lane)]
            fields = [lane for lane in given or () if not isinstance(lane, Lane)]
            self.listed += _all(checked(fields, "lanes"), settings, "lanes")
        self._by_model: dict[str, Lane] = {}
        self._by_place: dict[str, Lane] = {}  # what earlier runs have sent, whatever is set by now

    def of(self, model: str) -> list[Lane]:
        """The lanes that have `model`. Raises `UsageError` if nothing could have it, with what to set."""
        if self.listed:
            return [lane for lane in self.listed if lane.model == model]
        if model not in self._by_model:
            self._by_model[model] = self._here(model) if self.custom else _implied(model, self.settings)
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
        if (address := place.get("base_url")) is not None:  # of a lane that had one of its own
            own["base_url"] = address
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
        place = {} if self.custom else _place(self.settings.backend_name(), self.settings)
        return Lane(model, model, self.settings.model_copy(update={"model": model}), place)

    @property
    def any_model(self) -> bool:
        """True if a prompt that names no model may go to any lane: lanes are set, and no model is."""
        return bool(self.listed) and "model" not in self.settings.model_fields_set


def _all(given: Sequence[LaneSettings], settings: Settings, where: str) -> list[Lane]:
    lanes = [_lane(lane, settings, f"{where}, {lane.name or f'lane {n}'}") for n, lane in enumerate(given, start=1)]
    for lane, other in combinations(lanes, 2):
        if (same := _what_they_share(lane, other)) is not None:
            raise UsageError(f"{where}: {lane.name} and {other.name} {same}, and one quota: make them one lane.")
        if lane.name == other.name:
            raise UsageError(f"{where}: two lanes are called {lane.name}: give each a name of its own.")
    if len({on_this_machine(lane.settings.base_url) for lane in lanes}) > 1:
        raise UsageError(f"{where}: some lanes are emulators on this machine, others are not. Use either in one run.")
    return lanes


def _what_they_share(lane: Lane, other: Lane) -> str | None:
    """What makes the quota of one lane that of the other as well; None if each has its own."""
    if (lane.model, lane.place["backend"], lane.settings.base_url) != (
        other.model,
        other.place["backend"],
        other.settings.base_url,
    ):
        return None
    if lane.place["backend"] == "vertex" and (lane.settings.project or other.settings.project):
        # Whoever asks: Google counts for each project and region.
        places = [(one.settings.project, one.settings.location) for one in (lane, other)]
        return "are one place" if places[0] == places[1] else None
    if lane.settings.api_key is None:
        return "are one place" if other.settings.api_key is None else None
    return "have one API key" if lane.settings.api_key == other.settings.api_key else None


def _lane(given: LaneSettings, common: Settings, where: str) -> Lane:
    backend = _backend_of(given, common)
    own: dict[str, Any] = {"backend": backend, "mock_mode": common.mock_mode or common.backend == "mock"}
    if backend == "gemini":
        own["output_gcs_uri"] = None  # that of all is for those that can write to one
    own |= given.own
    if backend == "vertex" and (given.project or common.project):
        own["api_key"] = None  # no key opens a project, and that of all is for those that have none
    if "rate_limit" in given.own and given.burst is None:
        own["burst"] = None  # that of all may be over this one's limit
    credentials = {}
    if given.api_key_env is not None:
        own |= {"api_key": _key(given.api_key_env, where), "credentials_file": None, "project": given.project}
        credentials = {"credentials": f"${given.api_key_env}"}
    elif given.credentials_file is not None:
        if not given.credentials_file.is_file():
            raise UsageError(f"{where}: credentials_file={given.credentials_file}: there is no such file.")
        own["api_key"] = None
        credentials = {"credentials": str(given.credentials_file.absolute())}  # found again from anywhere
    model = given.model or (common.model if "model" in common.model_fields_set else DEFAULT_MODELS[backend])
    settings = common.model_copy(update={**own, "model": model})
    _check(model, backend, settings, where)
    _check_use(given, backend, settings, where)
    address = {} if given.base_url is None else {"base_url": given.base_url}
    place = {**_place(backend, settings), **credentials, **address}
    name = given.name or _name(place, model)
    return Lane(name, model, settings, {**place, "lane": name}, given.weight, given.order)


def _key(variable: str, where: str) -> SecretStr:
    """The key in a variable. Raises `UsageError`, and shows nothing that might be a key."""
    if variable.startswith("AIza") or not variable.isidentifier():
        raise UsageError(f"{where}: api_key_env holds a key itself: put that into a variable or .env, and name that.")
    if (key := read_key(variable)) is None:
        shown = variable if variable.isupper() else "a variable (its name is hidden: it may be a key)"
        raise UsageError(f"{where}: api_key_env names {shown}, which is not set, here or in .env.")
    return key


def _check_use(given: LaneSettings, backend: str, settings: Settings, where: str) -> None:
    """Raise `UsageError` if a field is given that nothing would come of."""
    useless: dict[str, str] = {}
    if backend == "gemini":
        useless = {
            "project": "the Gemini API knows a project by its API key only",
            "location": "the Gemini API knows no regions",
            "credentials_file": "the Gemini API takes nothing but an API key (api_key_env)",
            "output_gcs_uri": "the Gemini API writes to no bucket",
        }
    elif given.api_key_env is not None:
        express = "api_key_env is for Vertex AI's express mode, which knows no {}; a credentials_file does"
        useless = {name: express.format(name) for name in _OF_PROJECTS}
    elif settings.project is None:
        useless = dict.fromkeys(_OF_LOGINS, "it needs a project, and neither this lane nor the settings have one")
    if settings.spend_limit is None:
        useless["spend_period"] = "without a spend_limit nothing is counted in it"
    for name, why_not in useless.items():
        if (value := getattr(given, name)) is not None:
            raise UsageError(f"{where}: {name}={value} can do nothing: {why_not}. Leave it out.")


_OF_PROJECTS = ("project", "location")
_OF_LOGINS = ("location", "credentials_file")


def _backend_of(given: LaneSettings, common: Settings) -> str:
    """The backend that is named, or has the model, or is the one for such credentials, or is everybody's."""
    if given.backend is not None:
        return given.backend
    if given.model is not None and (card := common.model_catalog.models.get(given.model)) is not None:
        return card.backend
    if given.project is not None or given.credentials_file is not None:
        return "vertex"
    return "gemini" if given.api_key_env is not None else _spoken(common.model, common)


def _check(model: str, backend: str, settings: Settings, where: str) -> None:
    if (gone := settings.model_catalog.retired.get(model)) is not None:
        raise UsageError(f"{where}: model {model} was retired by Google on {gone.on}: use {gone.replacement}.")
    try:
        settings.model_catalog.check_backend(model, backend)
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
    card = settings.model_catalog.models.get(model)
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
        settings.model_catalog.check_backend(model, _spoken(model, settings))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Lane(model, model, settings.model_copy(update={"model": model}), _place(name, settings))


def _spoken(model: str, settings: Settings) -> str:
    """Whose wire a model is spoken to in: the emulator knows both."""
    name = settings.backend_name()
    if name != "mock":
        return name
    card = settings.model_catalog.models.get(model)
    return card.backend if card is not None else "vertex"


def wire_of(lane: Lane) -> str:
    """Whose wire `lane` speaks: `vertex` or `gemini`."""
    return _spoken(lane.model, lane.settings)


def _place(backend: str, settings: Settings) -> dict[str, str | None]:
    return {"backend": backend, **{name: getattr(settings, name) for name in PLACE}}


def same_place(one: Mapping[str, str | None], other: Mapping[str, str | None]) -> bool:
    """True if what was sent from the one is known at the other."""
    names = ["backend", "credentials", "base_url"] + ["project", "location"] * (one.get("backend") != "gemini")
    return all(one.get(name) == other.get(name) for name in names)


PLACE = ("project", "location", "api_version")
"""The settings that, with the backend, lead back to an operation."""


def _name(place: Mapping[str, str | None], model: str) -> str:
    """`my-project/us-central1/veo-3.1-generate-001`, `gemini/KEY_B/gemini-omni-1.1-flash`."""
    if place["backend"] == "vertex" and place["project"]:
        return f"{place['project']}/{place['location']}/{model}"
    whose = (place.get("credentials") or "").lstrip("$")
    return "/".join(filter(None, (place["backend"], Path(whose).name, model)))
