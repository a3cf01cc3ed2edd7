"""Writes single lines to standard error, outside the log of a run."""

from __future__ import annotations

import logging
import sys


def tell(line: str, *, in_json: bool = False, level: int = logging.INFO) -> None:
    """Write a line to standard error, whose loss ends nothing; with `in_json` as a line of aveo3's log in JSON."""
    from aveo3.cli.terminal import Lasting

    if in_json:
        from aveo3.cli.event_lines import JsonFormatter

        line = JsonFormatter().format(logging.LogRecord("aveo3", level, "", 0, "%s", (line,), None))
    if sys.stderr is not None:  # a program may start with it closed
        print(line, file=Lasting(sys.stderr), flush=True)
