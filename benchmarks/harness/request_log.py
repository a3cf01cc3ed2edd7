"""A log of all requests that the emulator got, in its own process: when each arrived, from which process, what became
of it, and when its operation was polled. The books only count; who judges several processes needs instants and order.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import UTC
from typing import Any

import psutil

from aveo3.mock import MockServer
from aveo3.mock.state.request_log import Request

STEP = 0.01
"""Seconds between two looks at the running operations: the precision of `polled_at` and `fetched_at`."""


class RequestLog:
    """Watches one emulator. All instants are seconds since the epoch, on the clock of this machine."""

    def __init__(self, server: MockServer) -> None:
        self._emulator = emulator = server.emulator
        self._requests: list[Request] = []
        self._polled_at: dict[int, list[float]] = {}
        self._fetched_at: dict[int, float] = {}
        self._process: dict[int, int | None] = {}
        self._pids: dict[int, int] = {}
        self._epoch = emulator.clock.utc_at(0.0).astimezone(UTC).timestamp()
        arrived = emulator.arrived

        def logged(owner: str, model: str, port: int | None) -> Request:
            entry = arrived(owner, model, port)
            self._requests.append(entry)
            self._process[entry.number] = self._process_of(port)
            return entry

        emulator.arrived = logged  # type: ignore[method-assign]
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching. The log stays readable."""
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching

    def counts(self) -> dict[str, Any]:
        """Return the number of requests, of prompts accepted and of those whose film was fetched; who sent last."""
        accepted = {entry.prompt for entry in self._requests if entry.operation is not None}
        fetched = {entry.prompt for entry in self._requests if entry.number in self._fetched_at}
        last = next((pid for entry in reversed(self._requests) if (pid := self._process[entry.number]) is not None), 0)
        return {"requests": len(self._requests), "accepted": len(accepted), "fetched": len(fetched), "last": last}

    def as_list(self) -> list[dict[str, Any]]:
        """Return all requests, in the order of their arrival."""
        self._look()
        return [self._row(entry) for entry in self._requests]

    def _row(self, entry: Request) -> dict[str, Any]:
        row: dict[str, Any] = {
            "at": self._instant(entry.at),
            "prompt": entry.prompt,
            "answer": entry.answer,
            "fault": entry.fault,
            "process": self._process[entry.number],
        }
        if (operation := entry.operation) is not None:
            row |= {
                "operation": operation.name,
                "done_at": self._instant(operation.done_at),
                "polled_at": self._polled_at.get(entry.number, []),
                "fetched_at": self._fetched_at.get(entry.number),
            }
        return row

    def _instant(self, at: float) -> float:
        return round(self._epoch + at / self._emulator.clock.speed, 4)

    def _process_of(self, port: int | None) -> int | None:
        """The process at the other end of a connection from this machine; None if it is gone."""
        if port is None:
            return None
        if (pid := self._pids.get(port)) is not None and _lives(pid):
            return pid
        found = {
            connection.laddr.port: connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.pid is not None and connection.laddr
        }
        self._pids |= found
        return found.get(port)

    async def _watch(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(STEP)

    def _look(self) -> None:
        now = self._instant(self._emulator.settle())
        for entry in self._requests:
            if (operation := entry.operation) is None or entry.number in self._fetched_at:
                continue
            polled = self._polled_at.setdefault(entry.number, [])
            if operation.polls > len(polled):
                polled += [now] * (operation.polls - len(polled))
            if operation.fetched:
                self._fetched_at[entry.number] = now


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
