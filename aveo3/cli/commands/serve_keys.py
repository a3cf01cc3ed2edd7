"""`aveo3 serve keys`: who may send requests to the server of an output directory. A running server reads it anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli.exit_codes import errors_as_messages

if TYPE_CHECKING:
    from aveo3.server.door.callers import CallerFile

app = typer.Typer(
    help="Say who may send requests: named callers, each with a key, a share and limits of its own.",
    no_args_is_help=True,
)

_CHECKED_WITH = "receivers check signatures with it."

Directory = Annotated[
    Path | None, typer.Option("--output-dir", "-o", help="Directory of the server; default: that of the settings.")
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the caller: letters, digits, dots, dashes.")],
    weight: Annotated[float, typer.Option(help="Its share of the quota, beside those of others.")] = 1.0,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="US$ that its requests may cost: 50/day, or 500 for all together. Repeatable."),
    ] = None,
    models: Annotated[str | None, typer.Option(help="Models that it may use, with commas between; unset: all.")] = None,
    max_queued: Annotated[
        int | None, typer.Option(help="How many of its requests may wait; unset: any number.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Labels for Google's bill that its requests get, as in team=film,customer=acme.")
    ] = None,
    operator: Annotated[
        bool,
        typer.Option("--operator", help="The key shows the figures of all callers (/metrics), and orders nothing."),
    ] = False,
    steer: Annotated[
        bool, typer.Option("--steer", help="With --operator: it may also pause, and cancel what waits, on the page.")
    ] = False,
    callback: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address that is told when one of its requests has ended; see guide serve."),
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Let it have the requests, files and budgets of the last caller of its name."),
    ] = False,
    output_dir: Directory = None,
) -> None:
    """Give a caller a key, which is shown once and kept nowhere.

    The key goes to standard output, everything else to standard error. A running server knows it at once; from the
    first key on, every request needs one. Days of a budget begin at midnight in Los Angeles.

    A key cannot be shown again. For a new one, remove the caller and add it with --take-over: its requests, files and
    budgets stay its own. Without, a caller with the name of an earlier one sees nothing of that one, and begins anew.

    With --callback, a second line of standard output is the secret that signs the callbacks. It is shown once, too.

    Example: aveo3 serve keys add film-team --weight 2 --budget 50/day --max-queued 1000
    """
    with errors_as_messages():
        from datetime import UTC, datetime

        from pydantic import ValidationError

        from aveo3.errors import UsageError
        from aveo3.input_forms import plain_reason
        from aveo3.server.door.callers import Caller

        if steer and not operator:
            raise UsageError("--steer: only an operator's key steers. Add --operator, or leave it out.")
        given: dict[str, Any] = {
            "name": name,
            "weight": weight,
            **_budgets(budget or []),
            "models": [model.strip() for model in (models or "").split(",") if model.strip()],
            "max_queued": max_queued,
            "labels": label or {},
            "operator": operator,
            "steers": steer,
            **_callback(callback),
            "created_utc": datetime.now(UTC),
        }
        try:
            caller = Caller.model_validate(given)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise UsageError(f"{problem['loc'][0]}: {plain_reason(problem)} (it is {problem['input']!r:.60})") from None
        file = _file(output_dir)
        _check_models(caller.models)
        key = file.add(caller, take_over=take_over)
        account = file.read()[name].account
        if take_over:
            typer.echo(f"{name} goes on with the requests, files and budgets of the caller before it.", err=True)
        elif account != name:
            typer.echo(
                f"There was a caller {name} before. This key does not see its requests and files, and budgets begin "
                f"anew; figures call it {account}. To go on instead: remove it, and add it with --take-over.",
                err=True,
            )
        typer.echo(f"The key of {name}, shown only now:", err=True)
        typer.echo(key)
        if caller.callback_secret:
            typer.echo(f"The secret of its callbacks, shown only now: {_CHECKED_WITH}", err=True)
            typer.echo(caller.callback_secret)


@app.command()
def secret(
    name: Annotated[str, typer.Argument(help="Name of the caller.")],
    output_dir: Directory = None,
) -> None:
    """Give a caller a new secret for its callbacks, which is shown once.

    A caller without an address of its own needs one, too, to name an address in the header Aveo3-Callback. A running
    server signs with the new secret at once, and not with the old one any more.

    Example: aveo3 serve keys secret film-team
    """
    with errors_as_messages():
        _check_signs()
        new = _file(output_dir).renew_secret(name)
        typer.echo(f"The secret of {name}'s callbacks, shown only now: {_CHECKED_WITH}", err=True)
        typer.echo(new)


@app.command("list")
def list_(output_dir: Directory = None) -> None:
    """List the callers and what they may do.

    Example: aveo3 serve keys list
    """
    with errors_as_messages():
        callers = _file(output_dir).read()
        if not callers:
            typer.echo("there are no keys: `aveo3 serve` listens on this machine only", err=True)
        for caller in callers.values():
            if caller.operator:
                steers = "pauses and cancels" if caller.steers else "only shows"
                typer.echo(f"{caller.name}: operator, {steers}, orders nothing")
                continue
            limits = {"/day": caller.day_budget, "": caller.total_budget}
            budgets = [f"{usd:g}{unit}" for unit, usd in limits.items() if usd is not None]
            parts = [
                f"weight {caller.weight:g}",
                f"budget US$ {' and '.join(budgets)}" if budgets else "no budget",
                f"models {', '.join(caller.models)}" if caller.models else "all models",
                "any number waiting" if caller.max_queued is None else f"at most {caller.max_queued:,} waiting",
                *([f"callback {caller.callback}"] if caller.callback else []),
                *(f"{name}={value}" for name, value in caller.labels.items()),
            ]
            typer.echo(f"{caller.name}: {', '.join(parts)}")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of the caller.")],
    output_dir: Directory = None,
) -> None:
    """Remove a caller's key.

    A running server refuses it at once. What it had accepted by then is made all the same. Nobody sees it, unless a
    caller of that name is added with --take-over.

    Example: aveo3 serve keys remove film-team
    """
    with errors_as_messages():
        _file(output_dir).remove(name)
        typer.echo(f"{name} has no key any more", err=True)


def _file(output_dir: Path | None) -> CallerFile:
    from aveo3.cli.journal_view import journal_place, settings_of
    from aveo3.server.door.callers import CallerFile

    settings = settings_of(output_dir)
    place = settings.journal_path if settings.database is None else journal_place(settings)
    return CallerFile(settings.output_dir, place)


def _callback(url: str | None) -> dict[str, str]:
    """The fields of a caller whose callbacks go to `url`."""
    if url is None:
        return {}
    from aveo3.errors import UsageError
    from aveo3.server.door.callback_address import why_not
    from aveo3.server.door.callers import new_secret

    if (why := why_not(url, private=True)) is not None:  # whether it may be private, the server is told
        raise UsageError(f"--callback {url[:200]}: {why}")
    _check_signs()
    return {"callback": url, "callback_secret": new_secret()}


def _check_signs() -> None:
    from importlib.util import find_spec

    from aveo3.errors import UsageError

    if find_spec("standardwebhooks") is None:
        raise UsageError("callbacks are signed by the package standardwebhooks: pip install 'aveo3[server]'")


def _check_models(models: tuple[str, ...]) -> None:
    from aveo3.config.settings import Settings
    from aveo3.errors import UsageError

    catalog = Settings().model_catalog
    for model in models:
        if (doubt := catalog.doubt(model)) is not None:
            raise UsageError(f"--models: {doubt}")


def _budgets(texts: list[str]) -> dict[str, str]:
    """`50/day` and `500` as fields of a caller."""
    from aveo3.errors import UsageError

    fields: dict[str, str] = {}
    for text in texts:
        amount, slash, unit = text.strip().partition("/")
        field = "day_budget" if slash else "total_budget"
        if (slash and unit.strip() != "day") or field in fields:
            raise UsageError(f"--budget {text}: write US$ a day, such as 50/day, or in all, such as 500, each once")
        fields[field] = amount.strip().removeprefix("$")
    return fields
