"""`aveo3 enqueue`: puts prompts into a database that several machines share; those who lead send them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli import options
from aveo3.cli.commands.completion import model_ids
from aveo3.cli.commands.generate import LinesOption
from aveo3.cli.exit_codes import Exit, errors_as_messages

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from aveo3.cli.prompt_files import PromptFile
    from aveo3.config.settings import Settings
    from aveo3.journal.rows import JobRecord
    from aveo3.lifecycle import State
    from aveo3.models import VideoPrompt
    from aveo3.server.farm.ordering import Ordering

SHOWN_PROBLEMS = 10


def enqueue(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Prompt files: .txt (one prompt a line), .jsonl, .json, .csv or .yaml; or - for standard input.",
        ),
    ],
    caller: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For whom: a caller of `aveo3 serve keys`."),
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            metavar="KEY", help="Name of this order. The same prompts under another key are made, and paid, again."
        ),
    ] = "",
    priority: Annotated[
        int, typer.Option(min=-100, max=100, help="Which go first, among the requests of the same caller.")
    ] = 0,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until each has ended, and print what became of it.")
    ] = False,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="The directory of the videos, which all machines see.")
    ] = None,
    database: options.Database = None,
    model: Annotated[
        str | None, typer.Option(help="Model id, for prompts without one.", autocompletion=model_ids)
    ] = None,
    lines: Annotated[
        LinesOption,
        typer.Option(
            help="Lines of a text that are hardly prompts, and bullets: ask refuses them, strip removes them, keep "
            "takes every line as it is."
        ),
    ] = LinesOption.ASK,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; with --wait, one before for each clip.")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Put prompts into the database of several machines.

    They are requests of a caller. It sends nothing to Google, and needs no credentials of its own: `aveo3 serve` and
    `aveo3 worker` make the clips, within the quota. Run it again as often as you like: what is there already is found,
    and not made twice. After a stop or a kill, the same command goes on. A file with a mistake is refused as a whole.

    Exit codes: 0 all are in the database, or with --wait made; 1 with --wait, some are not made; 2 bad usage, or the
    database cannot be used; 3 a budget or a limit of the caller leaves no room for some; 130 interrupted: what was
    enqueued stays.

    Examples:

      aveo3 enqueue prompts.txt --caller shop --key spring

      aveo3 enqueue prompts.jsonl --caller shop --key spring --wait --json
    """
    with errors_as_messages():
        from aveo3.config.settings import Settings
        from aveo3.errors import UsageError

        given: dict[str, Any] = {"output_dir": output_dir, "model": model, **options.database_field(database)}
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        if settings.database is None:
            raise UsageError(
                "VEO3_DATABASE is not set, and prompts wait in a database: set it to postgresql://USER@HOST/DATABASE. "
                "With an `aveo3 serve` on one machine, use aveo3 generate --server."
            )
        import asyncio

        from aveo3.cli.prompt_files import PromptFile

        notes: list[str] = []
        files = [PromptFile(source, lines=lines.value, notes=notes) for source in sources]
        order = _Order(settings, files, notes, caller=caller, key=key, priority=priority)
        code = asyncio.run(order.run(wait=wait, as_json=as_json, quiet=quiet))
    raise typer.Exit(code)


class _Order:
    """One call of the command."""

    def __init__(
        self,
        settings: Settings,
        files: list[PromptFile],
        notes: list[str],
        *,
        caller: str | None,
        key: str,
        priority: int,
    ) -> None:
        self._settings = settings
        self._files = files
        self._notes = notes
        self._caller = caller
        self._key = key
        self._priority = priority
        self._jobs: list[int] = []
        self._new = 0

    async def run(self, *, wait: bool, as_json: bool, quiet: bool) -> Exit:
        """Enqueue, and wait if wanted. A signal ends it. Raises `UsageError`, `JournalError`."""
        import asyncio

        from aveo3.cli.signals import on_signals

        work = asyncio.ensure_future(self._run(wait=wait, as_json=as_json, quiet=quiet))
        with on_signals(lambda _: work.cancel()):
            try:
                return await work
            except asyncio.CancelledError:
                self._say("interrupted: what was enqueued stays, and the same command goes on with the rest")
                return Exit.INTERRUPTED

    async def _run(self, *, wait: bool, as_json: bool, quiet: bool) -> Exit:
        from aveo3.cli.journal_view import counted
        from aveo3.server.door.google_errors import Refused
        from aveo3.server.farm.ordering import Ordering

        async with Ordering.opened(
            self._settings, caller=self._caller, key=self._key, priority=self._priority
        ) as ordering:
            total = self._checked(ordering)
            for note in [] if quiet else self._notes:
                self._say(note)
            event = ordering.journal.last_event()
            refused: Refused | None = None
            try:
                async for ordered in ordering.add(self._prompts()):
                    self._jobs.append(ordered.job)
                    self._new += ordered.is_new
                    if not quiet and self._new and self._new % 10_000 == 0 and ordered.is_new:
                        self._say(f"{self._new:,} enqueued")
            except Refused as error:
                refused = error
            code = Exit.ALL_MADE
            if refused is not None:
                left = total - len(self._jobs)
                self._say(f"{counted(left, 'prompt')} not taken: {refused.message} Run it again later.")
                code = Exit.DEFERRED if refused.code in (402, 429) else Exit.SOME_NOT
            summary = {"prompts": total, "enqueued": self._new, "there_before": len(self._jobs) - self._new}
            if not wait:
                self._sum_up(summary, as_json=as_json, quiet=quiet)
                return code
            if not quiet:
                self._say(f"{self._new:,} of {counted(total, 'prompt')} enqueued; waiting for all of them")
            counts = await self._wait(ordering, event, as_json=as_json, quiet=quiet)
            self._sum_up({**summary, "ended": dict(counts)}, as_json=as_json, quiet=quiet)
            return max(code, _code_of(counts), key=_WORSE.index)

    def _prompts(self) -> Iterator[VideoPrompt]:
        for file in self._files:
            yield from file

    def _checked(self, ordering: Ordering) -> int:
        """The number of prompts. Raises `UsageError` for mistakes in the files, and prompts that no lane takes."""
        from aveo3.errors import UsageError

        total, problems = 0, []
        for file in self._files:
            for number, prompt in enumerate(file, start=1):
                total += 1
                where = f"{file.name}: prompt {number} ({prompt.text[:40]!r})"
                problems += [f"{where}: {problem}" for problem in ordering.problems(prompt)]
        if problems:
            more = [f"… and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
            raise UsageError("nothing was enqueued: no lane takes\n" + "\n".join(problems[:SHOWN_PROBLEMS] + more))
        return total

    async def _wait(self, ordering: Ordering, event: int, *, as_json: bool, quiet: bool) -> Counter[State]:
        from collections import Counter

        from aveo3.cli.journal_view import fields
        from aveo3.cli.json_lines import in_json
        from aveo3.server.farm.awaiting import ended

        counts: Counter[State] = Counter()
        async for record in ended(ordering.journal, self._jobs, event):
            counts[record.state] += 1
            if as_json:
                print(in_json(fields(record, ordering.journal, at_work=False)), flush=True)
            elif not quiet or record.state != "succeeded":
                typer.echo(f"[{sum(counts.values())}/{len(self._jobs)}] {_line(record)}")
        return counts

    def _sum_up(self, summary: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
        from aveo3.cli.journal_view import counted
        from aveo3.cli.json_lines import in_json

        if as_json:
            print(in_json({**summary, "caller": self._caller, "key": self._key}), flush=True)
        elif not quiet:
            there = summary["there_before"]
            before = f", {there:,} {'was' if there == 1 else 'were'} there before" if there else ""
            ended = ", ".join(f"{number:,} {state}" for state, number in sorted(summary.get("ended", {}).items()))
            typer.echo(f"{counted(summary['prompts'], 'prompt')}: {summary['enqueued']:,} enqueued{before}")
            if ended:
                typer.echo(ended)

    @staticmethod
    def _say(words: str) -> None:
        typer.echo(words, err=True)


_WORSE = (Exit.ALL_MADE, Exit.DEFERRED, Exit.SOME_NOT)


def _code_of(counts: Counter[State]) -> Exit:
    from aveo3.lifecycle import State

    missed = {state for state, number in counts.items() if number and state is not State.SUCCEEDED}
    if not missed:
        return Exit.ALL_MADE
    return Exit.DEFERRED if missed == {State.DEFERRED} else Exit.SOME_NOT


def _line(record: JobRecord) -> str:
    from pathlib import PurePath

    from aveo3.cli.journal_view import plain, prompt_words

    what = ", ".join(PurePath(str(file["path"])).name for file in record.files) or ", ".join(record.uris)
    if not what:
        what = f"{prompt_words(record.prompt)}: {plain(record.error_message or record.error_kind or '')}"
    return f"{record.state:<10} {what}"
