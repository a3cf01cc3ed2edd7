"""Which lanes may take a clip, in which order they are asked, and what is sent to each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from aveo3.config.catalog import Catalog
from aveo3.errors import UsageError
from aveo3.lanes.lanes import Lane, Lanes, same_place
from aveo3.models import VideoPrompt


@dataclass(frozen=True, slots=True)
class Candidate:
    """One lane that may take a clip, and what is sent there for its prompt."""

    lane: Lane
    prompt: VideoPrompt
    cost_usd: float | None
    instead_of: str | None = None
    """The model that was asked for, where this one is its fallback."""
    translated: tuple[str, ...] = ()
    """What is put otherwise for this model, one sentence each."""


@dataclass(frozen=True, slots=True)
class Route:
    """The lanes that may take a clip. A tier is for when every lane of those before it is closed."""

    tiers: tuple[tuple[Candidate, ...], ...]
    key: tuple[tuple[Lane, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", tuple(tuple(candidate.lane for candidate in tier) for tier in self.tiers))

    def __iter__(self) -> Iterator[Candidate]:
        return (candidate for tier in self.tiers for candidate in tier)

    def at(self, lane: Lane) -> Candidate:
        """What is sent to `lane`."""
        return next(candidate for candidate in self if candidate.lane is lane)

    @property
    def models(self) -> list[str]:
        """The models that are asked for, the likeliest first: without those that only stand in for them."""
        return list(dict.fromkeys(candidate.lane.model for candidate in self if candidate.instead_of is None))


class Routes:
    """Finds the route of each prompt. `fallback` is the chain of models that stand in when all else is closed.

    Raises `UsageError` if no lane could have a model of the chain.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self._catalog: Catalog = lanes.settings.model_catalog
        self._model = lanes.settings.model
        self.fallback = lanes.settings.fallback
        for model in self.fallback:
            listed = lanes.custom or any(lane.model == model for lane in lanes.listed)
            if not listed and not self._catalog.knows(model):
                hint = f"did you mean {near}? " if (near := self._catalog.nearest(model)) else ""
                raise UsageError(
                    f"VEO3_FALLBACK: {model!r} is not in the catalog of {self._catalog.as_of}: {hint}`aveo3 models` "
                    "lists what is, and VEO3_CATALOG adds what is new."
                )
            try:
                found = lanes.of(model)
            except UsageError as error:
                raise UsageError(f"VEO3_FALLBACK: {error}.") from None
            if not found:
                have = ", ".join(dict.fromkeys(lane.model for lane in lanes.listed))
                raise UsageError(f"VEO3_FALLBACK: no lane has {model}: the lanes have {have}.")
            if (gone := self._catalog.retired.get(model)) is not None:
                raise UsageError(f"VEO3_FALLBACK: {model} was retired by Google on {gone.on}: use {gone.replacement}.")

    def model_of(self, prompt: VideoPrompt) -> str:
        """The model that `prompt` is for: the one it names, else the one of the settings, else the first lane's."""
        if prompt.model is None and self.lanes.any_model:
            return min(self.lanes.listed, key=lambda lane: lane.order).model
        return prompt.model or self._model

    def of(self, prompt: VideoPrompt, home: Mapping[str, str | None] | None = None) -> tuple[Route | None, list[str]]:
        """The route of `prompt`; None, and why, one sentence each, if no lane can take it.

        `home` is where the clip was made that it goes on from, where that is known: no other place has it.
        """
        asked = self.model_of(prompt)
        try:
            near = self.lanes.listed if prompt.model is None and self.lanes.any_model else self.lanes.of(asked)
        except UsageError as error:
            return None, [str(error)]
        if not near and not self.fallback:
            have = ", ".join(dict.fromkeys(lane.model for lane in self.lanes.listed))
            return None, [f"no lane has model {asked}: the lanes have {have}"]
        problems: dict[str, list[str]] = {}
        able = []
        for lane in near:
            if lane.model not in problems:
                problems[lane.model] = self._catalog.problems(prompt, lane.model)
            if not problems[lane.model]:
                able.append(lane)
        if near and not able:
            several = len(problems) > 1
            return None, [f"{model}: {why}" if several else why for model, all_ in problems.items() for why in all_]
        if home is not None and self.lanes.listed:
            able = [lane for lane in able if same_place(lane.place, home)]
            if not able:
                return None, [f"the clip that it goes on from was made at {_told(home)}, where no lane is"]
        candidates = [Candidate(lane, prompt, self._catalog.cost_usd(prompt, lane.model)) for lane in able]
        return Route((*_tiers(candidates), *self._stand_ins(prompt, asked, able, home))), []

    def _stand_ins(
        self, prompt: VideoPrompt, asked: str, taken: Sequence[Lane], home: Mapping[str, str | None] | None
    ) -> Iterator[tuple[Candidate, ...]]:
        """A tier for each model of the chain that comes after the one that was asked for, and can make the clip."""
        chain = self.fallback[self.fallback.index(asked) + 1 :] if asked in self.fallback else self.fallback
        for model in chain:
            sent, notes, problems = translate(prompt, asked, model, self._catalog)
            if problems or model == asked:
                continue
            cost = self._catalog.cost_usd(sent, model)
            lanes = [lane for lane in self.lanes.of(model) if lane not in taken]
            if home is not None and self.lanes.listed:
                lanes = [lane for lane in lanes if same_place(lane.place, home)]
            yield from _tiers([Candidate(lane, sent, cost, asked, tuple(notes)) for lane in lanes])


def _tiers(candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    """Stops by the order of their lanes."""
    in_order = sorted(candidates, key=lambda candidate: candidate.lane.order)
    for _, tier in groupby(in_order, key=lambda candidate: candidate.lane.order):
        yield tuple(tier)


def _told(place: Mapping[str, str | None]) -> str:
    return place.get("lane") or " ".join(filter(None, (place.get("backend"), place.get("project"))))


def translate(
    prompt: VideoPrompt, asked: str, model: str, catalog: Catalog
) -> tuple[VideoPrompt, list[str], list[str]]:
    """`prompt`, written for the model `asked`, as `model` takes it; what was put otherwise; and why it cannot be.

    What was left open is what `asked` would have made of it, where `model` can; a negative prompt goes into the text
    of a model that has no place for it. All else is sent as it is, or cannot be sent: nothing is left out.
    """
    here, there = catalog.models.get(asked), catalog.models.get(model)
    put: dict[str, Any] = {"model": None}
    notes = []
    if here is not None and there is not None:
        if prompt.duration_seconds is None and here.default_duration != there.default_duration:
            if here.default_duration in there.durations:
                put["duration_seconds"] = here.default_duration
            notes.append(f"duration_seconds={put.get('duration_seconds', there.default_duration)}")
        if prompt.resolution is None and here.default_resolution != there.default_resolution:
            if here.default_resolution in there.resolutions:
                put["resolution"] = here.default_resolution
            notes.append(f"resolution={put.get('resolution', there.default_resolution)}")
        if prompt.negative_prompt is not None and not there.negative_prompt:
            put |= {"negative_prompt": None, "text": f"{prompt.text}\nAvoid: {prompt.negative_prompt}"}
            notes.append("negative_prompt is in the text")
    sent = prompt.model_copy(update=put)
    return sent, notes, catalog.problems(sent, model)
