"""`aveo3 resume`: finish what earlier runs left at Google, without their prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aveo3.cli.exit_codes import Exit, errors_as_messages
from aveo3.cli.journal_view import counted, journal_path, settings_of


def resume(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Directory of the videos; the settings' if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a clip on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors and results only.")] = False,
) -> None:
    """Finish what earlier runs left: wait for what Google is making, and fetch what it has made. Sends no prompt.

    It needs the journal of the directory and the credentials of those runs, not their prompts; what was never sent
    waits for its prompts to be given again. `aveo3 generate` does the same for the prompts it is given. A job whose
    answer was lost is looked for as well, if Google was told where to put its video.

    Exit codes: 0 nothing was left, or all of it is on disk; 1 some not, 2 bad usage, or a run is at work; 130
    interrupted.

    Examples:

      aveo3 resume clips

      aveo3 resume clips --json --quiet
    """
    with errors_as_messages():
        settings = settings_of(directory)
        journal_path(settings)
        import asyncio

        from aveo3.cli import preview, run
        from aveo3.client import VeoClient

        client = VeoClient(settings)
        left = preview.resumable(settings, service=client.service)
        if not left:
            if not quiet:
                typer.echo(f"nothing to finish in {settings.output_dir}: no job is under way", err=as_json)
            raise typer.Exit(Exit.ALL_MADE)
        notes = [f"{counted(left, 'job')} of earlier runs to finish; nothing is sent"]
        work = run.run(client, VeoClient.resume, total=left, to_send=0, notes=notes, as_json=as_json, quiet=quiet)
        code = asyncio.run(work)
    raise typer.Exit(code)
