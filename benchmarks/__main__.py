"""`python -m benchmarks`: the list of benchmarks, the way into each, into all, and from their results to the pages."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Annotated

import typer

from benchmarks.contests import (
    cap,
    changes,
    harsh,
    known_rate,
    outage,
    shared,
    wrong_rate,
)
from benchmarks.cost import (
    gate,
    journal,
    memory,
    overhead,
    scale,
    stall,
)
from benchmarks.harness import machine, readme, results
from benchmarks.makespan import makespan
from benchmarks.polling import poll

app = typer.Typer(help="Measurements of aveo3, each the answer to one question.", add_completion=False)

BENCHMARKS: dict[str, readme.Benchmark] = {
    "makespan": makespan,
    "known-rate": known_rate.CONTEST,
    "wrong-rate": wrong_rate.CONTEST,
    "harsh": harsh.CONTEST,
    "cap": cap.CONTEST,
    "shared": shared.CONTEST,
    "changes": changes.CONTEST,
    "outage": outage.CONTEST,
    "poll": poll,
    "overhead": overhead,
    "gate": gate,
    "scale": scale,
    "memory": memory,
    "stall": stall,
    "journal": journal,
}
"""By the name they are run under: what `all` runs, and benchmarks/README.md has tables and plots of. From `known-rate`
to `poll` they run in virtual time, and need no idle machine."""

IN_ALL = {
    "makespan": ("--repeat", "3"),
    "scale": ("--million",),
    "memory": ("--repeat", "2"),
    "journal": ("--repeat", "3"),
}
"""Options with which all of them together are meant to take half an hour on two idle cores."""


@app.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        for name, benchmark in BENCHMARKS.items():
            typer.echo(f"{name:<12} {benchmark.QUESTION}")
        typer.echo("\nRun one with: python -m benchmarks NAME [--quick] [--help]")
        typer.echo("Run all of them, and bring the tables and plots up to date, with: python -m benchmarks all")


@app.command("all")
def run_all(
    only: Annotated[list[str] | None, typer.Option(help="Repeatable; unset: every benchmark.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="See that they work: no result is kept.")] = False,
) -> None:
    """Run every benchmark in a process of its own, keep the results, then do as `report` does."""
    if unknown := [name for name in only or () if name not in BENCHMARKS]:
        raise typer.BadParameter(f"--only {unknown[0]} is none of: {', '.join(BENCHMARKS)}")
    failed = []
    for name in only or BENCHMARKS:
        typer.echo(f"== {name}", err=True)
        began = time.monotonic()
        options = ["--quick"] if quick else [*IN_ALL.get(name, ()), "--json", str(results.path_of(name))]
        words = [sys.executable, "-m", "benchmarks", name, *options]
        if subprocess.run(words, check=False, cwd=machine.ROOT).returncode:
            failed.append(name)
        typer.echo(f"== {name}: {time.monotonic() - began:.0f} s", err=True)
    if not quick:
        report()
    if failed:
        typer.echo(f"Failed, for the reasons above: {', '.join(failed)}. What is kept of them is older.", err=True)
        raise typer.Exit(1)


@app.command()
def report() -> None:
    """Draw the plots, and write the tables into benchmarks/README.md and README.md, from the results that are kept."""
    for name, benchmark in BENCHMARKS.items():
        if (found := results.read(name)) is not None:
            readme.plot(found, benchmark)
    for path in readme.PATHS:
        path.write_text(readme.filled_in(path.read_text("utf-8"), BENCHMARKS), "utf-8")


for _name, _benchmark in BENCHMARKS.items():
    app.command(_name, help=_benchmark.QUESTION)(_benchmark.main)

if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
