"""`python -m benchmarks`: the list of benchmarks, and the way into each."""

from __future__ import annotations

import typer

from benchmarks import cap, changes, harsh, journal, known_rate, makespan, outage, poll, shared, wrong_rate

app = typer.Typer(help="Measurements of aveo3, each the answer to one question.", add_completion=False)

BENCHMARKS = {
    "makespan": makespan,
    "journal": journal,
    "poll": poll,
    "wrong-rate": wrong_rate,
    "known-rate": known_rate,
    "harsh": harsh,
    "cap": cap,
    "shared": shared,
    "changes": changes,
    "outage": outage,
}
"""By the name they are run under. A benchmark is a module with a QUESTION and a `main` for typer."""


@app.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        for name, benchmark in BENCHMARKS.items():
            typer.echo(f"{name:<12} {benchmark.QUESTION}")
        typer.echo("\nRun one with: python -m benchmarks NAME [--quick] [--help]")


for _name, _benchmark in BENCHMARKS.items():
    app.command(_name, help=_benchmark.QUESTION)(_benchmark.main)

if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
