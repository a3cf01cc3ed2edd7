"""`aveo3 config`: shows, writes and checks the settings. Sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from aveo3.cli.exit_codes import errors_as_messages
from aveo3.lifecycle import SERVER, is_emulated

if TYPE_CHECKING:
    from aveo3.config.settings import Settings

app = typer.Typer(help="Show, write and check the settings.", no_args_is_help=True)


@app.command()
def show() -> None:
    """Print every setting with its value, source and meaning.

    Secrets are masked.

    Example: aveo3 config show
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from aveo3.config.database_address import shown_address
    from aveo3.config.settings import Settings, describe

    with errors_as_messages():
        settings = Settings()
    console, origins = Console(highlight=False), settings.origins()
    for variable in describe():
        value, origin = getattr(settings, variable.field), origins[variable.field]
        if variable.field == "database" and value is not None:
            value = shown_address(value)
        line = Text.assemble((variable.name, "bold"), " = ", (_shown(value), "" if origin == "default" else "green"))
        console.print(line.append(f"   from {origin}", "dim"), soft_wrap=True)
        console.print(Padding(Text(variable.meaning, "dim"), (0, 0, 0, 4)))


@app.command()
def template() -> None:
    """Print a commented .env with every setting at its default.

    Example: aveo3 config template > .env
    """
    from aveo3.config.settings import describe

    typer.echo("# Settings of aveo3. Remove the # before a setting to change it. The environment beats this file.")
    for variable in describe():
        default = "" if variable.default == "unset" else variable.default
        typer.echo(f"\n# {variable.meaning}\n# {variable.name.split(' or ')[0]}={default}")


@app.command()
def check() -> None:
    """Show the chosen backend, and what is missing or wrong.

    It looks for credentials, but asks Google nothing: use `aveo3 check` for that.

    Exit codes: 0 nothing is missing, 2 something is missing or wrong.

    Example: aveo3 config check
    """
    from aveo3.config.settings import Settings

    with errors_as_messages():
        settings = Settings()
        if settings.lanes is not None:
            _print_lanes(settings)
            return
        name, why = settings.backend_choice()
        typer.echo(f"backend: {name} ({why})")
        typer.echo(f"model: {settings.model}{_about(settings)}")
        rate = settings.rate(settings.model)
        quota = f"{rate.limit} requests in {rate.period:g} s, {rate.burst} at once"
        typer.echo(f"quota: {quota if name != SERVER else 'that of the server'}")
        typer.echo(f"videos go to: {settings.output_gcs_uri or settings.output_dir}")
        _print_database(settings)
        if is_emulated(name):
            typer.echo("credentials: none needed")
        elif name == SERVER:
            typer.echo(f"credentials: {'VEO3_SERVER_KEY' if settings.server_key else 'none (VEO3_SERVER_KEY)'}")
        else:
            from aveo3.checkup import login_of

            typer.echo(f"credentials: {login_of(settings, name)}")
    typer.echo("ready")


def _print_lanes(settings: Settings) -> None:
    """Print a line for each lane. Raises `UsageError` if one of them cannot be used."""
    from aveo3.checkup import login_of
    from aveo3.lanes.lanes import Lanes

    for lane in Lanes(settings).listed:
        rate = lane.settings.rate(lane.model)
        mock = is_emulated(lane.settings.backend_name())
        login = "none needed" if mock else login_of(lane.settings, lane.settings.backend_name())
        about = f"{rate.limit} requests in {rate.period:g} s, {rate.burst} at once; credentials: {login}"
        typer.echo(f"lane {lane.name}: {lane.model}{_about(lane.settings)}; {about}")
    typer.echo(f"videos go to: {settings.output_gcs_uri or settings.output_dir}")
    _print_database(settings)
    typer.echo("ready")


def _print_database(settings: Settings) -> None:
    """Print the database that several machines share, if there is one."""
    from aveo3.config.database_address import shown_address

    if settings.database is not None:
        typer.echo(f"journal: {shown_address(settings.database)} (aveo3 check asks it)")


def _shown(value: object) -> str:
    if value in (None, ()):
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _about(settings: Settings) -> str:
    """The catalog's facts about the model, in brackets. Raises `UsageError` for a retired or unknown model."""
    from aveo3.config.settings import check_alive
    from aveo3.errors import UsageError

    check_alive(settings)
    catalog = settings.model_catalog
    card = catalog.models.get(settings.model)
    if card is None:
        raise UsageError(f"VEO3_MODEL: {catalog.doubt(settings.model)}.")
    prices = ", ".join(f"{resolution} {price:g}" for resolution, price in card.prices.items())
    return f" ({card.state}; US$ per second: {prices})"
