"""A run of the real client that kills itself at a chosen point. `test_crash` starts this as a program of its own.

It takes orders on standard input, one JSON object a line, and forks for each: imports are paid for once, and no thread
is there to be lost in the fork. A point comes before everything that leaves a trace outside the process: a statement of
the journal, a file that is made, written, synced, linked, renamed or removed, a request that goes out, an answer that
comes in. What happens between two points cannot be told from outside; so to die before each is to die on every line.
"""

from __future__ import annotations

import asyncio
import asyncio.selector_events
import gc
import io
import itertools
import json
import logging
import os
import re
import signal
import sqlite3
import ssl
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from typing import Any

import aiohttp.client_proto

import aveo3.engine.recovery
from aveo3 import Settings, VeoClient
from aveo3.mock import MockOptions, MockServer

RECOVER_MEDIANS = 0.0
"""The emulator's clips take no time: what is not in the bucket when it is looked for never will be."""


class Kinds:
    """Of what kind each point is, told in order: what happens, without its numbers, to a job in which state."""

    def __init__(self) -> None:
        self._state = "no job"

    def __call__(self, label: str) -> str:
        if label.startswith("event "):
            self._state = label.split()[-1]
        return f"{self._state}: {re.sub('[0-9a-f]{8,}|[0-9]+', '#', label)}"


class Points:
    """Numbers and reports the points that a run reaches, and kills the process at `die_at`: at the point of that
    number, or at the first point of that kind."""

    def __init__(self, home: str, die_at: int | str | None, report: int) -> None:
        self.die_at = die_at
        self._home = home
        self._report = report
        self._kind = Kinds()
        self._numbers = itertools.count(1)  # in one step: threads write files

    def __call__(self, label: str) -> None:
        os.write(self._report, f"{label}\n".encode())
        if self.die_at in (next(self._numbers), self._kind(label)):
            os.kill(os.getpid(), signal.SIGKILL)

    def file(self, what: str, path: object) -> None:
        """The same for what befalls a file, if it is one of the run's."""
        name = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        if name.startswith(self._home):
            self(f"{what} {name[len(self._home) + 1 :]}".rstrip())


points: Points | None = None
"""None in the process that forks."""


def passing(label: str) -> None:
    if points is not None:
        points(label)


# ---- what leaves a trace ---------------------------------------------------------------------------------------------


class Connection(sqlite3.Connection):
    """SQLite's, with a point before each statement that writes, and one after each commit."""

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        what = " ".join(sql.split()[:3])
        if what.startswith("SELECT") or (what.startswith("PRAGMA") and "=" not in sql):
            return super().execute(sql, values)
        if what == "INSERT INTO events":
            what = f"event {values[0]} {values[2]}"
        passing(what)
        if what == "PRAGMA synchronous =":
            sql = "PRAGMA synchronous = OFF"  # as with all other files, see below
        done = super().execute(sql, values)
        if what == "COMMIT":
            passing("committed")
        return done

    def close(self) -> None:
        passing("close the journal")
        super().close()


class Raw(io.FileIO):
    """A file that is written to, with a point before each write that reaches the system, and one halfway through."""

    def write(self, data: Any) -> int:
        half = len(data) // 2
        for piece in (data[:half], data[half:]):
            if points is not None:
                points.file("write", self.name)
            super().write(piece)
        return len(data)


def patch() -> None:
    """Put a point before all of it. What is patched here leaves the product's own modules as they are."""
    open_, connect = io.open, sqlite3.connect

    def opened(path: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if "b" not in mode or not set(mode) & set("wxa+"):
            return open_(path, mode, *rest, **named)
        raw = Raw(os.fspath(path), mode.replace("b", ""))
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    def connected(*given: Any, **named: Any) -> sqlite3.Connection:
        return connect(*given, **named, factory=Connection)

    def synced(fd: Any) -> None:
        passing("fsync")  # and no more: a kill takes nothing from the disk that the system has been handed

    io.open = opened  # type: ignore[assignment]
    sqlite3.connect = connected  # type: ignore[assignment]
    os.fsync = synced
    os.fdatasync = synced
    sys.addaudithook(audit)
    patch_the_wire()


TRACES = {"os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.remove", "os.rename", "os.truncate"}


def audit(event: str, values: tuple[Any, ...]) -> None:
    """A point before each file that is made or opened to be written, and before all that is done to names."""
    if points is None:
        return
    if event == "open":
        path, _, flags = values
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            points.file("open", path)
    elif event in TRACES:
        points.file(event, values[0])


def patch_the_wire() -> None:
    """A point before and after each request that goes out, and before its answer comes in."""
    transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    handler: Any = aiohttp.client_proto.ResponseHandler
    received, unanswered = handler.data_received, dict[int, str]()

    def sending(send: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def sent(self: Any, data: Any) -> None:
            if points is None:
                send(self, data)
                return
            text = data if isinstance(data, bytes) else b"".join(data)
            request = re.match(rb"(\w+ )\S*?(\w+)(\?\S*)? HTTP", text)
            what = request.expand(rb"\1\2").decode() if request else "more"
            points(f"send {what}")
            send(self, data)
            points(f"sent {what}")
            unanswered[id(self)] = what

        return sent

    def arriving(self: Any, data: bytes) -> None:
        if (what := unanswered.pop(id(self.transport), None)) is not None:
            passing(f"answer to {what}")
        received(self, data)

    transport.write = sending(transport.write)
    transport.writelines = sending(transport.writelines)
    handler.data_received = arriving


# ---- one life --------------------------------------------------------------------------------------------------------


async def make(settings: Settings, prompts: list[Any], *, fresh: bool = False) -> list[dict[str, Any]]:
    async with VeoClient(settings) as veo:
        clips = await veo.generate_many(prompts, fresh=fresh)
    return [clip.model_dump(mode="json", include={"status", "cached", "error_message", "paths"}) for clip in clips]


def live(settings: Settings, prompts: list[Any], die_at: int | str | None, report: int, *, fresh: bool) -> None:
    """Run `prompts`, and if nothing kills us, once more; tell what came of both, and never return."""
    global points
    try:
        home = settings.output_dir
        points = Points(str(home), die_at, report)
        clips = asyncio.run(make(settings, prompts, fresh=fresh))
        files = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
        points.die_at = None
        points("once more")
        again = asyncio.run(make(settings, prompts))
        points = None
        os.write(report, json.dumps({"clips": clips, "files": files, "again": again}).encode())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def let_live(prompts: list[Any], die_at: int | str | None, *, fresh: bool, **chosen: Any) -> dict[str, Any]:
    """Fork for one order: how the child ended, the points it came to, and what else it lived to tell."""
    settings = Settings(**chosen)
    told, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        live(settings, prompts, die_at, report, fresh=fresh)
    os.close(report)
    with open(told, encoding="utf-8") as pipe:  # noqa: PTH123
        *labels, last = pipe.read().split("\n")
    _, status = os.waitpid(child, 0)
    return {"exit": os.waitstatus_to_exitcode(status), "points": labels, **json.loads(last or "{}")}


async def warm_up() -> None:
    """Import, compile and read once what every child would: its life is then a tenth as long."""
    with tempfile.TemporaryDirectory() as home:
        async with MockServer(MockOptions.model_validate({"films": "bundled", "latency": "0"})) as server:
            common: dict[str, Any] = {"base_url": server.url, "storage_url": server.url, "backend": "vertex"}
            common["api_key"] = "key"
            for where in ({}, {"output_gcs_uri": "gs://bucket"}):
                await make(Settings(**{**common, **where}, output_dir=home, poll_interval=0.01), [f"a boat {where}"])


def main() -> None:
    aveo3.engine.recovery.RECOVER_MEDIANS = RECOVER_MEDIANS
    logging.getLogger("aveo3").setLevel(logging.ERROR)
    context = ssl.create_default_context()
    ssl.create_default_context = lambda *_, **__: context
    patch()
    asyncio.run(warm_up())
    for thread in threading.enumerate()[1:]:  # aveo3's own end once they are told to
        thread.join(60)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()  # or each fork copies every page that a collection touches
    for line in sys.stdin:
        print(json.dumps(let_live(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
