"""Followers on one PostgreSQL: they poll and save what a leader has sent, and no clip is lost or paid twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from aveo3.config.settings import Settings
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.lifecycle import State
from aveo3.mock import MockServer
from aveo3.server.farm.worker import FarmWorker
from tests.support.door import accept, session_of
from tests.support.emulated import emulator, quick

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[3]


class Farm:
    """A leader in this process, followers in others."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.log = log
        assert settings.database is not None
        self.journal = Journal(SharedJournal(settings.database, settings.output_dir.absolute()))
        self.session = session_of(settings)
        self.session.journal = self.journal
        self.followers: list[asyncio.subprocess.Process] = []

    def order(self, number: int) -> None:
        for each in range(number):
            accept(self.session, None, f"boat {each}")
        self.journal.commit()

    async def join(self) -> asyncio.subprocess.Process:
        given = {name: getattr(self.settings, name) for name in self.settings.model_fields_set}
        given = {n: v.get_secret_value() if isinstance(v, SecretStr) else v for n, v in given.items()}
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.farm_member", "--follow"),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(given, default=str).encode() + b"\n")
        self.followers.append(process)
        await self.until(lambda: self.living() == len(self.followers))
        return process

    def living(self) -> int:
        return int(self.journal.read("SELECT count(*) FROM followers")[0][0])

    def followed_by(self, process: asyncio.subprocess.Process) -> int:
        mine = "SELECT count(*) FROM follows WHERE worker = (SELECT id FROM followers WHERE pid = ?)"
        return int(self.journal.read(mine, process.pid)[0][0])

    def made(self) -> int:
        return self.journal.counts().get(State.SUCCEEDED, 0)

    async def until(self, happened: Callable[[], bool], seconds: float = 40.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not happened():  # noqa: ASYNC110 - the journal rings no bell
                    await asyncio.sleep(0.05)
        except TimeoutError:
            rows = [*map(tuple, self.journal.read("SELECT * FROM follows"))]
            log = self.log.read_text()[-6000:] if self.log.exists() else ""
            raise AssertionError(f"{self.journal.counts()}\n{rows}\n{log}") from None

    def check(self, server: MockServer, clips: int) -> None:
        """Each clip was paid once, and is on the disk once."""
        assert server.books.accepted == clips
        assert max(server.books.accepted_by_prompt.values()) == 1
        assert server.books.refused == 0
        records = self.journal.select("SELECT * FROM jobs")
        assert [record.state for record in records] == [State.SUCCEEDED] * clips
        files = {self.journal.locate(file) for record in records for file in record.files}
        assert len(files) == clips
        assert files == {*self.settings.output_dir.glob("*.mp4")}
        assert all(file.stat().st_size for file in files)
        assert self.journal.read("SELECT * FROM follows") == []


@asynccontextmanager
async def farm(url: str, tmp_path: Path, server: MockServer, **values: Any) -> AsyncIterator[Farm]:
    settings = quick(
        server,
        database=url,
        journal="auto",
        output_dir=tmp_path / "clips",
        **{"rate_limit": 100, "rate_period": 2.0, **values},
    )
    settings.output_dir.mkdir()
    it = Farm(settings, tmp_path / "log")
    try:
        yield it
    finally:
        for process in it.followers:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                await process.wait()
        it.journal.close()


async def test_a_follower_polls_and_saves_what_the_leader_sends_and_the_leader_asks_nothing(
    postgres_url: str, tmp_path: Path
) -> None:
    async with emulator(speed=10, latency="10") as server, farm(postgres_url, tmp_path, server) as it:
        async with FarmWorker(it.settings, follow=True) as follower, FarmWorker(it.settings) as leader:
            await it.until(lambda: leader._leading is not None and leader._leading.followers == 1)
            engine = leader.session.engine
            assert engine is not None
            engine._follower.follow = None  # type: ignore[assignment,method-assign]
            it.order(8)
            await it.until(lambda: follower.followed > 1)
            await it.until(lambda: it.made() == 8)
            [gate] = [opened.gate for opened in leader.session.lane_pool.open_lanes.values()]
            await it.until(lambda: gate.stats().running == 0)
        it.check(server, 8)
        assert it.living() == 0


@pytest.mark.whole
async def test_a_follower_that_is_killed_loses_no_clip_and_another_one_goes_on(
    postgres_url: str, tmp_path: Path
) -> None:
    async with emulator(speed=10, latency="60") as server, farm(postgres_url, tmp_path, server) as it:
        async with FarmWorker(it.settings) as leader:
            killed, _ = [await it.join() for _ in range(2)]
            await it.until(lambda: leader._leading is not None and leader._leading.followers == 2)
            it.order(20)
            await it.until(lambda: it.followed_by(killed) >= 3)
            killed.kill()
            await it.until(lambda: it.made() == 20)
        it.check(server, 20)


@pytest.mark.whole
async def test_a_follower_that_stood_still_stops_when_it_wakes_and_the_leader_has_gone_on(
    postgres_url: str, tmp_path: Path
) -> None:
    async with emulator(speed=10, latency="40") as server, farm(postgres_url, tmp_path, server) as it:
        async with FarmWorker(it.settings) as leader:
            frozen = await it.join()
            await it.until(lambda: leader._leading is not None and leader._leading.followers == 1)
            it.order(10)
            await it.until(lambda: it.followed_by(frozen) == 10)
            frozen.send_signal(signal.SIGSTOP)
            await it.until(lambda: it.made() == 10)
            polls = server.books.polls
            frozen.send_signal(signal.SIGCONT)
            await it.until(lambda: "stops following it" in it.log.read_text() or "follows 0" in it.log.read_text())
            await asyncio.sleep(3)
            assert server.books.polls - polls <= 10, "at most those that were under way"
            assert it.log.read_text().split().count("follows") > 0
        it.check(server, 10)
