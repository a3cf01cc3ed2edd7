"""Runs a stream of clips on the command line: signals, live display, manifest, summary and exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, nullcontext, suppress
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from aveo3.cli.exit_codes import Exit
from aveo3.cli.journal_view import counted, typed
from aveo3.cli.json_lines import in_json
from aveo3.cli.signals import on_signals
from aveo3.errors import JournalError
from aveo3.lifecycle import UNDER_WAY, is_emulated

if TYPE_CHECKING:
    from rich.console import Console

    from aveo3.cli.after_clip import AfterClip
    from aveo3.cli.event_lines import EventLines
    from aveo3.cli.live_page import RunPage
    from aveo3.client import VeoClient
    from aveo3.dispatch.stats import Stats
    from aveo3.dispatch.stream import ClipStream
    from aveo3.journal.fresh import Fresh
    from aveo3.models import VideoClip

log = logging.getLogger("aveo3")

SHOWN_CACHED = 20
"""Up to this many clips of earlier runs get a line each; more are only counted."""

NO_JOURNAL = (
    "no journal is kept (VEO3_JOURNAL=none): if this run is killed, its running clips are lost, and the next run sends "
    "and pays the same prompts again"
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
    fresh: Fresh = False,
    after: AfterClip | None = None,
    events: EventLines | None = None,
    page: RunPage | None = None,
) -> Exit:
    """Run a stream of clips to its end, print it and write the manifest. Returns the exit code.

    `total` counts all clips, `to_send` those that need a request, `at_hand` those that come back at once from the
    journal. `notes` are printed before the first clip. `fresh` is what the stream makes its clips with. `after` runs a
    command for each clip that is saved; `events` writes each event of the run. `page` shows the run, if `client` gives
    it its events.
    """
    from aveo3.cli.clip_lines import ClipLines
    from aveo3.cli.event_lines import logged
    from aveo3.cli.manifest import MANIFEST, Manifest
    from aveo3.cli.progress import summary, watch
    from aveo3.cli.terminal import console_on, is_screen, print_folded
    from aveo3.files.open_files import raise_limit
    from aveo3.mock_mode import clip_seconds

    raise_limit()
    console = console_on(sys.stderr)
    json_log = client.settings.log_format == "json"
    screen = is_screen(console) and not json_log
    piped = as_json or (events is not None and events.to_stdout)
    # JSON on the same terminal stands alone: bars would break its lines.
    live = screen and not quiet and not (piped and sys.stdout.isatty())
    lines = ClipLines(console, total, live=live)
    started_at = asyncio.get_running_loop().time()
    ours: set[str | None] = set()
    too_dear = others = stuck = 0
    final: list[Stats] = []
    opened: list[ClipStream] = []
    log_to = partial(_logging_to, console if screen else None, client, quiet=quiet)
    with log_to() as handler, _logged_after(final):
        settings = client.settings
        usual = clip_seconds(settings) or settings.model_catalog.latency(settings.model, None)
        async with AsyncExitStack() as stack:
            # They end when the client has closed.
            if json_log:
                await stack.enter_async_context(logged(client.events(), handler))
            if events is not None:
                stop = partial(_stop_all, opened)
                await stack.enter_async_context(events.written(client.events(), stop))
            veo = await stack.enter_async_context(client)
            if page is not None:
                await stack.enter_async_context(page.opened(veo, usual=usual))
            clips = await stack.enter_async_context(open_stream(veo))
            opened.append(clips)
            queued = veo.settings.server
            interrupts = Interrupts(clips, keeps=veo.journal is not None, after=after, server=queued)
            if page is not None:
                page.steer(veo, interrupts)
            bars: AbstractAsyncContextManager[Any] = nullcontext()
            if live:
                bars = watch(console, total, veo.stats, to_send, usual=usual)
            with on_signals(interrupts), Manifest(client.settings.output_dir) as manifest:
                for note in [*([NO_JOURNAL] if veo.journal is None else []), *notes]:
                    log.info("%s", note)
                async with after or nullcontext(), bars:
                    done = 0
                    async for clip in clips:
                        done += 1
                        manifest.add(clip)
                        if after is not None:
                            after.add(clip)
                        ours.add(clip.job)
                        too_dear += clip.error_kind == "budget"
                        stuck += clip.error_kind == "source"
                        if as_json and not _print_json(clip):
                            as_json = False
                            log.warning("standard output is closed: running clips are finished, nothing more is sent")
                            clips.stop()
                        if not clip.cached or at_hand <= SHOWN_CACHED:
                            lines.add(clip, done)
                    final.append(veo.stats())
                lines.add_up()
            with suppress(JournalError):  # what the next step is, is worth less than the summary
                others = _left_by_others(veo, ours)
    [stats] = final
    if not quiet:
        mock = is_emulated(client.settings.backend_name())
        note = " (if it were real: mock mode bills nothing)" if mock else ""
        table = summary(stats, asyncio.get_running_loop().time() - started_at, note=note)
        out = console if piped else console_on(sys.stdout)
        if not (piped and json_log):  # there standard error has lines of JSON only
            out.print(table)
        where = f"videos and {MANIFEST} are in {client.settings.output_dir}{manifest.hint}"
        lines_after = [where, *_what_next(stats, others, too_dear, stuck, client, fresh)]
        if after is not None and after.failed:
            lines_after.append(f"--exec failed for {counted(after.failed, 'clip')}: the videos are saved.")
        if piped and json_log:
            with log_to():
                for line in lines_after:
                    log.info("%s", line)
        else:
            for line in lines_after:
                print_folded(out, line)
        if out is not console and out.file.gone:  # type: ignore[attr-defined]
            _mute()
    if events is not None and events.to_stdout and events.closed:
        _mute()
    return Exit.INTERRUPTED if interrupts.stopping else exit_code(stats, stuck)


@contextmanager
def _logged_after(final: list[Stats]) -> Iterator[None]:
    """Once the totals are in `final`, an error is logged, not raised: it must not hide the summary of paid clips."""
    try:
        yield
    except Exception as error:
        if not final:
            raise
        log.error("the run cannot be closed in order: %s: %s", type(error).__name__, error)


class Interrupts:
    """Ends a run. The first SIGINT finishes running clips; a second one, or any other signal, leaves at once.

    With a `server`, which goes on by itself, the first one leaves, too. SIGTERM and SIGHUP are usually followed by a
    kill, so there is no time to wait. The live page calls `stop` and `leave`, too. A second call does nothing.
    """

    def __init__(
        self, clips: ClipStream, *, keeps: bool, after: AfterClip | None = None, server: str | None = None
    ) -> None:
        self._after = after
        self._server = server
        self._clips = clips
        self._keeps = keeps
        self._stopped = False
        self._leaving: asyncio.Task[None] | None = None

    @property
    def stopping(self) -> str | None:
        """`stop` or `leave` once that was asked for."""
        return "leave" if self._leaving is not None else "stop" if self._stopped else None

    def __call__(self, number: signal.Signals) -> None:
        if self.stopping is None and number is signal.SIGINT and self._server is None:
            self.stop()
        else:
            self.leave()

    def stop(self) -> None:
        """Submit nothing more, and finish running clips."""
        if self.stopping is None:
            self._stopped = True
            log.warning("stopping: nothing more is submitted, running clips are finished (Ctrl-C again: leave now)")
            self._clips.stop()

    def leave(self) -> None:
        """Leave at once. The next run resumes running clips."""
        if self._leaving is None:
            from aveo3.dispatch.batch import GRACE

            after = ", and the next run resumes them" if self._keeps else "; their names follow"
            where = "what was ordered goes on at the server" if self._server else "running clips go on at Google"
            log.warning("leaving within %g s: %s%s", GRACE, where, after)
            self._leaving = asyncio.ensure_future(self._clips.leave())
            if self._after is not None:
                self._after.stop()


def exit_code(stats: Stats, stuck: int = 0) -> Exit:
    """The exit code of a run. 3 only if running it again later is enough; a lane closed for good needs a person.

    `stuck` clips were not sent because others were not made: if all that is left is stuck, nothing would move.
    """
    unmade = {status.value for status, count in stats.clips.items() if count} - {"succeeded"}
    if not unmade:
        return Exit.ALL_MADE
    from aveo3.models import ClipStatus

    closed = any(gate.closed is not None for gate in stats.gates.values())
    moves = stats.clips[ClipStatus.DEFERRED] > stuck
    return Exit.DEFERRED if unmade == {"deferred"} and moves and not closed else Exit.SOME_NOT


def _left_by_others(veo: VeoClient, ours: set[str | None]) -> int:
    """How many jobs of earlier runs are still unfinished and were not part of this run."""
    if veo.journal is None or is_emulated(veo.service):
        return 0
    left = (record for record in veo.journal.records(*UNDER_WAY) if record.name not in ours)
    return sum(record.service == veo.service for record in left)


def _what_next(stats: Stats, others: int, too_dear: int, stuck: int, client: VeoClient, fresh: Fresh) -> Iterator[str]:
    """One sentence for each next step after a run. Without a journal there is hardly any."""
    from aveo3.cli.manifest import MANIFEST
    from aveo3.models import ClipStatus

    owed = stats.clips[ClipStatus.UNCERTAIN]
    if client.settings.journal_path is None:
        if owed:
            yield f"{counted(owed, 'clip')} may be paid already: see {MANIFEST}."
        return
    directory = typed(client.settings)
    if too_dear:
        yield (
            f"The budget of US$ {client.settings.budget:g} leaves no room for {counted(too_dear, 'clip')}. Raise it "
            "(--budget, VEO3_BUDGET) to continue: the same command would stop here again."
        )
    if stuck:
        yield (
            f"{counted(stuck, 'clip')} {'was' if stuck == 1 else 'were'} not sent, because a clip that each depends on "
            "was not made. See what became of that one; once it is made, the same command sends them."
        )
    if sum(count for status, count in stats.clips.items() if status in _GO_ON) > too_dear + stuck:
        instead = " with --fresh instead of --fresh=new" if fresh == "new" else ""
        closed = any(gate.closed is not None for gate in stats.gates.values())
        line = "server" if client.settings.server is not None else "quota"
        again = f"Do what the line `{line}` says, then run" if closed else "Run"
        yield (
            f"{again} the same command again{instead} to continue: finished and running clips are not sent a second "
            "time."
        )
    if owed:
        yield f"{counted(owed, 'clip')} may be paid already: see aveo3 status {directory}, then aveo3 retry."
    if fresh and sum(stats.clips.values()) > stats.clips[ClipStatus.SUCCEEDED]:
        yield "--fresh goes on with this batch until each of its prompts has a video; --fresh=new begins another."
    if client.settings.server is not None and stats.clips[ClipStatus.UNFINISHED]:
        yield (
            f"The server goes on with {counted(stats.clips[ClipStatus.UNFINISHED], 'clip')}, whether or not anybody "
            "watches."
        )
    if others:
        yield f"Earlier runs left {counted(others, 'clip')} unfinished: aveo3 resume {directory}"


_GO_ON = ("failed", "unfinished", "deferred", "cancelled")
"""The statuses whose next step is to run the same command again."""


def _print_json(clip: VideoClip) -> bool:
    """Print a clip as a line of JSON. Returns False if standard output is closed, for example by `| head`."""
    from aveo3.cli.prompt_files import clip_fields

    try:
        print(in_json(clip_fields(clip)), flush=True)
    except BrokenPipeError:
        _mute()
        return False
    except OSError as error:  # a full disk, a terminal that is gone
        log.error("standard output cannot be written: %s; the clips are in the manifest", error.strerror or error)
        _mute()
    return True


def _mute() -> None:
    """Replace a closed standard output, so that Python's flush at exit does not fail."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _stop_all(streams: list[ClipStream]) -> None:
    for stream in streams:
        stream.stop()


def _without_keys(client: VeoClient) -> Callable[[str], str]:
    """Removes the API keys of all places of `client` from a text."""
    from aveo3.backends.http import without_key

    places = [client.settings, *(lane.settings for lane in client.routes.lanes.listed)]
    keys = [key for place in places for key in place.secrets]
    return lambda text: reduce(without_key, keys, text)


def _of_this_run(record: logging.LogRecord) -> bool:
    """False for what a door in this process does for others: it works for all that waits in its database."""
    return record.threadName != "aveo3-door" or record.levelno >= logging.WARNING


@contextmanager
def _logging_to(screen: Console | None, client: VeoClient, *, quiet: bool) -> Iterator[logging.Handler]:
    """Send aveo3's log to `screen`, above the bars; without one, to stderr: as plain lines, or lines of JSON."""
    settings = client.settings
    if settings.log_format == "json":
        from aveo3.cli.event_lines import json_handler

        handler = json_handler(_without_keys(client))
    elif screen is not None:
        from aveo3.cli.terminal import ScreenHandler

        handler = ScreenHandler(screen)
        if not settings.debug_mode:  # the bars count accepted submits; a line for each would hide the clips
            logging.getLogger("aveo3.engine").setLevel(logging.WARNING)
    else:
        handler = logging.StreamHandler()
        from aveo3.cli.terminal import LineFormatter

        handler.setFormatter(LineFormatter())
    handler.addFilter(_of_this_run)
    clips = logging.getLogger("aveo3.clips")
    clips.setLevel(logging.CRITICAL)  # this module prints a line for each clip itself
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if settings.debug_mode else logging.WARNING if quiet else logging.INFO)
    try:
        yield handler
    finally:
        log.removeHandler(handler)
        clips.setLevel(logging.NOTSET)
        logging.getLogger("aveo3.engine").setLevel(logging.NOTSET)
