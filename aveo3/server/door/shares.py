"""Whose turn it is at each lane: a caller's weight is its share of every lane that it waits for. Pure.

Worst-case fair weighted fair queueing (Bennett and Zhang, 1996): at each lane, the next request of a caller has a
virtual start and, 1/weight later, a virtual finish. Of those that have started by the lane's virtual time, the one that
finishes first goes. So callers that wait all the time are never a whole request away from their shares. A caller that
had nothing waiting joins at the lane's time: it neither waits behind another's thousands nor collects credit while it
is away. A restart begins anew, which gives a caller at most one request more than its share.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from math import ceil

Turn = tuple[bool, float, float, int, str]
"""When a caller goes, to be compared. Of equal ones, who went longest ago goes first."""

_ROUNDING = 1e-9


@dataclass(slots=True)
class _Lane:
    now: float = 0.0
    """The virtual time: a request goes while it moves on by 1 / the weights of all who wait."""
    starts: dict[str, float] = field(default_factory=dict)
    """By caller: the virtual start of its next request."""
    went: dict[str, int] = field(default_factory=dict)
    """By caller: the number of its last turn."""
    waiting: frozenset[str] = frozenset()
    """The callers that had something waiting when a turn was last given."""


class Shares:
    """The virtual times. `weight_of` returns the weight of a caller, above 0; it may change at any time."""

    def __init__(self, weight_of: Callable[[str], float] = lambda _: 1.0) -> None:
        self._weight_of = weight_of
        self._lanes: dict[Hashable, _Lane] = {}
        self._turns = count(1)

    def turn_of(self, lane: Hashable, caller: str) -> Turn:
        """When the next request of `caller` goes at `lane`."""
        start, now, went = self._start_of(lane, caller), 0.0, 0
        if (at := self._lanes.get(lane)) is not None:
            now, went = at.now, at.went.get(caller, 0)
        finish = start + 1.0 / self._weight_of(caller)
        if start <= now + _ROUNDING * (1.0 + now):
            return False, finish, start, went, caller
        return True, start, finish, went, caller  # nobody has started: the time jumps to the first start

    def _start_of(self, lane: Hashable, caller: str) -> float:
        if (at := self._lanes.get(lane)) is None:
            return 0.0
        start = at.starts.get(caller, at.now)
        return start if caller in at.waiting else max(start, at.now)

    def note_waiting(self, lane: Hashable, callers: Iterable[str]) -> None:
        """Say who has something waiting for `lane` now. Those that had nothing join at its virtual time."""
        at = self._lanes.setdefault(lane, _Lane())
        waiting = frozenset(callers)
        if waiting != at.waiting:
            for caller in waiting - at.waiting:
                at.starts[caller] = max(at.starts.get(caller, at.now), at.now)
            at.waiting = waiting

    def went(self, lane: Hashable, caller: str) -> None:
        """A request of `caller` goes to `lane`."""
        start = self._start_of(lane, caller)
        at = self._lanes.setdefault(lane, _Lane())
        at.now = max(at.now, start) + 1.0 / sum(map(self._weight_of, at.waiting | {caller}))
        at.starts[caller] = start + 1.0 / self._weight_of(caller)
        at.went[caller] = next(self._turns)
        for other in [each for each, when in at.starts.items() if when <= at.now and each not in at.waiting]:
            del at.starts[other]  # it would join anew at the same time
            at.went.pop(other, None)

    def ahead_of(
        self, lane: Hashable, caller: str, rank: int, waiting: Mapping[str, int], ready: Mapping[str, int]
    ) -> int:
        """About how many requests go before one of `caller` that has `rank` of its own before it.

        `waiting` are the numbers of requests by caller; those that stand `ready` are not among them, and are not
        counted.
        """

        def start_of(each: str) -> float:
            return self._start_of(lane, each) + ready.get(each, 0) / self._weight_of(each)

        finish = start_of(caller) + (rank + 1) / self._weight_of(caller)
        ahead = rank
        for other, number in waiting.items():
            if other != caller:
                turns = ceil((finish - start_of(other)) * self._weight_of(other) - 1 - _ROUNDING)
                ahead += max(0, min(turns, number))
        return ahead
