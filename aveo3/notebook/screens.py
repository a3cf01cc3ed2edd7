"""Where progress is shown: an output of a notebook, changed in place; a line of a terminal; or only the end of it."""

from __future__ import annotations

import logging
import shutil
import sys
from typing import Any, Protocol, TextIO

from aveo3._visible import visible

log = logging.getLogger(__name__)


class Screen(Protocol):
    """Shows one run. `html` and `words` say the same."""

    def show(self, html: str, words: str) -> None:
        """Show how it stands, in place of what was shown before."""

    def end(self, html: str, words: str) -> None:
        """Show how it ended, which stays."""


def screen() -> Screen:
    """What fits where this program runs."""
    if _in_kernel():
        return CellOutput()
    return Line(sys.stderr) if sys.stderr.isatty() else LastWords(sys.stderr)


def _in_kernel() -> bool:
    """True in a notebook's kernel, which has imported IPython. IPython in a terminal cannot change what it printed."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class CellOutput:
    """One output of a cell. However often it changes, the notebook's file has the last state only."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = ""
        self._failed = False

    def show(self, html: str, words: str) -> None:
        if self._failed or html == self._shown:
            return
        bundle = {"text/html": html, "text/plain": words}
        try:
            if self._handle is None:
                from IPython.display import display

                self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            else:
                self._handle.update(bundle, raw=True)
        except Exception as error:  # what shows a run never ends it
            self._failed = True
            log.warning("the progress cannot be shown: %s: %s", type(error).__name__, error)
        self._shown = html

    end = show


class LastWords:
    """Only how it ended, as lines of text."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, html: str, words: str) -> None:
        pass

    def end(self, html: str, words: str) -> None:
        self._write(f"{visible(words)}\n")

    def _write(self, words: str) -> None:
        try:
            self._stream.write(words)
            self._stream.flush()
        except (OSError, ValueError) as error:  # a closed or lost terminal
            log.debug("the progress cannot be written: %s", error)


class Line(LastWords):
    """One line of a terminal, written over."""

    def show(self, html: str, words: str) -> None:
        width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be written over
        self._write(f"\r{visible(words)[:width]}\x1b[K")

    def end(self, html: str, words: str) -> None:
        self._write(f"\r\x1b[K{visible(words)}\n")
