"""Writes the events of a run as lines of JSON: to a file, to standard output, or into the log."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TextIO

from aveo3.cli.json_lines import in_json
from aveo3.cli.signals import on_signals
from aveo3.errors import UsageError
from aveo3.events import Event, EventReader

log = logging.getLogger("aveo3")

STDOUT = "-"


class EventLines:
    """Appends events to the file `target`, or writes them to standard output if it is `-`.

    Raises `UsageError` if the file cannot be opened, or if `as_json` needs standard output, too.
    """

    def __init__(self, target: str, *, as_json: bool = False) -> None:
        self.to_stdout = target == STDOUT
        self.closed = False
        """True once whoever reads has left."""
        self._ending = False
        self._given_up = threading.Event()  # nobody waits any more for whoever reads
        self._name = "standard output" if self.to_stdout else target
        self._file: TextIO | None = None
        if self.to_stdout and as_json:
            raise UsageError("--events - and --json both write to standard output: give --events a file.")
        if not self.to_stdout:
            try:
                self._file = Path(target).open("a", encoding="utf-8", newline="\n")  # noqa: SIM115 - `written` closes it
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                raise UsageError(f"--events {target}: the file cannot be written: {why or error}") from None

    @asynccontextmanager
    async def written(self, events: EventReader, on_closed: Callable[[], None]) -> AsyncIterator[None]:
        """Write `events` until their client closes. A run never waits for whoever reads the lines: a thread writes.

        `on_closed` is called if a pipe is closed at its other end. At the end it waits until the lines are read; a
        signal that asks to stop ends that.
        """
        task = asyncio.create_task(self._write_all(events, on_closed))
        try:
            yield
        finally:
            self._ending = True
            try:
                with on_signals(lambda _: self._given_up.set()):
                    await task
            finally:
                self._given_up.set()  # a cancelled task leaves its thread behind
                if self._file is not None:
                    with suppress(OSError):
                        self._file.close()

    async def _write_all(self, events: EventReader, on_closed: Callable[[], None]) -> None:
        async for event in events:
            try:
                await asyncio.to_thread(self._write, [event, *events.ready()])
            except BrokenPipeError:
                self.closed = True
                log.warning("%s is closed: running clips are finished, nothing more is sent", self._name)
                on_closed()
            except _GivenUpError:
                log.warning("the last events were not read from %s, and are not written", self._name)
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                log.error("%s cannot be written: %s; the run goes on without --events", self._name, why or error)
            else:
                continue
            await events.aclose()
            return

    def _write(self, events: list[Event]) -> None:
        """Write whole lines. Blocks."""
        if self._file is None:
            text = "".join(f"{in_json(event.as_dict())}\n" for event in events)
            stream, encoding = sys.stdout, sys.stdout.encoding
        else:
            text = "".join(f"{json.dumps(event.as_dict(), ensure_ascii=False)}\n" for event in events)
            stream, encoding = self._file, "utf-8"
        data = text.encode(encoding or "utf-8", "backslashreplace")
        if (number := _pipe_of(stream)) is not None:
            self._write_to_pipe(number, data)
        else:
            print(data.decode(encoding or "utf-8"), end="", file=stream, flush=True)

    def _write_to_pipe(self, number: int, data: bytes) -> None:
        """Write to a pipe without a call that blocks: what its reader leaves lying must not keep the process."""
        import select

        waited, told = 0.0, False
        while data:
            if self._given_up.is_set():
                raise _GivenUpError
            if not select.select([], [number], [], _LOOK)[1]:
                waited += _LOOK * self._ending
                if waited > _TOLD_AFTER and not told:
                    told = True
                    log.warning("the run has ended; %s is not read to its end (Ctrl-C: leave it)", self._name)
                continue
            room: int = getattr(select, "PIPE_BUF", 512)  # as much as never blocks then; Windows has no such pipe
            data = data[os.write(number, data[:room]) :]


class _GivenUpError(Exception):
    """A person waits no longer for whoever reads."""


_LOOK = 0.25
"""Seconds between two looks at whether anybody still waits."""

_TOLD_AFTER = 3.0
"""Seconds that a run waits for its reader until a person is told."""


def _pipe_of(stream: TextIO) -> int | None:
    """The file descriptor of a stream that is a pipe; None for others, and on Windows."""
    if os.name != "posix":
        return None
    try:
        number = stream.fileno()
        return number if stat.S_ISFIFO(os.fstat(number).st_mode) else None
    except (AttributeError, OSError, ValueError):  # no stream of the system
        return None


@asynccontextmanager
async def logged(events: EventReader, handler: logging.Handler) -> AsyncIterator[None]:
    """Hand `events` to `handler`, whose `JsonFormatter` writes a line for each, until their client closes."""

    async def hand() -> None:
        async for event in events:
            handler.handle(logging.makeLogRecord({"name": "aveo3.events", "event": event}))

    task = asyncio.create_task(hand())
    try:
        yield
    finally:
        await task


class JsonFormatter(logging.Formatter):
    """One JSON object a line: an event as it is, a log record as `time`, `level`, `logger`, `message`, `traceback`.

    `without_keys` removes API keys.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self, without_keys: Callable[[str], str] = str) -> None:
        super().__init__()
        self._without_keys = without_keys

    def format(self, record: logging.LogRecord) -> str:
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            return json.dumps(event.as_dict())
        values = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: self._without_keys(value) for name, value in values.items()})


def json_handler(without_keys: Callable[[str], str]) -> logging.Handler:
    """The handler of `VEO3_LOG_FORMAT=json`: on standard error, whose loss ends nothing."""
    from aveo3.cli.terminal import Lasting

    handler = logging.StreamHandler(Lasting(sys.stderr))
    handler.setFormatter(JsonFormatter(without_keys))
    return handler
