"""The accepted operations: when and how they end, and which files they leave. The wires build the bodies.

Nothing here has a timer: a caller first calls `settle(now)`, which ends every operation that is due by then.
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
from aveo3.mock.quota_rules import QuotaLane

SUCCESS = "success"
CANCELLED = "cancelled"
_DELIVERED = frozenset({SUCCESS, "unread", "unshown", "file-failed"})
"""Outcomes in which all films are made and billed. But for the first, the answer or its file does not give them."""
_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Order:
    """What a request orders, without its media. Enough to make the film, the bill and the books."""

    prompt: str
    seconds: float
    film_seconds: float
    samples: int
    aspect: str
    resolution: str
    usd_per_second: float
    storage_uri: str | None = None
    tokens_per_second: int = 0
    sound: bool = True

    @property
    def usd(self) -> float:
        """The highest possible cost: every sample is delivered."""
        return self.seconds * self.samples * self.usd_per_second


@dataclass(slots=True)
class Operation:
    """One accepted order. `done_at` may be infinite. `delivered` is known at acceptance and applies once it is done."""

    id: str
    name: str
    lane: QuotaLane
    order: Order
    outcome: str
    done_at: float
    digits: int
    files: tuple[str, ...] = ()
    done: bool = False
    ended: datetime | None = None
    """Calendar time of its end. It is read only once, because a second reading may round to another second."""
    polls: int = 0
    processing: float = 0.0
    """Emulator seconds from its end until its files can be downloaded."""
    fetched: bool = False
    """True once a client has received a whole film, inside a poll or as a download."""

    @property
    def delivered(self) -> int:
        """The number of samples that the operation delivers. Only these are billed."""
        if self.outcome in _DELIVERED:
            return self.order.samples
        return self.order.samples // 2 if self.outcome == "partial" else 0

    @property
    def shows_films(self) -> bool:
        """True if the answer gives what was delivered."""
        return self.delivered > 0 and self.outcome != "unshown"

    @property
    def billed_seconds(self) -> float:
        return self.delivered * self.order.seconds

    @property
    def billed_usd(self) -> float:
        return self.billed_seconds * self.order.usd_per_second

    def gcs_uri(self, sample: int) -> str | None:
        """The URI at which Vertex AI stores a sample at the end; None if the order names no storage URI."""
        storage = self.order.storage_uri
        return None if storage is None else f"{storage.rstrip('/')}/{self.digits}/sample_{sample}.mp4"


@dataclass(frozen=True, slots=True)
class File:
    """A film in the Files API of the Developer API."""

    operation: Operation
    sample: int


class Operations:
    """All operations and files. Calls `on_done` once for each operation, in the `settle` that ends it."""

    def __init__(self, on_done: Callable[[Operation], None]) -> None:
        # The seed does not decide names: a restarted server must not reuse the names of its predecessor, or a client
        # that resumes would get another film.
        self._rng = random.SystemRandom()
        self._on_done = on_done
        self._by_id: dict[str, Operation] = {}
        self._ending: list[tuple[float, int, Operation]] = []
        self._running: Counter[QuotaLane] = Counter()
        self.files: dict[str, File] = {}

    def accept(
        self, lane: QuotaLane, order: Order, surface: Surface, parent: str, outcome: str, done_at: float
    ) -> Operation:
        """Create an operation under `parent`, the resource name of its model."""
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
        """End a running operation now, without a film and without a bill."""
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

    def running(self, lane: QuotaLane) -> int:
        """The number of running operations in a lane, as of the last `settle`."""
        return self._running[lane]

    @property
    def running_everywhere(self) -> int:
        return len(self._ending)

    def _code(self) -> str:
        """Twelve of [a-z0-9]: the form that the SDK can extract from a URI."""
        return "".join(self._rng.choices(_ALPHABET, k=12))
