"""`aveo3 report`: writes what a directory holds as one HTML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aveo3.cli.exit_codes import errors_as_messages


def report(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Directory with the videos; default: that of the settings.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File for the report, or - for standard output; default: DIR/report.html."),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Also write contact sheets: a picture of all clips, 100 to a file.")
    ] = None,
    opens: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Write what a directory holds as one HTML file, to look at.

    It has a gallery that plays the clips, with their prompts, states, costs and times; filters and a search; what went
    wrong and what to do about it; the timeline against the quota; and the money by model, day, label and project_id.

    It is read from the journal and the files, also during a run, and asks Google nothing. The page needs no server and
    no network. The clips are not inside: keep the file beside them. It needs aveo3[report].

    Exit codes: 0 it is written; 2 bad usage, no journal, one that cannot be read, or aveo3[report] is missing.

    Examples:

      aveo3 report clips --open

      aveo3 report clips --output clips/monday.html --sheet clips/sheet.png
    """
    with errors_as_messages():
        from aveo3.cli import report_file
        from aveo3.cli.journal_view import settings_of
        from aveo3.errors import UsageError

        settings = settings_of(directory)
        to_stdout = output is not None and str(output) == "-"
        if to_stdout and opens:
            raise UsageError("--open needs a file: leave out --output -")
        if to_stdout or output is None:
            path = settings.output_dir / report_file.REPORT
        else:
            path = output / report_file.REPORT if output.is_dir() else output
        if to_stdout:
            made = report_file.make(settings, None, sheet=sheet)
            sys.stdout.buffer.write(made.html.encode("utf-8", "replace"))
            sys.stdout.buffer.flush()
        else:
            made = report_file.write(settings, path, sheet=sheet)
        for line in made.notes:
            typer.echo(f"aveo3: {line}", err=True)
        for file in [*([] if to_stdout else [path]), *made.sheets]:
            typer.echo(str(file), err=to_stdout)
        if opens and not report_file.show(path):
            typer.echo(f"aveo3: no browser was found: open {path} yourself", err=True)
