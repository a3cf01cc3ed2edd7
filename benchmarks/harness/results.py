"""What benchmarks found, as JSON: one file each in benchmarks/results/, with machine, versions, options, every run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from benchmarks.harness import machine

HOME = Path(__file__).parents[1] / "results"

Result = Mapping[str, Any]
"""`benchmark`, `question`, `date`, `machine`, `versions`, `commit`, `options`, `runs`."""


def result(
    benchmark: str, question: str, packages: Iterable[str], options: Mapping[str, Any], runs: Sequence[Any]
) -> Result:
    """What to keep of `runs`, which are dataclasses."""
    return {
        "benchmark": benchmark,
        "question": question,
        **machine.describe(packages),
        "options": dict(options),
        "runs": [asdict(run) for run in runs],
    }


def tell(found: Result, words: str, json_path: Path | None) -> None:
    """Print the question, the machine and `words`, which hold the table; write all of it to `json_path`, if any."""
    typer.echo(f"\n{found['question']}\n\n{machine.line(dict(found))}\n\n{words}")
    if json_path is not None:
        json_path.write_text(as_json(found), "utf-8")


def as_json(found: Result) -> str:
    """`found` with one run a line, so that two results can be compared by eye and by diff."""
    head = json.dumps({key: value for key, value in found.items() if key != "runs"}, indent=1)
    runs = ",\n  ".join(json.dumps(run) for run in found["runs"])
    return f'{head[:-2]},\n "runs": [\n  {runs}\n ]\n}}\n'


def path_of(benchmark: str) -> Path:
    """Where the results that the README shows are kept."""
    return HOME / f"{benchmark}.json"


def read(benchmark: str) -> Result | None:
    """The results that are kept; None if this benchmark has none."""
    path = path_of(benchmark)
    return json.loads(path.read_text("utf-8")) if path.exists() else None
