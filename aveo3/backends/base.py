"""The protocol every backend keeps: exactly one paid request per `submit`, and looks that cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aveo3.errors import AveoError
from aveo3.models import VideoPrompt
from aveo3.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Video:
    """One finished video: its bytes, or where they are (`gs://` or `https://`)."""

    data: bytes | None = None
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The operation has not ended."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation ended well: `videos`, less those that a safety filter held back for `filter_reasons`."""

    videos: tuple[Video, ...] = ()
    filtered: int = 0
    filter_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """The operation ended with an error: its gRPC code and Google's words."""

    code: int | None
    message: str


Look = Running | Finished | Failure


class LookError(AveoError):
    """One look at an operation failed. Proves nothing about the operation; look again, unless `final` is set."""

    final = False


class OperationGone(AveoError):
    """The service does not know the operation (any more). What became of it cannot be found out."""


class Backend(Protocol):
    """One Google surface with its credentials."""

    async def submit(self, prompt: VideoPrompt, model: str) -> Verdict:
        """Send one request, once. Every answer, and every lack of one, comes back as a verdict; nothing is raised."""
        ...

    async def look(self, operation: str) -> Look:
        """How the operation stands. Raises `LookError` if this look failed, `OperationGone` if it is unknown."""
        ...

    def download_headers(self, uri: str) -> dict[str, str]:
        """The headers that fetch `uri`, credentials included."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
