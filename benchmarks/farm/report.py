"""The tables, the plot and the aims of the farm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.farm.names import CONTESTANTS, OURS
from benchmarks.farm.plan import AWAY, CLOCKS, DISTURBANCES, KILLS, NONE, OF_OURS, RESTART
from benchmarks.farm.runner import Run
from benchmarks.farm.takeovers import FROZEN, KILLED, LEASE, Takeovers
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.harness.results import Result

QUESTION = "Processes that share one quota: what is sent twice, refused or late when one dies, or the database does?"
PANELS = 2


def _races(result: Result, disturbance: str, name: str) -> list[Run]:
    return [
        Run(**run) for run in result["runs"] if (run.get("disturbance"), run.get("contestant")) == (disturbance, name)
    ]


def _takeovers(result: Result, kind: str) -> list[Takeovers]:
    return [Takeovers(**run) for run in result["runs"] if run.get("kind") == kind and "strikes" in run]


def _names(result: Result) -> list[str]:
    """The contestants with runs, aveo3 first."""
    there = {run["contestant"] for run in result["runs"] if "contestant" in run}
    return [name for name in CONTESTANTS if name in there]


def line(run: Run) -> str:
    """Return one run as a line, for whoever waits."""
    return (
        f"{run.contestant}, {run.disturbance}: {run.made} of {run.clips} made, {run.sent_twice} sent twice, "
        f"{run.refused} refused, {run.ratio:.2f} x optimum"
    )


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return a row per disturbance and contestant, and the aims."""
    rows = [
        _row(disturbance, CONTESTANTS[name], runs)
        for disturbance in (*DISTURBANCES, *OF_OURS)
        for name in _names(result)
        if (runs := _races(result, disturbance, name))
    ]
    headers = [
        "",
        "",
        "made",
        "uncertain",
        "sent twice",
        "refused",
        "x optimum",
        "slowest poll",
        "pause",
        "resumed",
        "idle",
    ]
    options = result["options"]
    runs_of_each = "one run" if options["repeat"] == 1 else f"{options['repeat']} runs"
    verdicts = [f"{aim.of}: {aim}" for aim in aims(result) if aim.met is not None]
    return (
        f"{table(headers, rows, words=2, markdown=markdown)}\n\n"
        f"{options['clips']} clips of {options['latency']:g} s for {options['workers']} worker processes, "
        f"{options['limit']} in any {options['period']:g} s; optimum {options['optimum']:g} s; {runs_of_each} of each. "
        "Durations in seconds. Slowest poll: after a "
        "death, of an operation that ran then. Pause: the longest without a submit around the outage; resumed: from "
        "the engine's return to the next submit. Idle: the longest time in which clips waited, quota was free and "
        f"nothing was sent.{_told(result)} {' '.join(verdicts)}"
    )


def _told(result: Result) -> str:
    """What was measured besides the races."""
    words = ""
    for kind in (KILLED, FROZEN):
        for run in _takeovers(result, kind):
            words += (
                f" After {run.strikes} leaders were {kind}, the next submit came after {run.percentile(0.5):.2f} s in "
                f"the median and {run.percentile(0.99):.2f} s in 99 of 100; of {run.sent} clips {run.sent_twice} were "
                f"sent twice, {run.uncertain} are uncertain."
            )
    return words


def _row(disturbance: str, name: str, runs: Sequence[Run]) -> list[str]:
    def figure(values: Iterable[float | None], digits: int = 1) -> str:
        found = [value for value in values if value is not None]
        return spread(found, digits) if found else ""

    return [
        disturbance,
        name,
        f"{sum(run.made for run in runs)} of {sum(run.clips for run in runs)}",
        figure((run.uncertain for run in runs), 0) if any(run.without_intent is not None for run in runs) else "",
        figure((run.sent_twice for run in runs), 0),
        figure((run.refused for run in runs), 0),
        figure((run.ratio for run in runs if not run.lost), 2),
        figure(run.slowest_poll for run in runs),
        figure(run.pause for run in runs),
        figure(run.resumed for run in runs),
        figure(run.idle for run in runs),
    ]


# ---- aims ------------------------------------------------------------------------------------------------------------


def aims(result: Result) -> list[Aim]:
    """Return the aims of aveo3 that have runs."""
    found = []
    for disturbance, most in ((NONE, 1.05), (KILLS, 1.10)):
        if runs := _races(result, disturbance, OURS):
            reached = max(run.ratio for run in runs)
            found.append(
                Aim(
                    disturbance,
                    f"no clip sent twice; none refused; ≤ {most:.2f} x optimum",
                    _outcome(runs),
                    _best(result, disturbance),
                    _clean(runs) and reached <= most,
                )
            )
    if runs := _races(result, AWAY, OURS):
        late = max((run.resumed if run.resumed is not None else float("inf")) for run in runs)
        found.append(
            Aim(
                AWAY,
                "no clip sent twice; none refused; submits resume ≤ 2 s afterwards",
                f"{_outcome(runs)}; {late:.1f} s",
                _best(result, AWAY),
                _clean(runs) and late <= 2.0,
            )
        )
    if runs := _races(result, CLOCKS, OURS):
        found.append(Aim(CLOCKS, "none refused", _outcome(runs), _best(result, CLOCKS), _clean(runs)))
    if runs := _races(result, RESTART, OURS):
        unsure = sum(run.uncertain for run in runs)
        found.append(
            Aim(
                RESTART,
                "none refused; none uncertain",
                f"{_outcome(runs)}; {unsure} uncertain",
                "",
                _clean(runs) and not unsure,
            )
        )
    for kind, most in ((KILLED, 0.5), (FROZEN, LEASE + 1.0)):
        for run in _takeovers(result, kind):
            reached = run.percentile(0.99)
            found.append(
                Aim(
                    f"a leader is {kind}, {run.strikes} times: until the next submit",
                    f"≤ {most:g} s in 99 of 100; no clip sent twice",
                    f"{run.percentile(0.5):.2f} s in the median, {reached:.2f} s; {run.sent_twice} twice",
                    "",
                    reached <= most and not run.sent_twice and not run.two_leaders and not run.without_intent,
                )
            )
    return found


def _clean(runs: Sequence[Run]) -> bool:
    """No clip was sent twice, refused or left, nobody sent without an intent, or after a successor."""
    return not any(run.sent_twice or run.refused or run.lost or run.two_leaders or run.without_intent for run in runs)


def _outcome(runs: Sequence[Run]) -> str:
    lost = sum(run.lost for run in runs)
    twice, refused = sum(run.sent_twice for run in runs), sum(run.refused for run in runs)
    reached = f"{lost} lost" if lost else f"{max(run.ratio for run in runs):.2f}"
    return f"{twice} twice; {refused} refused; {reached}"


def _best(result: Result, disturbance: str) -> str:
    """The rival that loses the fewest clips, and among those the fastest."""
    others = {name: runs for name in _names(result) if name != OURS and (runs := _races(result, disturbance, name))}
    if not others:
        return ""
    best = min(others, key=lambda name: _rank(others[name]))
    return f"{CONTESTANTS[best]}: {_outcome(others[best])}"


def _rank(runs: Sequence[Run]) -> tuple[int, float]:
    return sum(run.lost + run.sent_twice for run in runs), median(run.ratio for run in runs)


# ---- the plot --------------------------------------------------------------------------------------------------------


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw the makespans of all cases on the left, refusals on the right."""
    ratios: dict[str, list[float]] = {}
    refused: dict[str, list[float]] = {}
    for name in _names(result):
        for disturbance in DISTURBANCES:
            if runs := _races(result, disturbance, name):
                words = f"{name}, {disturbance}"
                ratios[words] = [run.ratio for run in runs]
                refused[words] = [float(run.refused) for run in runs]
    plots.bars(axes[0], ratios, "times the optimum")
    plots.bars(axes[1], refused, "refused")
    axes[1].set_yticklabels([])
