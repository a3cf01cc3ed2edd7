"""`aveo3 history`: prints the recorded steps of one job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli.exit_codes import errors_as_messages
from aveo3.cli.journal_view import (
    STYLES,
    directory_and_ids,
    fields,
    journal_place,
    plain,
    priced,
    prompt_words,
    settings_of,
    tail,
)
from aveo3.cli.json_lines import in_json
from aveo3.cli.shells import quoted
from aveo3.journal.retrying import find
from aveo3.lifecycle import AT_STAKE, State

if TYPE_CHECKING:
    from aveo3.journal.journal import Journal
    from aveo3.journal.rows import Event, JobRecord


def history(
    directory: Annotated[
        str | None, typer.Argument(metavar="DIR", help="Directory with the videos; default: that of the settings.")
    ] = None,
    job: Annotated[
        str | None, typer.Argument(metavar="ID", help="The job's ID from `aveo3 status`, or its beginning.")
    ] = None,
    json_line: Annotated[bool, typer.Option("--json", help="Print one JSON object with all details.")] = False,
) -> None:
    """Show one job step by step.

    The steps say when it was sent, what Google answered, what is owed, and where the video is. The ID is in `aveo3
    status`, in the names of the videos and in manifest.jsonl. Times are UTC.

    Exit codes: 0 the job was shown; 2 the ID matches no job or several, or there is no journal.

    Examples:

      aveo3 history clips 1a2b3c4d

      aveo3 history clips 1a2b --json
    """
    with errors_as_messages():
        from aveo3.journal.journal import Journal

        home, name = _directory_and_id([name for name in (directory, job) if name is not None])
        with Journal(journal_place(settings_of(home)), writes=False) as journal:
            for record in find(name, journal):
                if json_line:
                    steps = [
                        {"at_utc": e.at_utc, "state": e.state, "changes": e.changes} for e in _life(record, journal)
                    ]
                    print(in_json({**fields(record, journal, at_work=journal.in_use()), "history": steps}))
                else:
                    _print_life(record, journal)


def _directory_and_id(names: list[str]) -> tuple[Path | None, str]:
    """The directory and the job's ID. Raises `UsageError` unless there is exactly one ID."""
    from aveo3.errors import UsageError

    directory, ids = directory_and_ids(names)
    if len(names) == 1 and directory is not None and not (names[0] and directory.is_dir()):
        directory, ids = None, names  # a misspelt ID rather than a directory that is not there
    if len(ids) == 1:
        return directory, ids[0]
    where = f" {quoted(str(directory))}" if directory is not None else ""
    example = _example(directory) if directory is not None and not ids else None
    usage = f"aveo3 history{where} {example}" if example else "aveo3 history [DIR] ID"
    raise UsageError(f"history shows one job: {usage}. `aveo3 status{where}` lists the IDs.")


def _example(directory: Path) -> str | None:
    """The ID of a job in `directory`; None if it has none. Raises `JournalError` if there is no journal."""
    from aveo3.journal.journal import Journal

    with Journal(journal_place(settings_of(directory)), writes=False) as journal:
        return next((record.name for record in journal.records()), None)


def _life(record: JobRecord, journal: Journal) -> list[Event]:
    return journal.history(record.id)


def _print_life(record: JobRecord, journal: Journal) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from aveo3.cli.terminal import is_screen

    console = Console(highlight=False)
    if not (screen := is_screen(console)):
        console.width = 10_000  # whole lines for a pipe

    def say(name: str, value: str, style: str = "") -> None:
        console.print(Text.assemble((f"{name:<10} ", "bold"), (value, style)), soft_wrap=True)

    say("job", f"{record.name} ({record.state})", STYLES[record.state])
    say("prompt", plain(str(record.prompt.get("text", ""))) or prompt_words(record.prompt))
    if others := {key: value for key, value in record.prompt.items() if key != "text"}:
        say("with", ", ".join(f"{key} {_short(value)}" for key, value in others.items()))
    say("model", f"{record.model} ({', '.join(filter(None, record.place.values())) or record.service})")
    if record.sunk_usd or record.sunk_unpriced:
        gone = priced(record.sunk_usd or 0.0, record.sunk_unpriced or 0)
        say("given up", f"{gone} for earlier attempts, which may be paid all the same")
    if record.operation:
        say("operation", record.operation)
    for file in record.files:
        say("file", str(journal.locate(file).absolute()))
    for uri in record.uris:
        say("uri", uri)
    console.print()
    steps = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "left"):
        steps.add_column(no_wrap=True, justify=justify)
    steps.add_column(overflow="fold")
    steps.add_row("UTC", "after", "state", "what happened", style="bold")
    before: Event | None = None
    for event in _life(record, journal):
        since = "" if before is None else _span((event.at_utc - before.at_utc).total_seconds())
        words = "; ".join(_words(event, before))
        steps.add_row(f"{event.at_utc:%Y-%m-%d %H:%M:%S}", since, Text(event.state, STYLES[event.state]), Text(words))
        before = event
    if screen:
        console.print(steps)
    else:
        with console.capture() as written:
            console.print(steps)
        typer.echo("\n".join(line.rstrip() for line in written.get().splitlines()))


def _span(seconds: float) -> str:
    """The time between two steps: `0.2 s`, `70 s`, `1 h 3 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("path") or value.get("uri") or "bytes")
    return " ".join(_short(part) for part in value) if isinstance(value, list) else plain(str(value))


def _words(event: Event, before: Event | None) -> Iterator[str]:
    """What a step changed, in words. The first words give the cause, if the state does not."""
    changes = {name: value for name, value in event.changes.items() if value not in (None, [], {})}
    given_up = bool(changes.get("sunk_usd") or changes.get("sunk_unpriced"))
    if event.state is State.PLANNED and given_up:
        yield "planned again by aveo3 retry"
    elif event.state is State.PLANNED and before is not None:
        yield _WHY_AGAIN.get(before.state, "planned again")
    elif before is None:
        yield "recorded"
    if event.state is State.SUBMITTING and "attempts" in changes:
        yield f"attempt {changes['attempts']}"
    if changes.get("retries") and event.state in (State.PLANNED, State.FAILED):
        yield f"retry {changes['retries']}" if event.state is State.PLANNED else f"{changes['retries']} retries"
    if "error_kind" in changes:
        yield plain(f"{changes['error_kind']}: {changes.get('error_message', '')}").rstrip(": ")
    if "operation" in changes:
        yield f"operation {tail(changes['operation'])}"
    if "output_uri" in changes:
        yield f"output to {changes['output_uri']}"
    if uris := changes.get("uris"):
        yield f"at {', '.join(uris)}"
    for file in changes.get("files", ()):
        yield _file_words(file)
    if given_up:
        yield f"{priced(changes.get('sunk_usd', 0.0), changes.get('sunk_unpriced', 0))} given up so far: may be paid"
    if cost := changes.get("cost_usd"):
        yield f"US$ {cost:.2f}" + (" at stake" if event.state in AT_STAKE else "")


def _file_words(file: Mapping[str, Any]) -> str:
    from rich.filesize import decimal

    return f"{file['path']}, {decimal(int(file['size']))}, SHA-256 {str(file['sha256'])[:12]}…"


_WHY_AGAIN = {
    State.SUBMITTING: "not accepted",
    State.RUNNING: "its operation made no video",
}
"""Why a job is planned again, by its state before. From any other state, a person or the next run planned it."""
