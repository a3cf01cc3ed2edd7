"""Lanes, the places with a quota each: builds them from settings and checks them. Opens nothing, sends nothing.

Without configured lanes, each model gets one implied lane: at the place that the settings name, or at the other backend
if only that one has the model and its credentials are set.
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
from aveo3.lifecycle import SERVER, is_emulated


@dataclass(frozen=True, eq=False)
class Lane:
    """One place with a quota of its own: its model, its place, and the complete settings for it."""

    name: str
    model: str
    settings: Settings
    place: Mapping[str, str | None]
    """What a later run needs to find this lane's operations: backend, project, location and API version; also where
    its credentials come from, and its address, if the lane sets them itself."""
    weight: int = 1
    order: int = 1


class Lanes:
    """The lanes of one client: those that are configured, else one implied lane for each model on first use.

    `custom` means that the user passed a backend object, which takes any model. Raises `UsageError` that names the
    lane, the field and the allowed values.
    """

    def __init__(
        self,
        settings: Settings,
        lanes: Sequence[Lane | LaneSettings | Mapping[str, Any]] | None = None,
        *,
        custom: bool = False,
    ) -> None:
        self.settings = settings
        self.custom = custom
        self.listed: list[Lane]
        if custom:
            self.listed = []
        elif settings.server is not None:
            if lanes:
                raise UsageError(
                    f"VEO3_SERVER={settings.server}: the server has the lanes. Leave one or the other out."
                )
            self.listed = []
        elif lanes is None and settings.lanes is not None:
            self.listed = _all(read(settings.lanes), settings, str(settings.lanes))
        else:
            self.listed = [lane for lane in lanes or () if isinstance(lane, Lane)]
            fields = [lane for lane in lanes or () if not isinstance(lane, Lane)]
            self.listed += _all(checked(fields, "lanes"), settings, "lanes")
        self._by_model: dict[str, Lane] = {}
        self._by_place: dict[str, Lane] = {}  # for jobs of earlier runs whose model the settings no longer allow

    def of(self, model: str) -> list[Lane]:
        """The lanes that have `model`, possibly none.

        Without configured lanes, raises `UsageError` that names what to set if no backend can have the model.
        """
        if self.listed:
            return [lane for lane in self.listed if lane.model == model]
        if model not in self._by_model:
            ours = self.custom or self.settings.server is not None
            self._by_model[model] = self._here(model) if ours else _implied(model, self.settings)
        return [self._by_model[model]]

    def at(self, place: Mapping[str, str | None], model: str) -> Lane:
        """The lane that can find what was sent from `place`, else the lane most like it."""

        def distance(lane: Lane) -> tuple[bool, bool, bool]:
            return not same_place(lane.place, place), lane.name != place.get("lane"), lane.model != model

        if self.listed:
            return min(self.listed, key=distance)
        try:
            return self.of(model)[0]
        except UsageError:
            return self._by_place.setdefault(model, self._here(model))

    def settings_at(self, place: Mapping[str, str | None]) -> Settings:
        """The settings of the earlier run that sent from `place`, rebuilt as far as possible.

        Raises `UsageError` if its credentials are no longer set.
        """
        own: dict[str, Any] = {name: place.get(name) for name in PLACE}
        if (address := place.get("base_url")) is not None:  # only a lane with its own address records one
            own["base_url"] = address
        if place.get("backend") == "gemini":
            own["output_gcs_uri"] = None  # the Gemini API writes to no bucket
        if (source := place.get("credentials")) is None:
            return self.settings.model_copy(update=own)
        if not source.startswith("$"):
            return self.settings.model_copy(update={**own, "credentials_file": Path(source), "api_key": None})
        if (key := read_key(source[1:])) is None:
            raise UsageError(f"{source[1:]}, which held the API key, is set neither in the environment nor in .env")
        return self.settings.model_copy(update={**own, "credentials_file": None, "api_key": key})

    def _here(self, model: str) -> Lane:
        place = {} if self.custom else _place(self.settings.backend_name(), self.settings)
        return Lane(model, model, self.settings.model_copy(update={"model": model}), place)

    @property
    def any_model(self) -> bool:
        """True if a prompt without a model may go to any lane: lanes are configured, but no model is set."""
        return bool(self.listed) and "model" not in self.settings.model_fields_set


def _all(entries: Sequence[LaneSettings], settings: Settings, where: str) -> list[Lane]:
    lanes = [
        _lane(entry, settings, f"{where}, {entry.name or f'lane {n}'}") for n, entry in enumerate(entries, start=1)
    ]
    for lane, other in combinations(lanes, 2):
        if (cause := _shared_quota(lane, other)) is not None:
            raise UsageError(
                f"{where}: {lane.name} and {other.name} {cause}, so they share one quota: make them one lane."
            )
        if lane.name == other.name:
            raise UsageError(f"{where}: two lanes have the name {lane.name}: give each its own name.")
    if len({on_this_machine(lane.settings.base_url) for lane in lanes}) > 1:
        raise UsageError(
            f"{where}: some lanes are emulators on this machine, others are not. Use only one kind in a run."
        )
    return lanes


def _shared_quota(lane: Lane, other: Lane) -> str | None:
    """Why both lanes share one quota, as the rest of a sentence; None if each has its own."""
    if (lane.model, lane.place["backend"], lane.settings.base_url) != (
        other.model,
        other.place["backend"],
        other.settings.base_url,
    ):
        return None
    if lane.place["backend"] == "vertex" and (lane.settings.project or other.settings.project):
        # Google counts for each project and region, whatever the credentials.
        places = [(one.settings.project, one.settings.location) for one in (lane, other)]
        return "are the same place" if places[0] == places[1] else None
    if lane.settings.api_key is None:
        return "are the same place" if other.settings.api_key is None else None
    return "have the same API key" if lane.settings.api_key == other.settings.api_key else None


def _lane(entry: LaneSettings, common: Settings, where: str) -> Lane:
    """The lane of one entry: `common` settings with the entry's own in front. `where` begins error messages."""
    backend = _backend_of(entry, common)
    own: dict[str, Any] = {"backend": backend, "mock_mode": common.mock_mode or is_emulated(common.backend)}
    if backend == "gemini":
        own["output_gcs_uri"] = None  # the common bucket is for lanes on Vertex AI only
    own |= entry.own
    if backend == "vertex" and (entry.project or common.project):
        own["api_key"] = None  # an API key does not work with a project; the common key is for the other lanes
    if "rate_limit" in entry.own and entry.burst is None:
        own["burst"] = None  # the common burst may exceed this lane's limit
    credentials = {}
    if entry.api_key_env is not None:
        own |= {"api_key": _key(entry.api_key_env, where), "credentials_file": None, "project": entry.project}
        credentials = {"credentials": f"${entry.api_key_env}"}
    elif entry.credentials_file is not None:
        if not entry.credentials_file.is_file():
            raise UsageError(f"{where}: credentials_file={entry.credentials_file}: there is no such file.")
        own["api_key"] = None
        # Absolute, so that a later run finds the file from any directory.
        credentials = {"credentials": str(entry.credentials_file.absolute())}
    if entry.labels:
        own["labels"] = {**common.labels, **entry.labels}
    model = entry.model or (common.model if "model" in common.model_fields_set else DEFAULT_MODELS[backend])
    settings = common.model_copy(update={**own, "model": model})
    elsewhere = _only_location(model, backend, settings)
    if elsewhere and entry.location is not None:
        raise UsageError(
            f"{where}: location={entry.location}: {model} is in {elsewhere['location']} only: leave location out."
        )
    settings = settings.model_copy(update=elsewhere)
    _check(model, backend, settings, where)
    _check_use(entry, backend, settings, where)
    address = {} if entry.base_url is None else {"base_url": entry.base_url}
    place = {**_place(backend, settings), **credentials, **address}
    name = entry.name or _name(place, model)
    return Lane(name, model, settings, {**place, "lane": name}, entry.weight, entry.order)


def _key(variable: str, where: str) -> SecretStr:
    """The key in a variable. Raises `UsageError` without showing anything that might be a key."""
    if variable.startswith("AIza") or not variable.isidentifier():
        raise UsageError(
            f"{where}: api_key_env holds a key itself: put the key in a variable or .env, and name the variable here."
        )
    if (key := read_key(variable)) is None:
        shown = variable if variable.isupper() else "a variable (its name is hidden: it may be a key)"
        raise UsageError(f"{where}: api_key_env names {shown}, which is set neither in the environment nor in .env.")
    return key


def _check_use(entry: LaneSettings, backend: str, settings: Settings, where: str) -> None:
    """Raise `UsageError` if a field is set that would have no effect."""
    useless: dict[str, str] = {}
    if backend == "gemini":
        useless = {
            "project": "the Gemini API finds the project by the API key",
            "location": "the Gemini API has no regions",
            "credentials_file": "the Gemini API accepts only an API key (api_key_env)",
            "output_gcs_uri": "the Gemini API cannot write to buckets",
        }
    elif entry.api_key_env is not None:
        express = "with api_key_env Vertex AI runs in express mode, which takes no {}; use credentials_file instead"
        useless = {name: express.format(name) for name in _OF_PROJECTS}
    elif settings.project is None:
        useless = dict.fromkeys(_OF_LOGINS, "it needs a project, and neither this lane nor the settings name one")
    if settings.spend_limit is None:
        useless["spend_period"] = "there is no spend_limit"
    for name, why_not in useless.items():
        if (value := getattr(entry, name)) is not None:
            raise UsageError(f"{where}: {name}={value} would have no effect: {why_not}. Leave it out.")


_OF_PROJECTS = ("project", "location")
_OF_LOGINS = ("location", "credentials_file")


def _backend_of(entry: LaneSettings, common: Settings) -> str:
    """The entry's backend: named, else by its model, else by its credentials, else that of the common settings."""
    if entry.backend is not None:
        return entry.backend
    card = common.model_catalog.models.get(entry.model or "")
    if card is not None and (len(card.backends) == 1 or entry.api_key_env is not None):
        return card.backend
    if entry.project is not None or entry.credentials_file is not None:
        return "vertex"
    return "gemini" if entry.api_key_env is not None else _wire(entry.model or common.model, common)


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
    """The lane of a model if no lanes are configured: at the backend that has the model."""
    name = settings.backend_name()
    card = settings.model_catalog.models.get(model)
    if card is not None and name not in card.backends and not is_emulated(name) and settings.backend == "auto":
        name = card.backend
        missing = settings.api_key is None if name == "gemini" else settings.project is None
        if missing and not on_this_machine(settings.base_url):
            need = "GEMINI_API_KEY" if name == "gemini" else "GOOGLE_CLOUD_PROJECT"
            raise UsageError(f"model {model} is available with VEO3_BACKEND={name} only, which needs {need}: set it")
        settings = settings.model_copy(
            update={"backend": name, **({"output_gcs_uri": None} if name == "gemini" else {})}
        )
    try:
        settings.model_catalog.check_backend(model, _wire(model, settings))
    except ValueError as error:
        raise UsageError(str(error)) from None
    settings = settings.model_copy(update={"model": model, **_only_location(model, _wire(model, settings), settings)})
    return Lane(model, model, settings, _place(name, settings))


def _only_location(model: str, backend: str, settings: Settings) -> dict[str, str]:
    """The location of a model that is in one only, where the settings name another: that is for other models."""
    card = settings.model_catalog.models.get(model)
    locations = card.at(backend).locations if card is not None else ()
    return {} if not locations or settings.location in locations else {"location": locations[0]}


def _wire(model: str, settings: Settings) -> str:
    """The wire protocol for a model: `vertex`, `gemini` or `server`. The emulator speaks both of Google's, so its
    models decide."""
    name = settings.backend_name()
    if not is_emulated(name):
        return name
    card = settings.model_catalog.models.get(model)
    if card is None:
        return "vertex"
    return settings.backend if settings.backend in card.backends else card.backend


def wire_of(lane: Lane) -> str:
    """The wire protocol of `lane`: `vertex`, `gemini` or `server`."""
    return _wire(lane.model, lane.settings)


def is_server(place: Mapping[str, str | None]) -> bool:
    """True if what was sent from `place` went to an `aveo3 serve`."""
    return place.get("backend") == SERVER


def _place(backend: str, settings: Settings) -> dict[str, str | None]:
    if backend == SERVER:
        return {"backend": backend, "server": settings.server}
    return {"backend": backend, **{name: getattr(settings, name) for name in PLACE}}


def same_place(one: Mapping[str, str | None], other: Mapping[str, str | None]) -> bool:
    """True if an operation that was sent from one place can be found at the other."""
    return namespace(one) == namespace(other)


def namespace(place: Mapping[str, str | None]) -> tuple[str | None, ...]:
    """Where the names of operations that are sent from `place` are unique."""
    names = ["backend", "credentials", "base_url"] + ["project", "location"] * (place.get("backend") != "gemini")
    return tuple(place.get(name) for name in names)


PLACE = ("project", "location", "api_version")
"""The settings that, together with the backend, lead back to an operation."""


def _name(place: Mapping[str, str | None], model: str) -> str:
    """A lane's default name: `my-project/us-central1/veo-3.1-generate-001`, `gemini/KEY_B/gemini-omni-1.1-flash`."""
    if place["backend"] == "vertex" and place["project"]:
        return f"{place['project']}/{place['location']}/{model}"
    source = (place.get("credentials") or "").lstrip("$")
    return "/".join(filter(None, (place["backend"], Path(source).name, model)))
