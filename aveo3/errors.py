"""The exceptions aveo3 raises, sorted by what the caller can do next.

    AveoError
    ├─ UsageError (ValueError)    fix the call or the settings; nothing was sent
    │  └─ JournalError            the journal cannot be used: its file, its disk or another process is the cause
    ├─ ClipError                  `generate` made no video; `.clip` says why and what may be owed
    ├─ GateClosed                 the lane takes no submits now; `.retry_at_utc` is when it will, None for never
    └─ FetchError                 the video exists and is paid, but is not on disk

`generate_many` and `stream` raise only `UsageError` and `JournalError`. The failure of one prompt is the status of its
clip.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from aveo3._visible import visible

if TYPE_CHECKING:
    from aveo3.models import VideoClip


class AveoError(Exception):
    """Base of everything aveo3 raises on purpose. Control characters in its message are spelled out."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(visible(each) if isinstance(each, str) else each for each in arguments))


class UsageError(AveoError, ValueError):
    """The call or the settings cannot work as they are. Nothing was sent."""


class JournalError(UsageError):
    """The journal cannot be opened, read or written. A request that could not be recorded first was not sent."""


class ClipError(AveoError):
    """`VeoClient.generate` ended without a video. `clip` holds the status, the cause and the cost."""

    def __init__(self, clip: VideoClip) -> None:
        super().__init__(f"no video for {clip.prompt.text[:60]!r}: {clip.status}: {clip.error_message}")
        self.clip = clip


class GateClosed(AveoError):
    """No submit is possible within the caller's patience. Nothing was sent.

    `kind` names the cause in one word (`daily_quota`, `billing`, `bad_key`, …). `retry_at_utc` is when a new attempt
    makes sense; None means that a person has to change something first.
    """

    def __init__(self, kind: str, message: str, retry_at_utc: datetime | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_at_utc = retry_at_utc


class FetchError(AveoError):
    """A finished, paid video could not be saved to disk.

    `final`: a retry now is pointless. `disk`: this machine's disk is the cause. `gone`: Google does not have the
    video, or has deleted it. `unauthorized`: its server refused the login (401).
    """

    def __init__(
        self,
        message: str,
        *,
        final: bool = False,
        disk: bool = False,
        gone: bool = False,
        unauthorized: bool = False,
    ) -> None:
        super().__init__(message)
        self.final = final or gone
        self.disk = disk
        self.gone = gone
        self.unauthorized = unauthorized
