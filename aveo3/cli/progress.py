"""Shows a run to people: live bars on a terminal, a line for each clip, the summary. Reads `Stats`, uses rich."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from math import inf

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aveo3.dispatch.stats import Stats
from aveo3.models import ClipStatus, VideoClip
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate import GateStats

REFRESH = 0.25
"""Seconds between two updates of the bars."""

STYLES = {
    ClipStatus.SUCCEEDED: "green",
    ClipStatus.FILTERED: "yellow",
    ClipStatus.REJECTED: "red",
    ClipStatus.FAILED: "red",
    ClipStatus.UNCERTAIN: "magenta",
    ClipStatus.UNFINISHED: "blue",
    ClipStatus.DEFERRED: "cyan",
    ClipStatus.CANCELLED: "dim",
}


@asynccontextmanager
async def watch(
    console: Console, total: int, stats: Callable[[], Stats], to_send: int | None = None
) -> AsyncIterator[None]:
    """Show live bars below everything that is printed to `console` inside the block. See `render`."""
    started_at = asyncio.get_running_loop().time()

    def picture() -> RenderableType:
        return render(stats(), total, asyncio.get_running_loop().time() - started_at, to_send)

    with Live(picture(), console=console, auto_refresh=False, transient=True) as live:

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


def render(stats: Stats, total: int, elapsed: float, to_send: int | None = None) -> RenderableType:
    """The bars of a run: clips, quota, breaker, time left and money spent.

    `total` counts all clips, `to_send` those that need a request (None: all of them). The others are finished, or
    were sent by an earlier run.
    """
    to_send = total if to_send is None else to_send
    done = sum(stats.clips.values())
    running = sum(gate.running for gate in stats.gates.values())
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="bold", no_wrap=True, min_width=9)
    rows.add_column(width=30)
    rows.add_column(no_wrap=True, overflow="ellipsis")
    if to_send:
        rows.add_row("submitted", _bar(stats.submitted, to_send), f"{stats.submitted}/{to_send}")
    rows.add_row("running", _bar(running, max(total, 1)), f"{running}")
    rows.add_row("finished", _bar(done, total, "green"), f"{done}/{total}{_unmade(stats)}")
    for model, gate in stats.gates.items():
        several = f" {model}" if len(stats.gates) > 1 else ""
        used = f"{gate.quota_used:g} of {gate.quota_limit:g} in {duration(gate.quota_period)}{several}"
        rows.add_row("quota", _bar(gate.quota_used, gate.quota_limit, "cyan"), used)
        rows.add_row("breaker", _breaker(gate), "")
    left = eta(stats, to_send)
    line = Text.assemble(
        ("time left ", "bold"),
        "about " + duration(left) if left is not None else "unknown",
        ("   spent ", "bold"),
        f"US$ {stats.cost_usd:.2f}",
        ("   refusals ", "bold"),
        f"{stats.refusals}",
        ("   retries ", "bold"),
        f"{stats.retries}",
        overflow="ellipsis",
        no_wrap=True,
    )
    return Group(rows, line)


def eta(stats: Stats, to_send: int) -> float | None:
    """Estimated seconds until the last clip is finished; None without an open lane.

    The unsent clips wait for the current pause and for the quota; all lanes share them in proportion to their quotas.
    Then the last clip takes as long as clips have taken so far (before the first one: 70 s).
    """
    unsent = to_send - stats.submitted - sum(stats.clips[status] for status in _NEVER_SENT)
    gates = [gate for gate in stats.gates.values() if gate.closed is None]
    if not gates:
        return None
    latency = stats.latency if stats.latency is not None else 70.0
    if unsent <= 0:
        return latency if any(gate.running for gate in gates) else 0.0
    together = sum(gate.quota_limit / gate.quota_period for gate in gates)
    free = sum(max(0.0, gate.quota_limit - gate.quota_used) for gate in gates)
    pause = min(gate.opens_in for gate in gates)
    return pause + max(0.0, unsent - free) / together + latency


_MADE = ClipStatus.SUCCEEDED
_NEVER_SENT = (ClipStatus.REJECTED, ClipStatus.DEFERRED, ClipStatus.CANCELLED)


def summary(stats: Stats, elapsed: float, *, note: str = "") -> Table:
    """The summary table at the end of a run."""
    table = Table(title="aveo3", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for status, count in stats.clips.items():
        if count or status is _MADE:
            advice = "" if status is _MADE else f"  {status.advice}"
            table.add_row(Text(status.value, STYLES[status]), f"{count}{advice}")
    if stats.cached:
        table.add_row("cached", f"{stats.cached}  of these are from earlier runs: nothing was sent for them")
    for (own_model, fallback), count in stats.substituted.items():
        table.add_row("substituted", Text(f"{count}  made by {fallback} instead of {own_model}"))
    table.add_row("refusals", f"{stats.refusals}")
    table.add_row("retries", f"{stats.retries}")
    table.add_row("waited for quota", duration(stats.quota_wait))
    made = stats.clips[_MADE]
    ours = elapsed and stats.submitted >= made  # a pace makes no sense if earlier runs made or sent some clips
    pace = f", {made / elapsed * 60:.1f} clips a minute" if ours else ""
    table.add_row("took", f"{duration(elapsed)}{pace}")
    table.add_row("spent", f"about US$ {stats.cost_usd:.2f} at list price{note}")
    for model, gate in stats.gates.items():
        limit = f"{gate.quota_limit:g} in {duration(gate.quota_period)}"
        running = f", {gate.running_limit:.0f} at once" if gate.running_limit < inf else ""
        share = f", {gate.accepted} accepted" if len(stats.gates) > 1 else ""
        closed = f"; closed: {gate.closed}" if gate.closed else ""  # Google's words may look like rich's markup
        table.add_row("quota", Text(f"{model}: {limit}{running}{share}{closed}"))
    return table


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


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{round(seconds, 2):.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = whole % 3600 // 60
    return f"{whole // 3600} h" + (f" {minutes} min" if minutes else "")


def _bar(done: float, total: float, style: str = "blue") -> ProgressBar:
    return ProgressBar(
        total=max(total, 1), completed=min(done, total), width=30, complete_style=style, finished_style=style
    )


def _breaker(gate: GateStats) -> Text:
    if gate.closed is not None:
        return Text("closed for good", "red")
    if gate.breaker is BreakerState.OPEN:
        return Text(f"open, a probe in {duration(gate.opens_in)}", "red")
    if gate.breaker is BreakerState.HALF_OPEN:
        return Text("half open, probing", "yellow")
    return Text(f"pausing, {duration(gate.opens_in)} to go", "yellow") if gate.opens_in > 0 else Text("closed", "green")


def _unmade(stats: Stats) -> str:
    counts: Iterable[tuple[ClipStatus, int]] = stats.clips.items()
    parts = [f"{stats.cached} cached"] if stats.cached else []
    others = ", ".join(parts + [f"{count} {status}" for status, count in counts if count and status is not _MADE])
    return f" ({others})" if others else ""
