"""`aveo3 page`: shows a directory in the browser, and follows the run that works in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli import options
from aveo3.cli.exit_codes import Exit, errors_as_messages

if TYPE_CHECKING:
    from aveo3.config.settings import Settings


def page(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Directory with the videos; default: that of the settings.")
    ] = None,
    port: options.PagePort = None,
    opens: options.Open = False,
) -> None:
    """Show a directory live in the browser.

    It prints a link to a page on this machine. The page has what `aveo3 report` shows, and changes as another process
    makes clips; a run may also begin later. It only reads the journal, and ends with Ctrl-C. To pause or stop a run on
    its page, use `aveo3 generate --page`. It needs aveo3[report].

    Exit codes: 2 bad usage, the port is taken, or aveo3[report] is missing; 130 you stopped it.

    Examples:

      aveo3 page clips

      aveo3 page clips --open
    """
    with errors_as_messages():
        from aveo3.cli.journal_view import settings_of
        from aveo3.errors import UsageError
        from aveo3.report.html import check_extra

        settings = settings_of(directory)
        if settings.journal_path is None:
            raise UsageError("there is no journal to show: VEO3_JOURNAL=none. Unset it to keep a journal.")
        check_extra()
        import asyncio

        asyncio.run(_show(settings, port or 0, opens=opens))
    raise typer.Exit(Exit.INTERRUPTED)


async def _show(settings: Settings, port: int, *, opens: bool) -> None:
    """Serve the page until a signal asks to stop."""
    import asyncio

    from aveo3.cli.live_page import shown
    from aveo3.cli.shells import quoted
    from aveo3.cli.signals import on_signals
    from aveo3.cli.telling import tell
    from aveo3.server.page.journal_view import JournalView

    stopped = asyncio.Event()
    with on_signals(lambda _: stopped.set()):
        in_json = settings.log_format == "json"
        async with shown(JournalView(settings, quoted=quoted), port=port, opens=opens, in_json=in_json):
            tell("following the journal; Ctrl-C ends", in_json=in_json)
            await stopped.wait()
