"""`aveo3 journal move`: moves the journal between a directory and a database that several machines share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli.exit_codes import errors_as_messages

if TYPE_CHECKING:
    from aveo3.journal.moving.move import Moved
    from aveo3.journal.moving.side import Side

app = typer.Typer(
    help="Move the journal to another place.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

DATABASE = "VEO3_DATABASE"
"""The argument that stands for the address in that variable, which may hold a password."""


@app.callback()
def _journal() -> None:
    """Move the journal to another place."""


@app.command()
def move(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="Directory with the videos, postgresql://…, or the word VEO3_DATABASE.")
    ],
    destination: Annotated[
        str, typer.Argument(metavar="DST", help="The same, where it is to be: without a journal so far.")
    ],
    giving_up: Annotated[
        bool, typer.Option("--give-up", help="Take back a move that was interrupted, if it did not arrive.")
    ] = False,
    json_line: Annotated[bool, typer.Option("--json", help="Print one JSON object with all details.")] = False,
) -> None:
    """Move the journal of a directory into a PostgreSQL database, or back.

    Every row is compared with its copy before the new journal counts. The old one stays as it is, takes nothing more,
    and says where it went. Nobody may work with either meanwhile. After a kill or a lost connection, run the same
    command again: it ends the move, and nothing is lost. Videos and media stay where they are.

    A password does not belong on the command line: set VEO3_DATABASE and write its name instead of the address, or use
    PGPASSWORD or ~/.pgpass.

    Exit codes: 0 the journal is at its new place; 2 it is where it was: one of both is in use, holds another journal,
    or cannot be reached.

    Examples:

      aveo3 journal move clips VEO3_DATABASE

      aveo3 journal move VEO3_DATABASE clips
    """
    with errors_as_messages():
        from aveo3.journal.moving import move as moving

        here, there = _side(source, made=False), _side(destination, made=True)
        if giving_up:
            taken_back = moving.give_up(here, there)
            words = "takes writers again" if taken_back else "takes writers: no move of it was interrupted"
            typer.echo(f"{here.name} {words}")
            return
        moved = moving.move(here, there)
        missing = _missing(destination)
        if moved.state == "moved":
            _forget_directory(source, destination)
    if json_line:
        _print_json(moved, missing)
        return
    for line in _lines(moved, missing, destination):
        typer.echo(line)


def _side(place: str, *, made: bool) -> Side:
    """One end of the move. Raises `UsageError`."""
    from aveo3.cli.options import database_field
    from aveo3.errors import UsageError
    from aveo3.journal.moving.sqlite_side import SqliteSide

    if place == DATABASE or "://" in place:
        from aveo3.config.settings import Settings
        from aveo3.journal.place import SharedJournal

        settings = Settings() if place == DATABASE else Settings(**database_field(place, "the address"))
        if settings.database is None:
            raise UsageError("VEO3_DATABASE is not set: set it to postgresql://USER@HOST/DATABASE.")
        try:
            from aveo3.journal.moving.postgres_side import PostgresSide
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "psycopg":
                raise
            raise UsageError("a database needs psycopg: pip install 'aveo3[postgres]'") from None
        return PostgresSide(SharedJournal(settings.database, settings.output_dir), made=made)
    path = _file_of(place)
    if path is None:
        raise UsageError("VEO3_JOURNAL=none: there is no journal to move. Unset it.")
    if not made and not path.is_file():
        raise UsageError(f"there is no journal {path}: name the directory with the videos.")
    return SqliteSide(path, made=made)


def _file_of(place: str) -> Path | None:
    from aveo3.cli.journal_view import settings_of

    return Path(place) if Path(place).is_file() else settings_of(Path(place)).journal_path


def _missing(destination: str) -> int:
    """How many videos the journal in a directory names that are not there."""
    from aveo3.journal.journal import Journal

    if destination == DATABASE or "://" in destination or (path := _file_of(destination)) is None:
        return 0
    with Journal(path, writes=False, checks=False) as journal:
        return sum(not journal.locate(file).exists() for record in journal.records() for file in record.files)


def _forget_directory(source: str, destination: str) -> None:
    """Let the next database take a directory that another one had before."""
    from aveo3.journal.place import home_of
    from aveo3.journal.shared_home import forget

    path = _file_of(source) if source != DATABASE and "://" not in source else None
    if path is not None and (destination == DATABASE or "://" in destination):
        forget(home_of(path))


def _print_json(moved: Moved, missing: int) -> None:
    import dataclasses

    from aveo3.cli.json_lines import in_json

    values: dict[str, Any] = {**dataclasses.asdict(moved), "missing_videos": missing}
    print(in_json(values))


def _lines(moved: Moved, missing: int, destination: str) -> list[str]:
    if moved.state == "before":
        lines = [f"nothing to do: the journal of {moved.source} is in {moved.destination} already"]
    elif moved.state == "finished":
        lines = [f"finished: an interrupted move had brought the journal of {moved.source} to {moved.destination}"]
    else:
        rows = ", ".join(f"{moved.rows[table]:,} {table.replace('_', ' ')}" for table in ("jobs", "events", "requests"))
        total = sum(moved.rows.values())
        lines = [f"moved to {moved.destination}: {rows}; each of {total:,} rows was compared with its copy"]
    lines.append(f"{moved.source} takes nothing more, and says where its journal went")
    if moved.destination.startswith("PostgreSQL"):
        lines.append(
            "next: on each machine set VEO3_DATABASE, and VEO3_OUTPUT_DIR to the directory with the videos, which all "
            "of them must see; then `aveo3 check` looks at both"
        )
    if missing:
        lines.append(
            f"{missing:,} videos are not in {destination}: move them there, with all of the directory .aveo3, before "
            "the next run. A prompt whose video is missing is made and paid again."
        )
    return lines
