"""The last submits with their results. Keys are always masked."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from aveo3.mock.state.operations import SUCCESS, Operation

KEPT = 60
_LONGEST = 140  # characters of a prompt


@dataclass(slots=True)
class Request:
    """One submit. The entry is created on arrival and completed later."""

    number: int
    at: float
    owner: str
    model: str
    port: int | None
    """The client's TCP port. It is not shown: whoever judges several processes asks for it."""
    prompt: str = ""
    answer: str = "…"
    """accepted, refused, rejected or failed; … as long as the request is open."""
    why: str = ""
    fault: str = ""
    operation: Operation | None = None

    def as_dict(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "number": self.number,
            "at": round(self.at, 3),
            "owner": self.owner,
            "model": self.model,
            "prompt": self.prompt,
            "answer": self.answer,
            "why": self.why,
            "fault": self.fault,
        }
        if (operation := self.operation) is not None:
            state = ("done" if operation.outcome == SUCCESS else operation.outcome) if operation.done else "running"
            entry |= {
                "state": state,
                "done_at": round(operation.done_at, 3) if operation.done else None,
                "polls": operation.polls,
                "fetched": operation.fetched,
                "usd": round(operation.billed_usd, 6) if operation.done else 0.0,
            }
        return entry


class Recent:
    """The last `KEPT` requests. `as_list` gives the newest first."""

    def __init__(self) -> None:
        self._requests: deque[Request] = deque(maxlen=KEPT)
        self._count = 0

    def note(self, at: float, owner: str, model: str, port: int | None) -> Request:
        self._count += 1
        request = Request(self._count, at, owner, model, port)
        self._requests.append(request)
        return request

    def as_list(self) -> list[dict[str, Any]]:
        return [request.as_dict() for request in reversed(self._requests)]


def shortened(prompt: Any) -> str:
    text = " ".join(str(prompt or "").split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


class Masks:
    """Masks keys and tokens: enough is visible to tell keys apart, never enough to use one."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def mask(self, secret: str) -> str:
        """Return at most four characters of `secret`, with a number if two keys have the same mask."""
        if secret not in self._shown:
            head, tail = (secret[:2], secret[-2:]) if len(secret) >= 12 else (secret[: len(secret) // 4], "")
            face = f"key {head}…{tail}"
            alike = sum(other.partition(" #")[0] == face for other in self._shown.values())
            self._shown[secret] = f"{face} #{alike + 1}" if alike else face
        return self._shown[secret]
