"""Pictures and videos of a prompt: `Media`, `ReferenceImage`. Files are read when their prompt is submitted."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from aveo3 import media_types, near_names
from aveo3.input_forms import in_base64, of_base64, of_data_url


class Media(BaseModel):
    """An image or video that belongs to a prompt: a local file, bytes, or a `gs://` or `https://` address.

    Set exactly one of `path`, `data`, `uri`. A local file is read when its prompt is submitted, not before. Every
    field of type `Media` also accepts a path, an address, a `data:` URL or bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = None
    data: Annotated[bytes | None, BeforeValidator(of_base64), PlainSerializer(in_base64, when_used="json")] = Field(
        default=None, repr=False, description="The bytes; in JSON as base64."
    )
    uri: str | None = Field(default=None, pattern=r"^(gs|https)://.+")
    mime_type: str = Field(default="", description="Default: from the file's name or the first bytes.")

    if TYPE_CHECKING:  # fields take more than they hold

        def __init__(
            self,
            *,
            path: str | Path | None = None,
            data: bytes | None = None,
            uri: str | None = None,
            mime_type: str = "",
        ) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _near_names(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            raise near_names.with_hints(error, cls.model_fields) from None

    @model_validator(mode="before")
    @classmethod
    def _accept_shorthand(cls, value: Any) -> Any:
        if isinstance(value, bytes):
            return {"data": value}
        if isinstance(value, str) and value.startswith("data:"):
            return of_data_url(value)
        if isinstance(value, Mapping) and str(value.get("uri")).startswith("data:"):
            return {**of_data_url(value["uri"]), **{name: each for name, each in value.items() if name != "uri"}}
        if isinstance(value, Path):
            return {"path": value}
        if isinstance(value, str):
            return {"uri": value} if "://" in value else {"path": value}
        return value

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Media:
        sources = [name for name in ("path", "data", "uri") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError(f"give exactly one of path, data, uri; got {' and '.join(sources) or 'none of them'}")
        if not self.mime_type:
            object.__setattr__(self, "mime_type", self._guess_mime_type())
        return self

    def _guess_mime_type(self) -> str:
        if self.data is not None:
            mime_type = media_types.type_of(self.data[: media_types.HEAD]) or ""
            if mime_type.startswith(("image/", "video/")) and "svg" not in mime_type:
                return mime_type
            raise ValueError("cannot tell the media type of these bytes: set mime_type, such as 'image/png'")
        by_name, _ = mimetypes.guess_type(str(self.path or self.uri), strict=False)
        if by_name is None:
            raise ValueError(
                f"cannot tell the media type of {self.path or self.uri}: set mime_type, such as 'image/png'"
            )
        return by_name

    def read(self) -> bytes:
        """Return the bytes of `data` or of the file at `path`.

        Reads the disk. Raises `OSError` if the file cannot be read, `ValueError` if the medium is a `uri`.
        """
        if self.data is not None:
            return self.data
        if self.path is None:
            raise ValueError(f"{self.uri} is not a local file")
        return self.path.read_bytes()

    def sent_type(self, content: bytes) -> str:
        """What `content`, the bytes of this medium, goes out as: what it is, unless the user has named a type."""
        if "mime_type" in self.model_fields_set:
            return self.mime_type
        return media_types.type_of(content[: media_types.HEAD]) or self.mime_type

    def mismatch(self, content: bytes | None = None) -> str | None:
        """A sentence if the local file is not what its name says, and cannot be sent.

        Without its `content` it reads the disk: raises `OSError`.
        """
        if self.path is None or "mime_type" in self.model_fields_set:
            return None
        if content is None:
            with self.path.open("rb") as file:
                content = file.read(media_types.HEAD)
        why = media_types.mismatch(content[: media_types.HEAD], self.mime_type)
        return None if why is None else f"{self.path} {why}"


MediaInput = Media | str | Path | bytes
"""What a field of type `Media` accepts: see there."""


class ReferenceImage(Media):
    """An image of what should appear (`asset`), or one whose style the video takes (`style`)."""

    type: Literal["asset", "style"] = "asset"

    @model_validator(mode="before")
    @classmethod
    def _of_media(cls, value: Any) -> Any:
        return value.model_dump(exclude_unset=True) if type(value) is Media else value
