"""The protocol every backend keeps: exactly one paid request per `submit`, and polls that cost nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aveo3.errors import AveoError
from aveo3.models import VideoPrompt
from aveo3.verdicts import Verdict
from aveo3.verdicts.problems import Problem


@dataclass(frozen=True, slots=True)
class Video:
    """One finished video: its bytes, or where they are: at an address (`gs://` or `https://`), or in a temporary file,
    which is the caller's from now on (`saving.keep` or `saving.drop`)."""

    data: bytes | None = None
    uri: str | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The operation has not ended."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation ended well: `videos`, less those that a safety filter held back for `filter_reasons`.

    `tokens` is what Google says that it bills, by kind (see `ModelCard.token_prices`), where it says so. `note` tells,
    if there is neither a video nor a reason, what there was instead.
    """

    videos: tuple[Video, ...] = ()
    filtered: int = 0
    filter_reasons: tuple[str, ...] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """The operation ended with an error: its gRPC code and Google's words."""

    code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class LateRefusal:
    """The submit was accepted and then turned down after all, as `verdict` says: refused, rejected or unavailable.

    Nothing was made. `tokens` as in `Finished`: words are billed, too.
    """

    verdict: Verdict
    tokens: Mapping[str, int] = field(default_factory=dict)


PollResult = Running | Finished | Failure | LateRefusal


@dataclass(frozen=True, slots=True)
class Probe:
    """What one free call came to: an HTTP answer (`status`, and its parsed `body`), or `problem` where there was none.

    `address` is who was asked, empty if nobody was; `seconds` how long that took; `said` the words of the trouble.
    """

    address: str = ""
    seconds: float = 0.0
    status: int | None = None
    body: Any = None
    problem: Problem | None = None
    said: str = ""


class PollError(AveoError):
    """One poll of an operation failed, which proves nothing about the operation.

    Poll again, unless `final` is true. `refused` means too many polls (429); wait `retry_after` seconds before the
    next, if that is known. `verdict` is a refusal that concerns the lane: it should submit nothing for a while.
    """

    def __init__(
        self,
        message: str,
        *,
        final: bool = False,
        refused: bool = False,
        retry_after: float | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        super().__init__(message)
        self.final = final
        self.refused = refused
        self.retry_after = retry_after
        self.verdict = verdict


class OperationGone(AveoError):
    """The service does not know the operation (any more). What became of it cannot be found out."""


class Backend(Protocol):
    """One Google surface with its credentials."""

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """Send one request, once. Every answer, and every lack of one, comes back as a verdict; nothing is raised.

        `output_uri` is the gs:// prefix that the videos are to be written to, None to have them with the answer.
        """
        ...

    async def poll(self, operation: str) -> PollResult:
        """How the operation stands. Raises `PollError` if this poll failed, `OperationGone` if it is unknown."""
        ...

    async def find(self, output_uri: str) -> Sequence[Video]:
        """The videos that stand under a gs:// prefix by now. Raises `PollError` if that cannot be told."""
        ...

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """Where to fetch `uri` from, and the headers that fetch it, credentials included; None if it is to stay there.

        Raises `PollError` if no credentials can be had for it now.
        """
        ...

    async def check(self, model: str) -> Probe:
        """Ask for something that tells whether credentials, project and `model` answer. Raises nothing.

        It goes where submits go, can create nothing and costs nothing, whatever comes back; redirects are not followed.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
