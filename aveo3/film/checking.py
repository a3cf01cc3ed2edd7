"""What the parts of a story say of each other: names that are there once, sources that exist, no circles. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from pydantic_core import InitErrorDetails, PydanticCustomError

from aveo3.film.words import problems_in
from aveo3.near_names import nearest

if TYPE_CHECKING:
    from aveo3.film.story import Story

Where = tuple[str | int, ...]


def problems_of(story: Story) -> list[InitErrorDetails]:
    """Each mistake as pydantic reports it, with its place in the story."""
    return [
        {"type": PydanticCustomError("story", "{said}", {"said": said}), "loc": where, "input": value}
        for where, said, value in _problems(story)
    ]


def _problems(story: Story) -> Iterator[tuple[Where, str, object]]:
    ids = [scene.id for scene in story.scenes]
    if not ids:
        yield ("scenes",), "is empty: give at least one scene, {id: boat, prompt: a paper boat}", ids
    first: dict[str, int] = {}
    for at, name in enumerate(ids):
        if name in first:
            yield ("scenes", at, "id"), f"scene {first[name] + 1} has this id, too: give each scene its own", name
        first.setdefault(name, at)
    for said in problems_in(story.look, story.cast):
        yield ("look",), said, story.look
    for at, scene in enumerate(story.scenes):
        for said in problems_in(scene.prompt, story.cast):
            yield ("scenes", at, "prompt"), said, scene.prompt
        if scene.begins is None or (source := scene.begins.source) is None:
            continue
        if source not in first:
            near = nearest(source, ids)
            hint = f"did you mean {near}?" if near is not None else f"the scenes are {', '.join(ids[:20])}"
            if "." in source or "/" in source:
                hint = f"a picture is written as {{picture: {source}}}"
            yield ("scenes", at, "from"), f"there is no scene {source}: {hint}", source
    if story.final is not None and story.final.upscale is not None and story.draft is None:
        yield ("final", "upscale"), "needs draft, the profile of the clips to upscale", story.final.upscale
    if len(first) == len(ids):
        yield from _circles(story, first)


def _circles(story: Story, first: dict[str, int]) -> Iterator[tuple[Where, str, object]]:
    needs = {
        scene.id: [scene.begins.source] if scene.begins is not None and scene.begins.source in first else []
        for scene in story.scenes
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        way = " from ".join(circle)
        yield (
            ("scenes", first[circle[0]], "from"),
            f"goes in a circle ({way}): one of these scenes must begin by itself",
            circle[0],
        )
