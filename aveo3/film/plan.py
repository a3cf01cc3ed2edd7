"""Compares the takes of a film with the journal: which are made, which would be made anew, why, and for how much.

Nothing is sent. A take is known by what it depends on: its words and parameters, the bytes of its cast's pictures, and
the bytes of the clip that it begins from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aveo3.config.source_clip import costs_by_source
from aveo3.film.record import FilmRecord
from aveo3.film.takes import Stage, Take, Takes
from aveo3.input_forms import MEDIA_FIELDS
from aveo3.journal.claims import DryClaims
from aveo3.journal.next_step import NextStep, is_to_be_fetched, next_step, record_as_found
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State, is_emulated
from aveo3.media import Media
from aveo3.models import VideoPrompt

if TYPE_CHECKING:
    from aveo3.film.story import Story
    from aveo3.lanes.routing import Routes

Standing = Literal["made", "under way", "to make", "ended", "waits", "impossible"]
"""`ended`: without a clip, and a person decides (`aveo3 retry`). `waits`: on a take that has ended or is impossible."""


@dataclass(frozen=True, slots=True)
class PlannedTake:
    """One take, and what a run would do for it."""

    take: Take
    standing: Standing
    why: str = ""
    """Why it is not made, or would be made anew."""
    prompt: VideoPrompt | None = None
    """As it would be sent: with its source found, if that is made."""
    cost_usd: float | None = 0.0
    """What making it costs at list price; None if that is unknown."""
    seconds: float = 0.0
    """How long making it takes, by the catalog."""
    record: JobRecord | None = None
    path: Path | None = None
    """Its video."""
    made_of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_to_send(self) -> bool:
        """True if a run would send it."""
        return self.standing == "to make"


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """What a run of one stage would do."""

    stage: Stage
    takes: tuple[PlannedTake, ...]
    picked: Mapping[str, PlannedTake]
    """By scene, the take that the film has."""
    notes: Sequence[str] = ()
    spent_usd: float = 0.0
    """What earlier runs have spent of the directory's budget."""

    @property
    def to_send(self) -> list[PlannedTake]:
        """The takes that a run would send."""
        return [planned for planned in self.takes if planned.is_to_send]

    @property
    def cost_usd(self) -> float | None:
        """What a run would cost at list price; None if a price is unknown."""
        costs = [planned.cost_usd for planned in self.to_send]
        return None if None in costs else round(sum(cost or 0.0 for cost in costs), 4)

    @property
    def chain_seconds(self) -> float:
        """How long the longest chain of takes to be made takes, one after the other."""
        ends: dict[str, float] = {}
        for planned in self.takes:
            before = ends.get(planned.take.needs or "", 0.0)
            ends[planned.take.id] = before + (planned.seconds if planned.standing in ("to make", "under way") else 0.0)
        return max(ends.values(), default=0.0)

    @property
    def problems(self) -> list[str]:
        """One sentence for each take that can never be made as it is."""
        return [f"{planned.take.id}: {planned.why}" for planned in self.takes if planned.standing == "impossible"]

    @property
    def missing(self) -> list[PlannedTake]:
        """The picked takes that have no video."""
        return [planned for planned in self.picked.values() if planned.path is None]


@dataclass(slots=True)
class JournalFacts:
    """What the journal of an output directory says, read once."""

    service: str = "google"
    records: Sequence[JobRecord] = ()
    requested: frozenset[int] = frozenset()
    home: Path = Path()
    fetches: bool = True


def plan_of(
    story: Story,
    takes: Takes,
    routes: Routes,
    facts: JournalFacts,
    record: FilmRecord,
    *,
    clip_seconds: float | None = None,
) -> FilmPlan:
    """What a run of `takes` would do. Reads the cast's pictures. `clip_seconds`: of a clip; None: the catalog's.

    `record` is what the directory keeps of the film's last run, for the reasons.
    """
    planner = _Planner(takes, routes, facts, record, clip_seconds)
    planned = {take.id: planner.plan(take) for take in _sources_first(takes)}
    spent = 0.0 if is_emulated(facts.service) else sum(each.counted_usd for each in facts.records)
    return FilmPlan(
        takes.stage,
        tuple(planned[take.id] for take in takes.all),
        {scene: planned[take.id] for scene, take in takes.picked.items()},
        notes=takes.notes,
        spent_usd=spent,
    )


def _sources_first(takes: Takes) -> Iterator[Take]:
    done: set[str] = set()
    for take in takes.all:
        chain: list[Take] = []
        at: Take | None = take
        while at is not None and at.id not in done:
            chain.append(at)
            at = takes.by_id.get(at.needs or "")
        for each in reversed(chain):
            done.add(each.id)
            yield each


class _Planner:
    def __init__(
        self, takes: Takes, routes: Routes, facts: JournalFacts, record: FilmRecord, clip_seconds: float | None
    ) -> None:
        self._takes = takes
        self._routes = routes
        self._facts = facts
        self._clip_seconds = clip_seconds
        records = [record_as_found(each) for each in facts.records if each.service == facts.service]
        self._claims = DryClaims(each for each in records if each.id not in facts.requested)
        self._before = {scene["id"]: scene["made_of"] for scene in record["scenes"]}
        self._known = any(takes.stage in scene["made_of"] for scene in record["scenes"])
        self._done: dict[str, PlannedTake] = {}
        self._pictures: dict[Path, str | None] = {}

    def plan(self, take: Take) -> PlannedTake:
        """What a run would do for `take`, whose source is planned already."""
        source = self._done.get(take.needs or "")
        prompt = take.prompt
        if source is not None and source.path is not None and source.record is not None:
            path, sha256 = source.path, str(source.record.files[0].get("sha256"))
            prompt = prompt.with_media(lambda medium: medium if medium.clip is None else medium.found(path, sha256))
        planned = self._done[take.id] = self._planned(take, prompt, source)
        return planned

    def _planned(self, take: Take, prompt: VideoPrompt, source: PlannedTake | None) -> PlannedTake:
        made_of = self._made_of(prompt, take, source)
        route = self._routes.for_estimate(prompt)[0] if costs_by_source(prompt) else take.route
        if take.problems:
            return PlannedTake(take, "impossible", "; ".join(take.problems), prompt, made_of=made_of)
        if source is not None and source.standing in ("ended", "impossible", "waits"):
            return PlannedTake(take, "waits", f"{source.take.id} has no clip", prompt, made_of=made_of)
        model = self._routes.model_of(prompt)
        usual = self._routes.lanes.settings.model_catalog.latency(model, prompt.resolution)
        cost = route.tiers[0][0].cost_usd if route is not None else None
        seconds = usual if self._clip_seconds is None else self._clip_seconds
        if source is not None and source.path is None:
            anew = take.stage in self._before.get(take.scene.id, {}) and source.take.scene is not take.scene
            why = f"{source.take.scene.id} is made anew" if anew else f"after {source.take.id}"
            return PlannedTake(take, "to make", why, prompt, cost, seconds, made_of=made_of)
        hashes = [self._hash(medium) for medium in prompt.media]
        found = self._claims.claim([prompt.digest(each, hashes) for each in self._routes.models_of(prompt, route)])
        path = self._path(found)
        made = found is not None and found.state is State.SUCCEEDED and path is not None
        made = made and not is_to_be_fetched(found, fetches=self._facts.fetches)  # type: ignore[arg-type]
        step = NextStep.SUBMIT if found is None else next_step(found, self._facts.service, made=made)
        if found is None or step is NextStep.SUBMIT:
            return PlannedTake(take, "to make", self._why(take, made_of, found), prompt, cost, seconds, made_of=made_of)
        if step is NextStep.PICK_UP:
            return PlannedTake(take, "under way", "", prompt, 0.0, seconds, found, made_of=made_of)
        if made:
            return PlannedTake(take, "made", "", prompt, record=found, path=path, made_of=made_of)
        why = f"{found.state}: {found.error_message or 'no reason was given'}"
        return PlannedTake(take, "ended", why, prompt, record=found, made_of=made_of)

    def _path(self, record: JobRecord | None) -> Path | None:
        if record is None or not record.files:
            return None
        path = self._facts.home / str(record.files[0]["path"])
        return path if path.is_file() else None

    def _hash(self, medium: Media) -> str | None:
        if medium.path is None:
            return medium.clip_content if medium.data is None else hashlib.sha256(medium.data).hexdigest()
        if medium.path not in self._pictures:
            try:
                self._pictures[medium.path] = hashlib.sha256(medium.path.read_bytes()).hexdigest()
            except OSError:  # the run says so, and rejects what needs it
                self._pictures[medium.path] = None
        return self._pictures[medium.path]

    def _made_of(self, prompt: VideoPrompt, take: Take, source: PlannedTake | None) -> dict[str, Any]:
        """What the take depends on, to tell later what has changed."""
        plain = prompt.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_COMPARED)
        begins = take.scene.begins
        found: dict[str, Any] = {
            "text": prompt.text,
            "model": self._routes.model_of(prompt),
            **{name: value for name, value in plain.items() if name != "model"},
            "pictures": [self._hash(medium) for medium in prompt.media if medium.path is not None],
            "source": None if source is None else source.take.id,
        }
        if begins is not None and begins.source is not None:
            found["frame"] = "whole" if begins.extend is not None else begins.frame
        if source is not None and source.record is not None and source.record.files:
            found["source_clip"] = str(source.record.files[0].get("sha256"))
        return found

    def _why(self, take: Take, made_of: Mapping[str, Any], found: JobRecord | None) -> str:
        if found is not None:
            return "its video is gone" if found.state is State.SUCCEEDED else "an earlier run did not make it"
        before = self._before.get(take.scene.id, {}).get(take.stage)
        if before is None:
            return "new" if self._known else ""
        changed = [name for name in dict.fromkeys((*before, *made_of)) if before.get(name) != made_of.get(name)]
        if not changed:
            return "a new take"
        words = [_CHANGED.get(name, name) for name in changed]
        return f"changed: {', '.join(dict.fromkeys(words))}"


_NOT_COMPARED = {*MEDIA_FIELDS, "id", "metadata", "text", "seed"}
"""Fields of a prompt that are compared in another way, or differ from take to take."""
_CHANGED = {
    "text": "its words",
    "pictures": "its pictures",
    "source": "the take it begins from",
    "source_clip": "the clip it begins from",
    "frame": "the frame it begins from",
    "duration_seconds": "seconds",
    "generate_audio": "audio",
}
