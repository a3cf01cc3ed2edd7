"""The scenes of a story, its cast, and what scenes, defaults and profiles have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from aveo3.film.cutting import Card, Transition
from aveo3.film.parts import Name, Number, Part, Place, SceneId, Whole, Words, YesNo
from aveo3.input_forms import ratio
from aveo3.models import ModelId, Resolution

MOST_TAKES = 20


class CastMember(Part):
    """A person, place or thing that scenes name in braces, as in `{mara}`."""

    words: Words = Field(
        description="What it looks like, as part of a sentence: 'a woman of thirty with short red hair'. The words "
        "stand in the prompt of each scene that names it."
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Its name in prompts: '{mara}' is then 'Mara, a woman of thirty…' the first time, and 'Mara' "
        "after that. Without a name it is the words each time.",
    )
    pictures: tuple[Place, ...] = Field(
        default=(),
        max_length=10,
        description="Pictures of it, relative to the story file, the best first. They are sent as reference images if "
        "the model takes them for the scene.",
    )


class Look(Part):
    """Fields that scenes, defaults and profiles share: what a scene does not say is taken from the profile, then from
    the defaults, then from the settings."""

    model: ModelId | None = Field(default=None, max_length=200, description="Model id; `aveo3 models` lists them.")
    seconds: Annotated[Number, Field(gt=0, le=3600)] | None = Field(
        default=None, description="Length in seconds; each model offers a few. None: the model's default."
    )
    aspect_ratio: Annotated[str | None, BeforeValidator(ratio)] = Field(
        default=None, pattern=r"^\d+:\d+$", examples=["16:9", "9:16"], description="'16:9' or '9:16'."
    )
    resolution: Resolution | None = Field(default=None, description="360p, 720p, 1080p or 4k, as the model offers.")
    audio: YesNo | None = Field(default=None, description="With sound, or without. None: the model's default.")
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = Field(
        default=None,
        description="Take 1 has this seed, take 2 the next one. A final of a picked take has the seed of that take.",
    )
    negative_prompt: Words | None = Field(default=None, description="What not to show, if the model takes that.")
    person_generation: Literal["allow_all", "allow_adult", "dont_allow", "disallow"] | None = Field(
        default=None, description="Whether people may be shown."
    )


class Defaults(Look):
    """What holds for every scene that says nothing else."""

    takes: Annotated[Whole, Field(ge=1, le=MOST_TAKES)] = Field(default=1, description="Tries at each scene.")


class Profile(Look):
    """How clips are made in one pass: as cheap drafts, or as finals."""


class FinalProfile(Profile):
    """How finals are made: anew, or by upscaling the picked drafts."""

    upscale: Literal["720p", "1080p", "4k"] | None = Field(
        default=None,
        description="Upscale the picked drafts to this size, instead of making them anew. Only Omni upscales; its "
        "model is `model`.",
    )

    @model_validator(mode="after")
    def _only_the_size(self) -> FinalProfile:
        said = [name for name in Look.model_fields if name != "model" and getattr(self, name) is not None]
        if self.upscale is not None and said:
            raise ValueError(f"upscale changes nothing but the size: leave {' and '.join(said)} out")
        return self


class Beginning(Part):
    """Where a scene begins. Give exactly one of `scene`, `extend` and `picture`."""

    scene: SceneId | None = Field(default=None, description="A scene of which it shows one frame first; see `frame`.")
    frame: Literal["first", "last"] | Annotated[Number, Field(ge=0)] = Field(
        default="last", description="Which frame of `scene`: first, last, or the seconds from its beginning."
    )
    picture: Place | None = Field(default=None, description="A picture that is its first frame.")
    extend: SceneId | None = Field(default=None, description="A scene that it goes on with, as one video.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"scene": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _exactly_one(self) -> Beginning:
        given = [name for name in ("scene", "picture", "extend") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of scene, picture, extend; got {' and '.join(given) or 'none of them'}")
        if "frame" in self.model_fields_set and self.scene is None:
            raise ValueError(f"frame goes with scene, not with {given[0]}: leave it out")
        return self

    @property
    def source(self) -> str | None:
        """The scene that it needs first."""
        return self.scene or self.extend


class Scene(Look):
    """One scene: what it shows, for how long, and where it begins."""

    id: Name = Field(description="Its name: letters, digits, _ and -, beginning with a letter. Unique in the story.")
    prompt: Words = Field(
        default="",
        description="What it shows. `{mara}` is a member of the cast; braces that are meant are doubled: `{{`, `}}`.",
    )
    begins: Beginning | None = Field(
        default=None,
        alias="from",
        description="Where it begins: a scene's id (from its last frame), or one of `{scene: id, frame: first}`, "
        "`{picture: file}`, `{extend: id}`. Left out: by itself.",
    )
    takes: Annotated[Whole, Field(ge=1, le=MOST_TAKES)] | None = Field(
        default=None, description="Tries; each is a clip and is billed. `aveo3 film pick` chooses one."
    )
    transition: Transition | None = Field(
        default=None,
        description="How it follows the scene before: cut, `{cross_fade: 0.5}` or `{fade_to_black: 1}`. Left out: as "
        "`film` says.",
    )
    card: Card | None = Field(default=None, description="A card that is shown before it.")

    @model_validator(mode="after")
    def _something_to_show(self) -> Scene:
        if not self.prompt.strip() and (self.begins is None or self.begins.extend is not None):
            raise ValueError("prompt is missing: say what the scene shows")
        return self
