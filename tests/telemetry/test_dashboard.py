"""The dashboard for Grafana: each query asks for a metric and for labels that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from aveo3.telemetry.instruments import INSTRUMENTS, Instrument
from tests.support.terminal import run

NAME = re.compile(r"\b((?:aveo3|gen_ai)_[a-z0-9_]+)\{([^}]*)\}")
GROUPED = re.compile(r"by \(([^)]*)\)")
ADDED_BY_PROMETHEUS = {"job", "le"}


def board() -> dict[str, Any]:
    code, printed, _ = run("guide", "otel", "--dashboard")
    assert code == 0
    read: dict[str, Any] = json.loads(printed)
    return read


def samples() -> dict[str, Instrument]:
    """Every name of a sample that Prometheus has, and what it is of."""
    ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
    return {each.prometheus + end: each for each in INSTRUMENTS.values() for end in ends[each.kind]}


def queries(board: dict[str, Any]) -> Iterator[str]:
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def unknown(query: str) -> set[str]:
    """What `query` asks for that no metric has."""
    known, found = samples(), set()
    names = NAME.findall(query)
    if len(names) != len(re.findall(r"\b(?:aveo3|gen_ai)_\w+\{", query)) or not names:
        found.add(query)
    for name, selected in names:
        if name not in known:
            found.add(name)
            continue
        labels = {*known[name].prometheus_labels, *ADDED_BY_PROMETHEUS}
        asked = [each.split("=")[0].rstrip("!").strip() for each in selected.split(",")]
        grouped = [label.strip() for group in GROUPED.findall(query) for label in group.split(",")]
        found |= {f"{name} {label}" for label in (*asked, *grouped) if label and label not in labels}
    return found


def test_each_query_asks_for_a_metric_and_labels_that_exist() -> None:
    asked = [*queries(board())]
    assert len(asked) > 20
    assert {query: unknown(query) for query in asked if unknown(query)} == {}


@pytest.mark.parametrize(
    "query",
    [
        "sum(aveo3_clips{job=~'x'})",
        "rate(aveo3_retries_total{lane='x'}[1m])",
        "sum by (caller) (aveo3_paused{job='x'})",
    ],
)
def test_the_check_would_notice(query: str) -> None:
    assert unknown(query)


def test_all_metrics_that_a_person_worries_about_are_on_it() -> None:
    text = json.dumps(board())
    left_out = [each.name for each in INSTRUMENTS.values() if each.prometheus not in text]
    assert left_out == ["aveo3.lane.running_limit", "aveo3.quota.period"]


def test_panels_do_not_overlap_and_variables_are_defined() -> None:
    read = board()
    taken: set[tuple[int, int]] = set()
    for panel in read["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in read["panels"]}) == len(read["panels"])
    names = {variable["name"] for variable in read["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(read)))
    assert used <= names | {"interval"}
