"""`aveo3 page`: shows a directory in the browser, and follows the run that works in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli import options
from aveo3.cli.exit_codes import Exit, errors_as_messages

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.server.page.answers import Answers


def page(
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR|URL", help="Directory with the videos, or address of a server; default: that of the settings."
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with an operator's key, for the address of a server; - for stdin."),
    ] = None,
    port: options.PagePort = None,
    opens: options.Open = False,
) -> None:
    """Show a directory live in the browser.

    It prints a link to a page on this machine. The page has what `aveo3 report` shows, and changes as another process
    makes clips; a run may also begin later. It sends nothing, and ends with Ctrl-C; of a film it picks takes. To pause
    or stop a run on its page, use `aveo3 generate --page`. If `aveo3 serve` runs in the directory, or at the address,
    the page is the server's, by caller, with its buttons. It needs aveo3[report].

    Exit codes: 2 bad usage, the port is taken, no server answers, or aveo3[report] is missing; 130 you stopped it.

    Examples:

      aveo3 page clips

      aveo3 page clips --open

      aveo3 page https://videos.example.com --key-file operator.key
    """
    with errors_as_messages():
        import asyncio

        from aveo3.cli.commands.serve_status import key_in
        from aveo3.cli.journal_view import settings_of
        from aveo3.errors import UsageError
        from aveo3.report.html import check_extra

        key = key_in(key_file) if key_file is not None else None
        if place is not None and place.startswith(("http://", "https://")):
            check_extra()
            asyncio.run(_show_server(place, key, port or 0, opens=opens))
            raise typer.Exit(Exit.INTERRUPTED)
        if key is not None:
            raise UsageError("--key-file is for the address of a server: a directory needs no key.")
        settings = settings_of(Path(place) if place is not None else None)
        if settings.database is not None and not asyncio.run(_server_in(settings.output_dir)):
            raise UsageError(
                "with VEO3_DATABASE the page is that of a server: name the address of one, aveo3 page URL, or start "
                "`aveo3 serve --page`. For a directory with a journal of its own, name it."
            )
        if settings.journal_path is None:
            raise UsageError("there is no journal to show: VEO3_JOURNAL=none. Unset it to keep a journal.")
        check_extra()
        asyncio.run(_show(settings, port or 0, opens=opens))
    raise typer.Exit(Exit.INTERRUPTED)


async def _show_server(url: str, key: str | None, port: int, *, opens: bool) -> None:
    """Serve the page of the server at `url` until a signal asks to stop."""
    from urllib.parse import urlsplit

    from aveo3.cli.commands.serve_status import asked
    from aveo3.errors import UsageError
    from aveo3.server.page.relay import RelayAnswers

    if await asked(url, key) is None:
        raise UsageError(f"no server answers at {url}. Check the address, or name the server's directory.")
    await _until_stopped(RelayAnswers(urlsplit(url).netloc, lambda: (url, key)), port, opens=opens, in_json=False)


async def _server_in(directory: Path) -> bool:
    """True if a server that runs in `directory` answers."""
    from aveo3.cli.commands.serve_status import asked
    from aveo3.errors import UsageError
    from aveo3.server.door.server_file import read

    try:
        return (found := read(directory)) is not None and await asked(*found) is not None
    except UsageError:  # another program has its port by now
        return False


async def _until_stopped(answers: Answers, port: int, *, opens: bool, in_json: bool) -> None:
    import asyncio

    from aveo3.cli.live_page import shown
    from aveo3.cli.signals import on_signals
    from aveo3.cli.telling import tell

    stopped = asyncio.Event()
    with on_signals(lambda _: stopped.set()):
        async with shown(answers=answers, port=port, opens=opens, in_json=in_json):
            tell("following the server; Ctrl-C ends the page, and not the server", in_json=in_json)
            await stopped.wait()


async def _show(settings: Settings, port: int, *, opens: bool) -> None:
    """Serve the page until a signal asks to stop."""
    import asyncio

    from aveo3.cli.live_page import shown
    from aveo3.cli.shells import quoted
    from aveo3.cli.signals import on_signals
    from aveo3.cli.telling import tell
    from aveo3.server.door.server_file import read
    from aveo3.server.page.journal_view import JournalView
    from aveo3.server.page.relay import RelayAnswers

    in_json = settings.log_format == "json"
    if await _server_in(settings.output_dir):
        home = settings.output_dir.absolute()
        await _until_stopped(RelayAnswers(home.name, lambda: read(home)), port, opens=opens, in_json=in_json)
        return
    stopped = asyncio.Event()
    with on_signals(lambda _: stopped.set()):
        async with shown(JournalView(settings, quoted=quoted), port=port, opens=opens, in_json=in_json):
            tell("following the journal; Ctrl-C ends", in_json=in_json)
            await stopped.wait()
