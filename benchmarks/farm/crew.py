"""The worker processes of a farm, and what a machine does to them: kill -9, SIGSTOP, a clock that is off."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from benchmarks.harness.machine import ROOT

READY = "ready"
"""What a worker prints on a line of its own once it could begin."""


@dataclass
class Worker:
    """One worker. `process` is the present one; a worker that has ended gets another after a while."""

    number: int
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    process: asyncio.subprocess.Process | None = None
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended_by_itself: int = 0
    frozen: bool = False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid


class Crew:
    """`async with Crew(workers, restart_after) as crew`. Inside, every worker has a process, but for moments."""

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        restart_after: float,
        ready: Callable[[str], bool] = lambda line: line.strip() == READY,
    ) -> None:
        self.workers = list(workers)
        self._restart_after = restart_after
        self._ready = ready
        self._keepers: list[asyncio.Task[None]] = []
        self._killed: set[int] = set()
        self._closing = False

    async def __aenter__(self) -> Self:
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in self.workers]
        try:
            async with asyncio.timeout(120):
                await asyncio.gather(*(worker.is_ready.wait() for worker in self.workers))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        for worker in self.workers:
            if worker.process is not None and worker.process.returncode is None:
                with suppress(ProcessLookupError):
                    worker.process.kill()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def kill(self, worker: Worker) -> float:
        """Kill a worker (SIGKILL). Returns the instant, in seconds since the epoch."""
        self._killed.add(worker.pid)
        at = time.time()
        os.kill(worker.pid, signal.SIGKILL)
        return at

    def freeze(self, worker: Worker) -> float:
        """Stop a worker where it is (SIGSTOP), as a machine that sleeps does. Returns the instant."""
        at = time.time()
        os.kill(worker.pid, signal.SIGSTOP)
        worker.frozen = True
        return at

    def wake(self, worker: Worker) -> None:
        """Let it go on."""
        worker.frozen = False
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)

    def by_pid(self, pid: int) -> Worker | None:
        """The worker whose present process has this id."""
        return next((worker for worker in self.workers if worker.process and worker.pid == pid), None)

    async def _keep(self, worker: Worker) -> None:
        while not self._closing:
            with (worker.directory / f"worker-{worker.number}.log").open("ab") as log:
                worker.process = process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *worker.arguments,
                    cwd=worker.directory,
                    env={**os.environ, **worker.environment, "PYTHONPATH": str(ROOT)},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    assert process.stdout is not None
                    async for line in process.stdout:
                        log.write(line)
                        log.flush()
                        if self._ready(line.decode(errors="replace")):
                            worker.is_ready.set()
                    await process.wait()
                finally:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await asyncio.shield(process.wait())
            worker.is_ready.clear()
            if process.pid not in self._killed:
                worker.ended_by_itself += 1
            await asyncio.sleep(self._restart_after)
