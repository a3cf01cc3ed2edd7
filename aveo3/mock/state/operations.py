"""The operations that Google has accepted: when they end, how, which files they leave. Bodies are the wires' part.

Nothing here has a timer. Whoever wants to know calls `settle(now)`, and every operation that has ended by then ends.
"""

import heapq
import random
import string
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aveo3.mock.models import Surface
from aveo3.mock.quotas import Lane

SUCCESS = "success"
CANCELLED = "cancelled"
_DELIVERED = frozenset({SUCCESS, "unread", "file-failed"})
"""The outcomes that make all of the films, and are billed for them. The latter two hand them over badly."""
_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, without its media: all that a film, a bill and the books need."""

    prompt: str
    seconds: float
    film_seconds: float
    samples: int
    aspect: str
    resolution: str
    usd_per_second: float
    storage_uri: str | None = None

    @property
    def usd(self) -> float:
        """The most it can cost: every sample delivered."""
        return self.seconds * self.samples * self.usd_per_second


@dataclass(slots=True)
class Operation:
    """One accepted order. `done_at` may be infinite; `delivered` is decided at acceptance and true once done."""

    id: str
    name: str
    lane: Lane
    order: Order
    outcome: str
    done_at: float
    digits: int
    files: tuple[str, ...] = ()
    done: bool = False
    ended: datetime | None = None
    """The calendar at its end, read once: asked again, a clock may round it to another second."""
    polls: int = 0
    processing: float = 0.0
    """Emulator seconds from its end until its files are ready to be fetched."""
    fetched: bool = False
    """A film of it has left the house whole: inside a poll, or as a download."""

    @property
    def delivered(self) -> int:
        """How many samples come out in the end; only these are billed."""
        if self.outcome in _DELIVERED:
            return self.order.samples
        return self.order.samples // 2 if self.outcome == "partial" else 0

    @property
    def billed_seconds(self) -> float:
        return self.delivered * self.order.seconds

    @property
    def billed_usd(self) -> float:
        return self.billed_seconds * self.order.usd_per_second

    def gcs_uri(self, sample: int) -> str | None:
        """Where Vertex puts a sample of it when it ends; None if it was not told a place."""
        storage = self.order.storage_uri
        return None if storage is None else f"{storage.rstrip('/')}/{self.digits}/sample_{sample}.mp4"


@dataclass(frozen=True, slots=True)
class File:
    """A film on the Developer API's shelf."""

    operation: Operation
    sample: int


class Operations:
    """All operations and files. `on_done` hears of each operation once, when it is found to have ended."""

    def __init__(self, on_done: Callable[[Operation], None]) -> None:
        # Names are not part of what a seed replays: a server started anew must not know its predecessor's names, or a
        # client that resumes would be handed a stranger's film.
        self._rng = random.SystemRandom()
        self._on_done = on_done
        self._by_id: dict[str, Operation] = {}
        self._ending: list[tuple[float, int, Operation]] = []
        self._running: Counter[Lane] = Counter()
        self.files: dict[str, File] = {}

    def accept(
        self, lane: Lane, order: Order, surface: Surface, parent: str, outcome: str, done_at: float
    ) -> Operation:
        """Create an operation under `parent`, the name of the model it runs on."""
        identity = self._code() if surface == "developer" else str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        digits = self._rng.randrange(10**18, 10**19)
        operation = Operation(identity, f"{parent}/operations/{identity}", lane, order, outcome, done_at, digits)
        if surface == "developer":
            operation.files = tuple(self._code() for _ in range(operation.delivered))
        self._by_id[identity] = operation
        self._running[lane] += 1
        heapq.heappush(self._ending, (done_at, len(self._by_id), operation))
        return operation

    def find(self, name: str) -> Operation | None:
        operation = self._by_id.get(name.rpartition("/")[2])
        return operation if operation is not None and operation.name == name else None

    def settle(self, now: float) -> None:
        while self._ending and self._ending[0][0] <= now:
            self._end(heapq.heappop(self._ending)[2])

    def cancel(self, operation: Operation, now: float) -> None:
        """End it now, without a film and without a bill. It must not have ended."""
        self._ending = [entry for entry in self._ending if entry[2] is not operation]
        heapq.heapify(self._ending)
        operation.outcome, operation.done_at, operation.files = CANCELLED, now, ()
        self._end(operation)

    def _end(self, operation: Operation) -> None:
        operation.done = True
        self._running[operation.lane] -= 1
        for sample, file in enumerate(operation.files):
            self.files[file] = File(operation, sample)
        self._on_done(operation)

    def running(self, lane: Lane) -> int:
        """As of the last `settle`."""
        return self._running[lane]

    @property
    def running_everywhere(self) -> int:
        return len(self._ending)

    def _code(self) -> str:
        """Twelve of [a-z0-9]: what the SDK can find again in a URI."""
        return "".join(self._rng.choices(_ALPHABET, k=12))
