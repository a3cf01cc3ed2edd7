"""How the scenes of a story become one film: transitions, cards, music, and what to do about a missing scene."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from aveo3.film.parts import Number, Part, Place, YesNo


class Transition(Part):
    """How a scene follows the one before. Without a field it is a hard cut."""

    cross_fade: Annotated[Number, Field(gt=0, le=10)] | None = Field(
        default=None, description="Seconds in which both scenes are seen, one fading into the other."
    )
    fade_to_black: Annotated[Number, Field(gt=0, le=10)] | None = Field(
        default=None, description="Seconds in which the one before fades to black, and this one out of black."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value != "cut":
                raise ValueError("must be cut, or have cross_fade or fade_to_black in seconds: {cross_fade: 0.5}")
            return {}
        return value

    @model_validator(mode="after")
    def _at_most_one(self) -> Transition:
        if self.cross_fade is not None and self.fade_to_black is not None:
            raise ValueError("give cross_fade or fade_to_black, not both")
        return self


class Card(Part):
    """Words on a plain picture."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(description="What it says.")
    seconds: Annotated[Number, Field(gt=0, le=60)] = Field(default=3.0, description="How long it is shown.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value


class Music(Part):
    """Music that is laid under the whole film."""

    file: Place = Field(description="An audio file, relative to the story file.")
    level_db: Annotated[Number, Field(ge=-60, le=20)] = Field(
        default=-8.0, description="Added to its own level, in dB."
    )
    duck_db: Annotated[Number, Field(ge=0, le=60)] = Field(
        default=12.0, description="How much lower it is while the clips sound, in dB. 0: never lower."
    )
    fade_out: Annotated[Number, Field(ge=0, le=60)] = Field(
        default=3.0, description="Seconds in which it fades out at the film's end."
    )
    loop: YesNo = Field(default=True, description="Repeat it if it is shorter than the film.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value


class Film(Part):
    """How the scenes become one film."""

    transition: Transition = Field(default=Transition(), description="How scenes follow each other that do not say it.")
    opening: Card | None = Field(default=None, description="A card before the first scene.")
    closing: Card | None = Field(default=None, description="A card after the last scene.")
    fade_in: Annotated[Number, Field(gt=0, le=10)] | None = Field(
        default=None, description="Seconds in which the film begins out of black."
    )
    fade_out: Annotated[Number, Field(gt=0, le=10)] | None = Field(
        default=None, description="Seconds in which the film ends into black."
    )
    audio: YesNo = Field(default=True, description="Keep the sound of the clips.")
    font: Place | None = Field(
        default=None, description="A font file (TrueType, OpenType) for the cards, relative to the story file."
    )
    music: Music | None = Field(default=None, description="Music under the film: a file, or its fields.")
    loudness: Annotated[Number, Field(ge=-40, le=-5)] | None = Field(
        default=-14.0, description="The loudness of the film in LUFS; null: as the clips have it."
    )
    missing: Literal["stop", "card", "skip"] = Field(
        default="stop",
        description="What the film has for a scene without a clip. stop: no film before it is made; card: a card that "
        "names it; skip: nothing.",
    )
