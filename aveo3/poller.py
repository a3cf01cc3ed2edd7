"""Waiting for the next look at running operations of one kind. When an operation ends and so teaches how long its kind
takes, the others, asleep by what was believed before, are woken to think again."""

from __future__ import annotations

import asyncio
import random

from aveo3.polling import Latency

FIRST_LOOK = 0.5
"""Seconds to the first look at the first operation of a kind; each next one comes half as much later again."""

LESSONS = 10
"""Ends that wake the sleepers: by then what is believed is what is seen."""


class Poller:
    """When to look at each running operation of one model, resolution and duration."""

    def __init__(self, median: float, *, interval: float | None, rng: random.Random) -> None:
        self._latency = Latency(median)
        self._interval = interval
        self._rng = rng
        self._lessons = 0
        self._sleepers: set[asyncio.Future[None]] = set()
        self._scout: str | None = None

    async def wait(self, operation: str, sent_at: float, looked_at: float, until: float) -> None:
        """Return when the next look is due at an operation submitted at `sent_at` and last looked at at `looked_at`.

        Instants are the loop's; `until` is the latest to return at.
        """
        loop = asyncio.get_running_loop()
        jitter = self._rng.uniform(1.0, 1.1)  # no two in lockstep, and no look just before the one that pays
        while True:
            due_at = min(looked_at + jitter * self._next_look(operation, looked_at - sent_at), until)
            if loop.time() >= due_at:
                return
            woken = loop.create_future()
            timer = loop.call_at(due_at, _wake, woken)
            self._sleepers.add(woken)
            try:
                await woken
            finally:
                self._sleepers.discard(woken)
                timer.cancel()

    def ended(self, operation: str, seconds: float | None) -> None:
        """An operation has ended, `seconds` after its submit; None if that says nothing about the others."""
        if self._scout == operation:
            self._scout = None
        if seconds is None:
            return
        self._latency.learn(seconds)
        self._lessons += 1
        if self._lessons <= LESSONS:
            for sleeper in self._sleepers:
                _wake(sleeper)

    def _next_look(self, operation: str, elapsed: float) -> float:
        if self._interval is not None:
            return self._interval
        if self._lessons == 0 and self._scout in (None, operation):
            self._scout = operation  # one operation finds out for all
            return min(max(FIRST_LOOK, elapsed / 2), self._latency.next_look(max(elapsed, FIRST_LOOK)))
        return self._latency.next_look(elapsed)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
