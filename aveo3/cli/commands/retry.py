"""`aveo3 retry`: plans jobs again that only a person may send again. Sends nothing itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli.confirm import ask, keyboard
from aveo3.cli.exit_codes import Exit, errors_as_messages
from aveo3.cli.journal_view import (
    counted,
    directory_and_ids,
    journal_place,
    listed,
    prompt_words,
    settings_of,
    tail,
    typed,
)
from aveo3.journal.retrying import (
    RETRIABLE,
    choose,
    free_to_poll,
    may_be_paid_twice,
    offer,
    plan_again,
    refusal,
    warning,
)
from aveo3.lifecycle import UNDER_WAY, State

if TYPE_CHECKING:
    from aveo3.journal.journal import Journal
    from aveo3.journal.rows import JobRecord

NAMED = 10
"""Jobs that the question lists one by one before a person decides."""


def retry(
    directory: Annotated[
        str | None, typer.Argument(metavar="DIR", help="Directory with the videos; default: that of the settings.")
    ] = None,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="ID", help="IDs of jobs, from `aveo3 status`.")] = None,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="All jobs that may be paid already; you may pay them twice.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="All jobs whose retries are used up.")] = False,
    filtered: Annotated[bool, typer.Option("--filtered", help="All jobs that a safety filter blocked.")] = False,
    rejected: Annotated[bool, typer.Option("--rejected", help="All jobs that were rejected as impossible.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask about jobs that may be paid twice.")] = False,
) -> None:
    """Mark jobs so that the next run sends them again.

    It sends nothing itself: run the same prompts again afterwards.

    Uncertain jobs may be paid already, and their videos may be at Google: check first with `aveo3 history`. The command
    asks before it marks them; where it cannot ask, it needs --yes. Where Google can be asked again for free, it offers
    that first. The same holds for a running job that you name by
    ID, to give it up. Deferred and cancelled jobs need no retry. To make a finished clip again, use `aveo3 generate
    --fresh`.

    Exit codes: 0 done, or nothing to do; 1 you said no; 2 bad usage, no answer, or another run is active;
    130 you stopped it.

    Examples:

      aveo3 retry clips --failed

      aveo3 retry clips 1a2b3c4d 5e6f7a8b --yes

      aveo3 retry clips --uncertain --yes
    """
    with errors_as_messages():
        from aveo3.errors import UsageError
        from aveo3.journal.journal import Journal

        home, ids = directory_and_ids([*([] if directory is None else [directory]), *(jobs or [])])
        settings = settings_of(home)
        flags = dict(zip(RETRIABLE, (uncertain, failed, filtered, rejected), strict=True))
        with Journal(journal_place(settings)) as journal:
            states = [state for state, wanted in flags.items() if wanted]
            if not ids and not states:
                raise UsageError(_what_could_be(journal))
            chosen, needless = choose(journal, ids, states)
            for sentence in needless:
                typer.echo(sentence)
            if not chosen:
                raise typer.Exit(Exit.ALL_MADE)
            owed = may_be_paid_twice(chosen)
            if owed and not yes:
                to_poll = _polled_first(owed)
                owed = [record for record in owed if record not in to_poll]
                chosen = [record for record in chosen if record not in to_poll]
                if not chosen or (owed and not _confirmed(owed)):
                    typer.echo("nothing was changed")
                    raise typer.Exit(Exit.SOME_NOT)
            plan_again(chosen, journal)
    counts = Counter(record.state for record in chosen)
    what = listed(f"{counts[state]:,} {state}" for state in (*RETRIABLE, *_GIVEN_UP) if counts[state])
    if settings.database is not None:
        typer.echo(f"{counted(len(chosen))} planned again ({what}): whoever leads sends them, within the quota")
        return
    typer.echo(
        f"{counted(len(chosen))} planned again ({what}). Nothing is sent yet: run the same prompts again, such as\n"
        f"  aveo3 generate prompts.txt --output-dir {typed(settings)}"
    )


def _what_could_be(journal: Journal) -> str:
    counts = journal.counts()
    could = [f"{counts[state]:,} {state} (--{state})" for state in RETRIABLE if counts.get(state)]
    if not could:
        return "no job needs a retry: none is uncertain, failed, filtered or rejected. See `aveo3 status`."
    return f"name the jobs to send again, by ID or by kind: {listed(could)}. `aveo3 status` lists the IDs."


def _polled_first(owed: list[JobRecord]) -> list[JobRecord]:
    """Those of `owed` that the next run asks Google about, for free, if the user wants to try that before paying."""
    free = free_to_poll(owed)
    with keyboard() as answers:
        if not free or answers is None:
            return []
        for record in free[:NAMED]:
            typer.echo(f"  {record.name}  {prompt_words(record.prompt):.40}", err=True)
        return free if ask(f"{offer(len(free))}. Leave them for that?", answers, default=True) else []


def _confirmed(owed: list[JobRecord]) -> bool:
    """Ask whether the user wants to pay for these jobs again. Raises `UsageError` without a terminal to ask on."""
    with keyboard() as answers:
        if answers is None:
            raise refusal(owed, "Use --yes if you want that.")
        for record in owed[:NAMED]:
            where = f"  operation {tail(record.operation)}" if record.operation else ""
            typer.echo(f"  {record.name}  {prompt_words(record.prompt):.40}{where}", err=True)
        if len(owed) > NAMED:
            typer.echo(f"  … and {len(owed) - NAMED:,} more", err=True)
        return ask(f"{warning(owed)}. Continue?", answers)


_GIVEN_UP = [state for state in State if state in UNDER_WAY]
"""`aveo3 resume` finishes these jobs. Retry plans one again only if the user names it by ID."""
