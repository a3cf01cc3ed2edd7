"""What a language model may order: clips by words, and films by scenes. It names no file, no model and no money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from aveo3.models import LONGEST_TEXT, VideoPrompt

Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Shape = Annotated[str, StringConstraints(pattern=r"^\d+:\d+$")]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,60}$")]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClipOrder(_Order):
    """One clip."""

    prompt: Text = Field(description="What the clip shows, in full: it knows nothing of other clips.")
    seconds: Seconds | None = Field(default=None, description="Length; a model offers a few. Leave out for its usual.")
    aspect_ratio: Shape | None = Field(default=None, description="16:9 or 9:16.")
    takes: int = Field(default=1, ge=1, le=10, description="Clips of this prompt, to choose from. Each costs money.")

    def prompts(self, number: int) -> list[VideoPrompt]:
        """A prompt for each take. `number` is the order's place in its call, from 1."""
        fields = {"text": self.prompt, "duration_seconds": self.seconds, "aspect_ratio": self.aspect_ratio}
        name = str(number)
        ids = [name] if self.takes == 1 else [f"{name}.take-{take}" for take in range(1, self.takes + 1)]
        return [VideoPrompt.model_validate({**fields, "id": id}) for id in ids]


class SceneOrder(_Order):
    """One scene of a film."""

    id: Id = Field(description="A name, unique in the film, such as: storm.")
    prompt: Text = Field(description="What the scene shows. {mara} stands for the member of the cast with this id.")
    seconds: Seconds | None = Field(default=None, description="Length; a model offers a few. Leave out for its usual.")
    begins_from: str | None = Field(
        default=None, max_length=200, description="Id of the scene whose last frame this one begins with."
    )
    transition: Literal["cut", "cross_fade", "fade_to_black"] | None = Field(
        default=None, description="How it follows the scene before. Leave out for a cut."
    )

    def fields(self) -> dict[str, Any]:
        """The scene as a story has it."""
        how: Any = {"cross_fade": 0.5} if self.transition == "cross_fade" else self.transition
        if self.transition == "fade_to_black":
            how = {"fade_to_black": 1.0}
        found = {"id": self.id, "prompt": self.prompt, "seconds": self.seconds, "from": self.begins_from}
        return {name: value for name, value in {**found, "transition": how}.items() if value is not None}


class CastOrder(_Order):
    """A person, place or thing that several scenes show."""

    id: Id = Field(description="The name that scenes have in braces: mara, for {mara}.")
    words: Text = Field(description="What it looks like, such as: a woman of sixty in a yellow raincoat.")


class ClipsArguments(BaseModel):
    """The arguments of a tool that makes clips."""

    clips: list[ClipOrder] = Field(min_length=1, max_length=50, description="The clips to make, in order.")


class FilmArguments(BaseModel):
    """The arguments of a tool that makes a film."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The film's title. The same title again replaces the film."
    )
    scenes: list[SceneOrder] = Field(min_length=1, max_length=100, description="The scenes, in the film's order.")
    look: str = Field(default="", max_length=LONGEST_TEXT, description="Style that is added to every prompt.")
    # A list: the strict schemas of model providers take no mapping with keys of one's own.
    cast: list[CastOrder] = Field(
        default_factory=list, max_length=100, description="People, places and things that several scenes show."
    )

    def fields(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a story. `base` has what holds for every film; its look and its cast outrank those here."""
        cast = {member.id: {"words": member.words} for member in self.cast}
        return {
            **base,
            "title": self.title,
            "look": " ".join(filter(None, (base.get("look"), self.look))),
            "cast": {**cast, **base.get("cast", {})},
            "scenes": [scene.fields() for scene in self.scenes],
        }


def as_plain(orders: Any) -> Any:
    """`orders` as they came from a tool call, as models or as mappings; anything else is left to the checks."""
    if not isinstance(orders, list | tuple):
        return orders
    return [order.model_dump() if isinstance(order, BaseModel) else order for order in orders]
