"""`aveo3 mcp`: gives agents tools that make clips, within a budget that a person sets. Reads options, serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli import options
from aveo3.cli.exit_codes import Exit, errors_as_messages

if TYPE_CHECKING:
    from aveo3.config.settings import Settings


def mcp(
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="Directory for the videos and the journal.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="US$ that agents may spend in this directory, ever; see VEO3_MCP_BUDGET.")
    ] = None,
    ask_above: Annotated[
        str | None, typer.Option(help="US$ that agents may spend before a person is asked; see VEO3_MCP_ASK_ABOVE.")
    ] = None,
    media: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Directory whose pictures agents may send, too. May be given again."),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve by HTTP, at /mcp. Beyond this machine: VEO3_MCP_TOKEN."),
    ] = None,
    name: options.Name = None,
    rate: options.Rate = None,
    max_concurrency: options.MaxConcurrency = None,
    lanes: options.Lanes = None,
    server: options.Server = None,
    mock: options.Mock = False,
) -> None:
    """Give agents tools that make clips.

    They speak the Model Context Protocol (MCP): a client starts this program and talks to it over stdin and stdout, or
    by HTTP. Their tools return at once: estimate, start, status, wait, result, cancel, models, budget. It needs
    aveo3[mcp].

    Agents spend nothing unless you set a budget in US$. It belongs to the output directory and counts all sessions: a
    restart gives no new one. No tool can raise it. Above US$ 20 (VEO3_MCP_ASK_ABOVE) a person is asked.

    It keeps the journal of the other commands: `aveo3 status` shows what agents did. Use an output directory of its
    own: while clips of agents are under way, no other run can use it. Give whole paths: clients start this program
    anywhere. VEO3_* and GOOGLE_* variables set everything else. `aveo3 guide mcp` tells more.

    Exit codes: 0 the client left, or it was stopped; 2 bad usage, or aveo3[mcp] is missing.

    \b
    Claude Code:
      claude mcp add aveo3 --env VEO3_MCP_BUDGET=10 -- aveo3 mcp -o ~/clips

    \b
    Claude Desktop, in claude_desktop_config.json, and Cursor, in .cursor/mcp.json:
      {
        "mcpServers": {
          "aveo3": {
            "command": "aveo3",
            "args": ["mcp", "--output-dir", "/home/me/clips"],
            "env": {"VEO3_MCP_BUDGET": "10", "GEMINI_API_KEY": "your key"}
          }
        }
      }

    \b
    VS Code, in .vscode/mcp.json:
      {
        "servers": {
          "aveo3": {
            "type": "stdio",
            "command": "aveo3",
            "args": ["mcp", "--output-dir", "/home/me/clips"],
            "env": {"VEO3_MCP_BUDGET": "10", "GEMINI_API_KEY": "your key"}
          }
        }
      }

    Examples:

      aveo3 mcp --budget 10 --output-dir clips

      aveo3 mcp --mock --budget 10 --http 127.0.0.1:8791
    """
    with errors_as_messages():
        _check_extra()
        given: dict[str, Any] = {
            "output_dir": output_dir,
            "mcp_budget": budget,
            "mcp_ask_above": ask_above,
            "mcp_media": tuple(media) if media else None,
            "name": name,
            "max_concurrency": max_concurrency,
            "lanes": lanes,
            "server": server,
            "mock_mode": mock or None,
            **options.rate_fields(rate),
        }
        from aveo3.config.settings import Settings
        from aveo3.errors import UsageError

        try:
            settings = Settings(**{name: value for name, value in given.items() if value is not None})
        except UsageError as error:  # the options have shorter names than the settings
            raise UsageError(re.sub(r"\bmcp_(\w+=)", r"\1", str(error))) from None
        import asyncio

        from aveo3.cli.telemetry import exported

        with _log_to_stderr(debug=settings.debug_mode), exported(settings):
            asyncio.run(_serve(settings, http))


async def _serve(settings: Settings, http: str | None) -> None:
    import asyncio
    import os
    import sys
    from importlib.metadata import version

    from aveo3.cli.signals import on_signals
    from aveo3.mcp_server.desk import Desk
    from aveo3.mcp_server.transport import serve_stdio

    stop = asyncio.Event()
    with on_signals(lambda _: stop.set()):
        if http is None:
            if sys.stdin.isatty():
                typer.echo("An MCP client starts this program, see --help. Ctrl-C ends it.", err=True)
            if not await serve_stdio(Desk(settings), version("aveo3"), stop):
                sys.stderr.flush()
                os._exit(Exit.ALL_MADE)  # all is in order; a thread that reads stdin would hold up any other end
            return
        from aveo3.mcp_server.http import address_of, serve_http

        host, port = address_of(http)
        token = settings.mcp_token.get_secret_value() if settings.mcp_token is not None else None

        def opened(url: str) -> None:
            typer.echo(f"Taking MCP requests at {url}. Ctrl-C stops it.", err=True)

        await serve_http(Desk(settings), version("aveo3"), stop, host, port, token=token, opened=opened)


def _check_extra() -> None:
    """Raise `UsageError` if the protocol's package is not installed, or an old one is."""
    from importlib.metadata import PackageNotFoundError, version

    from aveo3.errors import UsageError

    try:
        found = version("mcp")
    except PackageNotFoundError:
        raise UsageError("aveo3 mcp needs the package mcp, which is not installed: pip install 'aveo3[mcp]'") from None
    if found.split(".")[0] in ("0", "1"):
        raise UsageError(
            f"aveo3 mcp needs the package mcp from 2.3 on, and {found} is installed: pip install 'aveo3[mcp]', in an "
            "environment of its own if another program needs the old one"
        )


@contextmanager
def _log_to_stderr(*, debug: bool) -> Iterator[None]:
    """Inside the block, send every log to stderr, as lines: stdout belongs to the protocol."""
    import logging

    from aveo3.cli.terminal import LineFormatter

    root, ours = logging.getLogger(), logging.getLogger("aveo3")
    before = root.handlers[:], root.level, ours.level
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
