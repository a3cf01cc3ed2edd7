"""What the user hands in and gets back: `VideoPrompt`, `Media`, `VideoClip`, `ClipStatus`. Frozen; no behaviour."""

from __future__ import annotations

import difflib
import hashlib
import mimetypes
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator, model_validator

from aveo3.lifecycle import State


class ClipStatus(StrEnum):
    """How a prompt ended. Each value has one next move; see `advice`."""

    SUCCEEDED = State.SUCCEEDED
    FILTERED = State.FILTERED
    REJECTED = State.REJECTED
    FAILED = State.FAILED
    UNCERTAIN = State.UNCERTAIN
    UNFINISHED = "unfinished"
    DEFERRED = State.DEFERRED
    CANCELLED = State.CANCELLED

    @property
    def advice(self) -> str:
        """The user's next move, in a few words."""
        return _ADVICE[self]


_ADVICE = {
    ClipStatus.SUCCEEDED: "the video is there",
    ClipStatus.FILTERED: "a safety filter stopped it, nothing is billed: change the prompt",
    ClipStatus.REJECTED: "the request can never work: fix what the message names",
    ClipStatus.FAILED: "the retries are used up: run it again later",
    ClipStatus.UNCERTAIN: "sent, but the outcome is unknown and may be billed: look before you repeat it",
    ClipStatus.UNFINISHED: "accepted, but not on disk yet: run it again, it is picked up and not sent a second time",
    ClipStatus.DEFERRED: "never sent, nothing is billed: run it again when the quota or budget allows",
    ClipStatus.CANCELLED: "never sent, nothing is billed: run it again",
}


class Media(BaseModel):
    """A picture or a video that goes with a prompt: a local file, bytes, or a `gs://` object.

    Give exactly one of `path`, `data`, `uri`. Local files are read when their prompt is submitted, not before.
    Wherever a `Media` is wanted, a path, a `gs://` string or bytes will do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = None
    data: bytes | None = Field(default=None, repr=False)
    uri: str | None = Field(default=None, pattern=r"^(gs|https)://.+")
    mime_type: str = Field(default="", description="Guessed from the file's name, or from the first bytes.")

    @model_validator(mode="before")
    @classmethod
    def _accept_shorthand(cls, value: Any) -> Any:
        if isinstance(value, bytes):
            return {"data": value}
        if isinstance(value, Path):
            return {"path": value}
        if isinstance(value, str):
            return {"uri": value} if "://" in value else {"path": value}
        return value

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Media:
        given = [name for name in ("path", "data", "uri") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of path, data, uri; got {' and '.join(given) or 'none of them'}")
        if not self.mime_type:
            object.__setattr__(self, "mime_type", self._guess_mime_type())
        return self

    def _guess_mime_type(self) -> str:
        if self.data is not None:
            for magic, mime_type in _MAGIC:
                if re.match(magic, self.data[:12], re.DOTALL):
                    return mime_type
            raise ValueError("cannot tell what kind of media these bytes are; say so with mime_type='image/png' or so")
        guessed, _ = mimetypes.guess_type(str(self.path or self.uri), strict=False)
        if guessed is None:
            raise ValueError(f"cannot tell the media type of {self.path or self.uri}; say so with mime_type=…")
        return guessed

    def read(self) -> bytes:
        """The bytes of a local medium. Raises `OSError` if the file cannot be read. Touches the disk."""
        if self.data is not None:
            return self.data
        if self.path is None:
            raise ValueError(f"{self.uri} is not a local medium")
        return self.path.read_bytes()


_MAGIC = (
    (rb"\x89PNG", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"RIFF....WEBP", "image/webp"),
    (rb"....ftyp(?!heic|heix|mif1|avif)", "video/mp4"),
)

Resolution = Literal["360p", "720p", "1080p", "4k"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class VideoPrompt(BaseModel):
    """One video to make: its text, its media, its parameters. What is None is left to the model's default.

    Which values a model takes is the catalog's business: it is checked when the prompt is queued, before anything
    is sent, and a prompt that cannot work comes back `rejected` with the allowed values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(default="", max_length=20_000, description="What to show. Veo reads up to 1,024 tokens.")
    negative_prompt: str | None = Field(default=None, max_length=20_000, description="What not to show.")
    model: str | None = Field(default=None, max_length=200, description="Model id; None takes the settings' model.")
    duration_seconds: int | None = Field(default=None, gt=0, description="Length of the video in seconds.")
    aspect_ratio: str | None = Field(
        default=None, pattern=r"^\d+:\d+$", examples=["16:9", "9:16"], description="'16:9' or '9:16'."
    )
    resolution: Annotated[Resolution | None, BeforeValidator(_lower)] = None
    seed: int | None = Field(default=None, ge=0, lt=2**32, description="Not a promise of the same video (Google).")
    number_of_videos: int = Field(default=1, ge=1, le=4, description="Videos per request; each one is billed.")
    generate_audio: bool | None = None
    person_generation: Literal["allow_all", "allow_adult", "dont_allow"] | None = None
    image: Media | None = Field(default=None, description="First frame.")
    last_frame: Media | None = Field(default=None, description="Last frame; needs `image`.")
    reference_images: tuple[Media, ...] = Field(default=(), description="Pictures of what is to appear.")
    video: Media | None = Field(default=None, description="A video to extend, or with `task` to edit.")
    previous: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.~=-]{1,1000}$",
        examples=["v1_ChYtOV9IaWQ"],
        description="An earlier clip of Omni to edit or extend, by its `operation`.",
    )
    task: Literal["extend", "edit"] | None = Field(
        default=None,
        description="What to do with `video` or `previous`; None extends a `video`, and has Omni tell from the text "
        "what to do with `previous`.",
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Yours; comes back with the clip, never sent.")
    id: str | None = Field(default=None, max_length=200, description="Yours; comes back with the clip, never sent.")
    project_id: str | None = Field(
        default=None,
        max_length=200,
        description="Yours, to group prompts; never sent. Google Cloud's project is a setting.",
    )

    @model_validator(mode="after")
    def _something_to_show(self) -> VideoPrompt:
        if not self.text.strip() and self.image is None and self.video is None:
            raise ValueError("a prompt needs a text, an image or a video to extend")
        if self.last_frame is not None and self.image is None:
            raise ValueError("last_frame needs image: the frame to begin with")
        if self.reference_images and (self.image or self.video or self.last_frame):
            raise ValueError("reference_images cannot go with image, last_frame or video: give the one or the other")
        if self.image is not None and self.video is not None:
            raise ValueError("image and video cannot go together: give the one or the other")
        if self.previous is not None and self.media:
            raise ValueError("previous cannot go with image, last_frame, reference_images or video: the clip is there")
        if self.previous is not None and not self.text.strip():
            raise ValueError("previous needs text: what to do with the clip")
        if self.task is not None and self.video is None and self.previous is None:
            raise ValueError(f"task={self.task!r} needs video or previous: the clip to {self.task}")
        return self

    @property
    def media(self) -> tuple[Media, ...]:
        """Every medium that goes with the prompt."""
        return tuple(m for m in (self.image, self.last_frame, *self.reference_images, self.video) if m is not None)

    def media_hashes(self) -> tuple[str | None, ...]:
        """Hex SHA-256 of each of `media`, None for those not on this machine. Reads them: raises `OSError`."""
        return tuple(None if m.uri is not None else hashlib.sha256(m.read()).hexdigest() for m in self.media)

    def digest(self, model: str, media_hashes: Sequence[str | None] | None = None) -> str:
        """Hex SHA-256 of everything that is sent for this prompt to `model`, the bytes of local media included.

        What is the user's alone (`id`, `project_id`, `metadata`) does not count. Without the `media_hashes`, if those
        are known, it reads local media: raises `OSError`.
        """
        sent = self.model_copy(update={"model": model})
        # Fields of later releases count only where they are used: what was paid before them must be found again.
        later = {name for name in ("previous", "task") if getattr(self, name) is None}
        digest = hashlib.sha256(sent.model_dump_json(exclude=_NOT_HASHED_AS_TEXT | later).encode())
        roles = ["image"] * (self.image is not None) + ["last"] * (self.last_frame is not None)
        roles += ["reference"] * len(self.reference_images) + ["video"] * (self.video is not None)
        hashes = self.media_hashes() if media_hashes is None else media_hashes
        for role, media, content in zip(roles, self.media, hashes, strict=True):
            digest.update(f"\n{role} {media.mime_type} {content or media.uri}".encode())
        return digest.hexdigest()


_NOT_HASHED_AS_TEXT = {"image", "last_frame", "reference_images", "video", "id", "project_id", "metadata"}


def _untouched(prompt: Any, validate: Callable[[Any], VideoPrompt]) -> VideoPrompt:
    """A prompt that can never work has its clip, too: it is not judged a second time."""
    return prompt if isinstance(prompt, VideoPrompt) else validate(prompt)


class VideoClip(BaseModel):
    """What became of one prompt. `status` says which of the other fields are set."""

    model_config = ConfigDict(frozen=True)

    prompt: Annotated[VideoPrompt, WrapValidator(_untouched)]
    status: ClipStatus
    model: str
    index: int = Field(default=0, description="Place of the prompt in its batch, from 0.")
    lane: str | None = Field(default=None, description="The lane that it was sent to, where lanes are set.")
    instead_of: str | None = Field(default=None, description="The model that was asked for, if a fallback got it.")
    translated: tuple[str, ...] = Field(default=(), description="What was put otherwise for the fallback.")
    job: str | None = Field(default=None, description="Its job in the journal, for `aveo3 history`; None without one.")
    cached: bool = Field(default=False, description="An earlier run made it: nothing was sent for it now.")
    paths: tuple[Path, ...] = Field(default=(), description="The videos on disk; several if so many were asked for.")
    uris: tuple[str, ...] = Field(default=(), description="Where Google keeps them, if it said: gs:// or https://.")
    operation: str | None = Field(default=None, description="Google's name of the work; enough to look for it again.")
    error_kind: str | None = Field(default=None, description="The cause in one word, stable between releases.")
    error_message: str | None = None
    retry_count: int = Field(default=0, description="Further tries after failures; refusals do not count.")
    attempts: int = Field(default=0, description="Submits sent, refused ones included.")
    quota_wait: float = Field(default=0.0, description="Seconds it waited, as next in line, for quota.")
    cost_usd: float | None = Field(default=None, description="Estimate in US$ from list prices; None if unknown.")
    queued_utc: datetime | None = None
    submitted_utc: datetime | None = Field(default=None, description="When the submit was sent that may be paid.")
    finished_utc: datetime | None = Field(default=None, description="When Google's work was seen to have ended.")
    fetched_utc: datetime | None = Field(default=None, description="When the last byte was safe on disk.")

    @property
    def path(self) -> Path | None:
        """The (first) video on disk, None if there is none."""
        return self.paths[0] if self.paths else None

    @property
    def uri(self) -> str | None:
        """The (first) place where Google keeps it, None if it did not say."""
        return self.uris[0] if self.uris else None

    @property
    def may_be_paid(self) -> bool:
        """True if money may be owed for a video that is not there: do not have it made again before that is known."""
        return self.status in (ClipStatus.UNCERTAIN, ClipStatus.UNFINISHED)

    @property
    def succeeded(self) -> bool:
        """True if there is a video."""
        return self.status is ClipStatus.SUCCEEDED


def as_prompt(prompt: str | Mapping[str, Any] | VideoPrompt) -> VideoPrompt:
    """A `VideoPrompt` from what the user gave: itself, its fields in a mapping, or its text with every default.

    Raises `pydantic.ValidationError` (a `ValueError`) if the fields do not fit.
    """
    if isinstance(prompt, VideoPrompt):
        return prompt
    return VideoPrompt.model_validate({"text": prompt} if isinstance(prompt, str) else prompt)


def reason(problem: Any) -> str:
    """What pydantic says is wrong with the value of a field, or how the value must look."""
    field = VideoPrompt.model_fields.get(str(problem["loc"][-1]))
    if problem["type"] == "string_pattern_mismatch" and field is not None and field.examples:
        return f"must look like {' or '.join(field.examples)}"
    what = str(problem["msg"]).removeprefix("Value error, ")
    return f"{what[:1].lower()}{what[1:]}"


def explain(error: ValidationError) -> list[str]:
    """What is wrong with a prompt's fields, one sentence each, with the likeliest spelling of unknown names."""
    sentences = []
    for problem in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, VideoPrompt.model_fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(VideoPrompt.model_fields)}"
            what = f"{name} is not a field of a prompt: {hint}"
        elif name:
            what = f"{name}: {reason(problem)} (it is {problem['input']!r:.60})"
        sentences.append(what)
    return sentences
