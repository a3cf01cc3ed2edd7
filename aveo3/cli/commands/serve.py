"""`aveo3 serve`: takes requests of other programs until it is stopped. Reads options, prints addresses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli import options
from aveo3.cli.commands import serve_keys, serve_status
from aveo3.cli.exit_codes import Exit, errors_as_messages

if TYPE_CHECKING:
    import signal

    from aveo3.config.settings import Settings
    from aveo3.server.door.server import DoorServer

PORT = 8790

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(serve_keys.app, name="keys")
app.command()(serve_status.status)


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on. Others than this machine's own need keys.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on; 0 takes a free one.")
    ] = PORT,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="Directory for the videos and the journal.")
    ] = None,
    name: options.Name = None,
    rate: options.Rate = None,
    max_concurrency: options.MaxConcurrency = None,
    budget: options.Budget = None,
    lanes: options.Lanes = None,
    database: options.Database = None,
    mock: options.Mock = False,
    private_callbacks: Annotated[
        bool, typer.Option("--private-callbacks", help="Let callbacks go to private addresses, and by http.")
    ] = False,
    fetch_media: Annotated[
        bool, typer.Option("--fetch-media", help="Fetch pictures and videos that requests name by https://.")
    ] = False,
    private_media: Annotated[
        bool, typer.Option("--private-media", help="Fetch them from private addresses, too.")
    ] = False,
    merge_equal: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time, such as 30s, within which equal requests of a caller without an idempotency key are one clip.",
        ),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Show it live in the browser: print a link to a page on this machine.")
    ] = False,
    page_port: options.PagePort = None,
    opens: options.Open = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only problems.")] = False,
) -> None:
    """Take requests of other programs, within the quota.

    It speaks Google's own protocol for Veo and Omni: Google's SDKs, and any program in any language, change the base
    URL and nothing else. A request is answered at once, when it is on disk; it waits here for quota, and no caller sees
    a 429. After a stop, a crash or a kill, start it again with the same output directory: what was accepted goes on,
    and nothing is sent twice.

    VEO3_* and GOOGLE_* variables, in the environment or in .env, set everything else: see `aveo3 config show`. Without
    VEO3_QUOTA_PATIENCE, requests wait for quota as long as it takes.

    `aveo3 serve keys add NAME` gives a caller a key. Without any key, it listens on this machine only, and whoever
    reaches it may use it. Ctrl-C or SIGTERM stops it within ten seconds. SIGHUP has it read callers and lanes anew.

    With VEO3_DATABASE the requests are in a database that several machines share: start any number of servers with it,
    behind a load balancer. One of them, or of the workers, sends for each lane: see `aveo3 guide farm`.

    `--page` prints a link to a page on this machine, for its operator: what waits, runs and is done, by caller, lanes
    and money, with buttons to pause and to cancel what waits. It needs aveo3[report].

    Exit codes: 0 stopped; 2 bad usage, another run is active, or the port is in use.

    Examples:

      aveo3 serve --rate 10/60s --output-dir clips

      aveo3 serve --mock --port 0 --page
    """
    if context.invoked_subcommand is not None:
        return
    with errors_as_messages():
        given = {
            "output_dir": output_dir,
            "name": name,
            "max_concurrency": max_concurrency,
            "budget": budget,
            "lanes": lanes,
            "mock_mode": mock or None,
            **options.database_field(database),
            **options.rate_fields(rate),
        }
        from aveo3.config.settings import Settings

        merged_within = _seconds(merge_equal)
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        import asyncio

        from aveo3.cli.services import mixture
        from aveo3.cli.telemetry import exported
        from aveo3.client import VeoClient
        from aveo3.errors import UsageError
        from aveo3.files.open_files import raise_limit

        if (why := mixture(settings, VeoClient(settings).service)) is not None:
            raise UsageError(why)
        raise_limit()
        with logging_to_lines(settings, quiet=quiet), exported(settings):
            shows = _Page(page_port or 0, opens=opens) if page or opens or page_port is not None else None
            asyncio.run(
                _serve(
                    settings,
                    host,
                    port,
                    private_callbacks=private_callbacks,
                    fetch_media=fetch_media,
                    private_media=private_media,
                    merge_equal=merged_within,
                    page=shows,
                    quiet=quiet,
                )
            )


def _seconds(text: str | None) -> float | None:
    """The value of --merge-equal. Raises `UsageError`."""
    from aveo3.config.field_types import duration
    from aveo3.errors import UsageError

    if text is None:
        return None
    try:
        seconds = float(duration(text))
    except ValueError as error:
        raise UsageError(f"--merge-equal {text}: it {error}") from None
    if seconds <= 0:
        raise UsageError(f"--merge-equal {text}: it must be more than 0. Leave it out to merge nothing.")
    return seconds


class _Page:
    """The page that `--page` asks for. Raises `UsageError` if what it needs is not installed."""

    def __init__(self, port: int, *, opens: bool) -> None:
        from aveo3.report.html import check_extra

        check_extra()
        self._port = port
        self._opens = opens

    def of(self, server: DoorServer) -> AbstractAsyncContextManager[None]:
        """Shows `server` inside the block, and prints the link."""
        from aveo3.cli.live_page import shown
        from aveo3.cli.shells import quoted

        in_json = server.session.settings.log_format == "json"
        return shown(server.page_view(quoted=quoted), port=self._port, opens=self._opens, in_json=in_json)


async def _serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    private_callbacks: bool,
    fetch_media: bool = False,
    private_media: bool = False,
    merge_equal: float | None = None,
    page: _Page | None = None,
    quiet: bool,
) -> None:
    import asyncio
    import sys
    from contextlib import nullcontext

    from aveo3.cli.signals import on_signals
    from aveo3.server.door.server import DoorServer

    stop = asyncio.Event()
    reload = asyncio.Event()
    is_on_terminal = sys.stdin is not None and sys.stdin.isatty()

    def signalled(number: signal.Signals) -> None:
        if number.name != "SIGHUP" or (is_on_terminal and not sys.stdin.isatty()):  # its window was closed
            stop.set()
        reload.set()

    with on_signals(signalled):
        server = DoorServer(
            settings,
            host=host,
            port=port,
            private_callbacks=private_callbacks,
            fetch_media=fetch_media,
            private_media=private_media,
            merge_equal=merge_equal,
        )
        try:
            await server.__aenter__()
        except OSError as error:
            typer.echo(
                f"aveo3: cannot listen on {host}:{port}: {error.strerror or error}. Choose another --port (1-65535), "
                "or --port 0 for a free one.",
                err=True,
            )
            raise typer.Exit(Exit.USAGE) from None
        try:
            if not quiet:
                typer.echo(_welcome(server))
            async with page.of(server) if page is not None else nullcontext():
                while not stop.is_set():
                    await reload.wait()
                    reload.clear()
                    if not stop.is_set():
                        await server.reload()
            if not quiet:
                typer.echo("stopping: no new requests; what was sent learns its operation's name", err=True)
        finally:
            await server.__aexit__(None, None, None)


@contextmanager
def logging_to_lines(settings: Settings, *, quiet: bool) -> Iterator[None]:
    """Send aveo3's log to stderr, as lines, while the block runs."""
    import logging

    from aveo3.cli.terminal import LineFormatter

    handler, log = logging.StreamHandler(), logging.getLogger("aveo3")
    handler.setFormatter(LineFormatter())
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if settings.debug_mode else logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _welcome(server: DoorServer) -> str:
    url, settings = server.url, server.session.settings
    lanes = server.session.routes.lanes.listed
    models = ", ".join(dict.fromkeys(lane.model for lane in lanes)) or settings.model
    waiting, names = server.waiting, server.callers.names
    key = "aveo3_…" if names else "anything"
    return f"""Taking requests at {url} for {models} ({server.session.service}). Ctrl-C stops it.
{_who(names)}{f" {waiting:,} requests of earlier runs wait." if waiting else ""}

google-genai (Python):  genai.Client(vertexai=True, api_key="{key}", http_options={{"base_url": "{url}"}})
@google/genai (JS):     new GoogleGenAI({{ vertexai: true, apiKey: "{key}", httpOptions: {{ baseUrl: "{url}" }} }})
other clients:          base URL {url}, {"the" if names else "any"} key as Bearer token or x-goog-api-key
"""


def _who(names: list[str]) -> str:
    if not names:
        return "It has no keys: only this machine can reach it, and all of this machine may use it."
    return f"Callers: {', '.join(names[:10])}{f' and {len(names) - 10} more' if len(names) > 10 else ''}."
