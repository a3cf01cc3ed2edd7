"""`Story`: a film's plan, checked: its look, its cast, its scenes in order, and how they are cut together.

Frozen data. `story_file` reads it from YAML or TOML; nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from aveo3 import near_names
from aveo3.errors import UsageError
from aveo3.film.checking import problems_of
from aveo3.film.cutting import Film
from aveo3.film.parts import Name, Part, Words
from aveo3.film.scene import CastMember, Defaults, FinalProfile, Look, Profile, Scene
from aveo3.models import ModelId


def _chain(value: Any) -> Any:
    """Models as `VEO3_FALLBACK` has them: a list, or `a -> b`."""
    return [part.strip() for part in value.replace("->", ",").split(",")] if isinstance(value, str) else value


class Story(Part):
    """A film's plan. `Story.load(path)` reads it from a file; `aveo3 film schema` prints its JSON Schema."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="The film's title.")
    look: Words = Field(default="", description="Text that is added to every prompt: style, light, lens, colours.")
    defaults: Defaults = Field(default=Defaults(), description="What scenes have that do not say it themselves.")
    draft: Profile | None = Field(
        default=None,
        description="Cheap clips to choose from, made by `aveo3 film make --draft`: a model, or a resolution.",
    )
    final: FinalProfile | None = Field(default=None, description="How the clips of the film are made.")
    fallback: Annotated[tuple[ModelId, ...], BeforeValidator(_chain)] = Field(
        default=(), description="Models to use when the lanes of a scene's own model are closed: 'a -> b', or a list."
    )
    cast: Mapping[Name, CastMember] = Field(
        default_factory=dict, description="People, places and things that several scenes show."
    )
    scenes: tuple[Scene, ...] = Field(
        max_length=10_000, description="The scenes, in the film's order.", json_schema_extra={"minItems": 1}
    )
    film: Film = Field(default=Film(), description="How the scenes are cut together.")

    @model_validator(mode="before")
    @classmethod
    def _no_schema(cls, value: Any) -> Any:
        """`$schema` tells an editor where the schema is, and is no field of a story."""
        return {k: v for k, v in value.items() if k != "$schema"} if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Story:
        if problems := problems_of(self):
            raise ValidationError.from_exception_data(type(self).__name__, problems)
        return self

    @classmethod
    def load(cls, path: str | Path) -> Story:
        """Read and check the story file at `path`: `.yaml`, `.yml`, `.toml` or `.json`. Paths in it become absolute.

        Raises `UsageError`: one line for each mistake, with file, line, scene, field and the way out.
        """
        from aveo3.film.story_file import load

        return load(cls, Path(path))

    def scene(self, name: str) -> Scene:
        """The scene with this id. Raises `UsageError` that names the near one."""
        found = next((scene for scene in self.scenes if scene.id == name), None)
        if found is None:
            ids = [scene.id for scene in self.scenes]
            near = near_names.nearest(name, ids)
            raise UsageError(
                f"there is no scene {name}: "
                + (f"did you mean {near}?" if near else f"the scenes are {', '.join(ids[:20])}")
            )
        return found

    def takes_of(self, scene: Scene) -> int:
        """How many takes a scene has."""
        return scene.takes or self.defaults.takes

    def said(self, scene: Scene, profile: Profile | None) -> Iterator[tuple[str, Any]]:
        """The values of `Look` that hold for `scene`: its own, then those of `profile`, then the defaults."""
        for name in Look.model_fields:
            for part in (scene, profile, self.defaults):
                value = None if part is None else getattr(part, name)
                if value is not None:
                    yield name, value
                    break
