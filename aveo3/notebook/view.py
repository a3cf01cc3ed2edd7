"""Draws the figures of a run: HTML for a notebook, one line for everything else."""

from __future__ import annotations

from collections.abc import Iterator

from aveo3.display.page import block, dotted, label, page, text
from aveo3.models import ClipStatus
from aveo3.notebook.figures import Figures
from aveo3.wording import counted, duration, priced

MOCK = "if it were real: mock mode bills nothing"


def running_page(figures: Figures) -> str:
    """A run that goes on: a bar, the clips, the lanes, the money."""
    return page(
        block("head", _clips(figures), text(f" · {_time_left(figures)}")),
        _bar(figures),
        *(block("small", text(lane)) for lane in figures.lanes),
        block("small", dotted(_money(figures))),
    )


def ended_page(figures: Figures, *, early: bool = False) -> str:
    """A run that has ended, `early` by an error or a person."""
    return page(
        block("head", _clips(figures), text(f" · {_took(figures, early)}")),
        _bar(figures),
        *(
            block("small", f"{label(status)} ", text(f"{count:,}: {status.advice}"))
            for status, count in figures.clips.items()
            if status is not ClipStatus.SUCCEEDED
        ),
        *(block("small", text(lane)) for lane in figures.closed),
        block("small", dotted(_told(figures))),
        block("small", dotted(_money(figures))),
    )


def running_line(figures: Figures) -> str:
    """A run that goes on, in one line."""
    return " · ".join((_clips_in_words(figures), _time_left(figures), *_money(figures)))


def ended_lines(figures: Figures, *, early: bool = False) -> str:
    """A run that has ended, in a line, one for each status but `succeeded`, and one for each closed lane."""
    others = [f"{status}: {n:,}, {status.advice}" for status, n in figures.clips.items() if n and status != "succeeded"]
    first = " · ".join((_clips_in_words(figures), _took(figures, early), *_told(figures), *_money(figures)))
    return "\n".join((first, *others, *figures.closed))


def _clips(figures: Figures) -> str:
    labels = [f"{count:,} {label(status)}" for status, count in figures.clips.items()]
    running = [f"{figures.running:,} running"] if figures.running else []
    return " ".join((text(_counted(figures)), *(["·"] if labels or running else []), *labels, *running))


def _clips_in_words(figures: Figures) -> str:
    counts = [f"{count:,} {status}" for status, count in figures.clips.items()]
    running = [f"{figures.running:,} running"] if figures.running else []
    return f"{_counted(figures)}: {', '.join((*counts, *running)) or 'none yet'}"


def _counted(figures: Figures) -> str:
    """`3 of 12 clips`, `12 clips`."""
    if figures.total is None or figures.done == figures.total:
        return counted(figures.done, "clip")
    return f"{figures.done:,} of {counted(figures.total, 'clip')}"


def _time_left(figures: Figures) -> str:
    if figures.left is None:
        return f"{duration(figures.elapsed)} so far"
    return "a moment left" if figures.left < 1 else f"about {duration(figures.left)} left"


def _took(figures: Figures, early: bool) -> str:
    return f"{'stopped after' if early else 'took'} {duration(figures.elapsed)}"


def _told(figures: Figures) -> Iterator[str]:
    """What a person may wonder about afterwards."""
    if figures.cached:
        yield f"{figures.cached:,} from earlier runs"
    if figures.refusals:
        yield counted(figures.refusals, "refusal")
    if figures.retries:
        yield "1 retry" if figures.retries == 1 else f"{figures.retries:,} retries"
    if figures.quota_wait >= 1:
        yield f"waited {duration(figures.quota_wait)} for quota"


def _money(figures: Figures) -> Iterator[str]:
    yield f"spent {priced(figures.spent_usd, figures.unpriced)} at list price"
    if figures.in_flight_usd:
        yield f"in flight {priced(figures.in_flight_usd, 0)}"
    if figures.may_be_paid_usd > 0:
        yield f"may be paid {priced(figures.may_be_paid_usd, 0)}"
    if figures.emulated:
        yield MOCK


def _bar(figures: Figures) -> str:
    """The clips by their status, and those that run, as shares of all."""
    if not figures.total:
        return ""
    parts = [(status.value, count) for status, count in figures.clips.items()]
    parts.append(("running", min(figures.running, figures.total - figures.done)))
    pieces = "".join(
        f'<div class="aveo3-{kind}" style="width:{100 * count / figures.total:.2f}%"></div>'
        for kind, count in parts
        if count
    )
    return (
        f'<div class="aveo3-bar" role="progressbar" aria-label="clips" aria-valuemin="0" '
        f'aria-valuemax="{figures.total}" aria-valuenow="{figures.done}">{pieces}</div>'
    )
