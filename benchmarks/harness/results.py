"""Results as JSON: a file per benchmark in benchmarks/results/, with machine, versions, options and every run."""

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


def new_result(
    benchmark: str, question: str, packages: Iterable[str], options: Mapping[str, Any], runs: Sequence[Any]
) -> Result:
    """Build the result of `runs`, which are dataclasses."""
    return {
        "benchmark": benchmark,
        "question": question,
        **machine.describe(packages),
        "options": dict(options),
        "runs": [asdict(run) for run in runs],
    }


def publish(result: Result, text: str, json_path: Path | None) -> None:
    """Print question, machine and `text`, which contains the table. Write the result to `json_path`, if any."""
    typer.echo(f"\n{result['question']}\n\n{machine.line(dict(result))}\n\n{text}")
    if json_path is not None:
        json_path.write_text(as_json(result), "utf-8")


def as_json(result: Result) -> str:
    """Format `result` as JSON with one run per line, so that a diff of two results is readable."""
    head = json.dumps({key: value for key, value in result.items() if key != "runs"}, indent=1)
    runs = ",\n  ".join(json.dumps(run) for run in result["runs"])
    return f'{head[:-2]},\n "runs": [\n  {runs}\n ]\n}}\n'


def path_of(benchmark: str) -> Path:
    """Return the path of the kept results of a benchmark."""
    return HOME / f"{benchmark}.json"


def read(benchmark: str) -> Result | None:
    """Return the kept results of a benchmark, or None."""
    path = path_of(benchmark)
    return json.loads(path.read_text("utf-8")) if path.exists() else None
