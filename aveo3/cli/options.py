"""Options that several commands have: each with one wording, and what their values mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from aveo3.cli.live_page import RunPage
    from aveo3.config.settings import Settings

Name = Annotated[str | None, typer.Option(help='Template of file names, such as "{index:04}-{slug}"; see VEO3_NAME.')]
Rate = Annotated[str | None, typer.Option(help="Your quota: requests per time, such as 10/60s or 50/min.")]
MaxConcurrency = Annotated[int | None, typer.Option(help="Limit of operations that run at once.")]
Budget = Annotated[float | None, typer.Option(help="US$ that all clips of the output directory may cost together.")]
Lanes = Annotated[Path | None, typer.Option(help="TOML file of lanes, each with a quota of its own.")]
Server = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Have the aveo3 serve at this address make the clips, within its quota."),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="PostgreSQL database that keeps the journal of several machines; a password goes into VEO3_DATABASE or "
        "PGPASSWORD.",
    ),
]
Fallback = Annotated[str | None, typer.Option(help="Models to use when all other lanes are closed, such as 'a -> b'.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for quota as long as it takes, even past midnight.")]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Make and pay new clips, even for prompts that have one, or go on with that if it was interrupted; "
        "--fresh=new always begins anew.",
    ),
]
FreshNew = Annotated[bool, typer.Option("--fresh-new", help="The same as --fresh=new.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, whatever the clips cost. See VEO3_CONFIRM_ABOVE.")]
Exec = Annotated[
    str | None,
    typer.Option(
        "--exec",
        metavar="CMD",
        help="Program to run for each saved clip, without a shell, with {path}, {id}, {prompt} and more filled in.",
    ),
]
Events = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="File to which each event of the run is appended as a line of JSON; - for standard output.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what a run would send, cost and take. Sends nothing.")]
Mock = Annotated[bool, typer.Option("--mock", help="Use the built-in emulator: no key, no cost.")]
Report = Annotated[
    bool, typer.Option("--report", help="After the run, write report.html with all clips into the output directory.")
]
Page = Annotated[
    bool, typer.Option("--page", help="Show the run in the browser: print a link to a page on this machine.")
]
PagePort = Annotated[
    int | None, typer.Option("--page-port", min=1, max=65535, help="Port of the page; default: a free one.")
]
Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for each clip; with --dry-run, one for all.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only problems and, with --json, clips.")]


def run_page(settings: Settings, *, page: bool, port: int | None, opens: bool) -> RunPage | None:
    """The page that the options ask for; None without. `--open` and `--page-port` imply `--page`."""
    if not (page or opens or port is not None):
        return None
    from aveo3.cli.live_page import RunPage

    return RunPage(settings, port=port or 0, opens=opens)


class FreshOrNew(TyperCommand):
    """Takes `--fresh=new`, too. An option whose value may be left out would swallow the file behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(
            ctx, ["--fresh-new" if arg == "--fresh=new" else arg for arg in args[:end]] + args[end:]
        )


def database_field(address: str | None, option: str = "--database") -> dict[str, Any]:
    """The address in an option, as a setting. Raises `UsageError` if it holds a password, which `ps` would show."""
    from aveo3.config.database_address import database_address, passwords_in
    from aveo3.errors import UsageError

    if address is None:
        return {}
    try:
        checked = database_address(address).get_secret_value()
    except ValueError as error:
        raise UsageError(f"{option} (hidden) is refused: {error}") from None
    if passwords_in(checked):
        raise UsageError(
            f"{option}: it holds a password, and each user of this machine can see it in the list of processes. Put "
            "the address into VEO3_DATABASE, or the password into PGPASSWORD or ~/.pgpass. Nothing was sent."
        )
    return {"database": checked}


def rate_fields(text: str | None) -> dict[str, Any]:
    """Parse `10/60s`, `50/min` or `2/1.5m` into settings. Raises `UsageError`."""
    from aveo3.errors import UsageError

    if text is None:
        return {}
    match = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)?(s|m|min|h)?", text.strip())
    if match is None or not (match[2] or match[3]) or not int(match[1]) or not float(match[2] or 1):
        raise UsageError(f"--rate {text}: write requests per time, such as 10/60s, 50/min or 200/h")
    unit = {"s": 1, None: 1, "m": 60, "min": 60, "h": 3600}[match[3]]
    return {"rate_limit": int(match[1]), "rate_period": float(match[2] or 1) * unit}
