"""`python -m benchmarks`: lists the benchmarks, runs one or all of them, and writes the pages from their results."""

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
    assemble,
    door,
    film_plan,
    first_paint,
    gate,
    journal,
    journal_databases,
    memory,
    overhead,
    scale,
    stall,
)
from benchmarks.farm import farm
from benchmarks.harness import machine, readme, results
from benchmarks.makespan import makespan
from benchmarks.polling import poll

app = typer.Typer(help="Benchmarks of aveo3. Each answers one question.", add_completion=False)

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
    "journal-databases": journal_databases,
    "first-paint": first_paint,
    "door": door,
    "farm": farm,
    "film-plan": film_plan,
    "assemble": assemble,
}
"""Every benchmark by its name on the command line. `all` runs them, and benchmarks/README.md shows their tables and
plots. Those from `known-rate` to `poll` run in virtual time and need no idle machine."""

IN_ALL = {
    "makespan": ("--repeat", "3"),
    "scale": ("--million",),
    "memory": ("--repeat", "2"),
    "journal": ("--repeat", "3"),
}
"""Options of `all`, chosen so that all benchmarks together take less than an hour on two idle cores."""


@app.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        for name, benchmark in BENCHMARKS.items():
            typer.echo(f"{name:<18} {benchmark.QUESTION}")
        typer.echo("\nRun one: python -m benchmarks NAME [--quick] [--help]")
        typer.echo("Run all, and update the tables and plots: python -m benchmarks all")


@app.command("all")
def run_all(
    only: Annotated[list[str] | None, typer.Option(help="Name of a benchmark; repeatable; unset: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Check that they work; keep no results.")] = False,
) -> None:
    """Run every benchmark in its own process, keep the results, then do the work of `report`."""
    if unknown := [name for name in only or () if name not in BENCHMARKS]:
        raise typer.BadParameter(f"--only {unknown[0]} is none of: {', '.join(BENCHMARKS)}")
    failed = []
    for name in only or BENCHMARKS:
        typer.echo(f"== {name}", err=True)
        started_at = time.monotonic()
        options = ["--quick"] if quick else [*IN_ALL.get(name, ()), "--json", str(results.path_of(name))]
        command = [sys.executable, "-m", "benchmarks", name, *options]
        if subprocess.run(command, check=False, cwd=machine.ROOT).returncode:
            failed.append(name)
        typer.echo(f"== {name}: {time.monotonic() - started_at:.0f} s", err=True)
    if not quick:
        report()
    if failed:
        typer.echo(f"Failed: {', '.join(failed)}. Their kept results are older.", err=True)
        raise typer.Exit(1)


@app.command()
def report() -> None:
    """Draw the plots, and write the tables of benchmarks/README.md and README.md, from the kept results."""
    for name, benchmark in BENCHMARKS.items():
        if (result := results.read(name)) is not None:
            readme.plot(result, benchmark)
    for path in readme.PATHS:
        path.write_text(readme.filled_in(path.read_text("utf-8"), BENCHMARKS), "utf-8")


for _name, _benchmark in BENCHMARKS.items():
    app.command(_name, help=_benchmark.QUESTION)(_benchmark.main)

if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
