"""Pictures and videos of a prompt: `Media`, `ReferenceImage`. Files are read when their prompt is submitted."""

from __future__ import annotations

import math
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from aveo3 import media_types, near_names
from aveo3.input_forms import in_base64, of_base64, of_data_url


def _frame(value: Any) -> Any:
    """`first`, `last`, or a number of seconds as a float; the frame at 0 seconds is the first."""
    if isinstance(value, str) and value.strip().lower() in ("first", "last"):
        return value.strip().lower()
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not (0 <= seconds < math.inf):
        raise ValueError("must be first, last or a number of seconds from 0 on")
    return seconds or "first"


Frame = Literal["first", "last"] | float
"""A frame of a clip: the first, the last, or the one that is shown so many seconds after the beginning."""


class _HasName(Protocol):
    """A `VideoClip`, as far as it is needed here."""

    @property
    def job(self) -> str | None: ...


class Media(BaseModel):
    """An image or video that belongs to a prompt: a local file, bytes, an address, or another clip or a frame of it.

    Set exactly one of `path`, `data`, `uri` (`gs://` or `https://`) and `clip`. A local file is read when its prompt is
    submitted, not before. Every field of type `Media` also accepts a path, an address, a `data:` URL or bytes.
    For `clip` and `frame`, see `from_clip`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = None
    data: Annotated[bytes | None, BeforeValidator(of_base64), PlainSerializer(in_base64, when_used="json")] = Field(
        default=None, repr=False, description="The bytes; in JSON as base64."
    )
    uri: str | None = Field(default=None, pattern=r"^(gs|https)://.+")
    mime_type: str = Field(default="", description="Default: from the file's name or the first bytes.")
    clip: str | None = Field(
        default=None, min_length=1, max_length=200, description="The `id` of another prompt, or of a clip that is made."
    )
    frame: Annotated[Frame | None, BeforeValidator(lambda value: None if value is None else _frame(value))] = Field(
        default=None, description="A picture of `clip`: `first`, `last`, or seconds. None: the whole clip."
    )
    _file: Path | None = PrivateAttr(default=None)
    _sha256: str | None = PrivateAttr(default=None)

    if TYPE_CHECKING:  # fields take more than they hold

        def __init__(
            self,
            *,
            path: str | Path | None = None,
            data: bytes | None = None,
            uri: str | None = None,
            mime_type: str = "",
            clip: str | None = None,
            frame: Frame | None = None,
        ) -> None: ...

    @classmethod
    def from_clip(cls, clip: str | _HasName, frame: Frame | None = None) -> Self:
        """A frame of another clip, or the whole clip: what a prompt begins from, continues, edits or shows.

        `clip` is the `id` of another prompt of the same call, the `id` of a prompt whose clip is in the journal of the
        output directory, or the ID of its job (`clip.job`, or the `VideoClip` itself). The same call comes first.
        Of several clips in the journal the newest counts; of a clip with several videos, the first.

        `frame` is `"first"`, `"last"`, or a number of seconds after the beginning: a picture, for `image`, `last_frame`
        and `reference_images`. Without it the whole clip is meant, for `video` and `reference_videos`.

            prompts = [
                VideoPrompt(id="intro", text="a paper boat leaves the shore"),
                VideoPrompt(id="storm", text="a storm comes up", image=Media.from_clip("intro", frame="last")),
            ]
            clips = await veo.generate_many(prompts)

        The prompt is sent as soon as the other clip is on disk. If that clip ends without a video, this prompt is not
        sent: its clip is `deferred`, with `error_kind="source"`, and costs nothing. Run the same prompts again once the
        other clip is made. Names that nobody has, and circles, are a `UsageError` before anything is sent; in a lazy
        iterable, which cannot be known beforehand, they are `rejected` clips.

        What is paid for is known by the bytes of the other clip and the frame: made anew, it is another prompt.
        Frames need PyAV: `pip install "aveo3[frames]"`.
        """
        name = clip if isinstance(clip, str) else clip.job
        if name is None:
            raise ValueError(
                "this clip has no job: it was made without a journal. Give its file: Media(path=clip.path)"
            )
        return cls(clip=name, frame=frame)

    def __eq__(self, other: object) -> bool:
        """Whether both say the same. What was found for a clip does not count: it is no part of what was asked for."""
        return type(other) is type(self) and self.__dict__ == other.__dict__

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
        if isinstance(value, str) and value.startswith("clip:"):
            name, _, frame = value.removeprefix("clip:").partition("#")
            return {"clip": name, "frame": frame or None}
        if isinstance(value, Path):
            return {"path": value}
        if isinstance(value, str):
            return {"uri": value} if "://" in value else {"path": value}
        return value

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Media:
        sources = [name for name in ("path", "data", "uri", "clip") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError(
                f"give exactly one of path, data, uri, clip; got {' and '.join(sources) or 'none of them'}"
            )
        if self.frame is not None and self.clip is None:
            raise ValueError("frame needs clip, whose frame it is")
        if not self.mime_type:
            object.__setattr__(self, "mime_type", self._guess_mime_type())
        return self

    def _guess_mime_type(self) -> str:
        if self.clip is not None:
            return "video/mp4" if self.frame is None else "image/png"
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

    def found(self, file: Path, sha256: str) -> Self:
        """A copy that knows its clip: `file` is the video, or the picture of `frame`; `sha256` is that of the video."""
        copy = self.model_copy()
        copy._file, copy._sha256 = file, sha256
        return copy

    @property
    def file(self) -> Path | None:
        """The file to send: `path`, or that of the clip or frame once it is found. None if there is none (yet)."""
        return self.path if self.clip is None else self._file

    @property
    def clip_sha256(self) -> str | None:
        """The SHA-256 of the video of `clip`, once it is found."""
        return self._sha256

    @property
    def is_waiting(self) -> bool:
        """True if it is a clip, or a frame of one, that is not found yet."""
        return self.clip is not None and self._sha256 is None

    @property
    def clip_content(self) -> str | None:
        """What a clip or frame is known by: the hash of the video, and the frame. The picture's own bytes do not count:
        another release of PyAV may write others. None if it is not found yet."""
        return None if self._sha256 is None else frame_of(self._sha256, self.frame)

    def read(self) -> bytes:
        """Return the bytes of `data`, of the file at `path`, or of the clip or frame once it is found.

        Reads the disk. Raises `OSError` if the file cannot be read, `ValueError` if the medium is a `uri`.
        """
        if self.data is not None:
            return self.data
        if self.clip is not None:
            if self._file is None:
                raise ValueError(f"the clip {self.clip!r} is not made yet")
            return self._file.read_bytes()
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


def frame_of(sha256: str, frame: Frame | str | None) -> str:
    """The name of a frame of the video with this hash; the hash alone for the whole video."""
    return sha256 if frame is None else f"{sha256} {frame}"


MediaInput = Media | str | Path | bytes
"""What a field of type `Media` accepts: see there."""


class ReferenceImage(Media):
    """An image of what should appear (`asset`), or one whose style the video takes (`style`)."""

    type: Literal["asset", "style"] = "asset"

    @model_validator(mode="before")
    @classmethod
    def _of_media(cls, value: Any) -> Any:
        return value.model_dump(exclude_unset=True) if type(value) is Media else value
