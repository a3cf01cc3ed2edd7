"""`aveo3 serve status`: what waits, runs and is done at a server, by caller; its lanes and money."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from aveo3.cli.commands.status import farm_lines
from aveo3.cli.exit_codes import errors_as_messages
from aveo3.cli.journal_view import age, journal_place, plain, priced, settings_of
from aveo3.cli.json_lines import in_json

PATIENCE = 10.0
"""Seconds to wait for the server's answer."""

LARGEST = 10 << 20
"""Bytes of an answer."""


def status(
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR|URL", help="Directory or address of the server; default: the directory of the settings."
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with an operator's key, for an address that needs one; - for stdin."),
    ] = None,
    json_line: Annotated[bool, typer.Option("--json", help="Print one JSON object with all details.")] = False,
) -> None:
    """Show what waits, runs and is done at a server, by caller; its lanes and money.

    With a directory, it finds the server that runs there, and reads the journal if none does. An address of a server
    that has keys needs an operator's: `aveo3 serve keys add NAME --operator`. Money is that of the whole directory.

    Exit codes: 0 it was read, whatever it says; 2 there is no journal, no server answers, or the key does not allow it.

    Examples:

      aveo3 serve status clips

      aveo3 serve status clips --json
    """
    with errors_as_messages():
        import asyncio

        from aveo3.errors import UsageError

        key = key_in(key_file) if key_file is not None else None
        if place is not None and place.startswith(("http://", "https://")):
            told = asyncio.run(asked(place, key))
            if told is None:
                raise UsageError(f"no server answers at {place}. Check the address, or name the server's directory.")
        else:
            told = _of_directory(Path(place) if place is not None else None)
        if json_line:
            print(in_json(told))
            return
        try:
            lines = _lines(_printable(told))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UsageError(f"{place} answers, but not as this release of aveo3 does. Use its own release.") from None
        for line in lines:
            print(line)


def key_in(file: Path) -> str:
    from aveo3.errors import UsageError

    try:
        key = (sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"--key-file {file} cannot be read: {why}.") from None
    if not key.isascii() or not key.isprintable() or not key:
        raise UsageError(f"--key-file {file}: it must hold one line, the operator's key.")
    return key


def _of_directory(directory: Path | None) -> dict[str, Any]:
    import asyncio

    from aveo3.errors import UsageError
    from aveo3.server.door.overview import requests_and_money
    from aveo3.server.door.server_file import read

    settings = settings_of(directory)
    place = journal_place(settings)
    if settings.database is not None:
        from aveo3.journal.journal import Journal
        from aveo3.server.farm.overview import farm_of

        with Journal(place, writes=False) as journal:
            farm = farm_of(journal)
        return {"server": None, "lanes": None, "farm": farm, **requests_and_money(place)}
    if (found := read(settings.output_dir)) is not None:
        try:
            told = asyncio.run(asked(*found))
        except UsageError:  # another program has its port by now
            told = None
        if told is not None:
            return told
    return {"server": None, "lanes": None, **requests_and_money(place)}


async def asked(url: str, key: str | None) -> dict[str, Any] | None:
    """The status of the server at `url`; None if none listens there. Raises `UsageError` if it does not tell."""
    import json

    import aiohttp

    from aveo3.errors import UsageError

    headers = {} if key is None else {"x-goog-api-key": key}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as http,
            http.get(f"{url.rstrip('/')}/status", headers=headers, allow_redirects=False) as answer,
        ):
            code, body = answer.status, b""
            async for chunk in answer.content.iter_any():
                if len(body := body + chunk) > LARGEST:
                    break
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    if code in (401, 403):
        raise UsageError(
            f"{url} shows its figures to operators only: --key-file FILE with the key of `aveo3 serve keys add NAME "
            "--operator`, or name the server's directory."
        )
    try:
        told = json.loads(body) if code == 200 else None
    except ValueError:
        told = None
    if not isinstance(told, dict) or not {"server", "lanes", "callers", "money"} <= told.keys():
        raise UsageError(f"{url} is no server of aveo3: its /status answers {code}, and no status.")
    return told


def _printable(told: Any) -> Any:
    """`told` with each text in one line, without control characters: another machine may have sent them."""
    if isinstance(told, dict):
        return {plain(name): _printable(value) for name, value in told.items()}
    if isinstance(told, list):
        return [_printable(each) for each in told]
    return plain(told) if isinstance(told, str) else told


def _lines(told: dict[str, Any]) -> list[str]:
    money = {name: priced(float(each["usd"]), int(each["unpriced_clips"])) for name, each in told["money"].items()}
    farm = told.get("farm")
    lines = [
        *([_server(told["server"])] if farm is None else farm_lines(farm, datetime.now(UTC))),
        f"spent: {money['spent']}; in flight: {money['in_flight']}; may be paid, too: {money['may_be_paid']} (list "
        "prices)",
    ]
    if (stored := told.get("videos")) is not None:
        lines.append(_videos(stored, told["server"] or {}))
    if told["callers"]:
        lines += ["", f"{'caller':<24} {'waiting':>8} {'oldest':>8} {'running':>8} {'spent US$':>10}  ended"]
        lines += [_caller(each) for each in told["callers"]]
    else:
        lines.append("no requests so far")
    if told["lanes"]:
        lines += ["", *(_lane(each) for each in told["lanes"])]
    return lines


def _server(server: dict[str, Any] | None) -> str:
    if server is None:
        return "no server runs: what waits goes on when `aveo3 serve` is started with this directory"
    since = datetime.fromisoformat(server["since_utc"])
    state = f"takes no requests: {server['not_ready']}" if server["not_ready"] else "takes requests"
    paused = "; a person has paused all submits" if server["paused"] else ""
    if server.get("disk_low"):
        paused += f"; {_size(server['disk_free'])} are left on its disk: nothing is submitted until there is room"
    return f"{server['url']} {state}{paused} (process {server['pid']}, since {since:%Y-%m-%d %H:%M:%S} UTC)"


def _videos(stored: dict[str, Any], server: dict[str, Any]) -> str:
    parts = [f"videos: {_size(stored['bytes'])}, {_size(stored['fetched_bytes'])} of them fetched by their callers"]
    if server.get("disk_limit") is not None:
        parts.append(f"limit {_size(server['disk_limit'])}")
    if server.get("retention") is not None:
        parts.append(f"kept for {age(server['retention'])}")
    return "; ".join(parts)


def _size(number: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"


def _caller(caller: dict[str, Any]) -> str:
    name = caller["caller"] + ("" if caller["service"] == "google" else f" ({caller['service']})")
    oldest = ""
    if caller["oldest_utc"] is not None:
        oldest = age((datetime.now(UTC) - datetime.fromisoformat(caller["oldest_utc"])).total_seconds())
    ended = ", ".join(f"{number:,} {state}" for state, number in sorted(caller["ended"].items()))
    figures = f"{caller['waiting']:>8,} {oldest:>8} {caller['running']:>8,} {caller['spent_usd']:>10,.2f}"
    return f"{name:<24} {figures}  {ended}".rstrip()


def _lane(lane: dict[str, Any]) -> str:
    parts = [f"{lane['running']:,} running", f"{lane['accepted']:,} accepted, {lane['refused']:,} refused"]
    if lane["quota_limit"] is not None:
        parts.insert(0, f"{lane['quota_used']:g} of {lane['quota_limit']:g} in {lane['quota_period']:g} s used")
    if lane["closed"]:
        parts.append(f"closed for good: {lane['closed']}")
    else:
        parts.append(f"breaker {lane['breaker'].replace('_', ' ')}")
        if lane["opens_in"]:
            parts.append(f"paused for {age(lane['opens_in'])}")
        elif lane["next_in"]:
            parts.append(f"next submit in {age(lane['next_in'])}")
    return f"lane {lane['lane']}: {'; '.join(parts)}"
