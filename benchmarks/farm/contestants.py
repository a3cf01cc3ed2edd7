"""The contestants of the farm: what engine each needs, how its workers start, and how clips get into its queue."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.farm import worker_task
from benchmarks.farm.checker import Intent
from benchmarks.farm.crew import READY, Worker
from benchmarks.farm.names import OURS
from benchmarks.farm.plan import Plan
from benchmarks.harness.postgres_server import NoPostgres, PostgresServer, binaries
from benchmarks.harness.redis_server import RedisServer


class Engine(Protocol):
    """The server that a farm has in common. Both methods return when it is done."""

    def kill(self) -> None:
        """Crash it."""

    def again(self) -> None:
        """Start it with the data it has."""


class Farm(Protocol):
    """One contestant with its engine, open for one run."""

    @property
    def engine(self) -> Engine: ...

    def workers(self) -> Sequence[Worker]:
        """The worker processes, not started."""
        ...

    def is_ready(self, line: str) -> bool:
        """Whether this line of a worker's output says that it could begin."""
        ...

    async def enqueue(self, prompts: Sequence[str]) -> None:
        """Put the clips into the queue, which is empty."""

    async def states(self) -> Mapping[str, int]:
        """How many clips are in which state, as its journal says; empty without a journal."""
        ...

    async def intents(self) -> list[Intent] | None:
        """What its journal says that it was about to send; None without a journal."""
        ...


class Contestant(Protocol):
    """`open` starts the engine and prepares everything, untimed."""

    LEADS: bool
    """Whether one worker submits for all. Then that one is struck, else any."""
    PACKAGES: tuple[str, ...]

    def missing(self) -> str | None:
        """What its engine lacks on this machine; None if it can be started."""
        ...

    def open(self, plan: Plan, url: str, place: Path) -> AbstractAsyncContextManager[Farm]: ...


@dataclass
class _Fleet:
    """What the farms of the rivals share: workers that are alike."""

    plan: Plan
    url: str
    place: Path
    module: str
    environment: Mapping[str, str]

    def workers(self) -> Sequence[Worker]:
        task = self.plan.task(self.url, self.place)
        shared = {**self.environment, **worker_task.environment(task)}
        return [
            Worker(number, ("-m", self.module), {**shared, "FARM_WORKER": f"worker-{number}"}, self.place)
            for number in range(self.plan.workers)
        ]

    def is_ready(self, line: str) -> bool:
        return line.strip() == READY

    async def states(self) -> Mapping[str, int]:
        return {}

    async def intents(self) -> list[Intent] | None:
        return None


def postgres_missing() -> str | None:
    """Why PostgreSQL cannot be started here; None if it can."""
    try:
        binaries()
    except NoPostgres as error:
        return str(error)
    return None


# ---- DBOS ------------------------------------------------------------------------------------------------------------


@dataclass
class _DbosFarm(_Fleet):
    engine: PostgresServer

    async def enqueue(self, prompts: Sequence[str]) -> None:
        await asyncio.to_thread(self._enqueue, prompts)

    def _enqueue(self, prompts: Sequence[str]) -> None:
        from dbos import DBOSClient

        from benchmarks.farm.names import DBOS_QUEUE, DBOS_WORKFLOW

        client = DBOSClient(system_database_url=self.environment["FARM_DATABASE"])
        try:
            for number, prompt in enumerate(prompts):
                client.enqueue({"queue_name": DBOS_QUEUE, "workflow_name": DBOS_WORKFLOW}, number, prompt)
        finally:
            client.destroy()


class Dbos:
    LEADS = False
    PACKAGES: tuple[str, ...] = ("dbos", "google-genai")

    def missing(self) -> str | None:
        return postgres_missing()

    @asynccontextmanager
    async def open(self, plan: Plan, url: str, place: Path) -> AsyncIterator[Farm]:
        server = PostgresServer(fsync=True)
        await asyncio.to_thread(server.start)
        try:
            database = {"FARM_DATABASE": server.url("farm").replace("postgresql://", "postgresql+psycopg://")}
            server.create("farm")
            yield _DbosFarm(plan, url, place, "benchmarks.farm.dbos_worker", database, server)
        finally:
            await asyncio.to_thread(server.stop)


# ---- a limiter library over Redis ------------------------------------------------------------------------------------


@dataclass
class _RedisFarm(_Fleet):
    engine: RedisServer

    async def enqueue(self, prompts: Sequence[str]) -> None:
        from redis.asyncio import Redis

        from benchmarks.farm.names import REDIS_STREAM

        async with Redis.from_url(self.engine.url) as redis:
            for number, prompt in enumerate(prompts):
                await redis.xadd(REDIS_STREAM, {"number": number, "prompt": prompt})


class RedisLimiter:
    LEADS = False
    PACKAGES: tuple[str, ...] = ("pyrate-limiter", "redis", "google-genai")

    def missing(self) -> str | None:
        return None if shutil.which("redis-server") else "there is no redis-server on the PATH"

    @asynccontextmanager
    async def open(self, plan: Plan, url: str, place: Path) -> AsyncIterator[Farm]:
        with RedisServer() as server:
            environment = {"FARM_REDIS": server.url}
            yield _RedisFarm(plan, url, place, "benchmarks.farm.redis_worker", environment, server)


def roster() -> dict[str, Contestant]:
    """Return all contestants by their name on the command line."""
    from benchmarks.farm.aveo3_farm import Aveo3

    return {OURS: Aveo3(), "dbos": Dbos(), "redis": RedisLimiter()}
