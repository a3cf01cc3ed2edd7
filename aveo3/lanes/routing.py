"""Finds the lanes that may take a clip, their order, and the prompt that each would send. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from aveo3.config.catalog import Catalog
from aveo3.config.source_clip import SourceClip
from aveo3.errors import UsageError
from aveo3.lanes.lanes import Lane, Lanes, is_server, same_place, wire_of
from aveo3.lanes.source_clips import source_of
from aveo3.models import VideoPrompt


@dataclass(frozen=True, slots=True)
class Candidate:
    """One lane that may take a clip, and the prompt as this lane would send it."""

    lane: Lane
    prompt: VideoPrompt
    cost_usd: float | None
    instead_of: str | None = None
    """The prompt's own model, if this lane's model is its fallback."""
    translated: tuple[str, ...] = ()
    """What `translate` changed in the prompt for this model, one note each."""


@dataclass(frozen=True, slots=True)
class Route:
    """The lanes that may take a clip. A tier is used only when every lane of the tiers before it is closed."""

    tiers: tuple[tuple[Candidate, ...], ...]
    key: tuple[tuple[Lane, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", tuple(tuple(candidate.lane for candidate in tier) for tier in self.tiers))

    def __iter__(self) -> Iterator[Candidate]:
        return (candidate for tier in self.tiers for candidate in tier)

    def at(self, lane: Lane) -> Candidate:
        """The candidate of `lane`. The lane must be on the route."""
        return next(candidate for candidate in self if candidate.lane is lane)

    @property
    def models(self) -> list[str]:
        """The models that the prompt may be meant for, the first choice first; without fallbacks."""
        return list(dict.fromkeys(candidate.lane.model for candidate in self if candidate.instead_of is None))


def within(route: Route, lanes: Collection[Lane]) -> Route | None:
    """What of `route` goes to `lanes`; None if its first tier has none of them."""
    if not any(candidate.lane in lanes for candidate in route.tiers[0]):
        return None
    tiers = (tuple(candidate for candidate in tier if candidate.lane in lanes) for tier in route.tiers)
    return Route(tuple(filter(None, tiers)))


class Routes:
    """Finds the route of each prompt. `fallback` is the chain of models that are used when all other lanes are closed.

    Raises `UsageError` if no lane can have a model of the chain.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.earlier_clips: dict[str, SourceClip] = {}
        """What is known of earlier clips, by their operations, for estimates."""
        self._catalog: Catalog = lanes.settings.model_catalog
        self._model = lanes.settings.model
        self.fallback = lanes.settings.fallback
        self._within: Collection[Lane] | None = None
        for model in self.fallback:
            if not lanes.custom and not self._catalog.knows(model):
                hint = f"did you mean {near}? " if (near := self._catalog.nearest(model)) else ""
                raise UsageError(
                    f"VEO3_FALLBACK: {model!r} is not in the catalog of {self._catalog.as_of}: {hint}`aveo3 models` "
                    "lists all models, and VEO3_CATALOG adds new ones."
                )
            try:
                able = lanes.of(model)
            except UsageError as error:
                raise UsageError(f"VEO3_FALLBACK: {error}.") from None
            if not able:
                have = ", ".join(dict.fromkeys(lane.model for lane in lanes.listed))
                raise UsageError(f"VEO3_FALLBACK: no lane has {model}: the lanes have {have}.")
            if (gone := self._catalog.retired.get(model)) is not None:
                raise UsageError(f"VEO3_FALLBACK: {model} was retired by Google on {gone.on}: use {gone.replacement}.")

    def within(self, lanes: Collection[Lane]) -> Routes:
        """The routes of a process that submits to `lanes` only. What has none of them in its first tier stays whole."""
        routes = copy(self)
        routes._within = lanes
        return routes

    def for_estimate(self, prompt: VideoPrompt) -> tuple[Route | None, list[str]]:
        """`of`, with costs by the clip that `prompt` edits or upscales, if it is a local one. Reads the disk."""
        return self.of(prompt, source=source_of(prompt) or self.earlier_clips.get(prompt.previous or ""))

    def model_of(self, prompt: VideoPrompt) -> str:
        """The model of `prompt`: its own, else that of the settings, else that of the lane with the lowest order."""
        if prompt.model is None and self.lanes.any_model:
            return min(self.lanes.listed, key=lambda lane: lane.order).model
        return prompt.model or self._model

    def models_of(self, prompt: VideoPrompt, route: Route | None) -> list[str]:
        """The models that may make `prompt`, whose route is `route`: its job is known by a digest for each."""
        return (route.models if route is not None else []) or [self.model_of(prompt)]

    def of(
        self,
        prompt: VideoPrompt,
        home: Mapping[str, str | None] | None = None,
        source: SourceClip | None = None,
    ) -> tuple[Route | None, list[str]]:
        """The route of `prompt` and no problems; or None and one sentence for each reason why no lane can take it.

        `home` is the place of the earlier clip that the prompt continues, if known. Only that place has the clip.
        `source` is what is known of the clip that the prompt edits or upscales, for its cost.
        """
        own_model = self.model_of(prompt)
        try:
            near = self.lanes.listed if prompt.model is None and self.lanes.any_model else self.lanes.of(own_model)
        except UsageError as error:
            return None, [str(error)]
        if not near and not self.fallback:
            have = ", ".join(dict.fromkeys(lane.model for lane in self.lanes.listed))
            return None, [f"no lane has model {own_model}: the lanes have {have}"]
        problems = {lane: self._problems(prompt, lane) for lane in near}
        able = [lane for lane in near if not problems[lane]]
        if near and not able:
            several = len({lane.model for lane in near}) > 1
            told = (f"{lane.model}: {why}" if several else why for lane in near for why in problems[lane])
            return None, list(dict.fromkeys(told))
        if home is not None and self.lanes.listed:
            able = [lane for lane in able if same_place(lane.place, home)]
            if not able:
                return None, [f"the earlier clip was made at {_place_name(home)}, and no lane is at that place"]
        candidates = [Candidate(lane, prompt, self._catalog.cost_usd(prompt, lane.model, source)) for lane in able]
        route = Route((*_tiers(candidates), *self._stand_ins(prompt, own_model, able, home, source)))
        return route if self._within is None else within(route, self._within) or route, []

    def _problems(self, prompt: VideoPrompt, lane: Lane) -> list[str]:
        """Why `lane` cannot take `prompt`: one sentence each.

        A model that is not in the catalog makes none: it is likely misspelt, and nobody knows its price. Only a backend
        object of the user's takes any model.
        """
        if not self.lanes.custom and (doubt := self._catalog.doubt(lane.model)) is not None:
            return [doubt]
        any_wire = self.lanes.custom or is_server(lane.place)  # a server knows where its lanes are
        problems = self._catalog.problems(prompt, lane.model, None if any_wire else wire_of(lane))
        try:
            lane.settings.labels_of(prompt)
        except ValueError as error:
            problems.append(str(error))
        return problems

    def _stand_ins(
        self,
        prompt: VideoPrompt,
        own_model: str,
        first_choice: Sequence[Lane],
        home: Mapping[str, str | None] | None,
        source: SourceClip | None,
    ) -> Iterator[tuple[Candidate, ...]]:
        """The tiers of the fallbacks: models that come after `own_model` in the chain and can make the clip."""
        chain = self.fallback[self.fallback.index(own_model) + 1 :] if own_model in self.fallback else self.fallback
        for model in chain:
            translation, notes, problems = translate(prompt, own_model, model, self._catalog)
            if problems or model == own_model:
                continue
            cost = self._catalog.cost_usd(translation, model, source)
            lanes = [
                lane
                for lane in self.lanes.of(model)
                if lane not in first_choice and not self._problems(translation, lane)
            ]
            if home is not None and self.lanes.listed:
                lanes = [lane for lane in lanes if same_place(lane.place, home)]
            yield from _tiers([Candidate(lane, translation, cost, own_model, tuple(notes)) for lane in lanes])


def _tiers(candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    """The candidates grouped by the order of their lanes, the lowest order first."""
    in_order = sorted(candidates, key=lambda candidate: candidate.lane.order)
    for _, tier in groupby(in_order, key=lambda candidate: candidate.lane.order):
        yield tuple(tier)


def _place_name(place: Mapping[str, str | None]) -> str:
    return place.get("lane") or " ".join(filter(None, (place.get("backend"), place.get("project"))))


def translate(
    prompt: VideoPrompt, own_model: str, model: str, catalog: Catalog
) -> tuple[VideoPrompt, list[str], list[str]]:
    """Rewrite a prompt of `own_model` for `model`. Returns the new prompt, notes on changes, and problems.

    A value that the prompt leaves open becomes the default of `own_model` if `model` offers it. If `model` has no
    negative prompt, the text takes it. Everything else stays as it is, or is a problem: nothing is dropped.
    """
    here, there = catalog.models.get(own_model), catalog.models.get(model)
    changes: dict[str, Any] = {"model": None}
    notes = []
    if here is not None and there is not None:
        if prompt.duration_seconds is None and here.default_duration != there.default_duration:
            if here.default_duration in there.durations:
                changes["duration_seconds"] = here.default_duration
            notes.append(f"duration_seconds={changes.get('duration_seconds', there.default_duration)}")
        if prompt.resolution is None and here.default_resolution != there.default_resolution:
            if here.default_resolution in there.resolutions:
                changes["resolution"] = here.default_resolution
            notes.append(f"resolution={changes.get('resolution', there.default_resolution)}")
        if prompt.negative_prompt is not None and not there.negative_prompt:
            changes |= {"negative_prompt": None, "text": f"{prompt.text}\nAvoid: {prompt.negative_prompt}"}
            notes.append("negative_prompt is in the text")
    translation = prompt.model_copy(update=changes)
    return translation, notes, catalog.problems(translation, model)
