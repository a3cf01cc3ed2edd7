"""Makes prompts of a story: one for each take of each scene, whose media come from the cast and from other takes.

Pure but for the sizes of the cast's pictures, which nobody reads before they are sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from aveo3.errors import UsageError
from aveo3.film.words import named_in, words_of
from aveo3.journal.wording import listed
from aveo3.media import Media, ReferenceImage
from aveo3.models import VideoPrompt, explain

if TYPE_CHECKING:
    from aveo3.film.scene import Beginning, Profile, Scene
    from aveo3.film.story import Story
    from aveo3.lanes.routing import Route, Routes

UPSCALER = "gemini-omni-1.2-flash"
"""The model that upscales finals, if the story names none."""

_FIELDS = {"seconds": "duration_seconds", "audio": "generate_audio"}
"""Fields of a story that have another name in a prompt."""
_OF_THE_SOURCE = ("seconds", "aspect_ratio", "resolution")
"""What an extension takes from what it extends, unless the scene itself says it."""


class Stage(StrEnum):
    """One pass over the story."""

    DRAFT = "draft"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Take:
    """One clip of the film's plan."""

    id: str
    """The `id` of its prompt, unique in the film: `storm.take-2`, `storm.draft-1`, `storm.final`."""
    scene: Scene
    stage: Stage
    number: int
    """From 1. A final that is made of a draft has the number of that draft."""
    prompt: VideoPrompt
    needs: str | None = None
    """The id of the take that it begins from, extends or upscales."""
    route: Route | None = field(default=None, repr=False)
    """The lanes that may make it."""
    problems: tuple[str, ...] = ()
    """Why no lane can make it, a sentence each."""
    note: str | None = None
    """What is not sent as the story says, and why; the words after the scene's name."""


@dataclass(frozen=True, slots=True)
class Takes:
    """The takes of one stage, in the order of the story: those that it is made of, and those that it is made from."""

    stage: Stage
    all: tuple[Take, ...]
    picked: Mapping[str, Take]
    """By scene, the take that the film has."""
    by_id: Mapping[str, Take] = field(repr=False)

    @property
    def prompts(self) -> list[VideoPrompt]:
        """Their prompts, for `VeoClient.stream`."""
        return [take.prompt for take in self.all]

    @property
    def notes(self) -> list[str]:
        """What is not sent as the story says, and why: a sentence for all scenes of which the same is true."""
        scenes: dict[str, dict[str, None]] = {}
        for take in self.all:
            if take.note is not None:
                scenes.setdefault(take.note, {})[take.scene.id] = None
        return [f"scene{'s' * (len(names) > 1)} {listed(names)}: {note}" for note, names in scenes.items()]


def takes_of(story: Story, routes: Routes, *, stage: Stage = Stage.FINAL, picks: Mapping[str, int] = {}) -> Takes:
    """The takes of `stage`. `picks` are the picked takes by scene; a scene without one has take 1.

    `routes` tell which model takes pictures of the cast. Raises `UsageError` for a stage that the story does not have,
    or a scene that makes no prompt.
    """
    if stage is Stage.DRAFT and story.draft is None:
        raise UsageError("the story has no drafts: add `draft` with a cheap model or resolution, or leave --draft out")
    maker = _Maker(story, routes, picks)
    found = list(maker.drafts() if stage is Stage.DRAFT else maker.finals())
    picked = {take.scene.id: take for take in found if take.stage is stage and take.number == maker.picked(take.scene)}
    return Takes(stage, tuple(found), picked, {take.id: take for take in found})


class _Maker:
    def __init__(self, story: Story, routes: Routes, picks: Mapping[str, int]) -> None:
        self._story = story
        self._routes = routes
        self._picks = picks
        self._scenes = {scene.id: scene for scene in story.scenes}
        self._references: dict[str, ReferenceImage] = {}

    def picked(self, scene: Scene) -> int:
        """The take that others hang on. A pick beyond the takes that the story has left is none."""
        pick = self._picks.get(scene.id, 1)
        return pick if pick <= self._story.takes_of(scene) else 1

    def drafts(self, *, up_to_picks: bool = False) -> Iterator[Take]:
        """All drafts; with `up_to_picks`, no more than the picked ones and, so that equal prompts keep their order,
        those before them."""
        for scene in self._story.scenes:
            last = self.picked(scene) if up_to_picks else self._story.takes_of(scene)
            for number in range(1, last + 1):
                yield self._take(scene, Stage.DRAFT, number, self._story.draft)

    def finals(self) -> Iterator[Take]:
        story = self._story
        if story.final is not None and story.final.upscale is not None:
            yield from self.drafts(up_to_picks=True)
            for scene in story.scenes:
                yield self._upscale(scene, story.final.upscale, story.final.model or UPSCALER)
            return
        for scene in story.scenes:
            numbers = [self.picked(scene)] if story.draft is not None else range(1, story.takes_of(scene) + 1)
            for number in numbers:
                yield self._take(scene, Stage.FINAL, number, story.final)

    def _id(self, scene: Scene, stage: Stage, number: int) -> str:
        if stage is Stage.DRAFT:
            return f"{scene.id}.draft-{number}"
        return f"{scene.id}.take-{number}" if self._story.draft is None else f"{scene.id}.final"

    def _upscale(self, scene: Scene, resolution: str, model: str) -> Take:
        number = self.picked(scene)
        source = self._id(scene, Stage.DRAFT, number)
        seconds = dict(self._story.said(scene, self._story.draft)).get("seconds")
        prompt = self._checked(
            scene,
            {
                "id": self._id(scene, Stage.FINAL, number),
                "model": model,
                "task": "upscale",
                "resolution": resolution,
                "duration_seconds": seconds,
                "video": Media.from_clip(source),
                "metadata": {"scene": scene.id, "take": number, "stage": Stage.FINAL.value},
            },
        )
        route, problems = self._routes.of(prompt)
        return Take(prompt.id or "", scene, Stage.FINAL, number, prompt, source, route, tuple(problems))

    def _take(self, scene: Scene, stage: Stage, number: int, profile: Profile | None) -> Take:
        said = dict(self._story.said(scene, profile))
        begins, extends = scene.begins, scene.begins is not None and scene.begins.extend is not None
        if extends:
            for name in _OF_THE_SOURCE:
                if getattr(scene, name) is None:
                    said.pop(name, None)
        if "seed" in said:
            said["seed"] = (said["seed"] + number - 1) % 2**32
        fields: dict[str, Any] = {_FIELDS.get(name, name): value for name, value in said.items()}
        fields |= {"id": self._id(scene, stage, number), "text": words_of(self._story, scene.prompt)}
        fields["metadata"] = {"scene": scene.id, "take": number, "stage": stage.value}
        needs = None
        if begins is not None and begins.source is not None:
            source = self._scenes[begins.source]
            needs = self._id(source, stage, self.picked(source))
        prompt = self._checked(scene, {**fields, **_beginning(begins, needs)})
        route, problems = self._routes.of(prompt)
        note = None
        if not prompt.media and (pictures := list(self._pictures(scene))):  # no model takes a first frame and pictures
            prompt, route, problems, note = self._with_pictures(scene, prompt, pictures, route, problems)
        return Take(prompt.id or "", scene, stage, number, prompt, needs, route, tuple(problems), note)

    def _pictures(self, scene: Scene) -> Iterator[str]:
        """The pictures of the cast of a scene: the first of each member, then the second ones."""
        named = named_in(f"{scene.prompt}\n{self._story.look}", self._story.cast)
        for row in zip_longest(*(self._story.cast[name].pictures for name in named)):
            yield from (place for place in row if place is not None)

    def _with_pictures(
        self, scene: Scene, prompt: VideoPrompt, places: list[str], route: Route | None, problems: list[str]
    ) -> tuple[VideoPrompt, Route | None, list[str], str | None]:
        """`prompt` with as many pictures as its model takes, its route, its problems, and what was left out. Without
        any picture it has the words alone."""
        try:
            images = tuple(self._reference(place) for place in places)
        except ValidationError as error:
            raise UsageError(f"scene {scene.id}: {'; '.join(explain(error))}") from None
        why: list[str] = []
        for most in range(len(images), 0, -1):
            shown = prompt.model_copy(update={"reference_images": images[:most]})
            on_route, found = self._routes.of(shown)
            if not (new := [problem for problem in found if problem not in problems]):
                left_out = f"{len(images) - most} of {len(images)} cast pictures are not sent"
                return shown, on_route, found, f"{left_out}: {_short(why[0])}" if why else None
            why = new
        return prompt, route, problems, f"the cast is sent as words, not as pictures: {_short(why[0])}"

    def _reference(self, place: str) -> ReferenceImage:
        if place not in self._references:
            self._references[place] = ReferenceImage.model_validate(place)
        return self._references[place]

    def _checked(self, scene: Scene, fields: Mapping[str, Any]) -> VideoPrompt:
        try:
            return VideoPrompt.model_validate({name: value for name, value in fields.items() if value is not None})
        except ValidationError as error:
            raise UsageError(f"scene {scene.id}: {'; '.join(explain(error))}") from None


def _short(problem: str) -> str:
    """The reason without its way out: here the way out is taken."""
    return problem.partition(": leave it out")[0]


def _beginning(begins: Beginning | None, needs: str | None) -> dict[str, Any]:
    if begins is None:
        return {}
    if begins.picture is not None:
        return {"image": begins.picture}
    assert needs is not None
    if begins.extend is not None:
        return {"video": Media.from_clip(needs)}
    return {"image": Media.from_clip(needs, frame=begins.frame)}
