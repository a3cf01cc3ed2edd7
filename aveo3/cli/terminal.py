"""Where people read: consoles that a lost terminal does not break, and whether a stream is a screen at all."""

from __future__ import annotations

import logging
import re
import textwrap
from typing import TYPE_CHECKING, Any, TextIO

from aveo3._visible import visible

if TYPE_CHECKING:
    from rich.console import Console


class Lasting:
    """A stream to people whose loss ends nothing: after the first error, what is written to it is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.gone = False

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, act: Any, *arguments: Any) -> None:
        if not self.gone:
            try:
                act(*arguments)
            except UnicodeEncodeError as error:  # a stream that knows few characters gets the others spelled out
                self._try(act, error.object.encode(error.encoding, "backslashreplace").decode(error.encoding))
            except (OSError, ValueError):  # a closed pipe, a full disk, a terminal that is gone, a closed stream
                self.gone = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def console_on(stream: TextIO, **options: Any) -> Console:
    """A rich console on `stream`, which may be lost at any time."""
    from rich.console import Console

    return Console(file=Lasting(stream), **options)  # type: ignore[arg-type]


def is_screen(console: Console) -> bool:
    """True if bars can be drawn on `console`.

    FORCE_COLOR makes rich take a file for a terminal: it should get colours, but no bars and no lines cut to a width.
    """
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


def folded(text: str, width: int) -> str:
    """`text` folded between words. A word longer than a line, such as a path, stays whole, and so does `10 s`."""
    glued = _UNITS.sub(_GLUE, text)
    return "\n".join(
        textwrap.fill(line, width, break_on_hyphens=False, break_long_words=False) for line in glued.splitlines()
    ).replace(_GLUE, " ")


_UNITS = re.compile(r"(?<=\d) (?=(s|min|h)\b)|(?<=US\$|min) (?=\d)|(?<=\bh) (?=\d)")
_GLUE = "\N{NO-BREAK SPACE}"


def print_folded(console: Console, text: str, style: str = "") -> None:
    """Print `text` as it is; on a screen folded between words, elsewhere in whole lines."""
    whole = folded(text, console.width) if is_screen(console) else text
    console.print(whole, style=style, soft_wrap=True, highlight=False, markup=False)


class LineFormatter(logging.Formatter):
    """The time, then the message. A traceback may hold words of a server: control characters are spelled out."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


class ScreenHandler(logging.Handler):
    """Prints log records to a screen, above its bars: the time, then the message, folded between words."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            style = "red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else ""
            print_folded(self._console, self.format(record), style)
        except Exception:  # as in the standard library: a message is worth less than the run
            self.handleError(record)
