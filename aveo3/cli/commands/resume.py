"""`aveo3 resume`: finishes the jobs that earlier runs left at Google, without their prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aveo3.cli import options
from aveo3.cli.exit_codes import Exit, errors_as_messages
from aveo3.cli.journal_view import counted, journal_path, settings_of
from aveo3.lifecycle import is_emulated


def resume(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Directory with the videos; default: that of the settings.")
    ] = None,
    name: options.Name = None,
    command: options.Exec = None,
    events: options.Events = None,
    page: options.Page = False,
    page_port: options.PagePort = None,
    opens: options.Open = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each clip.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Finish the jobs that earlier runs left at Google.

    It polls running operations and downloads finished videos. It sends no prompt. It needs the journal of the
    directory and the credentials of those runs, not their prompts. If an answer was lost, it searches for the video in
    the bucket of VEO3_OUTPUT_GCS_URI, if that was set.

    A directory of mock runs is resumed in mock mode.

    Prompts that were never sent need `aveo3 generate` with the same prompts, which also resumes their running jobs.

    Exit codes: 0 nothing was left, or all of it is on disk; 1 some clips are not; 2 bad usage, or another run is
    active; 130 interrupted.

    Examples:

      aveo3 resume clips

      aveo3 resume clips --json --quiet
    """
    with errors_as_messages():
        settings = settings_of(directory, **({} if name is None else {"name": name}))
        if settings.database is not None:
            from aveo3.errors import UsageError

            raise UsageError(
                "with VEO3_DATABASE whoever leads goes on with what runs: `aveo3 serve` or `aveo3 worker`. `aveo3 "
                "status` says who does. For a directory with a journal of its own, name it."
            )
        journal_path(settings)
        import asyncio

        from aveo3.cli import after_clip, preview, run, services
        from aveo3.cli.event_lines import EventLines
        from aveo3.cli.telemetry import exported
        from aveo3.client import VeoClient
        from aveo3.errors import UsageError

        event_lines = None if events is None else EventLines(events, as_json=as_json)
        after = None if command is None else after_clip.AfterClip(command)
        settings = services.of_directory(settings)
        shown = options.run_page(settings, page=page, port=page_port, opens=opens)
        client = VeoClient(settings, on_event=None if shown is None else shown.take)
        try:
            service = client.service
        except UsageError:
            if (elsewhere := services.left_elsewhere(settings, None)) is None:
                raise
            raise UsageError(f"no credentials found. {elsewhere}.") from None
        left = preview.resumable(settings, service=service)
        elsewhere = services.left_elsewhere(settings, service)
        if not left and elsewhere is not None:
            typer.echo(f"nothing was finished: {elsewhere}", err=True)
            raise typer.Exit(Exit.SOME_NOT)
        if not left:
            if not quiet:
                typer.echo(f"nothing to finish in {settings.output_dir}: no job is running", err=as_json)
            raise typer.Exit(Exit.ALL_MADE)
        notes = [f"finishing {counted(left, 'job')} of earlier runs; nothing is sent"]
        if is_emulated(service):
            notes = [
                f"finishing {counted(left, 'job')} of earlier runs in the emulator: its operations ended with its run, "
                "so they begin again, and nothing is billed"
            ]
        with exported(settings):
            work = run.run(
                client,
                VeoClient.resume,
                total=left,
                to_send=0,
                notes=notes,
                as_json=as_json,
                quiet=quiet,
                after=after,
                events=event_lines,
                page=shown,
            )
            code = asyncio.run(work)
    raise typer.Exit(code)
