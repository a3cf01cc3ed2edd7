"""`aveo3 worker`: makes the clips that others order in a shared database, without taking requests itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli import options
from aveo3.cli.exit_codes import errors_as_messages

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.server.farm.worker import FarmWorker


def worker(
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="The directory of the videos, which all machines see.")
    ] = None,
    database: options.Database = None,
    lead: Annotated[
        list[str] | None,
        typer.Option("--lead", metavar="LANE", help="Name of a lane to lead; without it, all. Repeatable."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Send nothing: poll and download what leaders have sent."),
    ] = False,
    rate: options.Rate = None,
    max_concurrency: options.MaxConcurrency = None,
    budget: options.Budget = None,
    lanes: options.Lanes = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only problems.")] = False,
) -> None:
    """Make the clips that wait in a database of several machines.

    One process leads each lane: it sends its requests within the quota, follows them and saves the videos. All others
    stand by, and one of them leads some milliseconds after the leader has died, or when it has been silent for 15
    seconds. Start as many workers as you like, on any machine; `aveo3 serve` leads, too, and takes requests beside.
    They must have the same settings: quota, lanes and budget are those of whoever leads.

    With `--follow` it leads nothing: it polls and saves what leaders have sent, so that downloads use the network of
    more machines. Without followers each leader does that itself. VEO3_POLL_RATE is shared among the followers.

    VEO3_* and GOOGLE_* variables, in the environment or in .env, set everything: see `aveo3 config show`. Without
    VEO3_QUOTA_PATIENCE, requests wait for quota as long as it takes. Ctrl-C or SIGTERM stops it within ten seconds;
    what runs at Google is followed by the next leader.

    Exit codes: 0 stopped; 2 bad usage, or the database cannot be used.

    Examples:

      aveo3 worker --database postgresql://veo@db/veo --output-dir /mnt/videos

      aveo3 worker --lead fast --lead best

      aveo3 worker --follow
    """
    with errors_as_messages():
        given: dict[str, Any] = {
            "output_dir": output_dir,
            "max_concurrency": max_concurrency,
            "budget": budget,
            "lanes": lanes,
            **options.database_field(database),
            **options.rate_fields(rate),
        }
        from aveo3.config.settings import Settings

        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        import asyncio

        from aveo3.cli.commands.serve import logging_to_lines
        from aveo3.cli.telemetry import exported
        from aveo3.files.open_files import raise_limit
        from aveo3.server.farm.worker import FarmWorker

        made = FarmWorker(settings, lanes=lead or None, follow=follow)
        raise_limit()
        with logging_to_lines(settings, quiet=quiet), exported(settings):
            asyncio.run(_work(made, settings, quiet=quiet))


async def _work(made: FarmWorker, settings: Settings, *, quiet: bool) -> None:
    """Work until a signal asks to stop."""
    import asyncio

    from aveo3.cli.signals import on_signals
    from aveo3.cli.telling import tell

    in_json = settings.log_format == "json"
    stop = asyncio.Event()
    with on_signals(lambda _: stop.set()):
        async with made as running:
            if not quiet:
                journal = running.session.journal
                assert journal is not None
                does = "following" if made.follows else "working"
                tell(
                    f"{does} for {journal.place}, videos go to {settings.output_dir.absolute()}. Ctrl-C stops it.",
                    in_json=in_json,
                )
            await stop.wait()
            if not quiet:
                rest = "downloads get some seconds" if made.follows else "what was sent learns its operation's name"
                tell(f"stopping: {rest}, and others go on", in_json=in_json)
