"""Workers of one quota on one PostgreSQL: killed, frozen, cut off from the database, and nobody is paid twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from aveo3.config.settings import Settings
from aveo3.journal.journal import Journal
from aveo3.journal.lane_locks import LEASE
from aveo3.journal.place import SharedJournal
from aveo3.lifecycle import State
from aveo3.mock import MockServer
from benchmarks.harness.postgres_server import PostgresServer
from tests.support.children import until
from tests.support.door import accept, session_of
from tests.support.emulated import emulator, quick

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[3]


class Member:
    """A worker in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.said.append(line.decode().strip())

    @property
    def leads(self) -> bool:
        return self.said[-1:] == ["leads"]

    async def until(self, word: str) -> None:
        async with asyncio.timeout(30):
            await until(lambda: self.said[-1:] == [word], self.process)

    def send(self, number: int) -> None:
        self.process.send_signal(number)


class Farm:
    """Workers, what they work on, and what came of it."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.members: list[Member] = []
        self._log = log
        assert settings.database is not None
        place = SharedJournal(settings.database, settings.output_dir.absolute())
        self.journal = Journal(place)
        self.session = session_of(settings)
        self.session.journal = self.journal

    async def join(self) -> Member:
        given = {name: getattr(self.settings, name) for name in self.settings.model_fields_set}
        given = {n: v.get_secret_value() if isinstance(v, SecretStr) else v for n, v in given.items()}
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.farm_member"),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(given, default=str).encode() + b"\n")
        self.members.append(member := Member(process))
        await until(lambda: bool(member.said), process)
        return member

    def order(self, *texts: str) -> list[int]:
        jobs = [accept(self.session, None, text).job for text in texts]
        self.journal.commit()
        return jobs

    def states(self) -> dict[State, int]:
        return self.journal.counts()

    async def until(self, happened: Callable[[], bool], seconds: float = 40.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not happened():  # noqa: ASYNC110 - the journal rings no bell
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{self.states()}\n{self._log.read_text()[-6000:]}") from None

    async def until_made(self, jobs: int, seconds: float = 40.0) -> None:
        await self.until(lambda: self.states().get(State.SUCCEEDED, 0) >= jobs, seconds)

    def leaders(self) -> list[Member]:
        return [member for member in self.members if member.process.returncode is None and member.leads]


@asynccontextmanager
async def farm(url: str, tmp_path: Path, server: MockServer, **values: Any) -> AsyncIterator[Farm]:
    settings = quick(
        server,
        database=url,
        journal="auto",
        output_dir=tmp_path / "clips",
        **{"rate_limit": 5, "rate_period": 2.0, **values},
    )
    settings.output_dir.mkdir()
    it = Farm(settings, tmp_path / "log")
    try:
        yield it
    finally:
        for member in it.members:
            if member.process.returncode is None:
                member.send(signal.SIGCONT)
                member.process.kill()
                await member.process.wait()
        it.journal.close()


async def test_a_standby_leads_as_soon_as_the_leader_is_killed_and_nobody_is_paid_twice(
    postgres_url: str, tmp_path: Path
) -> None:
    async with emulator(rpm=5, period=2.0, latency="0.5") as server, farm(postgres_url, tmp_path, server) as it:
        first = await it.join()
        await first.until("leads")
        second = await it.join()
        assert second.said == ["stands by"]
        it.order(*(f"boat {number}" for number in range(20)))
        await it.until(lambda: it.states().get(State.SUCCEEDED, 0) >= 3)
        killed = time.monotonic()
        first.send(signal.SIGKILL)
        await second.until("leads")
        took = time.monotonic() - killed
        await it.until(lambda: sum(it.states().get(s, 0) for s in (State.SUCCEEDED, State.UNCERTAIN)) == 20)
        assert took < 2.0
        assert max(server.books.accepted_by_prompt.values()) == 1
        assert server.books.refused == 0


@pytest.mark.whole
async def test_a_frozen_leader_sends_nothing_when_it_wakes_and_what_it_was_sending_is_taken_for_lost(
    postgres_url: str, tmp_path: Path
) -> None:
    async with (
        emulator(rpm=5, period=2.0, latency="0.5", rtt="0.2") as server,
        farm(postgres_url, tmp_path, server) as it,
    ):
        first = await it.join()
        await first.until("leads")
        second = await it.join()
        it.order(*(f"boat {number}" for number in range(30)))
        await it.until(lambda: it.states().get(State.SUCCEEDED, 0) >= 3)
        first.send(signal.SIGSTOP)
        frozen = time.monotonic()
        await second.until("leads")
        took = time.monotonic() - frozen
        await it.until_made(12)
        first.send(signal.SIGCONT)
        await first.until("stands by")
        await it.until(lambda: sum(it.states().get(s, 0) for s in (State.SUCCEEDED, State.UNCERTAIN)) == 30)
        assert took < LEASE + 1.5
        assert it.leaders() == [second]
        assert max(server.books.accepted_by_prompt.values()) == 1
        assert server.books.refused == 0


async def test_an_answer_that_comes_after_a_restart_of_the_database_is_written_and_nothing_is_uncertain(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    async with (
        emulator(latency="0.2", rtt="2.5") as server,
        farm(postgres_url, tmp_path, server, rate_limit=3, rate_period=60.0) as it,
    ):
        first, second = await it.join(), await it.join()
        await it.until(lambda: bool(it.leaders()))
        it.order("boat 1", "boat 2", "boat 3")
        await it.until(lambda: it.states().get(State.SUBMITTING, 0) == 1)
        await asyncio.to_thread(postgres_server.restart, "immediate")
        await it.until(lambda: bool(it.leaders()))
        await it.until_made(3, 20)
        assert {member.process.returncode for member in (first, second)} == {None}
        assert server.books.accepted == 3
        assert max(server.books.accepted_by_prompt.values()) == 1


@pytest.mark.whole
async def test_a_dead_standby_in_the_queue_of_the_lock_does_not_lead(postgres_url: str, tmp_path: Path) -> None:
    async with emulator(latency="0.1") as server, farm(postgres_url, tmp_path, server) as it:
        first = await it.join()
        await first.until("leads")
        dead, frozen = await it.join(), await it.join()
        third = await it.join()
        frozen.send(signal.SIGSTOP)
        dead.send(signal.SIGKILL)
        began = time.monotonic()
        first.send(signal.SIGKILL)
        await third.until("leads")
        took = time.monotonic() - began
        it.order("a boat")
        await it.until_made(1)
        assert took < 4.5  # 2 s until the frozen one that had won is taken for dead
        assert server.books.accepted == 1
