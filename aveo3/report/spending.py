"""What the charts of the money draw: by model, day, label and `project_id`. Pure. The sums are those of `MoneyRow`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aveo3.report.timeline import Columns
from aveo3.report.view import ClipRow, View

MOST = 10
"""Bars of one chart: the highest, and one for all others."""
DAY = 86_400_000.0
NONE, OTHERS = "(none)", "all others"

Sums = tuple[float, float, float]
"""US$ that are spent, in flight, and that may be paid, too."""


def columns(view: View) -> Columns:
    """The data sources of the charts of the money."""
    clips = view["clips"]
    return {
        **{f"money-{name}": _bars(_sums(clips, keys)) for name, keys in KEYS.items()},
        "money-day": _days(clips),
    }


def sentences(view: View) -> dict[str, str]:
    """Each chart in words, by its name."""
    said = {f"money-{name}": _said(_bars(_sums(view["clips"], keys))) for name, keys in KEYS.items()}
    days = _days(view["clips"])
    dates = [datetime.fromtimestamp(at / 1000, UTC).date().isoformat() for at in days["x"]]
    sums = [days["t1"], [b - a for a, b in zip(days["t1"], days["t2"], strict=True)]]
    sums.append([b - a for a, b in zip(days["t2"], days["t3"], strict=True)])
    said["money-day"] = _words(zip(dates, *sums, strict=True))
    return said


def _of_labels(clip: ClipRow) -> Sequence[str]:
    return [f"{name}={value}" for name, value in clip["labels"].items()] or [NONE]


KEYS: dict[str, Callable[[ClipRow], Sequence[str]]] = {
    "model": lambda clip: [clip["model"]],
    "label": _of_labels,  # a clip with several counts under each
    "project": lambda clip: [clip["project_id"] or NONE],
}


def _money(clip: ClipRow) -> Sums:
    return (clip.get("spent_usd") or 0.0, clip.get("in_flight_usd") or 0.0, clip.get("may_be_paid_usd") or 0.0)


def _sums(clips: Iterable[ClipRow], keys: Callable[[ClipRow], Sequence[str]]) -> dict[str, Sums]:
    """The sums by key, the highest first; many small ones together."""
    found: defaultdict[str, Sums] = defaultdict(lambda: (0.0, 0.0, 0.0))
    for clip in clips:
        if any(money := _money(clip)):
            for key in keys(clip):
                found[key] = _plus(found[key], money)
    ordered = sorted(found.items(), key=lambda item: -sum(item[1]))
    if len(ordered) > MOST:
        rest: Sums = (0.0, 0.0, 0.0)
        for _, sums in ordered[MOST - 1 :]:
            rest = _plus(rest, sums)
        ordered = [*ordered[: MOST - 1], (f"{OTHERS} ({len(ordered) - MOST + 1:,})", rest)]
    return dict(ordered)


def _plus(one: Sums, other: Sums) -> Sums:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])


def _bars(sums: dict[str, Sums]) -> dict[str, list[Any]]:
    """A bar for each key, from top to bottom: its place `y`, and the ends `t1` to `t3` of its three parts."""
    return {
        "name": list(sums),
        "y": [-float(place) for place in range(len(sums))],
        "label_y": [-place + 0.38 for place in range(len(sums))],
        **_ends(sums.values()),
    }


def _ends(every: Iterable[Sums]) -> dict[str, list[Any]]:
    every = list(every)
    first = [round(sums[0], 4) for sums in every]
    second = [round(sums[0] + sums[1], 4) for sums in every]
    third = [round(sum(sums), 4) for sums in every]
    return {
        "t0": [0.0] * len(every),
        "t1": first,
        "t2": second,
        "t3": third,
        "words": [f"US$ {total:,.2f}" for total in third],
    }


def _days(clips: Iterable[ClipRow]) -> dict[str, list[Any]]:
    """A bar for each day (UTC) on which clips were sent."""
    found: defaultdict[float, Sums] = defaultdict(lambda: (0.0, 0.0, 0.0))
    for clip in clips:
        if any(money := _money(clip)):
            at = datetime.fromisoformat(clip["submitted_utc"] or clip["queued_utc"]).timestamp() * 1000
            day = at // DAY * DAY
            found[day] = _plus(found[day], money)
    days = sorted(found)
    return {"x": days, **_ends(found[day] for day in days)}


def _said(bars: dict[str, list[Any]]) -> str:
    spent, flying = bars["t1"], [b - a for a, b in zip(bars["t1"], bars["t2"], strict=True)]
    maybe = [b - a for a, b in zip(bars["t2"], bars["t3"], strict=True)]
    return _words(zip(bars["name"], spent, flying, maybe, strict=True))


def _words(rows: Iterable[tuple[str, float, float, float]]) -> str:
    said = []
    for name, spent, flying, maybe in rows:
        parts = [f"US$ {spent:,.2f}"]
        parts += [f"US$ {flying:,.2f} in flight"] if flying >= 0.005 else []
        parts += [f"US$ {maybe:,.2f} may be paid, too"] if maybe >= 0.005 else []
        said.append(f"{name}: {', '.join(parts)}")
    return "; ".join(said) + "." if said else "Nothing was spent."
