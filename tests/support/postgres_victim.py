"""A process that writes to a journal in PostgreSQL and kills itself at a chosen point: a program of its own.

It takes orders on standard input, one JSON object a line, and forks for each: imports are paid for once. A point comes
before and after each statement, and before and after each wait for the server: what the server was sent, and what it
has answered, can be in no other state.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Generator
from typing import Any

import psycopg

from aveo3.journal.postgres import PostgresDatabase
from aveo3.journal.postgres_session import Session, connect
from tests.support.postgres import moved, place_of, planned

PATH = ("planned", "submitting", "running", "fetching", "succeeded")
JOBS = (1, 2, 3)


class Points:
    """Numbers the points, and kills the process at the one of number `die_at`."""

    def __init__(self, die_at: int | None) -> None:
        self.passed = 0
        self._die_at = die_at

    def __call__(self) -> None:
        self.passed += 1
        if self.passed == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


def patch(points: Points) -> None:
    """Put points around all that goes to the server, and all that comes from it."""
    execute, bounded = psycopg.RawCursor.execute, Session._bounded

    def executed(self: Any, *given: Any, **named: Any) -> Any:
        points()
        done = execute(self, *given, **named)
        points()
        return done

    def waiting(self: Session, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        def steps() -> Generator[Any, Any, Any]:
            try:
                wanted = next(gen)
                while True:
                    points()
                    ready = yield wanted
                    points()
                    wanted = gen.send(ready)
            except StopIteration as ended:
                return ended.value

        try:
            return (yield from bounded(self, steps()))
        finally:
            gen.close()

    psycopg.RawCursor.execute = executed  # type: ignore[method-assign]
    Session._bounded = waiting  # type: ignore[method-assign]


async def make(database: PostgresDatabase, job: int, done: tuple[str, ...], told: int) -> None:
    """Bring a job to its end, and tell of each step as soon as it is on the disk."""
    writer = database.writer
    for old, new in zip(("", *PATH), PATH, strict=False):
        if new in done:
            continue
        step = moved(job, old, new) if old else planned(job)
        writer.write(step, commit=True, fenced=new == "submitting")
        await writer.on_disk()
        os.write(told, f"{job} {new}\n".encode())


def live(url: str, die_at: int | None, told: int) -> None:
    """Take up what is in the journal, and never return."""
    try:
        points = Points(die_at)
        patch(points)
        place = place_of(url)
        database = PostgresDatabase(place, writes=True)
        database.writer.lead(connect(place), lambda: None)
        done: dict[int, list[str]] = {job: [] for job in JOBS}
        for job, state in database.execute("SELECT job, state FROM events ORDER BY id"):
            done[job].append(state)

        async def everything() -> None:
            await asyncio.gather(*(make(database, job, tuple(done[job]), told) for job in JOBS))

        asyncio.run(everything())
        database.close()
        os.write(told, json.dumps({"points": points.passed}).encode())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def let_live(url: str, die_at: int | None) -> dict[str, Any]:
    """Fork for one order: how the child ended, and what it lived to tell."""
    reading, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        live(url, die_at, told)
    os.close(told)
    with open(reading, encoding="utf-8") as pipe:  # noqa: PTH123
        *steps, last = pipe.read().split("\n")
    _, status = os.waitpid(child, 0)
    return {"exit": os.waitstatus_to_exitcode(status), "steps": steps, **json.loads(last or "{}")}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(let_live(**json.loads(line))), flush=True)
