"""`aveo3 check`: tests for free whether Google would make clips, and says what to do if not."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from aveo3.cli.exit_codes import Exit, errors_as_messages
from aveo3.cli.journal_view import plain
from aveo3.cli.json_lines import in_json
from aveo3.errors import UsageError

if TYPE_CHECKING:
    from aveo3.checkup import CheckReport
    from aveo3.config.settings import Settings
    from aveo3.database_checkup import DatabaseReport
    from aveo3.lanes.lanes import Lanes
    from aveo3.verdicts.problems import Finding

_INDENT = " " * 21


def check(
    lanes: Annotated[Path | None, typer.Option(help="TOML file of lanes; each lane is checked.")] = None,
    quota: Annotated[
        bool, typer.Option("--quota", help="Read each project's own quota, and say what to set. Needs a login.")
    ] = False,
    json_line: Annotated[bool, typer.Option("--json", help="Print one JSON object with all details.")] = False,
) -> None:
    """Check credentials, project, region and model for free.

    Each lane is checked, and each model of VEO3_FALLBACK. For each problem the command says what to do.

    Nothing is generated and nothing is billed. It polls Vertex AI for an operation that does not exist, asks the
    Gemini API to describe the model, and lists the bucket of VEO3_OUTPUT_GCS_URI. It cannot check billing on the
    Gemini API. With --quota it lists the quotas of the project on Vertex AI, and compares them with the settings.
    With VEO3_DATABASE it asks the database, too: whether it keeps what was paid, and all machines see one directory.

    Exit codes: 0 everything answers, 1 something does not, 2 the settings are wrong.

    Examples:

      aveo3 check

      aveo3 check --quota

      aveo3 check --json
    """
    import asyncio

    from aveo3.cli.catalog_age import what_is_old
    from aveo3.config.settings import Settings

    with errors_as_messages():
        settings = Settings() if lanes is None else Settings(lanes=lanes)
        places = _places(settings)
    notes = [*what_is_old(settings), *_gone(settings, places)]
    sheets = asyncio.run(_ask(places, quota=quota))
    database = None
    if settings.database is not None:
        from aveo3.database_checkup import check_database

        database = check_database(settings)
    if json_line:
        lanes_json = [{"lane": place.name, **sheet.as_dict()} for place, sheet in zip(places, sheets, strict=True)]
        values = sheets[0].as_dict() if len(sheets) == 1 else {"ok": all(s.ok for s in sheets), "lanes": lanes_json}
        if database is not None:
            values = {**values, "ok": values["ok"] and database.ok, "database": database.as_dict()}
        print(in_json({**values, "notes": notes}))
    for words in notes if not json_line else ():
        _line("catalog", "NOTE", plain(words), "yellow")
    if database is not None and not json_line:
        _print_database(database)
    for place, sheet in zip(places, sheets, strict=True):
        if not json_line:
            if len(sheets) > 1:
                typer.secho(place.name, bold=True)
            _print_report(sheet)
    if database is not None and not database.ok and not json_line:
        typer.echo("not ready: see the database above")
    if not all(sheet.ok for sheet in sheets) or (database is not None and not database.ok):
        raise typer.Exit(Exit.USAGE if any(sheet.settings_wrong for sheet in sheets) else Exit.SOME_NOT)


class _Place(NamedTuple):
    """One place that prompts may go to. `limits` says where its limits are set; None: in the VEO3_ variables."""

    name: str
    settings: Settings
    limits: str | None


def _places(settings: Settings) -> list[_Place]:
    """Every place that prompts may go to. Raises `UsageError` if the lanes are wrong."""
    from aveo3.lanes.lanes import Lanes

    lanes = Lanes(settings)
    listed = [_Place(lane.name, lane.settings, f"lane {lane.name}") for lane in lanes.listed]
    alone = f"a lane for {settings.model} (VEO3_RATE_LIMIT holds for all models)" if settings.fallback else None
    places = listed or [_Place(settings.model, _at_its_location(settings, lanes), alone)]
    for model in settings.fallback:
        places += [
            _Place(lane.name, lane.settings, f"a lane for {model} (VEO3_RATE_LIMIT holds for all models)")
            for lane in lanes.of(model)
            if lane not in lanes.listed
        ]
    return places


def _at_its_location(settings: Settings, lanes: Lanes) -> Settings:
    """`settings` with the location that a run would use: some models are in one location only."""
    try:
        [lane] = lanes.of(settings.model)
    except UsageError:  # the check itself says what is wrong
        return settings
    return settings.model_copy(update={"location": lane.settings.location})


def _gone(settings: Settings, places: list[_Place]) -> list[str]:
    """What earlier runs in the output directory heard of these models, if Google has shut them down."""
    from aveo3.cli.preview import gone_here
    from aveo3.client import VeoClient
    from aveo3.errors import JournalError, UsageError

    try:
        return gone_here(settings.journal_path, VeoClient(settings).service, (place.settings.model for place in places))
    except UsageError:  # no credentials: the report says so
        return []
    except JournalError as error:
        return [f"what earlier runs heard of these models cannot be read: {error}"]


async def _ask(places: list[_Place], *, quota: bool) -> list[CheckReport]:
    from aveo3.checkup import check as checked

    return [await checked(place.settings, quota=quota, lane=place.limits) for place in places]


def _print_report(sheet: CheckReport) -> None:
    from aveo3.verdicts.problems import CheckStep, Problem

    failed = {finding.step: finding for finding in sheet.wrong}
    for step in CheckStep:
        if step in failed:
            _line(step, "FAILED", failed[step].what, "red")
            _way_out(failed[step])
        elif step is CheckStep.SETTINGS and sheet.settings_wrong:
            _line(step, "WRONG", sheet.settings_wrong, "red")
        elif step is CheckStep.QUOTA:
            _print_quota(sheet)
        elif step in sheet.well:
            _line(step, "ok", sheet.well[step], "green")
    if sheet.ok:
        typer.echo("ready")
    elif [*failed] == [CheckStep.QUOTA] and failed[CheckStep.QUOTA].problem is not Problem.NO_QUOTA:
        typer.echo("ready, but the quota could not be read")


def _print_database(report: DatabaseReport) -> None:
    shown = {"ok": ("ok", "green"), "note": ("NOTE", "yellow"), "failed": ("FAILED", "red")}
    for finding in report.findings:
        state, colour = shown[finding.state]
        _line(finding.step, state, plain(finding.words), colour)


def _print_quota(sheet: CheckReport) -> None:
    if sheet.quota is None:
        return
    if sheet.quota.note:
        _line("quota", "NOTE", sheet.quota.note, "yellow")
    for limit in sheet.quota.limits:
        state, colour = ("ok", "green") if limit.compared.fits else ("NOTE", "yellow")
        _line("quota", state, limit.words, colour)
        if limit.advice:
            typer.echo(_wrapped(f"what to do: {limit.advice}", _INDENT))


def _way_out(finding: Finding) -> None:
    for title, words in (("what to do:", finding.way_out), ("details:", finding.said)):
        if words:
            typer.echo(_wrapped(f"{title} {words}", _INDENT))


def _line(step: str, state: str, words: str, colour: str) -> None:
    body = _wrapped(words, _INDENT).removeprefix(_INDENT)
    typer.echo(f"{step:<12} {typer.style(f'{state:<7}', fg=colour, bold=state != 'ok')} {body}".rstrip())


def _wrapped(text: str, indent: str) -> str:
    """`text` after `indent`; on a terminal wrapped between words, with addresses and commands in one piece."""
    if not sys.stdout.isatty():
        return indent + text
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
