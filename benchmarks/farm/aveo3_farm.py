"""aveo3's farm: `aveo3 worker`, as many as there are, over one PostgreSQL, and `aveo3 enqueue` to fill the queue."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.farm.checker import Intent
from benchmarks.farm.contestants import Farm, postgres_missing
from benchmarks.farm.crew import Worker
from benchmarks.farm.plan import Plan
from benchmarks.harness.machine import ROOT
from benchmarks.harness.postgres_server import PostgresServer
from benchmarks.rivals import MODEL

DATABASE = "farm"


def environment(plan: Plan, url: str, films: Path, database: str) -> dict[str, str]:
    """The settings of every process: the quota, and where everything is. Durations shrink as those of the rivals."""
    task = plan.task(url, films)
    return {
        "GOOGLE_API_KEY": "benchmark",
        "VEO3_BACKEND": "vertex",
        "VEO3_BASE_URL": url,
        "VEO3_DATABASE": database,
        "VEO3_MODEL": MODEL,
        "VEO3_OUTPUT_DIR": str(films),
        "VEO3_RATE_LIMIT": str(plan.limit),
        "VEO3_RATE_PERIOD": f"{plan.period:g}",
        "VEO3_MAX_CONCURRENCY": str(task.concurrency),
        "VEO3_RETRY_WAIT_BASE": f"{task.seconds(30):g}",
        "VEO3_QUOTA_WAIT_TIME": f"{task.seconds(300):g}",
        "VEO3_QUOTA_RESET_INTERVAL": f"{task.seconds(3600):g}",
    }


@dataclass
class Aveo3Farm:
    """One run's processes and database."""

    plan: Plan
    place: Path
    engine: PostgresServer
    environment: Mapping[str, str]

    def workers(self) -> Sequence[Worker]:
        numbers = range(self.plan.workers)
        return [Worker(number, ("-m", "aveo3", "worker"), self.environment, self.place) for number in numbers]

    def is_ready(self, line: str) -> bool:
        return line.startswith(("working for", "Taking requests at"))

    async def enqueue(self, prompts: Sequence[str]) -> None:
        file = self.place / "prompts.txt"
        await asyncio.to_thread(file.write_text, "".join(f"{prompt}\n" for prompt in prompts), "utf-8")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aveo3", "enqueue", str(file)),
            cwd=self.place,
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"aveo3 enqueue: exit {process.returncode}: {output.decode(errors='replace')}")

    async def states(self) -> Mapping[str, int]:
        rows = await asyncio.to_thread(
            self.engine.execute, "SELECT state, count(*) FROM aveo3.jobs GROUP BY state", DATABASE
        )
        return {str(state): int(count) for state, count in rows}

    async def prompts_in(self, state: str) -> list[str]:
        """The prompts of the clips in one state."""
        rows = await asyncio.to_thread(
            self.engine.execute, f"SELECT prompt FROM aveo3.jobs WHERE state = '{state}'", DATABASE
        )
        return [json.loads(prompt)["text"] for [prompt] in rows]

    async def intents(self) -> list[Intent]:
        statement = (
            "SELECT events.at_utc, jobs.prompt FROM aveo3.events JOIN aveo3.jobs ON jobs.id = events.job "
            "WHERE events.state = 'submitting' ORDER BY events.id"
        )
        rows = await asyncio.to_thread(self.engine.execute, statement, DATABASE)
        return [Intent(datetime.fromisoformat(at).timestamp(), json.loads(prompt)["text"]) for at, prompt in rows]


class Aveo3:
    LEADS = True
    PACKAGES: tuple[str, ...] = ("aveo3", "psycopg", "google-genai")

    def missing(self) -> str | None:
        return postgres_missing()

    @asynccontextmanager
    async def open(self, plan: Plan, url: str, place: Path) -> AsyncIterator[Farm]:
        server = PostgresServer(fsync=True)
        await asyncio.to_thread(server.start)
        try:
            films = place / "films"
            films.mkdir()
            database = await asyncio.to_thread(server.create, DATABASE)
            yield Aveo3Farm(plan, place, server, environment(plan, url, films, database))
        finally:
            await asyncio.to_thread(server.stop)
