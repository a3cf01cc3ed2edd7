"""Runs the command of `--exec` for each clip that a run saves: without a shell, off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Self

from aveo3.cli.exec_command import Command
from aveo3.cli.journal_view import counted, plain
from aveo3.models import VideoClip

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Commands that run at the same time."""
LONGEST = 600.0
"""Seconds that a command may take."""
GRACE = 5.0
"""Seconds between the request to end and the end by force."""
SHOWN_LINES, SHOWN_CHARACTERS = 20, 500
"""How much of a command's output is shown: its last lines, each cut."""


class AfterClip:
    """Runs `command` once for each clip that `add` gets and that this run has saved.

    A command that fails is logged and counted; nothing else comes of it. Use it as a context. Raises `UsageError` for
    a command that cannot be run; see `Command`.
    """

    def __init__(self, command: str) -> None:
        self._command = Command(command)
        self._pool = ThreadPoolExecutor(AT_ONCE, "aveo3-exec")
        self._work: set[asyncio.Future[None]] = set()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._failed: list[Path] = []  # threads append to these
        self._left_out: list[Path] = []
        self._stopped = False

    @property
    def failed(self) -> int:
        """How many commands failed."""
        return len(self._failed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the commands of all clips; after a cancellation, end them."""
        try:
            if kind is not None and issubclass(kind, asyncio.CancelledError):
                self.stop()
            if self._work:
                log.info("waiting for %s of --exec", counted(len(self._work), "command"))
                await asyncio.wait(self._work)
        finally:
            self.stop()
            self._pool.shutdown(wait=False)
        if self._left_out:
            log.warning(
                "--exec was not run for %s, and no later run does it:", counted(len(self._left_out), "saved clip")
            )
            for path in self._left_out:
                log.warning("  %s", path)

    def add(self, clip: VideoClip) -> None:
        """Run the command for `clip`, unless an earlier run saved it or there is no file."""
        # From the clip, not from its `ended` event: a command's fields need more of the prompt than that has.
        if not clip.succeeded or clip.cached or not clip.paths:
            return
        arguments, environment = self._command.of(clip)
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._run, arguments, environment, clip.paths[0])
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    def stop(self) -> None:
        """End the commands that run, and begin no other."""
        self._stopped = True
        if self._running:
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(GRACE, self._signal, _BY_FORCE)

    def _signal(self, number: signal.Signals) -> None:
        for process in list(self._running):
            _signal(process, number)

    # ---- in a thread -------------------------------------------------------------------------------------------

    def _run(self, arguments: list[str], environment: dict[str, str], path: Path) -> None:
        if self._stopped:
            self._left_out.append(path)
            return
        output: deque[str] = deque(maxlen=SHOWN_LINES)
        if problem := self._problem(arguments, environment, output):
            self._failed.append(path)
            log.warning("--exec failed for %s: %s", path, problem)
        for line in list(output):
            log.log(logging.WARNING if problem else logging.INFO, "  %s", line)

    def _problem(self, arguments: list[str], environment: dict[str, str], output: deque[str]) -> str:
        """Run the command. Returns what went wrong; empty if nothing did."""
        try:
            process = subprocess.Popen(
                arguments,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                **_OF_ITS_OWN,
            )
        except (OSError, ValueError) as error:  # gone meanwhile; too long; an argument that the system cannot hold
            return f"it cannot be started: {error}"
        self._running.add(process)
        # A thread of its own: a child that the command leaves behind may keep the pipe open for ever.
        reader = threading.Thread(target=_read, args=(process.stdout, output), daemon=True)
        reader.start()
        try:
            if self._stopped:
                _signal(process, signal.SIGTERM)
            code = process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            _signal(process, _BY_FORCE)
            process.wait()
            return f"it took longer than {LONGEST:g} s and was ended"
        finally:
            self._running.discard(process)
            reader.join(1.0)
        if code < 0:
            return f"it was ended by signal {-code}"
        return f"exit code {code}" if code else ""


_BY_FORCE: signal.Signals = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one way only

_OF_ITS_OWN: dict[str, Any] = (
    {"start_new_session": True}
    if os.name == "posix"
    else {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
)
"""A group of its own: Ctrl-C finishes what runs, and the terminal would send it to the commands, too."""


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        if sys.platform != "win32":
            os.killpg(process.pid, number)
        else:
            process.terminate()


def _read(pipe: IO[bytes] | None, output: deque[str]) -> None:
    if pipe is None:
        return
    with pipe, contextlib.suppress(OSError, ValueError):
        while line := pipe.readline(1 << 16):
            if words := plain(line.decode(errors="replace")):
                output.append(words[:SHOWN_CHARACTERS])
