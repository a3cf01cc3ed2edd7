"""Calls back on the signals that ask a command to stop, on Windows as elsewhere."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Windows has no SIGHUP. It alone has SIGBREAK: Ctrl-Break, a window that is closed, the end of the session."""


@contextmanager
def on_signals(callback: Callable[[signal.Signals], object]) -> Iterator[None]:
    """Call `callback` in the running loop with each of the `STOPPING` signals while the block runs.

    A signal that is ignored when we start stays ignored: `nohup` ignores SIGHUP, and `command &` ignores SIGINT.
    """
    loop = asyncio.get_running_loop()
    numbers: list[signal.Signals] = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        for number in numbers:
            loop.add_signal_handler(number, callback, number)
    except NotImplementedError:
        with _as_on_windows(loop, numbers, callback):
            yield
        return
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextmanager
def _as_on_windows(
    loop: asyncio.AbstractEventLoop, numbers: list[signal.Signals], callback: Callable[[signal.Signals], object]
) -> Iterator[None]:
    """The same without `add_signal_handler`: the loop's own socket for signals wakes it up, wherever it waits."""

    def handle(number: int, _: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback, signal.Signals(number))

    before = [(number, signal.signal(number, handle)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
