"""`aveo3 generate`: prompts in, a directory of clips out. Parses, calls `VeoClient`, prints."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli.exits import Exit, errors_as_messages

if TYPE_CHECKING:
    from rich.console import Console

    from aveo3.client import Stats, VeoClient
    from aveo3.estimate import Estimate
    from aveo3.models import VideoClip, VideoPrompt
    from aveo3.settings import Settings

log = logging.getLogger("aveo3")


def generate(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="Files of prompts: .txt (one a line), .jsonl, .csv, .yaml; - is standard input, text or JSON lines.",
        ),
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="A prompt itself; repeatable.")] = None,
    output_dir: Annotated[Path | None, typer.Option("--output-dir", "-o", help="Directory for the videos.")] = None,
    model: Annotated[str | None, typer.Option(help="Model id for prompts that name none.")] = None,
    duration: Annotated[int | None, typer.Option(help="Seconds, for prompts that name none.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option(help="16:9 or 9:16, for prompts that name none.")] = None,
    resolution: Annotated[str | None, typer.Option(help="720p, 1080p or 4k, for prompts that name none.")] = None,
    rate: Annotated[str | None, typer.Option(help="Your quota: requests per time, as in 10/60s or 50/min.")] = None,
    max_concurrency: Annotated[int | None, typer.Option(help="Operations running at once.")] = None,
    budget: Annotated[float | None, typer.Option(help="US$ this run may cost at most.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, cost and take; send nothing.")
    ] = False,
    mock: Annotated[bool, typer.Option("--mock", help="Use the built-in emulator: no key, no cost.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a clip on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors and results only.")] = False,
) -> None:
    """Generate a video for every prompt.

    Everything else is set by VEO3_* and GOOGLE_* variables, in the environment or in .env: see `aveo3 config show`.
    The output directory gets the videos, a manifest.jsonl of all clips, and a failed.jsonl of those not made, which
    is itself a SOURCE.

    Exit codes: 0 all made, 1 some not, 2 bad usage, 3 some deferred by quota or budget, 130 interrupted.

    Examples:

      aveo3 generate prompts.txt --output-dir clips --mock

      aveo3 generate --prompt "a paper boat on a river" --aspect-ratio 9:16 --rate 10/60s --dry-run

      aveo3 generate clips/failed.jsonl --output-dir clips
    """
    with errors_as_messages():
        given = {
            "output_dir": output_dir,
            "model": model,
            "max_concurrency": max_concurrency,
            "budget": budget,
            "mock_mode": mock or None,
            **_rate(rate),
        }
        from aveo3.settings import Settings

        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        fields = {"duration_seconds": duration, "aspect_ratio": aspect_ratio, "resolution": resolution}
        prompts = [_with_defaults(p, fields) for p in _prompts(sources or [], prompt or [])]
        if dry_run:
            raise typer.Exit(_print_estimate(prompts, settings))
        from aveo3.client import VeoClient

        code = asyncio.run(_run(VeoClient(settings), prompts, as_json=as_json, quiet=quiet))
    raise typer.Exit(code)


def _prompts(sources: list[str], texts: list[str]) -> list[VideoPrompt]:
    from pydantic import ValidationError

    from aveo3.errors import UsageError
    from aveo3.models import VideoPrompt
    from aveo3.sources import read_prompts

    if not sources and not texts:
        raise UsageError('no prompts: name a file (aveo3 generate prompts.txt) or give --prompt "a paper boat"')
    prompts = [prompt for source in sources for prompt in read_prompts(source)]
    if any(not text.strip() for text in texts):
        raise UsageError("--prompt is empty: say what the video should show")
    try:
        return prompts + [VideoPrompt(text=text) for text in texts]
    except ValidationError as error:  # too long, or no text at all
        raise UsageError(f"--prompt: {error.errors()[0]['msg']}") from None


def _with_defaults(prompt: VideoPrompt, fields: dict[str, Any]) -> VideoPrompt:
    """`prompt` with what the command line says for prompts that do not say it themselves, checked."""
    from pydantic import ValidationError

    from aveo3.errors import UsageError

    missing = {name: value for name, value in fields.items() if value is not None and getattr(prompt, name) is None}
    if not missing:
        return prompt
    try:
        return type(prompt).model_validate({**dict(prompt), **missing})
    except ValidationError as error:
        problem = error.errors()[0]
        option = "--" + str(problem["loc"][0]).replace("_seconds", "").replace("_", "-")
        raise UsageError(f"{option} {problem['input']}: {problem['msg'].lower()}") from None


def _rate(text: str | None) -> dict[str, Any]:
    """`10/60s`, `50/min`, `2/1.5m` → settings."""
    from aveo3.errors import UsageError

    if text is None:
        return {}
    match = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)?(s|m|min|h)?", text.strip())
    if match is None or not (match[2] or match[3]):
        raise UsageError(f"--rate {text}: write requests per time, such as 10/60s, 50/min or 200/h")
    unit = {"s": 1, None: 1, "m": 60, "min": 60, "h": 3600}[match[3]]
    return {"rate_limit": int(match[1]), "rate_period": float(match[2] or 1) * unit}


async def _run(client: VeoClient, prompts: list[VideoPrompt], *, as_json: bool, quiet: bool) -> Exit:
    from rich.console import Console

    from aveo3.dispatch import GRACE
    from aveo3.estimate import estimate
    from aveo3.manifest import MANIFEST, Manifest
    from aveo3.progress import summary, watch

    console, interrupts = Console(stderr=True), 0
    live = console.is_terminal and not quiet
    started_at = asyncio.get_running_loop().time()
    with _logging_to(console, client.settings, quiet=quiet):
        async with client as veo, veo.stream(prompts) as clips:
            leaving: set[asyncio.Task[None]] = set()

            def interrupted(number: signal.Signals) -> None:
                nonlocal interrupts
                interrupts += 1
                if interrupts == 1 and number is signal.SIGINT:
                    log.warning("stopping: nothing more is submitted, what runs is finished (again: leave it running)")
                    clips.stop()
                elif not leaving:
                    log.warning("leaving: what runs goes on at Google; its names follow within %g s", GRACE)
                    leaving.add(asyncio.ensure_future(clips.leave()))

            bars: AbstractAsyncContextManager[Any] = watch(console, len(prompts), veo.stats) if live else nullcontext()
            with _on_signals(interrupted), Manifest(client.settings.output_dir) as manifest:
                for share in estimate(prompts, client.settings):
                    log.info("%s", _what_it_takes(share, client.settings))
                if again := manifest.made_before(prompts):
                    log.warning(
                        "%d of these prompts have a clip here already (%s): they are made, and paid, again",
                        again,
                        MANIFEST,
                    )
                async with bars:
                    done = 0
                    async for clip in clips:
                        done += 1
                        manifest.add(clip)
                        if as_json and not _print_json(clip):
                            as_json = False
                            log.warning("nobody reads the output any more: what runs is finished, the rest is not sent")
                            clips.stop()
                        _report(clip, f"[{done}/{len(prompts)}]", console, live=live)
                    stats = veo.stats()
    if not quiet:
        mock = client.settings.backend_name() == "mock"
        note = " (had it been real: nothing is billed in mock mode)" if mock else ""
        table = summary(stats, asyncio.get_running_loop().time() - started_at, note=note)
        out = console if as_json else Console()
        try:
            out.print(table)
            out.print(f"videos and {MANIFEST} are in {client.settings.output_dir}{manifest.hint}", soft_wrap=True)
        except BrokenPipeError:
            _mute()
    return Exit.INTERRUPTED if interrupts else _exit_code(stats)


def _print_json(clip: VideoClip) -> bool:
    """Print a clip as a line of JSON; False if standard output was closed, as `| head` does."""
    from aveo3.sources import clip_fields

    try:
        print(json.dumps(clip_fields(clip), ensure_ascii=False), flush=True)
    except BrokenPipeError:
        _mute()
        return False
    return True


def _mute() -> None:
    """Standard output was closed: let Python find something to flush at its exit."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _report(clip: VideoClip, number: str, console: Console, *, live: bool) -> None:
    from aveo3.progress import clip_line

    if live:
        console.print(clip_line(clip), overflow="ellipsis", no_wrap=True)
    else:
        log.log(logging.INFO if clip.succeeded else logging.WARNING, "%s %s", number, clip_line(clip).plain)


def _print_estimate(prompts: list[VideoPrompt], settings: Settings) -> Exit:
    from rich.console import Console

    from aveo3.client import check_alive
    from aveo3.estimate import estimate

    check_alive(settings.model)
    shares = estimate(prompts, settings)
    console = Console()
    total = sum(share.cost_usd or 0.0 for share in shares)
    for share in shares:
        console.print(_what_it_takes(share, settings), highlight=False)
        for problem in share.problems:
            console.print(f"  would be rejected: {problem}", style="yellow", highlight=False, markup=False)
    if settings.budget is not None and total > settings.budget:
        console.print(f"the budget of US$ {settings.budget:g} ends it early: the rest is deferred", style="yellow")
    console.print("nothing was sent")
    return Exit.SOME_NOT if any(share.problems for share in shares) else Exit.ALL_MADE


def _what_it_takes(share: Estimate, settings: Settings) -> str:
    """One model's share of the batch in a line: clips, money, time, and what sets the time."""
    from aveo3.progress import duration

    rate = settings.rate(share.model)
    cost = "at an unknown price" if share.cost_usd is None else f"US$ {share.cost_usd:.2f} at list price"
    return (
        f"{share.model}: {share.clips} clip{'s' * (share.clips != 1)}, {cost}, about {duration(share.seconds)} at "
        f"{rate.limit} requests in {duration(rate.period)} (bound by {share.bound_by})"
    )


def _exit_code(stats: Stats) -> Exit:
    """3 only where running it again later is all that is needed: a lane that closed for good wants a person."""
    unmade = {status.value for status, count in stats.clips.items() if count} - {"succeeded"}
    if not unmade:
        return Exit.ALL_MADE
    closed = any(gate.closed is not None for gate in stats.gates.values())
    return Exit.DEFERRED if unmade == {"deferred"} and not closed else Exit.SOME_NOT


@contextmanager
def _logging_to(console: Console, settings: Settings, *, quiet: bool) -> Iterator[None]:
    """aveo3's log on `console`: above the bars on a terminal, plain lines otherwise."""
    if console.is_terminal:
        from rich.logging import RichHandler

        handler: logging.Handler = RichHandler(console=console, show_path=False, show_level=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
        if not settings.debug_mode:  # the bars count what is accepted; a line each would push the clips off the screen
            logging.getLogger("aveo3.engine").setLevel(logging.WARNING)
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if settings.debug_mode else logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        logging.getLogger("aveo3.engine").setLevel(logging.NOTSET)


@contextmanager
def _on_signals(callback: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `callback` with each SIGINT, SIGTERM and SIGHUP while the block runs."""
    loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        for number in numbers:
            loop.add_signal_handler(number, callback, number)
    except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
        yield
        return
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
