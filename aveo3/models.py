"""The user's input and output: `VideoPrompt`, `VideoClip`, `ClipStatus`. Frozen data; nothing is sent here."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    PlainSerializer,
    ValidationError,
    WrapValidator,
    model_validator,
)

from aveo3 import labels, near_names
from aveo3.input_forms import (
    MEDIA_FIELDS,
    ONE_MEDIUM,
    SEVERAL_MEDIA,
    model_id,
    plain_fields,
    plain_reason,
    ratio,
)
from aveo3.json_values import json_value, repr_of
from aveo3.lifecycle import State
from aveo3.media import Media, MediaInput, ReferenceImage


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
    ClipStatus.SUCCEEDED: "the video is ready",
    ClipStatus.FILTERED: "blocked by a safety filter, not billed: change the prompt",
    ClipStatus.REJECTED: "the request can never work: fix what the message names",
    ClipStatus.FAILED: "the retries are used up: run it again later",
    ClipStatus.UNCERTAIN: "sent, outcome unknown, may be billed: check at Google before you send it again",
    ClipStatus.UNFINISHED: "accepted, not on disk yet: run it again to resume it, it is not sent twice",
    ClipStatus.DEFERRED: "never sent, not billed: run it again when quota or budget allows",
    ClipStatus.CANCELLED: "never sent, not billed: run it again",
}


MAY_BE_PAID = frozenset({ClipStatus.UNCERTAIN, ClipStatus.UNFINISHED})
"""Money may be owed for a video that is not there. `unfinished` is how a clip shows a job that is under way."""


Resolution = Literal["360p", "720p", "1080p", "4k"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    """A length as it is written into requests and digests: 8.0 is 8."""
    if isinstance(value, bool):
        raise ValueError("must be a number of seconds")
    try:
        number = float(value) if isinstance(value, str | int | float) else value
    except (ValueError, OverflowError):
        raise ValueError("must be a number of seconds") from None
    if isinstance(number, float):
        if not math.isfinite(number):
            raise ValueError("must be a number of seconds")
        return int(number) if number.is_integer() else number
    return value


ModelId = Annotated[str, BeforeValidator(model_id)]


ALIASES = {
    "prompt": "text",
    "duration": "duration_seconds",
    "seconds": "duration_seconds",
    "ratio": "aspect_ratio",
    "aspect": "aspect_ratio",
    "negative": "negative_prompt",
    "audio": "generate_audio",
    "first_frame": "image",
    "end_frame": "last_frame",
}
"""What spreadsheets and other programs call the fields of a prompt. In files these count, in Python they are hints."""


NOT_OFFERED = {
    "fps": "Veo 3.1 and Omni make 24 frames a second; only Veo 2, which is shut down, took another number",
    "enhance_prompt": "Veo 3 and later always rewrite prompts, and Omni has no such field; leave it out",
    "mask": "only Veo 2, which is shut down, edited a part of a video; Omni edits by text: task edit with video",
}
"""Fields of google-genai that no model of today takes, and why."""


def field_name(name: str) -> str:
    """The field that a column or key means: `Aspect Ratio` is `aspect_ratio`, `Prompt` is `text`; else `name`."""
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    plain = ALIASES.get(plain, plain)
    return plain if plain in VideoPrompt.model_fields else name


LONGEST_TEXT = 20_000
"""Characters of a prompt's text."""


HarmCategory = Literal[
    "hate_speech",
    "dangerous_content",
    "harassment",
    "sexually_explicit",
    "civic_integrity",
    "image_hate",
    "image_dangerous_content",
    "image_harassment",
    "image_sexually_explicit",
    "jailbreak",
]
BlockThreshold = Literal["block_low_and_above", "block_medium_and_above", "block_only_high", "block_none", "off"]
Labels = Annotated[dict[str, str], BeforeValidator(labels.read)]


class VideoPrompt(BaseModel):
    """One video to make: text, media and parameters. None means the model's default.

    The catalog knows which values a model takes. aveo3 checks them when it queues the prompt, before it sends
    anything. A prompt that cannot work comes back as a `rejected` clip whose message names the allowed values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(default="", max_length=LONGEST_TEXT, description="What to show. Veo reads up to 1,024 tokens.")
    negative_prompt: str | None = Field(default=None, max_length=LONGEST_TEXT, description="What not to show.")
    model: ModelId | None = Field(default=None, max_length=200, description="Model id; None: the settings' model.")
    duration_seconds: Annotated[int | float | None, BeforeValidator(_seconds)] = Field(
        default=None,
        gt=0,
        description="Length of the video in seconds; Omni takes fractions. For an upscale: the length of its source, "
        "for its cost.",
    )
    aspect_ratio: Annotated[str | None, BeforeValidator(ratio)] = Field(
        default=None, pattern=r"^\d+:\d+$", examples=["16:9", "9:16"], description="'16:9' or '9:16'."
    )
    resolution: Annotated[Resolution | None, BeforeValidator(_lower)] = None
    seed: int | None = Field(default=None, ge=0, lt=2**32, description="Not a promise of the same video (Google).")
    number_of_videos: int = Field(default=1, ge=1, le=4, description="Videos per request; each one is billed.")
    generate_audio: bool | None = None
    person_generation: Literal["allow_all", "allow_adult", "dont_allow", "disallow"] | None = None
    compression_quality: Annotated[Literal["optimized", "lossless"] | None, BeforeValidator(_lower)] = Field(
        default=None, description="lossless: a larger file."
    )
    resize_mode: Annotated[Literal["pad", "crop"] | None, BeforeValidator(_lower)] = Field(
        default=None, description="How an `image` of another shape is fitted; needs `image`."
    )
    image: Media | None = Field(default=None, description="First frame.")
    last_frame: Media | None = Field(default=None, description="Last frame; needs `image`.")
    reference_images: tuple[ReferenceImage, ...] = Field(
        default=(), description="Images of what should appear, or with type style, of how it should look."
    )
    video: Media | None = Field(default=None, description='A video to extend; with task="edit", to edit.')
    previous: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.~=-]{1,1000}$",
        examples=["v1_ChYtOV9IaWQ"],
        description="The `operation` of an earlier Omni clip, to edit or extend that clip.",
    )
    task: Literal["extend", "edit", "upscale"] | None = Field(
        default=None,
        description="What to do with `video` or `previous`. None: extend a `video`; for `previous`, Omni decides from "
        "the text.",
    )
    reference_videos: tuple[Media, ...] = Field(default=(), description="Videos of what should appear; Omni only.")
    safety_settings: dict[HarmCategory, BlockThreshold] = Field(
        default_factory=dict, description="What is blocked from which probability on; Omni only."
    )
    service_tier: Literal["flex", "standard", "priority", "deferred"] | None = Field(
        default=None, description="How soon Google makes it; no part of what the clip is. Omni only."
    )
    webhook_metadata: dict[str, JsonValue] = Field(
        default_factory=dict, description="JSON that is sent to Google for your webhook, with `VEO3_WEBHOOK` only."
    )
    labels: Labels = Field(
        default_factory=dict,
        description="For Google's bill: sent, but no part of what the clip is. The same prompt with other labels is "
        "the same clip.",
    )
    metadata: Annotated[dict[str, Any], PlainSerializer(json_value, when_used="json")] = Field(
        default_factory=dict, description="For your use: returned with the clip, never sent."
    )
    id: str | None = Field(
        default=None, max_length=200, description="For your use: returned with the clip, never sent."
    )
    project_id: str | None = Field(
        default=None,
        max_length=200,
        description="For your use, to group prompts; never sent. (Google Cloud's project is a setting.)",
    )

    if TYPE_CHECKING:  # fields take more than they hold

        def __init__(
            self,
            *,
            text: str = "",
            negative_prompt: str | None = None,
            model: str | None = None,
            duration_seconds: float | None = None,
            aspect_ratio: str | None = None,
            resolution: Resolution | None = None,
            seed: int | None = None,
            number_of_videos: int = 1,
            generate_audio: bool | None = None,
            person_generation: Literal["allow_all", "allow_adult", "dont_allow", "disallow"] | None = None,
            compression_quality: Literal["optimized", "lossless"] | None = None,
            resize_mode: Literal["pad", "crop"] | None = None,
            image: MediaInput | None = None,
            last_frame: MediaInput | None = None,
            reference_images: Sequence[MediaInput] = (),
            video: MediaInput | None = None,
            previous: str | None = None,
            task: Literal["extend", "edit", "upscale"] | None = None,
            reference_videos: Sequence[MediaInput] = (),
            safety_settings: Mapping[HarmCategory, BlockThreshold] = ...,
            service_tier: Literal["flex", "standard", "priority", "deferred"] | None = None,
            webhook_metadata: Mapping[str, JsonValue] = ...,
            labels: str | Mapping[str, str] = ...,
            metadata: Mapping[str, Any] = ...,
            id: str | None = None,
            project_id: str | None = None,
        ) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _near_names(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            raise near_names.with_hints(error, cls.model_fields, meant=field_name) from None

    @model_validator(mode="after")
    def _something_to_show(self) -> VideoPrompt:
        upscales = self.task == "upscale" and self.previous is not None
        if not self.text.strip() and self.image is None and self.video is None and not upscales:
            raise ValueError("a prompt needs a text, an image or a video to extend")
        if self.last_frame is not None and self.image is None:
            raise ValueError("last_frame needs image, the first frame")
        if self.reference_images and (self.image or self.video or self.last_frame):
            raise ValueError("reference_images cannot go with image, last_frame or video: give one or the other")
        if self.resize_mode is not None and self.image is None:
            raise ValueError("resize_mode needs image, the picture to fit")
        if self.image is not None and self.video is not None:
            raise ValueError("image and video cannot go together: give one or the other")
        if self.previous is not None and self.media:
            raise ValueError("previous cannot go with image, last_frame, reference_images or video: it names the clip")
        if self.reference_videos and (self.image or self.video or self.last_frame):
            raise ValueError("reference_videos cannot go with image, last_frame or video: give one or the other")
        if self.task == "upscale":
            self._check_upscale()
        elif self.previous is not None and not self.text.strip():
            raise ValueError("previous needs text that says what to do with the clip")
        if self.clips:
            self._check_clips()
        if self.task is not None and self.video is None and self.previous is None:
            raise ValueError(f"task={self.task!r} needs video or previous, the clip to {self.task}")
        return self

    def _check_clips(self) -> None:
        for name in MEDIA_FIELDS:
            value = getattr(self, name)
            for medium in value if isinstance(value, tuple) else (value,) if value is not None else ():
                if medium.clip is None:
                    continue
                if name in ("video", "reference_videos") and medium.frame is not None:
                    raise ValueError(f"{name} takes a whole clip: leave frame out")
                if name not in ("video", "reference_videos") and medium.frame is None:
                    raise ValueError(f"{name} takes a picture: say which frame of the clip, such as frame='last'")

    def _check_upscale(self) -> None:
        if self.resolution is None:
            raise ValueError("task='upscale' needs resolution, the size to reach")
        if self.text.strip() or self.aspect_ratio is not None or self.seed is not None:
            raise ValueError("task='upscale' changes nothing but the size: leave text, aspect_ratio and seed out")

    @property
    def media(self) -> tuple[Media, ...]:
        """All media of the prompt, in a fixed order: image, last frame, reference images, video, reference videos."""
        one_or_none = (self.image, self.last_frame, *self.reference_images, self.video, *self.reference_videos)
        return tuple(medium for medium in one_or_none if medium is not None)

    @property
    def clips(self) -> tuple[str, ...]:
        """The names of the clips that it depends on, each once, and that are not found yet; see `Media.from_clip`."""
        if self.image is None and self.video is None and not self.reference_images and not self.reference_videos:
            return ()
        return tuple(dict.fromkeys(m.clip for m in self.media if m.clip is not None and m.is_waiting))

    def with_media(self, change: Callable[[Media], Media]) -> Self:
        """A copy with each of its media changed."""
        one = {name: change(m) for name in ONE_MEDIUM if (m := getattr(self, name)) is not None}
        several = {name: tuple(map(change, m)) for name in SEVERAL_MEDIA if (m := getattr(self, name))}
        return self.model_copy(update={**one, **several})

    def media_hashes(self) -> tuple[str | None, ...]:
        """What each of `media` is known by: hex SHA-256, None for a `uri`. Reads local files: raises `OSError`.

        A frame of a clip is known by the hash of its clip, and by which frame it is: `ValueError` if it is not found
        yet.
        """
        return tuple(
            None if m.uri is not None else m.clip_content or hashlib.sha256(m.read()).hexdigest() for m in self.media
        )

    def mismatches(self) -> list[str]:
        """A sentence for each local file that is not what its name says. Reads the disk: raises `OSError`."""
        return [why for medium in self.media if (why := medium.mismatch()) is not None]

    def digest(self, model: str, media_hashes: Sequence[str | None] | None = None) -> str:
        """Hex SHA-256 of everything that is sent to `model` for this prompt, the bytes of local media included.

        `id`, `project_id` and `metadata` do not count: they are never sent. Nor do `labels`, `service_tier` and
        `webhook_metadata`: they change the bill, the wait or your webhook, but not the clip.
        Pass `media_hashes` if you have them; else it reads the local media and raises `OSError` if it cannot.
        """
        sent = self.model_copy(update={"model": model})
        # A field that a later release added counts only where it is set, so that jobs paid before it still match.
        later = {name for name in _LATER if getattr(self, name) in (None, {})}
        if self.task == "upscale":
            later.add("duration_seconds")  # it is that of the source, and not sent
        digest = hashlib.sha256(sent.model_dump_json(exclude=_NOT_HASHED_AS_TEXT | later).encode())
        roles = ["image"] * (self.image is not None) + ["last"] * (self.last_frame is not None)
        roles += ["reference" if image.type == "asset" else image.type for image in self.reference_images]
        roles += ["video"] * (self.video is not None) + ["reference"] * len(self.reference_videos)
        hashes = self.media_hashes() if media_hashes is None else media_hashes
        for role, media, content in zip(roles, self.media, hashes, strict=True):
            digest.update(f"\n{role} {media.mime_type} {content or media.uri}".encode())
        return digest.hexdigest()


_NOT_HASHED_AS_TEXT = {
    *MEDIA_FIELDS,
    *("id", "project_id", "metadata"),
    *("labels", "service_tier", "webhook_metadata"),
}
_LATER = ("previous", "task", "compression_quality", "resize_mode", "safety_settings")


def _untouched(prompt: Any, validate: Callable[[Any], VideoPrompt]) -> VideoPrompt:
    """Keep a `VideoPrompt` unchecked: one that can never work needs a clip that holds it, too."""
    return prompt if isinstance(prompt, VideoPrompt) else validate(prompt)


class VideoClip(BaseModel):
    """The outcome of one prompt. `status` decides which of the other fields are set."""

    model_config = ConfigDict(frozen=True)

    prompt: Annotated[VideoPrompt, WrapValidator(_untouched)]
    status: ClipStatus
    model: str
    index: int = Field(default=0, description="Place of the prompt in its batch, from 0.")
    lane: str | None = Field(default=None, description="The lane it was sent to, if lanes are set.")
    instead_of: str | None = Field(default=None, description="The prompt's own model, if a fallback was used.")
    translated: tuple[str, ...] = Field(default=(), description="What was changed in the prompt for the fallback.")
    job: str | None = Field(default=None, description="Its job's ID, for `aveo3 history`; None without a journal.")
    cached: bool = Field(default=False, description="Made by an earlier run; nothing was sent for it now.")
    paths: tuple[Path, ...] = Field(default=(), description="The videos on disk, as many as the prompt ordered.")
    uris: tuple[str, ...] = Field(default=(), description="Addresses at Google, if it named any: gs:// or https://.")
    operation: str | None = Field(default=None, description="Google's name of the operation; enough to poll it again.")
    error_kind: str | None = Field(default=None, description="The cause in one word, stable between releases.")
    error_message: str | None = None
    retry_count: int = Field(default=0, description="Retries after failures; refusals do not count.")
    attempts: int = Field(default=0, description="Submits sent, refused ones included.")
    quota_wait: float = Field(default=0.0, description="Seconds it waited for quota as the next in line.")
    cost_usd: float | None = Field(default=None, description="Estimate in US$ from list prices; None if unknown.")
    sunk_usd: float = Field(
        default=0.0, description="What earlier attempts, given up with `aveo3 retry`, cost or may have cost."
    )
    queued_utc: datetime | None = None
    submitted_utc: datetime | None = Field(default=None, description="When the submit that may be paid was sent.")
    finished_utc: datetime | None = Field(default=None, description="When aveo3 learnt that the operation had ended.")
    fetched_utc: datetime | None = Field(default=None, description="When the videos were safely on disk.")

    @property
    def path(self) -> Path | None:
        """The first video on disk, None without any."""
        return self.paths[0] if self.paths else None

    @property
    def uri(self) -> str | None:
        """The first address at Google, None if it named none."""
        return self.uris[0] if self.uris else None

    @property
    def may_be_paid(self) -> bool:
        """True if a video may be paid but is not here. Do not send its prompt again before that is settled."""
        return self.status in MAY_BE_PAID

    @property
    def succeeded(self) -> bool:
        """True if the video was made."""
        return self.status is ClipStatus.SUCCEEDED

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from aveo3.display.clips import clip_page

        return clip_page(self)


def as_prompt(prompt: str | Mapping[str, Any] | VideoPrompt) -> VideoPrompt:
    """A `VideoPrompt` from the user's input: a `VideoPrompt`, a mapping of its fields, or its text alone.

    Raises `pydantic.ValidationError` (a `ValueError`) if the fields do not fit.
    """
    if isinstance(prompt, VideoPrompt):
        return prompt
    if isinstance(prompt, str):
        return VideoPrompt.model_validate({"text": str(prompt)})
    return VideoPrompt.model_validate(plain_fields(prompt))


def reason(problem: Any) -> str:
    """What is wrong with a field's value, or how it must look. `problem` is one of pydantic's errors."""
    field = VideoPrompt.model_fields.get(str(problem["loc"][-1])) if problem["loc"] else None
    if problem["type"] == "string_pattern_mismatch" and field is not None and field.examples:
        return f"must look like {' or '.join(field.examples)}"
    return plain_reason(problem)


def explain(error: ValidationError) -> list[str]:
    """One sentence for each wrong field of a prompt, with the likeliest spelling of an unknown name."""
    sentences = []
    for problem in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        sentence = problem["msg"].removeprefix("Value error, ")
        if name in NOT_OFFERED:
            sentence = f"{name}: {NOT_OFFERED[name]}"
        elif problem["type"] == near_names.UNKNOWN and len(problem["loc"]) == 1:
            meant = field_name(name)
            hint = f"did you mean {meant}?" if meant != name else near_names.hint(name, VideoPrompt.model_fields)
            sentence = f"{name} is not a field of a prompt: {hint}"
        elif problem["type"] == near_names.UNKNOWN:
            sentence = f"{name}: {sentence}"
        elif name:
            sentence = f"{name}: {reason(problem)} (it is {repr_of(problem['input'], 60)})"
        sentences.append(sentence)
    return sentences
