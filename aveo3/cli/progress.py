"""Shows a run to people: live bars on a terminal, a line for each clip, the summary. Reads `Stats`, uses rich."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from math import inf

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aveo3.cli.journal_view import counted, priced
from aveo3.cli.terminal import is_screen
from aveo3.dispatch.stats import Stats
from aveo3.dispatch.time_left import USUAL, Pace, eta
from aveo3.models import ClipStatus, VideoClip
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate_stats import AtServer, GateStats
from aveo3.wording import duration as duration

REFRESH = 0.25
"""Seconds between two updates of the bars."""

SILENT = 3.0
"""Seconds without an answer of the server after which the bars say so."""

STYLES = {
    ClipStatus.SUCCEEDED: "green",
    ClipStatus.FILTERED: "yellow",
    ClipStatus.REJECTED: "red",
    ClipStatus.FAILED: "red",
    ClipStatus.UNCERTAIN: "magenta",
    ClipStatus.UNFINISHED: "bright_blue",
    ClipStatus.DEFERRED: "cyan",
    ClipStatus.CANCELLED: "dim",
}


@asynccontextmanager
async def watch(
    console: Console, total: int, stats: Callable[[], Stats], to_send: int | None = None, *, usual: float = USUAL
) -> AsyncIterator[None]:
    """Show live bars below everything that is printed to `console` inside the block. See `render`.

    Without a screen it shows nothing. `usual` is the time of a clip in seconds until this run has measured it.
    """
    if not is_screen(console):
        yield
        return
    # Not from events: the bars count down and show used quota, which change between events, so they need the gates'
    # snapshot at each refresh; and the sums in it are those that the summary shows.
    pace = Pace(asyncio.get_running_loop().time())

    def picture() -> RenderableType:
        now, seen = asyncio.get_running_loop().time(), stats()
        return render(seen, total, pace.since(seen, now), to_send, usual=usual)

    # Standard output may be a file: rich would print to the console what belongs there.
    with Live(
        picture(), console=console, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty()
    ) as live:

        async def refresh() -> None:
            while True:
                await asyncio.sleep(REFRESH)
                live.update(picture(), refresh=True)

        task = asyncio.create_task(refresh())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def render(
    stats: Stats, total: int, since: float, to_send: int | None = None, *, usual: float = USUAL
) -> RenderableType:
    """The bars of a run: clips, quota, pauses, time left and money: spent, in flight, and what else may be paid.

    `total` counts all clips, `to_send` those that need a request (None: all of them). The others are finished, or
    were sent by an earlier run. `since` is the time since the last submit; see `eta`.
    """
    to_send = total if to_send is None else to_send
    done = sum(count for status, count in stats.clips.items() if status not in _TO_CONTINUE)
    running = sum(gate.running for gate in stats.gates.values())
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="bold", no_wrap=True, min_width=9)
    rows.add_column(width=30)
    rows.add_column(no_wrap=True, overflow="ellipsis")
    if to_send:
        rows.add_row("submitted", _bar(stats.submitted, to_send), f"{stats.submitted}/{to_send}")
    queues = [gate.at_server for gate in stats.gates.values() if gate.at_server is not None]
    if queues:
        running = sum(queue.running for queue in queues)
        waiting = sum(queue.waiting for queue in queues)
        rows.add_row("at server", _bar(waiting, max(total, 1), "cyan"), _queue(waiting, queues))
    rows.add_row("running", _bar(running, max(total, 1)), f"{running}")
    rows.add_row("finished", _bar(done, total, "green"), f"{done}/{total}{_unmade(stats)}")
    for model, gate in stats.gates.items():
        several = f" {model}" if len(stats.gates) > 1 else ""
        if gate.at_server is None:
            rows.add_row("quota", _bar(gate.quota_used, gate.quota_limit, "cyan"), f"{_quota(gate)}{several}")
        elif gate.at_server.silent_for >= SILENT:
            words = f"silent for {duration(gate.at_server.silent_for)}: waiting"
            rows.add_row("server", Text(words, "yellow"), several.strip())
        if (pause := _pause(gate)) is not None:
            rows.add_row(*pause, several.strip())
    if stats.paused:
        rows.add_row("paused", Text("by you: nothing is submitted", "yellow"), "")
    left = eta(stats, to_send, since, usual=usual)
    line = Text.assemble(
        ("time left ", "bold"),
        "unknown" if left is None else "a moment" if left < 1 else f"about {duration(left)}",
        ("   refusals ", "bold"),
        f"{stats.refusals}",
        ("   retries ", "bold"),
        f"{stats.retries}",
        overflow="ellipsis",
        no_wrap=True,
    )
    return Group(rows, line, _money(stats))


def _money(stats: Stats) -> Text:
    figures = (("spent", stats.spent_usd), ("in flight", stats.in_flight_usd), ("may be paid", stats.may_be_paid_usd))
    line = Text(overflow="ellipsis", no_wrap=True)
    for name, usd in figures:
        line.append(f"{'   ' * bool(line)}{name} ", "bold").append(priced(usd, 0))
    return line.append(_unpriced(stats))


def _unpriced(stats: Stats) -> str:
    """The end of a line about money: how many clips have no known price."""
    return f" (and {counted(stats.unpriced, 'clip')} of unknown price)" if stats.unpriced else ""


_MADE = ClipStatus.SUCCEEDED
_TO_CONTINUE = (ClipStatus.UNFINISHED, ClipStatus.DEFERRED, ClipStatus.CANCELLED)
"""Clips that the next run goes on with: they are not finished."""


def summary(stats: Stats, elapsed: float, *, note: str = "") -> Table:
    """The summary table at the end of a run."""
    table = Table(title="aveo3", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    all_refused = any(gate.closed is not None for gate in stats.gates.values())
    for status, count in stats.clips.items():
        if count or status is _MADE:
            advice = "" if status is _MADE else f"  {status.advice}"
            if status is ClipStatus.DEFERRED and all_refused:
                advice = "  never sent, not billed: see below why Google refuses all, then run it again"
            table.add_row(Text(status.value, STYLES[status]), f"{count}{advice}")
    if stats.cached:
        table.add_row("cached", f"{stats.cached}  of these are from earlier runs: nothing was sent for them")
    for (own_model, fallback), count in stats.substituted.items():
        table.add_row("substituted", Text(f"{count}  made by {fallback} instead of {own_model}"))
    table.add_row("refusals", f"{stats.refusals}")
    table.add_row("retries", f"{stats.retries}")
    table.add_row("waited for quota", duration(stats.quota_wait))
    made = stats.clips[_MADE]
    # A pace makes no sense without a clip, or if earlier runs made or sent some clips.
    ours = elapsed and made and stats.submitted >= made
    pace = f", {_speed(made / elapsed)}" if ours else ""
    table.add_row("took", f"{duration(elapsed)}{pace}")
    table.add_row("spent", f"about US$ {stats.spent_usd:,.2f} at list price{_unpriced(stats)}{note}")
    if stats.in_flight_usd:
        table.add_row("in flight", f"about US$ {stats.in_flight_usd:,.2f}")
    given_up = f", US$ {stats.sunk_usd:,.2f} of it for attempts that were given up" if stats.sunk_usd else ""
    table.add_row(
        "may be paid", f"about US$ {stats.may_be_paid_usd:,.2f}{given_up}{note * bool(stats.may_be_paid_usd)}"
    )
    for model, gate in stats.gates.items():
        if gate.at_server is not None:
            closed = f"; takes no more: {gate.closed}" if gate.closed else ""
            table.add_row("server", Text(f"{model}: {gate.accepted} ordered{closed}"))
            continue
        limit = f"{gate.quota_limit:g} in {duration(gate.quota_period)}"
        running = f", {gate.running_limit:.0f} at once" if gate.running_limit < inf else ""
        share = f", {gate.accepted} accepted" if len(stats.gates) > 1 else ""
        closed = f"; sends no more: {gate.closed}" if gate.closed else ""  # Google's words may look like rich's markup
        table.add_row("quota", Text(f"{model}: {limit}{running}{share}{closed}"))
    return table


def _speed(clips_per_second: float) -> str:
    """`4.0 clips a minute`, `12 clips an hour`."""
    a_minute = clips_per_second * 60
    return f"{a_minute:.1f} clips a minute" if a_minute >= 1 else f"{a_minute * 60:.2g} clips an hour"


def clip_line(clip: VideoClip) -> Text:
    """One finished clip in one line: its file, or why there is none. Clips of earlier runs are dim."""
    where = ", ".join(path.name for path in clip.paths) or (", ".join(clip.uris) if clip.succeeded else "")
    if clip.cached and clip.succeeded:
        return Text(f"{'cached':<10} {where}", style="dim")
    line = Text(f"{clip.status:<10} ", style=STYLES[clip.status])
    why = " ".join((clip.error_message or "").split())
    line.append(where or f"{clip.prompt.text[:60]!r}: {why}", style="default")
    if clip.operation and not clip.succeeded:
        line.append(f" ({clip.operation})", style="dim")
    return line


def _bar(done: float, total: float, style: str = "bright_blue") -> ProgressBar:
    return ProgressBar(
        total=max(total, 1), completed=min(done, total), width=30, complete_style=style, finished_style=style
    )


def _quota(gate: GateStats) -> str:
    """How much of the quota is used. More than all of it may be: a limit that a refusal has just taught is lower."""
    limit, period = f"{gate.quota_limit:g}", duration(gate.quota_period)
    if gate.quota_used >= gate.quota_limit:
        return f"all {limit} in {period} used"
    return f"{gate.quota_used:g} of {limit} in {period}"


def _queue(waiting: int, queues: list[AtServer]) -> str:
    """How many requests wait at a server, and when the first is sent."""
    first = min((queue for queue in queues if queue.place is not None), key=lambda q: q.place or 0, default=None)
    if not waiting or first is None:
        return f"{waiting} wait"
    starts = "" if not first.starts_in else f", in {duration(first.starts_in)}"
    return f"{waiting} wait, place {first.place}{starts}"


def _pause(gate: GateStats) -> tuple[str, Text] | None:
    """Why the lane sends nothing now, and when it goes on; None if it sends."""
    if gate.closed is not None:
        return "stopped", Text("sends no more in this run", "red")
    if gate.breaker is BreakerState.OPEN:
        return "refused", Text(f"next try in {duration(gate.opens_in)}", "red")
    if gate.breaker is BreakerState.HALF_OPEN:
        return "refused", Text("trying one request", "yellow")
    return ("paused", Text(f"goes on in {duration(gate.opens_in)}", "yellow")) if gate.opens_in > 0 else None


def _unmade(stats: Stats) -> str:
    counts: Iterable[tuple[ClipStatus, int]] = stats.clips.items()
    parts = [f"{stats.cached} cached"] if stats.cached else []
    others = ", ".join(parts + [f"{count} {status}" for status, count in counts if count and status is not _MADE])
    return f" ({others})" if others else ""
