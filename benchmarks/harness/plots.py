"""Draws results as PNGs in benchmarks/pictures/, with matplotlib from the extra `bench`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.harness.results import Result

HOME = Path(__file__).parents[1] / "pictures"
OURS, THEIRS, AIM = "#1a7f37", "#8c959f", "#cf222e"

Draw = Callable[["Result", "Sequence[Axes]"], None]


def save(result: Result, draw: Draw, panels: int = 1) -> Path:
    """Draw `result` on `panels` axes, side by side, and return the path of the file."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = HOME / f"{result['benchmark']}.png"
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "0"}):
        figure = Figure(figsize=(8.0, 3.2), layout="constrained")
        FigureCanvasAgg(figure)
        draw(result, list(figure.subplots(1, panels, squeeze=False)[0]))
        figure.suptitle(result["question"], fontsize=9, wrap=True)
        figure.savefig(path, dpi=120, metadata={"Software": None})
    return path


def bars(axes: Axes, values: Mapping[str, Sequence[float]], unit: str, *, aim: float | None = None) -> None:
    """Draw a bar per contestant at its median, with its lowest and highest run. `aim` is drawn as an upper limit."""
    names = list(values)[::-1]
    middles = [median(values[name]) for name in names]
    below = [middle - min(values[name]) for name, middle in zip(names, middles, strict=True)]
    above = [max(values[name]) - middle for name, middle in zip(names, middles, strict=True)]
    colours = [OURS if name.startswith("aveo3") else THEIRS for name in names]
    axes.barh(names, middles, xerr=[below, above], color=colours, ecolor="#444", capsize=3)
    axes.set_xlabel(unit)
    if aim is not None:
        axes.axvline(aim, color=AIM, linestyle="--", linewidth=1)
        axes.text(aim, len(names) - 0.45, "aim", color=AIM, fontsize=8, ha="center")


def line(axes: Axes, x: Sequence[float], values: Sequence[Sequence[float]], name: str, colour: str) -> None:
    """Draw the medians of `values` over `x`, with the range of the runs shaded."""
    axes.plot(x, [median(group) for group in values], marker="o", markersize=3, color=colour, label=name)
    axes.fill_between(x, [min(group) for group in values], [max(group) for group in values], color=colour, alpha=0.2)
