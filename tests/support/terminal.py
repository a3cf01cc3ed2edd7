"""`aveo3 …` as a person runs it in a terminal, in this process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from typer.testing import CliRunner

import aveo3
from aveo3.cli import app


def run(*arguments: str, stdin: str | bytes | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one `aveo3 …`, which must not end in a traceback."""
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def on_a_pty(
    *arguments: str,
    typed: Mapping[bytes, bytes] | None = None,
    piped: bytes | None = None,
    stdout: Path | None = None,
    leave_at: bytes | None = None,
) -> tuple[int, str]:
    """Exit code and screen of `aveo3 …` in a process of its own, on a terminal of 80 columns. Not on Windows.

    `typed` is what to type when certain words come. `piped` is standard input, `stdout` standard output, if they are
    not the terminal. When the words `leave_at` come, the terminal is taken away; the process ignores SIGHUP.
    """
    import fcntl
    import pty
    import struct
    import termios

    answers = dict(typed or {})
    variables = {
        **os.environ,
        "PYTHONPATH": str(Path(aveo3.__file__).parents[1]),
        "TERM": "xterm",
    }
    code = "from aveo3 import mock_mode; mock_mode.FASTEST = mock_mode.SLOWEST = 0.2; from aveo3.cli import app; app()"
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        if leave_at is not None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if piped is not None:
            reader, writer = os.pipe()
            os.write(writer, piped)
            os.close(writer)
            os.dup2(reader, 0)
        if stdout is not None:
            os.dup2(os.open(stdout, os.O_CREAT | os.O_WRONLY, 0o600), 1)
        os.execve(sys.executable, [sys.executable, "-c", code, *arguments], variables)
    screen = b""
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # how the end of a terminal looks on Linux
            data = b""
        screen += data
        if not data or (leave_at is not None and leave_at in screen):
            break
        for words in [words for words in answers if words in screen]:
            os.write(terminal, answers.pop(words))
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), screen.decode("utf-8", "replace")
