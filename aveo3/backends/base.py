"""The protocol of every backend: exactly one paid request per `submit`, and polls that cost nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

from aveo3._visible import visible
from aveo3.errors import AveoError
from aveo3.models import VideoPrompt
from aveo3.quota.gate_stats import AtServer
from aveo3.verdicts import Verdict
from aveo3.verdicts.problems import Problem


@dataclass(frozen=True, slots=True)
class Video:
    """One finished video: its bytes, its address (`gs://` or `https://`), or a temporary file. The caller owns that
    file and passes it to `saving.keep` or `saving.drop`."""

    data: bytes | None = None
    uri: str | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.uri is not None and not self.uri.isprintable():  # no address holds control characters
            object.__setattr__(self, "uri", visible(self.uri))


@dataclass(frozen=True, slots=True)
class Running:
    """The operation has not ended."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation ended without an error: `videos`, without those that a safety filter blocked for `filter_reasons`.

    `tokens` are those that Google bills, by kind (see `ModelCard.token_prices`), and `usage` is Google's own account of
    them; empty if Google names none. If there is neither a video nor a reason, `note` says what there is instead.
    """

    videos: tuple[Video, ...] = ()
    filtered: int = 0
    filter_reasons: tuple[str, ...] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """The operation ended with an error: its gRPC code and Google's message."""

    code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class LateRefusal:
    """Google accepted the submit and turned it down later. `verdict` is refused, rejected or unavailable.

    There is no video. `tokens` and `usage` as in `Finished`: Google bills text, too. `by_absence`: only what the answer
    lacks says so.
    """

    verdict: Verdict
    tokens: Mapping[str, int] = field(default_factory=dict)
    by_absence: bool = False
    usage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A server gave the request up before a video was made: nothing is owed. `cancelled`: because somebody asked it to.

    `kind` says why in one word, as in `clip.error_kind`.
    """

    kind: str
    message: str
    cancelled: bool = False


PollResult = Running | Finished | Failure | LateRefusal | GivenUp


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of one free call: an HTTP answer (`status`, and its parsed `body`), or `problem` if there was none.

    `address` is the server, empty if no request was sent. `seconds` is the duration, `said` the error's message.
    """

    address: str = ""
    seconds: float = 0.0
    status: int | None = None
    body: Any = None
    problem: Problem | None = None
    said: str = ""


class PollError(AveoError):
    """One poll of an operation failed, which proves nothing about the operation.

    Poll again, unless `final` is true. `refused` means too many polls (429): wait `retry_after` seconds before the
    next one, unless that is None. `verdict` is a refusal of the whole lane: it should not submit for a while.
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
    """The service does not know the operation, or no longer does. Its result cannot be found out."""


@runtime_checkable
class RenewsLogin(Protocol):
    """A backend whose downloads carry a token that may have to be renewed."""

    async def renew(self, headers: dict[str, str]) -> bool:
        """Get a new token after a 401 to a download with `headers`, unless there is a newer one. True: try again.

        Raises `PollError` if no token can be obtained.
        """
        ...


@runtime_checkable
class Queues(Protocol):
    """A backend that takes every request at once and queues it: an `aveo3 serve`."""

    async def enqueue(self, prompt: VideoPrompt, model: str, *, key: str, output_uri: str | None = None) -> Verdict:
        """As `Backend.submit`, but it may send the request again: with the same `key` the server takes it once.

        So it waits until the server answers, and returns `uncertain` only after a long silence.
        """
        ...

    async def ended(self, operation: str) -> None:
        """Return when `operation` is to be polled: the server says that it has ended, or says nothing any more."""
        ...

    def forget(self, operation: str) -> None:
        """`operation` is not waited for any more."""
        ...

    def at_server(self, model: str) -> AtServer:
        """What is known of this client's requests for `model` there."""
        ...


def is_queue(backend: object) -> TypeGuard[Queues]:
    """True for a backend that queues. It is asked several times a clip, and `isinstance` is slow with protocols."""
    return _is_queue(type(backend))  # type: ignore[arg-type]  # mypy does not know that types are hashable


@cache
def _is_queue(kind: type) -> bool:
    return issubclass(kind, Queues)


class Backend(Protocol):
    """One Google surface with its credentials."""

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """Send one request, once. Return a verdict for every answer and for every missing answer; raise nothing.

        Only after Google's own 401, which creates nothing, may it renew its token and send the request once more.

        `output_uri` is the gs:// prefix that Google writes the videos to. None: they come with the answer to a poll.
        """
        ...

    async def poll(self, operation: str) -> PollResult:
        """The state of the operation. Raises `PollError` if this poll failed, `OperationGone` if it is unknown."""
        ...

    async def find(self, output_uri: str) -> Sequence[Video]:
        """The videos that are under a gs:// prefix now. Raises `PollError` if they cannot be listed."""
        ...

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """The address to fetch `uri` from, and the headers for it, with credentials; None if the video stays there.

        Raises `PollError` if there are no credentials for it now.
        """
        ...

    async def check(self, model: str) -> Probe:
        """Send one free request that shows whether credentials, project and `model` work. Raises nothing.

        It goes to the address of submits. It cannot create anything, costs nothing and follows no redirects.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
