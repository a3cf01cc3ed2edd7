"""When the waiting requests go: their places in the queue, and the time until their turns."""

from __future__ import annotations

from math import inf, isfinite

from aveo3.journal.requests import Request
from aveo3.server.door import pace
from aveo3.server.door.sender import Key, Sender
from aveo3.server.door.shares import Shares
from aveo3.server.door.waiting_line import WaitingLine
from aveo3.session import Session


class Turns:
    """Answers from the lines of those who wait, which change meanwhile. Changes nothing itself."""

    def __init__(self, session: Session, shares: Shares) -> None:
        self._session = session
        self._shares = shares
        self._lines: dict[Key, WaitingLine] = {}
        self._sender: Sender | None = None

    def ahead_of(self, request: Request) -> tuple[int, Key] | None:
        """How many requests go before this one, and the lanes it waits for; None if it does not wait."""
        numbers = request.caller, request.job, request.priority
        for key, line in self._lines.items():
            if line.has(*numbers):
                return self._place(key, *numbers), key
        return None

    def _place(self, key: Key, caller: str, job: int, priority: int) -> int:
        """How many of the waiting requests go before this one if none comes any more, at the first of its lanes."""
        if not key:
            return self._lines[key].rank(caller, job, priority)
        lane = key[0][0]
        lines = [line for tiers, line in self._lines.items() if tiers and lane in tiers[0]]
        waiting = {each: sum(line.waiting_of(each) for line in lines) for line in lines for each in line.callers}
        ready = self._sender.ready(lane) if self._sender is not None else {}
        rank = sum(line.rank(caller, job, priority) for line in lines)
        return self._shares.ahead_of(lane, caller, rank, waiting, ready)

    def expected_in(self, request: Request) -> tuple[int, float] | None:
        """The place of a request in its queue, from 1, and the seconds until it is sent, as far as can be known.

        None if its turn has come.
        """
        if (found := self.ahead_of(request)) is None:
            key = self._sender.key_of_ready(request.job) if self._sender is not None else None
            if key is None:
                return None
            found = 0, key  # it stands ready
        place, key = found
        return place + 1, pace.seconds_until(place, key, self._session.lane_pool.open_lanes)

    def next_turn_of(self, caller: str) -> float:
        """Seconds until the next waiting request of `caller` is sent, as far as can be known; at least 1."""
        opened = self._session.lane_pool.open_lanes
        turns = []
        for key, line in self._lines.items():
            if line.waiting_of(caller):
                priority, job = line.head_of(caller)
                turns.append(pace.seconds_until(self._place(key, caller, job, priority), key, opened))
        return max(1.0, min(turns, default=1.0))

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return sum(len(line) for line in self._lines.values())

    def waiting_of(self, caller: str) -> int:
        """How many requests of `caller` wait for their turn."""
        return sum(line.waiting_of(caller) for line in self._lines.values())

    def waiting_by_caller(self) -> dict[str, tuple[int, int]]:
        """By caller: how many requests wait for their turn, and the job of the one that was accepted first."""
        found: dict[str, tuple[int, int]] = {}
        for line in self._lines.values():
            for caller in line.callers:
                oldest = line.oldest_of(caller)
                others, first = found.get(caller, (0, oldest))
                found[caller] = others + line.waiting_of(caller), min(first, oldest)
        return found

    def next_of_each(self, most: int) -> list[int]:
        """The jobs that go next: up to `most` of each caller and choice of lanes."""
        return [job for line in self._lines.values() for job in line.first_of_each(most)]

    def last_turn_in(self) -> float | None:
        """Seconds until the last waiting request is sent, as far as can be known.

        None if none waits, or if one waits for lanes that are closed until a person has mended why.
        """
        opened = self._session.lane_pool.open_lanes
        turns = [pace.seconds_until(len(line) - 1, key, opened) for key, line in self._lines.items() if line]
        last = max(turns, default=inf)
        return last if isfinite(last) else None
