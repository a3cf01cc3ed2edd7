"""The numbers of the requests that wait for the same lanes: by caller, and within a caller by priority. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable


class WaitingLine:
    """Of one caller, higher priorities go first, and of these, lower numbers. A number takes some 40 bytes."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[int, list[int]]] = {}  # by caller and priority, in order
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def callers(self) -> Iterable[str]:
        """The callers that have something waiting here."""
        return self._numbers.keys()

    def waiting_of(self, caller: str) -> int:
        """How many requests of `caller` wait."""
        return sum(map(len, self._numbers.get(caller, {}).values()))

    def oldest_of(self, caller: str) -> int:
        """The lowest number of `caller`, which has one."""
        return min(numbers[0] for numbers in self._numbers[caller].values())

    def head_of(self, caller: str) -> tuple[int, int]:
        """Priority and number of the request of `caller` that goes first; it has one."""
        priority = max(self._numbers[caller])
        return priority, self._numbers[caller][priority][0]

    def entries(self) -> list[tuple[str, int, int]]:
        """Everything that waits: caller, number, priority."""
        return [
            (caller, number, priority)
            for caller, by_priority in self._numbers.items()
            for priority, numbers in by_priority.items()
            for number in numbers
        ]

    def push(self, caller: str, number: int, priority: int = 0) -> None:
        """Add a request."""
        insort(self._numbers.setdefault(caller, {}).setdefault(priority, []), number)
        self._size += 1

    def has(self, caller: str, number: int, priority: int = 0) -> bool:
        """True if a request waits here."""
        numbers = self._numbers.get(caller, {}).get(priority, [])
        at = bisect_left(numbers, number)
        return at < len(numbers) and numbers[at] == number

    def remove(self, caller: str, number: int, priority: int = 0) -> bool:
        """Remove a request; False if it does not wait here."""
        if not self.has(caller, number, priority):
            return False
        by_priority = self._numbers[caller]
        numbers = by_priority[priority]
        del numbers[bisect_left(numbers, number)]
        if not numbers:
            del by_priority[priority]
        if not by_priority:
            del self._numbers[caller]
        self._size -= 1
        return True

    def rank(self, caller: str, number: int, priority: int = 0) -> int:
        """How many requests of `caller` here go before one of its requests, which may wait in another line."""
        by_priority = self._numbers.get(caller, {})
        higher = sum(len(numbers) for above, numbers in by_priority.items() if above > priority)
        return higher + bisect_left(by_priority.get(priority, []), number)
