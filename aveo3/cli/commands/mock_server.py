"""`aveo3 mock-server`: runs the emulator until Ctrl-C. Reads options and prints addresses.

Every field of `MockOptions` is an option here; the field's description is the help, and the field's validator checks
the value. So the command line, a scenario file and Python have the same options with the same names.
"""

import asyncio
import contextlib
import logging
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli.shells import with_variables
from aveo3.cli.signals import on_signals
from aveo3.files.open_files import raise_limit
from aveo3.mock.config.faults import FAULTS, Point
from aveo3.mock.config.options import MockOptions
from aveo3.mock.config.validation import choices, complaint

if TYPE_CHECKING:
    from aveo3.mock.config.scenario import Scenario
    from aveo3.mock.server import MockServer

_NAMES = {"faults": "fault", "quotas": "quota", "allow_hosts": "allow-host"}  # repeatable options have a singular name


def _flag(field: str) -> str:
    return "--" + _NAMES.get(field, field).replace("_", "-")


def _for_help(text: str) -> str:
    """A field's description for the help: `hang` becomes --hang, other words lose their backticks."""
    return re.sub(r"`(\w+)`", lambda word: _flag(word[1]) if word[1] in MockOptions.model_fields else word[1], text)


def _option(field: str, panel: str, metavar: str = "") -> Any:
    """The typer option of a field. Its default is None (not set); the help names the field's own default."""
    info = MockOptions.model_fields[field]
    text = _for_help(info.description or "")
    words = f"{text[0].upper()}{text[1:]}."
    several = isinstance(info.default, tuple)
    shown = ", ".join(info.default) if several else _written(info.default)
    flags = f"{_flag(field)}/--no-{_flag(field)[2:]}" if isinstance(info.default, bool) else _flag(field)
    if isinstance(info.default, bool):
        shown = flags.split("/")[not info.default][2:]
    return typer.Option(
        flags,
        metavar=metavar or "|".join(choices(info)) or None,
        help=f"{words} Repeatable. Default: {shown or 'none'}." if several else f"{words} Default: {shown}.",
        rich_help_panel=panel,
    )


def _written(default: Any) -> str:
    if default is None:
        return "none"
    return f"{default:.10g}" if isinstance(default, float) else str(default)


def _fault_table() -> str:
    """The faults for the help, grouped by where they strike. \\b keeps click from joining the lines."""
    blocks = []
    for point in Point:
        rows = [_row(name, _for_help(does)) for name, (where, does) in FAULTS.items() if where is point]
        blocks.append("\b\n" + "\n".join([f"Faults that strike {point}:", *rows]))
    return "\n\n".join(blocks)


def _row(name: str, does: str) -> str:
    return textwrap.fill(does, 74, initial_indent=f"  {name:<17} ", subsequent_indent=" " * 20, break_on_hyphens=False)


# No square brackets here: a typer app with rich markup would treat them as tags and drop them.
_HELP = f"""Run an emulated Google on this machine: Veo and Omni.

It has quotas and faults, and it keeps books of what the requests would cost. It needs no account and costs nothing.
Point any client at the printed address: aveo3, Google's SDKs or curl. Open the address in a browser to watch.
Durations are emulator seconds; --speed makes them pass faster.

\b
Ten requests a minute, clips after about 70 s:
  aveo3 mock-server
An hour in a minute, on a hostile server:
  aveo3 mock-server --speed 60 --rpm 2 --count-refused
Projects, keys and models with their own quotas; for each limit the last
matching --quota counts:
  aveo3 mock-server --quota "project=alpha,model=veo-3.1-fast-*,rpm=2"
  aveo3 mock-server --quota "key=*,rpm=5,spend=10" --quota "key=vip,rpm=none"
One answer in twenty is lost after the request was accepted:
  aveo3 mock-server --fault drop-after:0.05
An outage of three requests, and half of all polls fail:
  aveo3 mock-server --fault 503@1,4-5 --fault poll-500:0.5

A fault is NAME, NAME:RATE, NAME@HITS or NAME:RATE@HITS: RATE a probability, HITS the numbers of the requests that it
may strike, such as 1,4-6.

A scenario is a TOML file: options, and steps that change quotas, faults and latencies at set times. Each step can have
a note, which is printed and shown on the page.

\b
  aveo3 mock-server --example-scenario > story.toml
  aveo3 mock-server --scenario story.toml --speed 60

An option on the command line beats the same option at the top of the file. Steps still change it later.

{_fault_table()}
"""


def _print_example(wanted: bool) -> None:
    if wanted:
        from aveo3.mock.config.scenario import EXAMPLE

        typer.echo(EXAMPLE, nl=False)
        raise typer.Exit


_Text = str | None
_Flag = bool | None
_Texts = list[str] | None
_QUOTAS, _REFUSALS, _SERVICE, _FILES = "Quotas", "Refusals", "Service and faults", "Films and files"


def mock_server(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all networks.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on; 0 takes a free one.")
    ] = 8787,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file with options, and with changes at set times.")
    ] = None,
    example_scenario: Annotated[
        bool,
        typer.Option("--example-scenario", is_eager=True, callback=_print_example, help="Print a scenario and exit."),
    ] = False,
    rpm: Annotated[_Text, _option("rpm", _QUOTAS, "N|none")] = None,
    period: Annotated[_Text, _option("period", _QUOTAS, "SECONDS")] = None,
    rpd: Annotated[_Text, _option("rpd", _QUOTAS, "N|none")] = None,
    concurrency: Annotated[_Text, _option("concurrency", _QUOTAS, "N|none")] = None,
    spend: Annotated[_Text, _option("spend", _QUOTAS, "USD|none")] = None,
    spend_period: Annotated[_Text, _option("spend_period", _QUOTAS, "SECONDS")] = None,
    quotas: Annotated[_Texts, _option("quotas", _QUOTAS, "QUOTA")] = None,
    counting: Annotated[_Text, _option("counting", _QUOTAS)] = None,
    phase: Annotated[_Text, _option("phase", _QUOTAS, "SECONDS")] = None,
    count_refused: Annotated[_Flag, _option("count_refused", _QUOTAS)] = None,
    refusal_body: Annotated[_Text, _option("refusal_body", _REFUSALS)] = None,
    retry_info: Annotated[_Flag, _option("retry_info", _REFUSALS)] = None,
    quota_value: Annotated[_Flag, _option("quota_value", _REFUSALS)] = None,
    retry_after: Annotated[_Flag, _option("retry_after", _REFUSALS)] = None,
    refuse_late: Annotated[_Flag, _option("refuse_late", _REFUSALS)] = None,
    latency: Annotated[_Text, _option("latency", _SERVICE, "LAW")] = None,
    slowdown: Annotated[_Text, _option("slowdown", _SERVICE, "FACTOR")] = None,
    rtt: Annotated[_Text, _option("rtt", _SERVICE, "LAW")] = None,
    speed: Annotated[_Text, _option("speed", _SERVICE, "FACTOR")] = None,
    faults: Annotated[_Texts, _option("faults", _SERVICE, "FAULT")] = None,
    hang: Annotated[_Text, _option("hang", _SERVICE, "SECONDS")] = None,
    redirect_to: Annotated[_Text, _option("redirect_to", _SERVICE, "URL")] = None,
    retired: Annotated[_Texts, _option("retired", _SERVICE, "MODEL")] = None,
    seed: Annotated[_Text, _option("seed", _SERVICE, "N")] = None,
    allow_hosts: Annotated[_Texts, _option("allow_hosts", _SERVICE, "NAME")] = None,
    films: Annotated[_Text, _option("films", _FILES)] = None,
    ranges: Annotated[_Flag, _option("ranges", _FILES)] = None,
    processing: Annotated[_Text, _option("processing", _FILES, "LAW")] = None,
    retention: Annotated[_Text, _option("retention", _FILES, "SECONDS")] = None,
) -> None:
    options_set = {
        name: ctx.params[name] for name in MockOptions.model_fields if ctx.params.get(name) not in (None, [], ())
    }
    story = _story(scenario)
    _check(options_set)
    options = MockOptions.model_validate({**(story.options if story else {}), **options_set})
    _check_films(options, "--films" if "films" in options_set or scenario is None else f"{scenario}: films")
    raise_limit()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, story, host, port))


mock_server.__doc__ = _HELP


def _story(path: Path | None) -> "Scenario | None":
    from aveo3.mock.config.scenario import Scenario, ScenarioError

    try:
        return None if path is None else Scenario.load(path)
    except ScenarioError as error:
        raise typer.BadParameter(str(error), param_hint="--scenario") from None


def _check(options_set: dict[str, Any]) -> None:
    from pydantic import ValidationError

    try:
        MockOptions.model_validate(options_set)
    except ValidationError as error:
        name, sentence = complaint(error, MockOptions)
        raise typer.BadParameter(sentence, param_hint=f"'{_flag(name)}'") from None


def _check_films(options: MockOptions, where: str) -> None:
    from aveo3.mock.state.films import can_draw

    if options.films == "drawn" and not can_draw():
        raise typer.BadParameter(
            "drawn films need PyAV and Pillow: pip install 'aveo3[video]', or use bundled.", param_hint=where
        )


async def _serve(options: MockOptions, story: "Scenario | None", host: str, port: int) -> None:
    from aveo3.mock.server import MockServer

    server = MockServer(options, scenario=story, host=host, port=port)
    try:
        await server.__aenter__()
    except OSError as error:
        typer.echo(
            f"Error: cannot listen on {host}:{port}: {error.strerror or error}. "
            "Choose another --port (1-65535), or --port 0 for a free one.",
            err=True,
        )
        raise typer.Exit(2) from None
    try:
        typer.echo(_welcome(server, story))
        _print_the_story()
        await _until_interrupted()
    finally:
        await server.__aexit__(None, None, None)
        typer.echo(server.books.summary())


class _Printer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage())


def _print_the_story() -> None:
    log = logging.getLogger("aveo3.mock")
    log.setLevel(logging.INFO)
    log.addHandler(_Printer())


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    with on_signals(lambda _: stop.set()):
        await stop.wait()


def _welcome(server: "MockServer", story: "Scenario | None") -> str:
    url = server.url
    place = {"VEO3_BASE_URL": url, "VEO3_BACKEND": "vertex"}
    plan = ""
    if story is not None:
        steps = f"{len(story.steps)} step{'' if len(story.steps) == 1 else 's'}"
        plan = f"Scenario {story.name}: {steps}.\n"
    # Google's SDKs get the address in code, not by GOOGLE_VERTEX_BASE_URL: google-genai 3.4 for Python ignores that
    # variable if another variable chose Vertex AI, and then calls the real Google.
    return f"""Emulated Google at {url} (open it to watch), books at {url}/books.json. Ctrl-C stops it.
{plan}
aveo3, with a key:      {with_variables(**place, GOOGLE_API_KEY="anything")}
aveo3, with a project:  {with_variables(**place, GOOGLE_CLOUD_PROJECT="demo")}
google-genai (Python):  genai.Client(vertexai=True, api_key="anything", http_options={{"base_url": "{url}"}})
@google/genai (JS):     new GoogleGenAI({{ vertexai: true, apiKey: "anything", httpOptions: {{ baseUrl: "{url}" }} }})
other clients:          base URL {url}, any Bearer token or x-goog-api-key
"""
