"""A run on the command line: the client opened, signals, the live display, what is written down, the exit code."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from aveo3.cli.exit_codes import Exit
from aveo3.cli.journal_view import EMULATED, UNDER_WAY, counted, typed

if TYPE_CHECKING:
    from rich.console import Console

    from aveo3.client import VeoClient
    from aveo3.config.settings import Settings
    from aveo3.dispatch.stats import Stats
    from aveo3.dispatch.stream import ClipStream
    from aveo3.models import VideoClip

log = logging.getLogger("aveo3")

SHOWN_CACHED = 20
"""Clips of earlier runs that get a line each; of more, only the number is told."""

NO_JOURNAL = (
    "no journal is kept (VEO3_JOURNAL=none): a run that is killed loses what was running, and the same prompts are "
    "sent, and paid, again"
)


async def run(
    client: VeoClient,
    open_stream: Callable[[VeoClient], ClipStream],
    *,
    total: int,
    to_send: int,
    at_hand: int = 0,
    notes: list[str],
    as_json: bool,
    quiet: bool,
) -> Exit:
    """Run a stream of `total` clips to its end, of which `to_send` need a request and `at_hand` are there at once."""
    from rich.console import Console

    from aveo3.cli.manifest import MANIFEST, Manifest
    from aveo3.cli.progress import summary, watch

    console = Console(stderr=True)
    live = console.is_terminal and not quiet
    started_at = asyncio.get_running_loop().time()
    ours: set[str | None] = set()
    too_dear = 0
    with _logging_to(console, client.settings, quiet=quiet):
        async with client as veo, open_stream(veo) as clips:
            interrupts = _Interrupts(clips, keeps=veo.journal is not None)
            bars: AbstractAsyncContextManager[Any] = nullcontext()
            if live:
                bars = watch(console, total, veo.stats, to_send)
            with _on_signals(interrupts), Manifest(client.settings.output_dir) as manifest:
                for note in [*([NO_JOURNAL] if veo.journal is None else []), *notes]:
                    log.info("%s", note)
                async with bars:
                    done = 0
                    async for clip in clips:
                        done += 1
                        manifest.add(clip)
                        ours.add(clip.job)
                        too_dear += clip.error_kind == "budget"
                        if as_json and not _print_json(clip):
                            as_json = False
                            log.warning("nobody reads the output any more: what runs is finished, the rest is not sent")
                            clips.stop()
                        if not clip.cached or at_hand <= SHOWN_CACHED:
                            _report(clip, f"[{done}/{total}]", console, live=live)
                    stats = veo.stats()
            others = _left_by_others(veo, ours)
    if not quiet:
        mock = client.settings.backend_name() == EMULATED
        note = " (had it been real: nothing is billed in mock mode)" if mock else ""
        table = summary(stats, asyncio.get_running_loop().time() - started_at, note=note)
        out = console if as_json else Console()
        try:
            out.print(table)
            out.print(f"videos and {MANIFEST} are in {client.settings.output_dir}{manifest.hint}", soft_wrap=True)
            for hint in _what_next(stats, others, too_dear, client):
                out.print(hint, soft_wrap=True, highlight=False)
        except BrokenPipeError:
            _mute()
    return Exit.INTERRUPTED if interrupts.count else exit_code(stats)


class _Interrupts:
    """Asked to stop once, it finishes what runs; asked again, or by who will not wait, it leaves that running."""

    def __init__(self, clips: ClipStream, *, keeps: bool) -> None:
        self.count = 0
        self._clips = clips
        self._keeps = keeps
        self._leaving: asyncio.Task[None] | None = None

    def __call__(self, number: signal.Signals) -> None:
        from aveo3.dispatch.stream import GRACE

        self.count += 1
        if self.count == 1 and number is signal.SIGINT:
            log.warning("stopping: nothing more is submitted, what runs is finished (again: leave it running)")
            self._clips.stop()
        elif self._leaving is None:
            after = " and is picked up by the next run" if self._keeps else "; its names follow"
            log.warning("leaving within %g s: what runs goes on at Google%s", GRACE, after)
            self._leaving = asyncio.ensure_future(self._clips.leave())


def exit_code(stats: Stats) -> Exit:
    """3 only where running it again later is all that is needed: a lane that closed for good wants a person."""
    unmade = {status.value for status, count in stats.clips.items() if count} - {"succeeded"}
    if not unmade:
        return Exit.ALL_MADE
    closed = any(gate.closed is not None for gate in stats.gates.values())
    return Exit.DEFERRED if unmade == {"deferred"} and not closed else Exit.SOME_NOT


def _left_by_others(veo: VeoClient, ours: set[str | None]) -> int:
    """How many jobs of earlier runs are still under way, of which this one was not asked."""
    if veo.journal is None:
        return 0
    left = (entry for entry in veo.journal.entries(*UNDER_WAY) if entry.name not in ours)
    return sum(entry.service == veo.service != EMULATED for entry in left)


def _what_next(stats: Stats, others: int, too_dear: int, client: VeoClient) -> Iterator[str]:
    """What is left to do after a run that keeps a journal, if anything, one sentence each."""
    from aveo3.models import ClipStatus

    if client.settings.journal_path is None:
        return
    directory = typed(client.settings)
    if too_dear:
        yield (
            f"The budget of US$ {client.settings.budget:g} leaves no room for {counted(too_dear, 'clip')}: raise it "
            "(--budget, VEO3_BUDGET) to go on; the same command alone would stop there again."
        )
    if sum(count for status, count in stats.clips.items() if status in _GO_ON) > too_dear:
        yield "Run the same command again to go on: what is there, or under way, is not sent a second time."
    if owed := stats.clips[ClipStatus.UNCERTAIN]:
        yield f"{counted(owed, 'clip')} may be paid already: see aveo3 status {directory}, then aveo3 retry."
    if others:
        yield f"{counted(others, 'clip')} of earlier runs are still under way: aveo3 resume {directory}"


_GO_ON = ("failed", "unfinished", "deferred", "cancelled")
"""The statuses whose next move is to run it again."""


def _print_json(clip: VideoClip) -> bool:
    """Print a clip as a line of JSON; False if standard output was closed, as `| head` does."""
    from aveo3.cli.prompt_files import clip_fields

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
    from aveo3.cli.progress import clip_line

    if live:
        console.print(clip_line(clip), overflow="ellipsis", no_wrap=True)
    else:
        log.log(logging.INFO if clip.succeeded else logging.WARNING, "%s %s", number, clip_line(clip).plain)


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
    clips = logging.getLogger("aveo3.clips")
    clips.setLevel(logging.CRITICAL)  # each clip has a line of its own here
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if settings.debug_mode else logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        clips.setLevel(logging.NOTSET)
        logging.getLogger("aveo3.engine").setLevel(logging.NOTSET)


@contextmanager
def _on_signals(callback: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `callback` with each SIGINT, SIGTERM and SIGHUP while the block runs."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # of which Windows lacks the last
    loop, numbers = asyncio.get_running_loop(), [signal.Signals[name] for name in names if hasattr(signal, name)]
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
