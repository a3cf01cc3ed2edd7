"""`aveo3 status`: prints the journal of a directory: the active run, every job's state, and the next steps."""

from __future__ import annotations

import textwrap
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli.exit_codes import errors_as_messages
from aveo3.cli.journal_view import (
    STYLES,
    age,
    counted,
    fields,
    journal_place,
    last_change,
    plain,
    priced,
    prompt_words,
    settings_of,
    tail,
    typed,
)
from aveo3.cli.json_lines import in_json
from aveo3.lifecycle import EMULATED, UNDER_WAY, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from rich.console import Console
    from rich.text import Text

    from aveo3.journal.journal import Journal
    from aveo3.journal.rows import JobRecord, Run

SHOWN = 40
"""The number of jobs that are listed without `--all`."""

ORDER = (
    *(State.UNCERTAIN, State.SUBMITTING, State.FETCHING, State.RUNNING),
    *(State.FAILED, State.REJECTED, State.FILTERED),
    *(State.PLANNED, State.DEFERRED, State.CANCELLED),
    State.SUCCEEDED,
)
"""The order of the list: jobs that need a person first, finished jobs last."""

KEPT = timedelta(hours=48)
"""How long the Gemini API keeps a video (Google's documentation of Veo, read 2026-11)."""

WARN = timedelta(hours=24)


def status(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Directory with the videos; default: that of the settings.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List every job, also the succeeded ones.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object for each job.")] = False,
    farm: Annotated[
        bool, typer.Option("--farm", help="Only who leads and what waits, for all machines of VEO3_DATABASE.")
    ] = False,
) -> None:
    """Show the state of every prompt in a directory.

    It also shows whether a run is active, and what to do next. It reads the journal only and asks Google nothing; you
    can call it during a run. Times are UTC. With VEO3_DATABASE and without a directory, it shows all machines together:
    who leads which lane, since when, and what waits; with --farm --json, that alone as one object.

    Exit codes: 0 the journal was read, whatever it says; 2 there is no journal, or it cannot be read.

    Examples:

      aveo3 status clips

      aveo3 status clips --json
    """
    with errors_as_messages():
        from aveo3.journal.journal import Journal

        settings = settings_of(directory)
        with Journal(journal_place(settings), writes=False) as journal:
            if farm:
                _show_farm(journal, as_json=json_lines)
            elif json_lines:
                from aveo3.dispatch.prior_runs import gone_models

                at_work, gone = journal.in_use(), gone_models(journal)
                for record in journal.records():
                    said = gone.get(record.model) if record.service == "google" else None
                    print(in_json({**fields(record, journal, at_work=at_work), "model_gone": said}))
            else:
                _Report(journal, typed(settings), every=every).write()


def _show_farm(journal: Journal, *, as_json: bool) -> None:
    from aveo3.errors import UsageError
    from aveo3.server.farm.overview import farm_of

    if not journal.shared:
        raise UsageError("--farm: it is for a database that several machines share (VEO3_DATABASE).")
    found = farm_of(journal)
    if as_json:
        print(in_json(found))
        return
    for line in farm_lines(found, now_utc()):
        print(line)


class _Report:
    """The output of `aveo3 status`: cut to the width of a terminal, in whole lines elsewhere."""

    def __init__(self, journal: Journal, directory: str, *, every: bool) -> None:
        from rich.console import Console

        from aveo3.cli.terminal import is_screen

        self._journal = journal
        self._directory = directory
        self._every = every
        self._reason = ""
        self._console: Console = Console(highlight=False)
        self._width = self._console.width if is_screen(self._console) else None
        self._now = now_utc()
        self._tallies = journal.tallies()
        self._counts: Counter[State] = Counter()
        for tally in self._tallies:
            self._counts[tally.state] += tally.jobs
        self._at_work = journal.in_use()

    def write(self) -> None:
        from aveo3.journal.moving.mark import KIND, mark_in
        from aveo3.journal.next_move import advice

        total = sum(self._counts.values())
        self._say(f"{self._journal.place}: {counted(total)}", "bold")
        if (mark := mark_in(self._journal.kept("", KIND))) is not None:
            self._say(str(mark.refusal(self._journal.place)), "bold yellow")
        elif self._journal.shared:
            self._farm()
        elif (run := self._journal.last_run()) is not None:
            self._say(who(run, at_work=self._at_work))
        if not total:
            return
        self._money()
        self._fresh_batches()
        self._say("")
        for state in ORDER:
            if count := self._counts.get(state):
                shared = _SHARED.get(state) if self._journal.shared else None
                self._say(
                    (shared or advice(state, active=self._at_work, directory=self._directory))
                    + self._given_up_in(state),
                    head=(f"{state:<10} {count:>7,}  ", STYLES[state]),
                )
        self._say("")
        self._warnings()
        self._gone_models()
        self._jobs(total)

    def _farm(self) -> None:
        """Who leads which lane of a shared journal, and what waits."""
        from aveo3.server.farm.overview import farm_of

        for line in farm_lines(farm_of(self._journal), self._now):
            self._say(line)

    def _say(self, text: str, style: str = "", head: tuple[str, str] = ("", "")) -> None:
        """Write `text` after `head`; on a terminal, wrapped between words and indented after the head."""
        from rich.text import Text

        room = max(20, self._width - len(head[0])) if self._width else 0
        lines = textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False) if room else [text]
        for number, line in enumerate(lines or [""]):
            start = head if number == 0 else (" " * len(head[0]), "")
            self._line(Text.assemble(start, (line, style)))

    def _line(self, line: Text) -> None:
        if self._width:
            self._console.print(line, soft_wrap=True)
        else:
            print(line.plain.rstrip())

    def _money(self) -> None:
        """What is spent, in flight, and what else may be paid: together, what counts against the budget."""
        from aveo3.journal.review import money_of

        money = money_of(self._tallies, active=self._at_work)
        of_it = f", {priced(*money.given_up)} of it for attempts that were given up" if any(money.given_up) else ""
        self._say(
            f"spent: {priced(*money.spent)}; in flight: {priced(*money.in_flight)}; may be paid, too: "
            f"{priced(*money.may_be_paid)} (list prices{of_it})"
        )

    def _given_up_in(self, state: State) -> str:
        """What a person has given up of the jobs in `state`, which may be paid whatever the state says."""
        tallies = [tally for tally in self._tallies if tally.state is state]
        given_up = sum(tally.sunk_usd for tally in tallies), sum(tally.sunk_unpriced for tally in tallies)
        return f" (but {priced(*given_up)} given up before may be paid)" if any(given_up) else ""

    def _fresh_batches(self) -> None:
        """The fresh batches that `--fresh` goes on with, while no run does."""
        from aveo3.journal.fresh import in_words

        for begun_utc, jobs, made in self._journal.fresh_batches() if not self._at_work else ():
            self._say(
                f"the fresh batch of {in_words(begun_utc)} has not ended: {made:,} of its {counted(jobs)} are made "
                "(--fresh goes on with it, --fresh=new begins another)"
            )

    def _warnings(self) -> None:
        """Warn of videos that Google may soon delete, and of operations that it may soon forget."""
        unfinished = self._journal.left(*UNDER_WAY, but=EMULATED, since=self._now - WARN)
        left = {jobs.backend: jobs for jobs in unfinished}
        gemini, vertex = left.get("gemini"), left.get("vertex")
        old = gemini.stale if gemini is not None else 0
        if gemini is not None and old and self._now - gemini.oldest_utc < KEPT:
            hours = int((gemini.oldest_utc + KEPT - self._now).total_seconds() // 3600)
            self._say(
                f"{counted(old, 'video')} will be deleted: the Gemini API keeps videos for 48 h, and the oldest has "
                f"{hours} h left. Download now: aveo3 resume {self._directory}",
                "bold yellow",
            )
        elif old:
            self._say(
                f"{counted(old, 'video')} may be deleted already: the Gemini API keeps videos for 48 h. Try to "
                f"download: aveo3 resume {self._directory}",
                "bold red",
            )
        if not self._at_work and vertex is not None:
            oldest = age((self._now - vertex.oldest_utc).total_seconds())
            self._say(
                f"{counted(vertex.jobs, 'job')} left at Vertex AI, the oldest sent {oldest} ago: Google "
                f"does not document how long an operation can be polled. Finish soon: aveo3 resume "
                f"{self._directory}",
                "yellow",
            )
        if old or (not self._at_work and vertex is not None):
            self._say("")

    def _gone_models(self) -> None:
        """Models that Google has shut down, as runs here were told."""
        from aveo3.dispatch.prior_runs import gone_models

        for said in gone_models(self._journal).values():
            self._say(plain(said), "yellow")

    # ---- the jobs ----------------------------------------------------------------------------------------------

    def _jobs(self, total: int) -> None:
        states = [s for s in ORDER if s in self._counts and (s is not State.SUCCEEDED or self._every or total <= SHOWN)]
        records = chain.from_iterable(self._journal.records(state) for state in states)
        shown: Counter[State] = Counter()
        for record in records if self._every else islice(records, SHOWN):
            if not shown:
                self._row(_HEADER, "bold")
            shown[record.state] += 1
            self._row(self._cells(record), STYLES[record.state])
        rest = Counter(self._counts)
        rest.subtract(shown)
        if more := [f"{rest[state]:,} {state}" for state in ORDER if rest[state] > 0]:
            self._say(f"{'and ' if shown else ''}{', '.join(more)} (--all lists every one)", "dim")

    def _cells(self, record: JobRecord) -> tuple[str, ...]:
        return (
            record.name,
            record.state.value,
            age((self._now - last_change(record)).total_seconds()),
            f"{record.attempts}",
            "?" if record.cost_usd is None and record.attempts else f"{record.cost_usd:.2f}" if record.cost_usd else "",
            prompt_words(record.prompt),
            (self._what(record) + self._given_up(record)).strip(),
        )

    def _what(self, record: JobRecord) -> str:
        """The file of a job, why there is none, or where it runs."""
        from pathlib import PurePath

        if record.state is State.SUCCEEDED:
            return ", ".join(PurePath(file["path"]).name for file in record.files) or ", ".join(record.uris)
        operation = record.operation and (tail(record.operation) if self._width else record.operation)
        if record.state in UNDER_WAY:
            return operation or ", ".join(record.uris)
        why = plain(f"{record.error_kind}: {record.error_message}") if record.error_kind else ""
        return why + (f" ({operation})" if operation and record.state is State.UNCERTAIN else "")

    @staticmethod
    def _given_up(record: JobRecord) -> str:
        """What a person has given up of this job, which may be paid all the same."""
        if not (record.sunk_usd or record.sunk_unpriced):
            return ""
        return f" (and {priced(record.sunk_usd or 0.0, record.sunk_unpriced or 0)} given up: may be paid)"

    def _row(self, cells: tuple[str, ...], style: str) -> None:
        """A line of the table. Columns have fixed widths, because lines are written as they are read."""
        from rich.cells import cell_len
        from rich.text import Text

        used = sum(_WIDTHS) + len(_GAP) * (len(_WIDTHS) + 1)
        prompt = max(12, (self._width - used) // 2) if self._width else 40
        name, state, *numbers, words, what = cells
        figures = [f"{number:>{width}}" for number, width in zip(numbers, _WIDTHS[2:], strict=True)]
        end = _GAP + _GAP.join([*figures, cut(words, prompt), what])
        name, state = f"{name:<{_WIDTHS[0]}}{_GAP}", f"{state:<{_WIDTHS[1]}}"
        if self._width:
            room = max(0, self._width - len(name + state))
            # A reason or an operation that does not fit goes to the lines below, unless the job above has it too.
            whole = cell_len(end) <= room or what == self._reason or state.strip() in _CUT
            self._reason = what
            start = _GAP + _GAP.join([*figures, ""])
            rest = cut(end, room) if whole else start + cut(words, max(0, room - len(start)))
            self._line(Text.assemble((name, "bold"), (state, style), (rest, "bold" if style == "bold" else "")))
            if not whole:
                self._say(what, head=(" " * (len(name)), ""))
        else:
            print((name + state + end).rstrip())


def cut(text: str, width: int) -> str:
    """`text` in exactly `width` terminal cells: padded, or cut with `…`."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


_SHARED = {
    State.PLANNED: "whoever leads its lane sends it, in its turn",
    State.SUBMITTING: "on its way to Google: whoever leads its lane waits for the answer",
    State.RUNNING: "Google is making it or has made it: whoever leads its lane follows it",
    State.FETCHING: "the video is made: whoever leads its lane downloads it",
}
"""What is next with a job in a journal of several machines, where nobody has to run anything again."""

_HEADER = ("job", "state", "age", "sent", "US$", "prompt", "file or reason")
_WIDTHS = (8, 10, 6, 4, 5)
_GAP = " "
_CUT = (State.SUCCEEDED, State.CANCELLED, _HEADER[1])
"""States whose last column is cut to the width: the name of a file, or a reason that the state gives already."""


def who(run: Run, *, at_work: bool) -> str:
    """The active run, or how the last one ended."""
    process, started = f"process {run.pid} on {run.host}", f"{run.started_utc:%Y-%m-%d %H:%M:%S} UTC"
    if at_work:
        return f"a run is active: {process}, since {started}"
    if run.ended_utc is None:
        return f"no run is active; the last one ({process}, started {started}) was killed: the next run continues it"
    return f"no run is active; the last one ({process}) ended {run.ended_utc:%Y-%m-%d %H:%M:%S} UTC"


def farm_lines(farm: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Who leads which lane of a shared journal, since when, and what waits: a line each."""
    if not any(each["leads"] for each in farm["leaders"]):
        yield "nobody leads: nothing is sent until `aveo3 serve` or `aveo3 worker` runs with this database"
    for each in farm["leaders"]:
        since = datetime.fromisoformat(each["since_utc"])
        whom = f"process {each['pid']} on {each['host']}"
        if each["leads"]:
            yield f"lane {each['lane']}: led by {whom}, since {since:%Y-%m-%d %H:%M:%S} UTC"
        else:
            yield f"lane {each['lane']}: nobody leads it; the last was {whom}, from {since:%Y-%m-%d %H:%M:%S} UTC on"
    for each in farm["waiting"]:
        oldest = age((now - datetime.fromisoformat(each["oldest_utc"])).total_seconds())
        number = each["requests"]
        yield (
            f"{number:,} {'request waits' if number == 1 else 'requests wait'} for {plain(each['model'])}, of "
            f"{plain(each['caller'])}, the oldest for {oldest}"
        )


def now_utc() -> datetime:
    """The current time, from which ages are counted."""
    return datetime.now(UTC)
