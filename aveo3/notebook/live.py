"""`progress`: shows a client's run below the cell that waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from aveo3.dispatch.time_left import USUAL
from aveo3.errors import UsageError
from aveo3.mock_mode import clip_seconds
from aveo3.notebook import view
from aveo3.notebook.figures import Figures, Run
from aveo3.notebook.screens import Screen, screen

if TYPE_CHECKING:
    from types import TracebackType

    from aveo3.client import VeoClient
    from aveo3.events.bus import EventReader

REFRESH = 0.5
"""Seconds between two updates."""


class progress:  # noqa: N801  # used as a function, like contextlib.suppress
    """Show what `veo` does inside the block: `async with VeoClient() as veo, progress(veo): …`.

    In a notebook: a bar with the clips, the lanes, the money and the time left, in one output that changes in place and
    ends as a summary. On a terminal it is a line, elsewhere only the summary, both on standard error. It counts all
    batches of the client that run inside the block. `with progress(veo):` does the same.
    """

    def __init__(self, veo: VeoClient) -> None:
        self._veo = veo
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError("progress needs a running event loop: use it in a coroutine, around an await") from None
        if self._timer is not None:
            raise UsageError("this progress is shown already: make another, progress(veo)")
        self._events: EventReader = self._veo.events()
        self._run = Run(self._veo.stats(), self._loop.time(), usual=_usual(self._veo))
        self._screen: Screen = screen()
        self._tick()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        figures, early = self._figures(), kind is not None
        self._screen.end(view.ended_page(figures, early=early), view.ended_lines(figures, early=early))
        del self._events  # a reader that nobody holds costs the run nothing

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _tick(self) -> None:
        # A timer and no task: nothing has to be awaited at the end, and so `with` is enough.
        self._timer = self._loop.call_later(REFRESH, self._tick)
        figures = self._figures()
        self._screen.show(view.running_page(figures), view.running_line(figures))

    def _figures(self) -> Figures:
        self._run.take(self._events.ready())
        return self._run.figures(self._veo.stats(), self._loop.time())


def _usual(veo: VeoClient) -> float:
    """The usual time of a clip in seconds."""
    settings = veo.settings
    return clip_seconds(settings) or settings.model_catalog.latency(settings.model, None) or USUAL
