"""`UntrustedPrompt`: a prompt that a stranger may write, as the body of a request to your own web service."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from aveo3.media import Media
from aveo3.models import VideoPrompt


class UntrustedPrompt(VideoPrompt):
    """A `VideoPrompt` whose media can only be bytes: base64 in `data`, or `data:` URLs.

    A path would name a file of your server, and its content would go into the sender's video. An address would name
    what your account may read: objects in buckets, files of other users. `previous` names clips of others, too, and is
    refused. Everything else that costs money (`model`, `resolution`, `number_of_videos`) is for you to limit.
    """

    @field_validator("image", "last_frame", "video", "reference_images", "reference_videos", mode="after")
    @classmethod
    def _only_bytes(cls, value: Any) -> Any:
        for medium in value if isinstance(value, tuple) else (value,):
            if isinstance(medium, Media) and medium.data is None:
                raise ValueError("must be bytes in base64, or a data: URL; paths and addresses are not accepted")
        return value

    @field_validator("previous")
    @classmethod
    def _no_previous(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError("is not accepted: it names a clip of this account, whoever made it")
        return value
