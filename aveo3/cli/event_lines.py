"""Writes the events of a run as lines of JSON: to a file, to standard output, or into the log."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TextIO

from aveo3.cli.json_lines import in_json
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

        `on_closed` is called if a pipe is closed at its other end.
        """
        task = asyncio.create_task(self._write_all(events, on_closed))
        try:
            yield
        finally:
            try:
                await task
            finally:
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
            print("\n".join(in_json(event.as_dict()) for event in events), flush=True)
            return
        text = "".join(f"{json.dumps(event.as_dict(), ensure_ascii=False)}\n" for event in events)
        self._file.write(text.encode("utf-8", "backslashreplace").decode())
        self._file.flush()


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
