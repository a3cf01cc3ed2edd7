"""The catalog of models: reads `catalog.toml` and the user's own file, and looks models up."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from aveo3.config import abilities
from aveo3.config.model_card import ModelCard as ModelCard
from aveo3.config.source_clip import SourceClip, costs_by_source
from aveo3.input_forms import model_id, plain_reason
from aveo3.models import VideoPrompt

LONGEST_SOURCE = 40
"""Seconds of the longest video there is, by extensions: a clip of unknown length that is edited or upscaled counts so.
"""

UNLISTED_TIERS = frozenset({"priority"})
"""Service tiers that are dearer than the list, by an unknown factor."""

FRESH_DAYS = 90
"""A catalog that is older than this may miss models and new prices."""


class Retired(BaseModel):
    """A model that Google has shut down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: str
    replacement: str
    source: str = ""


class Catalog(BaseModel):
    """All models that were known on the day `as_of`. An unknown model passes the checks and has no price."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: str
    sources: Mapping[str, str]
    models: Mapping[str, ModelCard]
    retired: Mapping[str, Retired]

    @field_validator("as_of", mode="before")
    @classmethod
    def _date_of_toml(cls, value: object) -> object:
        """TOML has dates of its own, without quotes."""
        return f"{value:%Y-%m-%d}" if isinstance(value, date) else value

    def knows(self, model: str) -> bool:
        """True if the catalog has anything to say about `model`."""
        return model in self.models or model in self.retired

    def nearest(self, model: str) -> str | None:
        """The known model whose name is most similar to `model`; None if none is similar."""
        begins = [known for known in self.models if model and known.startswith(model)]
        return next(iter([*difflib.get_close_matches(model, [*self.models, *self.retired], 1), *begins]), None)

    def doubt(self, model: str) -> str | None:
        """Why nothing is sent to a model that is unknown here, and the way out; None if it is known."""
        if self.knows(model):
            return None
        hint = f"did you mean {near}? " if (near := self.nearest(model)) else ""
        return (
            f"model {model} is not in the catalog of {self.as_of}, so nothing is sent to it: {hint}`aveo3 models` "
            "lists all models. If Google has this one, name it in a VEO3_CATALOG file (`aveo3 guide models`)"
        )

    def problems(self, prompt: VideoPrompt, model: str, backend: str | None = None) -> list[str]:
        """The reasons why `model` cannot make `prompt`, a sentence each with the allowed values; empty if it can.

        Without a `backend`, the model's usual one counts.
        """
        if (gone := self.retired.get(model)) is not None:
            return [f"model {model} was retired on {gone.on}: use {gone.replacement}"]
        card = self.models.get(model)
        return [] if card is None else abilities.problems(prompt, model, self.models, backend)

    def excess(self, prompt: VideoPrompt, model: str) -> str | None:
        """A warning if `prompt` seems to be longer than `model` reads; None if it is not. The length is estimated."""
        card = self.models.get(model)
        longest = 0 if card is None else card.prompt_tokens
        if not longest or (tokens := abilities.tokens_in(prompt.text)) <= longest:
            return None
        return f"has about {tokens:,} tokens, and {model} reads {longest:,}: Google may reject it or ignore the rest"

    def has_price(self, model: str) -> bool:
        """True if the price of `model` is known. A retired model makes no clips, so it needs none."""
        return model in self.retired or bool((card := self.models.get(model)) and card.prices)

    def cost_usd(self, prompt: VideoPrompt, model: str, source: SourceClip | None = None) -> float | None:
        """List price of `prompt` if every video of it is made, in US$. None if `model` has no known price.

        `source` is the clip that the prompt edits or upscales. What is unknown of it counts as the dearest.
        """
        if (card := self.models.get(model)) is None:
            return None
        if prompt.service_tier in UNLISTED_TIERS:
            return None
        resolution = prompt.resolution or card.default_resolution
        if prompt.task == "upscale":
            price = card.upscales(resolution, source and source.resolution)
            seconds = (source and source.seconds) or prompt.duration_seconds or LONGEST_SOURCE
            return None if price is None else round(price * seconds, 4)
        price = card.prices.get(resolution)
        if prompt.generate_audio is False:
            price = card.silent.get(resolution, price)  # without a price of its own, assume that of a video with sound
        if price is None:
            return None
        seconds = prompt.duration_seconds or next(iter(card.only_seconds_for(prompt).values()), card.default_duration)
        if costs_by_source(prompt):
            # A length that is asked for counts if it is longer, or if the source's is unknown.
            seconds = max(seconds if prompt.task is None else prompt.duration_seconds or 0, _length(prompt, source))
        return round(price * seconds * prompt.number_of_videos, 4)

    def cost_of_tokens(self, tokens: Mapping[str, int], model: str, tier: str | None = None) -> float | None:
        """The list price of `tokens` in US$. None without tokens, or if the model has no price per token in `tier`."""
        if tier in UNLISTED_TIERS:
            return None
        prices = card.token_prices if (card := self.models.get(model)) is not None else {}
        if not tokens or not prices:
            return None
        return round(sum(prices[kind] * number for kind, number in tokens.items()) / 1e6, 4)

    def is_omni(self, model: str) -> bool:
        """True if the Interactions API makes the clips of `model`: the Gemini API has no other way to make any."""
        card = self.models.get(model)
        return model.startswith("gemini-") or (card is not None and "gemini" in card.backends)

    def check_backend(self, model: str, backend: str) -> None:
        """Raise `ValueError` if only another backend has `model`."""
        card = self.models.get(model)
        if card is not None and backend not in card.backends:
            ours = [name for name, other in self.models.items() if backend in other.backends]
            raise ValueError(
                f"model {model} is not available with VEO3_BACKEND={backend}: set VEO3_BACKEND={card.backend}, or use "
                f"{' or '.join(ours)}"
            )

    def requests_per_minute(self, model: str) -> int | None:
        """The quota that Google gives each project by default; None if unknown."""
        card = self.models.get(model)
        return None if card is None else card.requests_per_minute

    def latency(self, model: str, resolution: str | None) -> float:
        """Median seconds from submit to done, as a first guess; 70 for an unknown model or resolution."""
        card = self.models.get(model)
        return 70.0 if card is None else card.latency.get(resolution or card.default_resolution, 70.0)


def _length(prompt: VideoPrompt, source: SourceClip | None) -> float:
    """The seconds of the clip that `prompt` changes, at most."""
    known = source.seconds if source is not None else None
    return known or prompt.duration_seconds or LONGEST_SOURCE


def doubts_of_age(cards: Catalog, today: date, path: Path | None = None) -> str | None:
    """Why the prices and models in `cards` may be out of date, and the way out; None if nothing speaks for it.

    `path` is the VEO3_CATALOG file in it. A date of its own hides that of the release, so then the file is what is old.
    A date that cannot be read or is yet to come is told, and refuses nothing: it changes no price.
    """
    own = path is not None and cards.as_of != load().as_of
    where = f"as_of = {cards.as_of[:40]!r} in {path} (VEO3_CATALOG)" if own else f"the catalog of {cards.as_of[:40]}"
    try:
        days = (today - date.fromisoformat(cards.as_of)).days
    except ValueError:
        return f"{where} is no date, so nobody can say how old its prices are: write it as YYYY-MM-DD"
    if days < -1:  # a day ahead is another time zone
        way_out = "mend it, or the clock of this machine" if own else "is the clock of this machine right?"
        return f"{where} is of a day to come, for today is {today}, so nobody can say how old its prices are: {way_out}"
    if days <= FRESH_DAYS:
        return None
    newer = "`pip install -U aveo3` brings a newer one"
    if own:
        newer = (
            "compare the file with Google's prices and with a newer aveo3 (`pip install -U aveo3`), and set its as_of"
        )
    return f"{where} is {days} days old, so models and prices may have changed: {newer}" + (
        "" if own else ", or name what changed in a VEO3_CATALOG file (`aveo3 models --toml` prints a whole one)"
    )


def load(path: Path | None = None) -> Catalog:
    """The catalog of this release, changed and completed by the file at `path`. Each file is read once.

    The file has the same tables as the catalog of this release: `[models."name"]`, `[retired]`, `[sources]`, and
    `as_of`. An entry for a known model may hold only the fields that differ. Raises `ValueError` that says what is
    wrong, and where.
    """
    return _read(None if path is None else path.absolute())  # the same name elsewhere is another file


@cache
def _read(path: Path | None) -> Catalog:
    known = tomllib.loads(_shipped())
    if path is None:
        return Catalog.model_validate(known)
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except ValueError as error:  # neither UTF-8 nor TOML
        raise ValueError(f"is no catalog: {error}") from None
    try:
        return Catalog.model_validate(_merged(known, given))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        value = "" if problem["type"] in ("missing", "extra_forbidden") else f"={problem['input']!r:.60}"
        way_out = '`like = "MODEL"` takes over the rest, and ' if problem["type"] == "missing" else ""
        raise ValueError(
            f"is no catalog: {where}{value}: {plain_reason(problem)}; {way_out}`aveo3 models --toml` prints a catalog"
        ) from None


def as_toml(path: Path | None = None) -> str:
    """The catalog of `load(path)` as TOML. Without `path`, the file of this release itself, with its comments."""
    if path is None:
        return _shipped()
    whole = load(path).model_dump(mode="json")
    tables = {name: whole.pop(name) for name in ("sources", "models", "retired")}
    lines = [f"{name} = {_value(value)}" for name, value in whole.items()]
    lines += ["", "[sources]", *(f"{_key(name)} = {_value(value)}" for name, value in tables["sources"].items())]
    for model, card in tables["models"].items():
        lines += ["", f"[models.{_key(model)}]", *(f"{_key(name)} = {_value(value)}" for name, value in card.items())]
    lines += ["", "[retired]", *(f"{_key(name)} = {_value(gone)}" for name, gone in tables["retired"].items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _value(value: object) -> str:
    """`value` in TOML. Strings, numbers and booleans look as in JSON; a table stands on one line."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _shipped() -> str:
    return files("aveo3.config").joinpath("catalog.toml").read_text("utf-8")


def _merged(known: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`known` updated by `given`: models, retired models and sources entry by entry, everything else as a whole."""
    given = {
        **given,
        **{table: _by_id(_table(given, table)) for table in ("models", "retired") if _table(given, table)},
    }
    merged = {**known, **given}
    for table in ("models", "retired", "sources"):
        if table in given and (entries := _table(given, table)):
            merged[table] = {**known[table], **entries}
    for name, card in _table(given, "models").items():
        if isinstance(card, dict):
            whole = {**_like(card, known["models"]), **known["models"].get(name, {}), **card}
            whole.pop("like", None)
            if "prices" in card and "silent" not in card:
                whole["silent"] = {}  # the known silent prices belong to the old prices
            merged["models"][name] = whole
            merged["retired"] = {gone: to for gone, to in merged["retired"].items() if gone != name}
    return merged


def _like(card: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of the model that `card` says it is like, without what it costs: each model has its own price."""
    if (other := card.get("like")) is None:
        return {}
    if (pattern := models.get(model_id(str(other)))) is None:
        raise ValueError(f"is no catalog: like = {other!r} is not a model in it; `aveo3 models` lists all models")
    return {**pattern, **_WITHOUT_PRICE}


_WITHOUT_PRICE: Mapping[str, Any] = {
    "prices": {},
    "silent": {},
    "token_prices": {},
    "upscale_prices": {},
    "state": "from VEO3_CATALOG",
    "since": "",
    "retires": "",
    "source": "",
}


def _by_id(entries: Mapping[str, Any]) -> dict[str, Any]:
    """`entries` with each name as `model_id` writes it."""
    return {model_id(name): entry for name, entry in entries.items()}


def _table(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return table if isinstance(table := given.get(name), dict) else {}
