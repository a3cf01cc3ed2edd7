"""`aveo3 retry`: plan jobs anew that only a person may send again. Sends nothing itself."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli.commands.history import find
from aveo3.cli.exit_codes import Exit, errors_as_messages
from aveo3.cli.journal_view import (
    EMULATED,
    counted,
    directory_and_ids,
    dollars,
    journal_path,
    listed,
    prompt_words,
    settings_of,
    tail,
    typed,
)
from aveo3.lifecycle import State

if TYPE_CHECKING:
    from aveo3.journal.journal import Journal
    from aveo3.journal.rows import JobRecord

RETRIABLE = (State.UNCERTAIN, State.FAILED, State.FILTERED, State.REJECTED)
NAMED = 10
"""Jobs that are named one by one before a person decides about them."""


def retry(
    directory: Annotated[
        str | None, typer.Argument(metavar="DIR", help="Directory of the videos; the settings' if not given.")
    ] = None,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Jobs, as `aveo3 status` calls them.")] = None,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Every job that may have been paid already; it may be paid twice.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Every job whose retries were used up.")] = False,
    filtered: Annotated[bool, typer.Option("--filtered", help="Every job that a safety filter stopped.")] = False,
    rejected: Annotated[bool, typer.Option("--rejected", help="Every job that was refused as impossible.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask about what may be paid twice.")] = False,
) -> None:
    """Plan jobs anew, so that the next run of the same prompts sends them once more. Sends nothing itself.

    Jobs that are uncertain may be paid, and their videos may be at Google: look first (aveo3 history). It asks before
    it takes them, and wants --yes where it cannot ask. So it does with a job that is named while Google is still at
    work on it: to give that one up. What was deferred or cancelled needs no retry. A clip that is there is made once
    more by aveo3 generate --fresh.

    Exit codes: 0 done, or nothing to do; 1 you said no; 2 bad usage, or a run is at work.

    Examples:

      aveo3 retry clips --failed

      aveo3 retry clips 1a2b3c4d 5e6f7a8b --yes

      aveo3 retry clips --uncertain --yes
    """
    with errors_as_messages():
        from aveo3.journal.journal import Journal

        home, ids = directory_and_ids([*([] if directory is None else [directory]), *(jobs or [])])
        settings = settings_of(home)
        flags = dict(zip(RETRIABLE, (uncertain, failed, filtered, rejected), strict=True))
        path = journal_path(settings)
        with Journal(path) as journal:
            chosen = _chosen(journal, ids, [state for state, wanted in flags.items() if wanted])
            if not chosen:
                raise typer.Exit(Exit.ALL_MADE)
            owed = [e for e in chosen if e.state in _OWED and e.service != EMULATED]
            if owed and not yes and not _confirmed(owed):
                typer.echo("nothing was changed")
                raise typer.Exit(Exit.SOME_NOT)
            for entry in chosen:
                _plan_anew(entry, journal)
    counts = Counter(entry.state for entry in chosen)
    what = listed(f"{counts[state]:,} {state}" for state in (*RETRIABLE, *_UNDER_WAY) if counts[state])
    typer.echo(
        f"{counted(len(chosen))} planned anew ({what}). Nothing was sent yet: run the same prompts again, as in\n"
        f"  aveo3 generate prompts.txt --output-dir {typed(settings)}"
    )


def _plan_anew(entry: JobRecord, journal: Journal) -> None:
    state = entry.state
    if state is State.FETCHING:
        journal.move(entry.id, state, State.RUNNING)
        state = State.RUNNING
    sunk = (entry.cost_usd or 0.0) if state in _OWED and entry.service != EMULATED else 0.0
    journal.move(
        entry.id, state, State.PLANNED, error_kind=None, error_message=None, sunk_usd=(entry.sunk_usd or 0.0) + sunk
    )


def _chosen(journal: Journal, ids: list[str], states: list[State]) -> list[JobRecord]:
    """The jobs to plan anew, each once. Raises `UsageError`, before anything is changed, if one of `ids` cannot be."""
    from aveo3.errors import UsageError

    chosen, problems = {}, []
    for name in ids:
        found = find(name, journal)
        entry = next((e for e in found if e.state in RETRIABLE), found[-1])
        if entry.state in (*RETRIABLE, *_UNDER_WAY):
            chosen[entry.id] = entry
        elif entry.state in _NO_NEED:
            typer.echo(f"{entry.name} is {entry.state}: nothing to do, the next run of the same prompts sends it")
        else:
            problems.append(f"{entry.name} is {entry.state}: {_REFUSED[entry.state]}")
    if problems:
        raise UsageError("\n".join(["nothing was changed:", *problems]))
    if not ids and not states:
        raise UsageError(_what_could_be(journal))
    for state in states:
        found = list(journal.entries(state))
        if not found:
            typer.echo(f"no job is {state}: nothing to do")
        chosen |= {entry.id: entry for entry in found}
    return list(chosen.values())


def _what_could_be(journal: Journal) -> str:
    counts = journal.counts()
    could = [f"{counts[state]:,} {state} (--{state})" for state in RETRIABLE if counts.get(state)]
    if not could:
        return "no job needs a retry: none is uncertain, failed, filtered or rejected. See `aveo3 status`."
    return f"say which jobs to plan anew, by ID or by kind: there are {listed(could)}. `aveo3 status` names them."


def _confirmed(owed: list[JobRecord]) -> bool:
    """Whether a person wants to pay for these once more. Raises `UsageError` if there is nobody to ask."""
    from aveo3.errors import UsageError

    several = len(owed) > 1
    question = (
        f"{counted(len(owed))} may be paid already, and {'their videos' if several else 'the video'} may be at Google. "
        f"To make {'them' if several else 'it'} anew may cost {dollars(owed)} a second time"
    )
    if not _somebody_is_there():
        raise UsageError(f"{question}. Say --yes if that is what you want. Nothing was changed.")
    for entry in owed[:NAMED]:
        where = f"  operation {tail(entry.operation)}" if entry.operation else ""
        typer.echo(f"  {entry.name}  {prompt_words(entry.prompt):.40}{where}")
    if len(owed) > NAMED:
        typer.echo(f"  … and {len(owed) - NAMED:,} more")
    return typer.confirm(f"{question}. Go on?")


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


_NO_NEED = (State.PLANNED, State.DEFERRED, State.CANCELLED)
_UNDER_WAY = (State.RUNNING, State.FETCHING)
"""`aveo3 resume` finishes these. Who names one has waited for it long enough."""
_OWED = {State.UNCERTAIN, *_UNDER_WAY}
_REFUSED = {State.SUCCEEDED: "its video is there; for another one, `aveo3 generate --fresh` with the same prompt"}
