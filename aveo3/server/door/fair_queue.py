"""Which waiting request goes next: fair shares over the callers by weight, priority within a caller. Pure.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): each caller has a virtual time, which moves on by 1/weight with
each request that goes; the caller whose time is earliest goes next. A caller that had nothing waiting joins at the time
of the request that went last, so it neither waits behind another's thousands nor collects credit while it is away.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil


@dataclass(slots=True)
class _Flow:
    """The waiting requests of one caller."""

    start: float
    """The virtual time at which its next request goes; with nothing waiting, the earliest for the one to come."""
    by_priority: dict[int, list[int]] = field(default_factory=dict)
    """Numbers of requests in order, by priority. A list of numbers takes some 40 bytes for each."""
    size: int = 0


class FairQueue:
    """Numbers of waiting requests. `weight_of` returns the weight of a caller, above 0; it may change at any time."""

    def __init__(self, weight_of: Callable[[str], float] = lambda _: 1.0) -> None:
        self._weight_of = weight_of
        self._flows: dict[str, _Flow] = {}
        self._now = 0.0  # the virtual time of the request that went last
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def waiting_of(self, caller: str) -> int:
        """How many requests of `caller` wait."""
        return flow.size if (flow := self._flows.get(caller)) is not None else 0

    def heads(self) -> dict[str, tuple[int, int]]:
        """By caller: how many requests wait, and the lowest number of them."""
        return {
            caller: (flow.size, min(numbers[0] for numbers in flow.by_priority.values()))
            for caller, flow in self._flows.items()
            if flow.size
        }

    def first_of_each(self, most: int) -> list[int]:
        """The numbers of the next `most` requests of each caller, in the order in which they go."""
        found: list[int] = []
        for flow in self._flows.values():
            room = most
            for priority in sorted(flow.by_priority, reverse=True):
                numbers = flow.by_priority[priority][:room]
                found += numbers
                if not (room := room - len(numbers)):
                    break
        return found

    def entries(self) -> list[tuple[str, int, int]]:
        """Everything that waits: caller, number, priority."""
        return [
            (caller, number, priority)
            for caller, flow in self._flows.items()
            for priority, numbers in flow.by_priority.items()
            for number in numbers
        ]

    def push(self, caller: str, number: int, priority: int = 0) -> None:
        """Add a request. Of one caller, higher priorities go first, and of these, lower numbers."""
        flow = self._flows.setdefault(caller, _Flow(self._now))
        if not flow.size:
            flow.start = max(flow.start, self._now)
        insort(flow.by_priority.setdefault(priority, []), number)
        flow.size += 1
        self._size += 1

    def pop(self) -> int | None:
        """Remove and return the request that goes next; None if none waits."""
        if not self._size:
            return None
        caller, flow = min(
            ((caller, flow) for caller, flow in self._flows.items() if flow.size), key=lambda pair: pair[1].start
        )
        priority = max(flow.by_priority)
        number = flow.by_priority[priority][0]
        self._take(flow, number, priority)
        self._now = flow.start
        flow.start += 1.0 / self._weight_of(caller)
        self._forget_idle()
        return number

    def remove(self, caller: str, number: int, priority: int = 0) -> bool:
        """Remove a request that is not to go; False if it does not wait here."""
        if self._rank(caller, number, priority) is None:
            return False
        self._take(self._flows[caller], number, priority)
        return True

    def ahead_of(self, caller: str, number: int, priority: int = 0) -> int | None:
        """How many requests would go before this one if none came any more; None if it does not wait here."""
        if (rank := self._rank(caller, number, priority)) is None:
            return None
        own = self._flows[caller]
        goes_at = own.start + rank / self._weight_of(caller)
        others = (
            max(0, min(flow.size, ceil((goes_at - flow.start) * self._weight_of(other) - _ROUNDING)))
            for other, flow in self._flows.items()
            if flow is not own and flow.size
        )
        return rank + sum(others)

    def ahead_of_first(self, caller: str) -> int | None:
        """`ahead_of` for the first request of `caller`; None if none of its requests waits."""
        if not self.waiting_of(caller):
            return None
        by_priority = self._flows[caller].by_priority
        priority = max(by_priority)
        return self.ahead_of(caller, by_priority[priority][0], priority)

    def _rank(self, caller: str, number: int, priority: int) -> int | None:
        """The place of a request among those of its caller, from 0; None if it does not wait here."""
        if (flow := self._flows.get(caller)) is None or (numbers := flow.by_priority.get(priority)) is None:
            return None
        at = bisect_left(numbers, number)
        if at == len(numbers) or numbers[at] != number:
            return None
        return at + sum(len(higher) for above, higher in flow.by_priority.items() if above > priority)

    def _take(self, flow: _Flow, number: int, priority: int) -> None:
        numbers = flow.by_priority[priority]
        del numbers[bisect_left(numbers, number)]
        if not numbers:
            del flow.by_priority[priority]
        flow.size -= 1
        self._size -= 1

    def _forget_idle(self) -> None:
        """Forget callers with nothing waiting whose virtual time has passed: they would join anew at the same time."""
        for caller in [name for name, flow in self._flows.items() if not flow.size and flow.start <= self._now]:
            del self._flows[caller]


_ROUNDING = 1e-9
