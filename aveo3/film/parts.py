"""What all parts of a story share: frozen, strict about types, and helpful about unknown names."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    Strict,
    StringConstraints,
    ValidationError,
    model_validator,
)

from aveo3 import near_names
from aveo3.models import LONGEST_TEXT

ALIASES = {
    "text": "prompt",
    "duration": "seconds",
    "duration_seconds": "seconds",
    "length": "seconds",
    "generate_audio": "audio",
    "negative": "negative_prompt",
    "ratio": "aspect_ratio",
    "begins": "from",
    "crossfade": "cross_fade",
    "description": "words",
    "images": "pictures",
    "style": "look",
    "name": "id",
    "characters": "cast",
    "picks": "pick",
}
"""What people call the fields of a story; in messages they are hints."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,60}$")]
SceneId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""The id of another scene. Whether it exists is checked for the whole story."""
Words = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Whole = Annotated[int, Strict()]
YesNo = Annotated[bool, Strict()]


def _a_path(value: str) -> str:
    if "://" in value and not value.startswith(("gs://", "https://")):
        raise ValueError("must be a path, or an address that begins with gs:// or https://")
    return value


Place = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_a_path)]
"""A file, relative to the story's own, or an address. `Story.load` makes paths whole."""


class Part(BaseModel):
    """A part of a story: frozen, and an unknown field is an error that names the likely one."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="wrap")
    @classmethod
    def _near_names(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            fields = [field.alias or name for name, field in cls.model_fields.items()]

            def meant(name: str) -> str:
                plain = name.strip().lower().replace("-", "_").replace(" ", "_")
                plain = ALIASES.get(plain, plain)
                return plain if plain in fields else name

            raise near_names.with_hints(error, fields, meant=meant) from None
