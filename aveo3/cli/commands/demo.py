"""`aveo3 demo`: runs the same prompts through a plain loop and through aveo3, on the emulator, in half a minute."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli.exit_codes import Exit, errors_as_messages

if TYPE_CHECKING:
    from rich.console import Console

    from aveo3.config.settings import Settings
    from aveo3.mock import MockServer

CLIPS, LIMIT, PERIOD, LATENCY, USUAL = 12, 2, 4.0, "1-3", 2.0
MODEL = "veo-3.1-fast-generate-001"

PROMPTS = [
    "a paper boat on a river",
    "a lighthouse in fog",
    "a fox crossing fresh snow",
    "steam over a cup of tea",
    "a street after rain, at night",
    "a kite above a wheat field",
    "a clockmaker at work",
    "jellyfish in blue light",
    "a train leaving a small station",
    "bread rising in an oven",
    "a library with a cat",
    "northern lights over a lake",
]


def demo(
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="Directory for the videos; unset: a temporary one.")
    ] = None,
) -> None:
    """Watch aveo3 make twelve clips on a small quota.

    It takes half a minute and needs no key and no network. It costs nothing.

    Example: aveo3 demo
    """
    import asyncio

    with errors_as_messages():
        directory = output_dir or Path(tempfile.mkdtemp(prefix="aveo3-demo-"))
        code = asyncio.run(_show(directory))
    raise typer.Exit(code)


async def _show(directory: Path) -> Exit:
    import asyncio

    from rich.console import Console
    from rich.markup import escape

    from aveo3.cli.progress import clip_line, duration, summary, watch
    from aveo3.client import VeoClient
    from aveo3.files.directories import check_writable
    from aveo3.mock import Latency, MockOptions, MockServer
    from aveo3.models import ClipStatus

    check_writable(directory)
    console = Console(highlight=False)
    options = MockOptions(rpm=LIMIT, period=PERIOD, latency=Latency.parse(LATENCY))
    console.print(f"An emulated Google allows [b]{LIMIT} requests in {PERIOD:g} s[/b]. You have {CLIPS} prompts.\n")

    console.print("[b]1. A plain loop[/b], written like the example of Google's SDK:")
    async with MockServer(options) as server:
        lost = await plain_loop(server, console)
    console.print(f"   [red]{lost} of {CLIPS} clips are lost.[/red]\n")

    console.print("[b]2. aveo3[/b], with the same prompts and quota: await veo.generate_many(prompts)")
    started_at = asyncio.get_running_loop().time()
    async with MockServer(options) as server:
        async with (
            VeoClient(settings(server.url, directory)) as veo,
            watch(console, CLIPS, veo.stats, usual=USUAL),
            veo.stream(PROMPTS) as clips,
        ):
            async for clip in clips:
                console.print(clip_line(clip), overflow="ellipsis", no_wrap=True)
            stats = veo.stats()
        books = server.books.as_dict()
    console.print(summary(stats, asyncio.get_running_loop().time() - started_at, note=" (if it were real)"))
    twice = books["accepted"] - len(books["accepted_by_prompt"])
    fastest = (CLIPS - 1) // LIMIT * PERIOD
    console.print(
        f"\nThe server's books: {books['accepted']} accepted, {books['refused']} refused, {twice} paid for twice. "
        f"The quota alone needs {duration(fastest)}.\n"
    )
    console.print(f"The videos are in [b]{escape(str(directory))}[/b]. Each one shows its prompt.", soft_wrap=True)
    return Exit.ALL_MADE if stats.clips[ClipStatus.SUCCEEDED] == CLIPS else Exit.SOME_NOT


def settings(url: str, directory: Path) -> Settings:
    """Settings for the emulator at `url`, with its quota. The environment has no influence."""
    from aveo3.config.settings import Settings

    return Settings(
        _env_file=None,
        backend="vertex",
        base_url=url,
        api_key="demo",
        project=None,
        model=MODEL,
        rate_limit=LIMIT,
        rate_period=PERIOD,
        poll_interval=0.3,
        output_dir=directory,
    )


async def plain_loop(server: MockServer, console: Console) -> int:
    """Submit everything at once and give up on refused prompts. Returns the number of lost clips."""
    import asyncio

    from google import genai
    from google.genai import errors, types

    client = genai.Client(vertexai=True, api_key="demo", http_options=types.HttpOptions(base_url=server.url))

    async def make(prompt: str) -> str | None:
        source = types.GenerateVideosSource(prompt=prompt)
        try:
            operation = await client.aio.models.generate_videos(model=MODEL, source=source)
            while not operation.done:
                await asyncio.sleep(0.3)
                operation = await client.aio.operations.get(operation)
        except errors.APIError as error:
            return f"{error.code} {error.status}"
        return None

    outcomes = await asyncio.gather(*(make(prompt) for prompt in PROMPTS))
    await client.aio.aclose()
    for prompt, error in zip(PROMPTS, outcomes, strict=True):
        console.print(f"   [red]✗ {error}[/red]  {prompt}" if error else f"   [green]✓[/green] {prompt}")
    return sum(error is not None for error in outcomes)
