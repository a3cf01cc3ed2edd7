"""What the timeline draws: requests against the quota, refusals, pauses, and clips that run and are made. Pure.

Instants are milliseconds since 1970 in UTC, as charts have them. A line of many steps is thinned: its peaks stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from aveo3.journal.wording import counted
from aveo3.report.view import LaneRow, LaneStep, Step, View

Columns = dict[str, dict[str, list[Any]]]
"""Columns of a chart by their names, by the name of their data source."""

PALETTE = ("#3b82f6", "#d97706", "#0d9488", "#a855f7", "#65a30d", "#db2777", "#0891b2", "#78716c")
"""Colours of lanes, legible on white and on black."""
SHARED, REFUSED, PAUSED = "#8a8f98", "#ef4444", "#f59e0b"

PERIOD = 60.0
"""Seconds of a lane's period, if unknown."""
MOST = 2000
"""Steps of one line."""


def columns(view: View) -> Columns:
    """The data sources of the timeline."""
    lanes = {lane["name"]: lane for lane in view["lanes"]}
    names = list(dict.fromkeys([*lanes, *(step["lane"] for step in view["steps"] if step["lane"])]))
    colour = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(names)}
    end = _end(view)
    sent: dict[str, list[float]] = defaultdict(list)
    refused: dict[str, list[float]] = defaultdict(list)
    for step in view["steps"]:
        if step["kind"] == "submitted":
            sent[step["lane"] or ""].append(ms(step["at_utc"]))
        elif step["kind"] == "refused":
            refused[step["lane"] or ""].append(ms(step["at_utc"]))
    used: dict[str, list[Any]] = {"xs": [], "ys": [], "lane": [], "color": []}
    limits: dict[str, list[Any]] = {"xs": [], "ys": [], "lane": [], "color": []}
    crosses: dict[str, list[Any]] = {"x": [], "y": [], "lane": [], "color": []}
    for name, instants in sent.items():
        period = _period(lanes.get(name))
        line = in_period(instants, period * 1000, end)
        _add(used, line, name, colour)
        lane_steps = [each for each in view["lane_steps"] if each["lane"] == name]
        _add(limits, _limits(lanes.get(name), lane_steps, min(instants), end), name, colour)
        for at in refused[name]:
            crosses["x"].append(at)
            crosses["y"].append(_value(line, at))
            crosses["lane"].append(name)
            crosses["color"].append(REFUSED)
    running, made = _running(view["steps"], end)
    return {
        "timeline-used": {**used, "legend": short_names(used["lane"])},
        "timeline-limit": limits,
        "timeline-refused": crosses,
        "timeline-pauses": _pauses(view["lane_steps"], end),
        "timeline-running": running,
        "timeline-made": made,
    }


def sentence(view: View) -> str:
    """The timeline in words, for those who cannot see it."""
    steps = view["steps"]
    sent = [step for step in steps if step["kind"] == "submitted"]
    if not sent:
        return "Nothing has been sent."
    drawn = columns(view)
    refusals = sum(step["kind"] == "refused" for step in steps)
    most = max(drawn["timeline-running"]["y"], default=0)
    parts = [
        f"{counted(len(sent), 'request')} from {_clock(sent[0])} to {_clock(sent[-1])} UTC, {refusals:,} refused",
        *_peaks(view, drawn),
        f"at most {counted(most, 'clip')} at Google at once",
        f"{counted(sum(step['kind'] == 'saved' for step in steps), 'clip')} made",
    ]
    pauses = drawn["timeline-pauses"]
    if pauses["left"]:
        parts.append(f"{counted(len(pauses['left']), 'pause')}, the last because of: {pauses['reason'][-1]}")
    return "; ".join(parts) + "."


def _peaks(view: View, drawn: Columns) -> Iterable[str]:
    lanes = {lane["name"]: lane for lane in view["lanes"]}
    used = drawn["timeline-used"]
    for name, ys in zip(used["lane"], used["ys"], strict=True):
        lane = lanes.get(name)
        limit = f", where {lane['limit']:g} are allowed" if lane is not None and lane["limit"] is not None else ""
        yield f"on {name} at most {max(ys, default=0):,} in {_period(lane):g} s{limit}"


def _clock(step: Step) -> str:
    return datetime.fromisoformat(step["at_utc"]).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


# ---- lines -----------------------------------------------------------------------------------------------------------

Line = list[tuple[float, float]]
"""The corners of a line of steps."""


def ms(instant: str) -> float:
    """An instant in ISO 8601 as a chart has it."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000, 1)


def in_period(instants: Sequence[float], period: float, end: float) -> Line:
    """How many of the `instants` lie in the `period` before each moment, until `end`."""
    changes = [(at, 1) for at in instants] + [(at + period, -1) for at in instants if at + period <= end]
    return _corners(changes, end)


def _corners(changes: Iterable[tuple[float, int]], end: float) -> Line:
    """The line of steps of a count that has these `changes`, thinned."""
    ordered = sorted(changes)
    if not ordered:
        return []
    values: Line = [(ordered[0][0], 0)]
    for at, group in groupby(ordered, key=lambda change: change[0]):
        values.append((at, values[-1][1] + sum(change for _, change in group)))
    values = _thinned(values)
    line = [values[0]]
    for at, value in values[1:]:
        line += [(at, line[-1][1]), (at, value)]
    return [*line, (max(end, line[-1][0]), line[-1][1])]


def _thinned(values: Line) -> Line:
    """At most about `MOST` of these steps: of each part of the line the highest, and the last."""
    share = -(-len(values) * 2 // MOST)
    if share <= 2:
        return values
    thin = values[:1]
    for start in range(1, len(values), share):
        part = values[start : start + share]
        thin += dict.fromkeys((max(part, key=lambda step: step[1]), part[-1]))
    return thin


def _value(line: Line, at: float) -> float:
    """The height of a line of steps at a moment. Refusals are few: a walk is quick enough."""
    return max((y for x, y in line if abs(x - at) < 1), default=next((y for x, y in reversed(line) if x <= at), 0))


LONGEST = 32
"""Characters of a name in a legend."""


def short_names(names: list[str]) -> list[str]:
    """`names` without the middle of those that are too long for a phone; whole if two would be the same."""
    half = (LONGEST - 1) // 2
    short = [name if len(name) <= LONGEST else f"{name[:half]}…{name[-half:]}" for name in names]
    return short if len({*short}) == len({*names}) else names


def _add(source: dict[str, list[Any]], line: Line, lane: str, colour: Mapping[str, str]) -> None:
    if line:
        source["xs"].append([x for x, _ in line])
        source["ys"].append([y for _, y in line])
        source["lane"].append(lane)
        source["color"].append(colour.get(lane, SHARED))


def _limits(lane: LaneRow | None, steps: Iterable[LaneStep], begin: float, end: float) -> Line:
    """The lane's limit: each that was learnt from its instant on, and the one of now."""
    learnt = [(ms(step["at_utc"]), float(step["limit"])) for step in steps if step["limit"] is not None]
    now = lane["limit"] if lane is not None else None
    if not learnt:
        return [] if now is None else [(begin, now), (end, now)]
    line = [(learnt[0][0], learnt[0][1])]
    for at, limit in learnt[1:]:
        line += [(at, line[-1][1]), (at, limit)]
    return [*line, (max(end, line[-1][0]), line[-1][1])]


def _running(steps: Iterable[Step], end: float) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """How many clips are at Google, and how many are made."""
    at_google: set[str] = set()
    changes, made = [], []
    for step in steps:
        at, key, kind = ms(step["at_utc"]), step["key"], step["kind"]
        if kind == "accepted" and key not in at_google:
            at_google.add(key)
            changes.append((at, 1))
        elif kind in ("finished", "retrying", "ended") and key in at_google:
            at_google.remove(key)
            changes.append((at, -1))
        elif kind == "saved":
            made.append((at, 1))
    running, total = _corners(changes, end), _corners(made, end)
    return tuple({"x": [x for x, _ in line], "y": [y for _, y in line]} for line in (running, total))  # type: ignore[return-value]


def _pauses(steps: Iterable[LaneStep], end: float) -> dict[str, list[Any]]:
    """The bands in which a lane sent nothing. One that grew is one band."""
    bands: dict[str, list[Any]] = {"left": [], "right": [], "lane": [], "reason": [], "color": []}
    open_bands: dict[str, int] = {}
    for step in steps:
        at, lane = ms(step["at_utc"]), step["lane"]
        place = open_bands.get(lane)
        if step["kind"] == "lane_opened" and place is not None:
            bands["right"][place] = min(at, bands["right"][place])
            del open_bands[lane]
        elif step["kind"] in ("lane_paused", "lane_closed"):
            until = end if step["until_utc"] is None else ms(step["until_utc"])
            if place is not None and at <= bands["right"][place]:
                bands["right"][place] = until
            else:
                open_bands[lane] = len(bands["left"])
                for name, value in zip(bands, (at, until, lane, "", PAUSED), strict=True):
                    bands[name].append(value)
            place = open_bands[lane]
            bands["reason"][place] = step["reason"] or bands["reason"][place]
            if step["kind"] == "lane_closed":
                bands["color"][place] = REFUSED
    return bands


def _period(lane: LaneRow | None) -> float:
    return (lane["period"] if lane is not None else None) or PERIOD


def _end(view: View) -> float:
    """Where the lines end: now, if a run is active, else with the last step."""
    run, steps = view["run"], view["steps"]
    if steps and not (run is not None and run["active"]):
        return ms(steps[-1]["at_utc"])
    return ms(view["made_utc"])
