"""`aveo3 check`: whether clips could be made, asked of Google for free, and what to do if not."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli.exits import Exit, errors_as_messages

if TYPE_CHECKING:
    from aveo3.checkup import Checkup
    from aveo3.remedies import Finding

_INDENT = " " * 21


def check(
    json_line: Annotated[bool, typer.Option("--json", help="One JSON object, with everything.")] = False,
) -> None:
    """Ask Google, for free, whether credentials, project, region and model answer; where not, say what to do.

    No video is generated and nothing is billed: Vertex AI is asked for an operation that does not exist, the Gemini API
    for what the model is; with VEO3_OUTPUT_GCS_URI the bucket is listed, too. Quota and billing of the model itself
    show with the first video only.

    Exit codes: 0 all answer, 1 something does not, 2 the settings are wrong.

    Examples:

      aveo3 check

      aveo3 check --json
    """
    import asyncio

    from aveo3.checkup import check as checked
    from aveo3.settings import Settings

    with errors_as_messages():
        settings = Settings()
    sheet = asyncio.run(checked(settings))
    if json_line:
        print(json.dumps(sheet.as_dict(), ensure_ascii=False))
    else:
        _tell(sheet)
    if not sheet.ok:
        raise typer.Exit(Exit.USAGE if sheet.settings_wrong else Exit.SOME_NOT)


def _tell(sheet: Checkup) -> None:
    from aveo3.remedies import Step

    failed = {finding.step: finding for finding in sheet.wrong}
    for step in Step:
        if step in failed:
            _line(step, "FAILED", failed[step].what, "red")
            _way_out(failed[step])
        elif step is Step.SETTINGS and sheet.settings_wrong:
            _line(step, "WRONG", sheet.settings_wrong, "red")
        elif step in sheet.well:
            _line(step, "ok", sheet.well[step], "green")
    if sheet.ok:
        typer.echo("ready")


def _way_out(finding: Finding) -> None:
    for title, words in (("what to do:", finding.way_out), ("what was said:", finding.said)):
        if words:
            typer.echo(_wrapped(f"{title} {words}", _INDENT))


def _line(step: str, state: str, words: str, colour: str) -> None:
    body = _wrapped(words, _INDENT).removeprefix(_INDENT)
    typer.echo(f"{step:<12} {typer.style(f'{state:<7}', fg=colour, bold=state != 'ok')} {body}".rstrip())


def _wrapped(text: str, indent: str) -> str:
    """`text` behind `indent`; on a terminal broken between words, addresses and commands left whole."""
    if not sys.stdout.isatty():
        return indent + text
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
