"""`aveo3 serve` as a program of its own, in front of the emulator; it can be killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import aiohttp

from aveo3.mock import MockServer
from tests.support.children import until
from tests.support.ports import free_port


class Served:
    """The program, which can be killed and started again at the same port."""

    def __init__(self, google: MockServer, port: int, **settings: Any) -> None:
        given = {"base_url": google.url, "backend": "vertex", "poll_interval": 0.1, "retry_wait_base": 0.1, **settings}
        variables = {f"VEO3_{name.upper()}": str(value) for name, value in given.items()}
        self._environment = {**os.environ, **variables, "GOOGLE_API_KEY": "key"}
        self._port = port
        self._journal = Path(given["output_dir"]) / ".aveo3" / "journal.db"
        self.url = f"http://127.0.0.1:{port}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = [sys.executable, "-m", "aveo3", "serve", "--quiet", "--port", str(self._port)]
        self.process = await asyncio.create_subprocess_exec(*command, env=self._environment)
        async with aiohttp.ClientSession() as http:
            while True:
                assert self.process.returncode is None
                with suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(how)
        return await self.process.wait()

    async def killed_while(self, google: MockServer, *, kills: int, quota: int) -> None:
        """Kill it, and start it again, each time that another `quota` of clips is on its way.

        Never with a submit under way: whether Google has it then, nobody can know.
        """
        assert self.process is not None
        for kill in range(1, kills + 1):
            await until(lambda at=kill * quota: google.books.accepted >= at, self.process)  # type: ignore[misc]
            while True:
                self.process.send_signal(signal.SIGSTOP)
                if not self._submits():
                    break
                self.process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.01)
            await self.end(signal.SIGKILL)
            await self.start()

    def _submits(self) -> int:
        """How many submits are under way, by the journal: it has each before Google does."""
        address = f"file:{self._journal}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as journal:
            [found] = journal.execute("SELECT count(*) FROM jobs WHERE state = 'submitting'").fetchone()
        return int(found)


@asynccontextmanager
async def served(google: MockServer, **settings: Any) -> AsyncIterator[Served]:
    """A server of this program in front of `google`, ended by SIGTERM."""
    server = Served(google, free_port(), **settings)
    await server.start()
    try:
        yield server
    except BaseException:
        await server.end(signal.SIGKILL)
        raise
    assert await server.end(signal.SIGTERM) == 0
