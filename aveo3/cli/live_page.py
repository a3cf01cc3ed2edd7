"""The live page of a run on the command line: what `--page` opens, and what its buttons do."""

from __future__ import annotations

import html
import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aveo3.cli.shells import quoted
from aveo3.cli.telling import tell

if TYPE_CHECKING:
    from aveo3.client import VeoClient
    from aveo3.config.settings import Settings
    from aveo3.events.kinds import Event
    from aveo3.server.page.answers import Answers, Source

log = logging.getLogger("aveo3")


class Stops(Protocol):
    """What ends a run: see `run.Interrupts`."""

    @property
    def stopping(self) -> str | None: ...
    def stop(self) -> object: ...
    def leave(self) -> object: ...


class RunPage:
    """The page of a run: give `take` to its client as `on_event`, then open it before the stream, and `steer` it.

    Raises `UsageError` if what it needs is not installed. `port` 0 takes a free one; `opens` shows it in the browser.
    """

    def __init__(self, settings: Settings, *, port: int = 0, opens: bool = False) -> None:
        from aveo3.report.html import check_extra
        from aveo3.server.page.live_view import LiveView

        check_extra()
        self._view = LiveView(settings.output_dir, budget=settings.budget, quoted=quoted)
        self._port = port
        self._opens = opens
        self._in_json = settings.log_format == "json"

    def take(self, event: Event) -> None:
        """Show what an event says."""
        self._view.take(event)

    @asynccontextmanager
    async def opened(self, client: VeoClient, *, usual: float) -> AsyncIterator[None]:
        """Show `client`, which is open, and print the link. Raises `UsageError` if the port is taken."""
        self._view.attach(client, usual=usual)
        async with shown(self._view, port=self._port, opens=self._opens, in_json=self._in_json):
            yield

    def steer(self, client: VeoClient, stops: Stops) -> None:
        """Let the buttons act on a run."""
        self._view.steer(_Steering(client, stops))


@asynccontextmanager
async def shown(
    source: Source | None = None,
    *,
    answers: Answers | None = None,
    port: int,
    opens: bool,
    in_json: bool = False,
) -> AsyncIterator[None]:
    """Serve a page on this machine inside the block, and print its link, as a line of JSON if all lines are.

    It shows `source`, or what `answers` gives.

    The link is in no log: it has the token.
    """
    from aveo3.server.page.server import PageServer

    async with PageServer(source, answers=answers, port=port) as server:
        tell(json.dumps({"page": server.link}) if in_json else f"page: {server.link}")
        with Shortcut(server.link, in_json=in_json) if opens else nullcontext():
            yield


class Shortcut:
    """Opens a link in the browser by a file that only its owner can read: others see the arguments of programs."""

    def __init__(self, link: str, *, in_json: bool = False) -> None:
        self._link = link
        self._in_json = in_json
        self._path: Path | None = None

    def __enter__(self) -> None:
        import webbrowser

        try:
            number, name = tempfile.mkstemp(".html", "aveo3-page-")  # mode 0600
            self._path = Path(name)
            with os.fdopen(number, "w", encoding="utf-8") as file:
                address = html.escape(self._link)
                file.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={address}"><title>aveo3</title>')
            if webbrowser.open(self._path.as_uri()):
                return
        except Exception as error:
            log.debug("no browser can be opened: %s", error)
        tell("no browser was found: open the link yourself", in_json=self._in_json)

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


class _Steering:
    """What the buttons do: pause and go on are calls of the client, the others what Ctrl-C does."""

    def __init__(self, client: VeoClient, stops: Stops) -> None:
        self._client = client
        self._stops = stops

    @property
    def stopping(self) -> str | None:
        return self._stops.stopping

    def pause(self) -> None:
        if not self._client.stats().paused:
            self._client.pause()
            log.info("paused on the page: nothing is submitted, running clips are finished")

    def go_on(self) -> None:
        if self._client.stats().paused:
            self._client.go_on()
            log.info("gone on, on the page")

    def stop(self) -> None:
        self._stops.stop()

    def leave(self) -> None:
        self._stops.leave()
