"""`VeoClient`: the public API. `session` opens and holds its resources; `dispatch` makes the clips."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from aveo3 import mock_mode
from aveo3.clips import Clips
from aveo3.config.database_address import shown_address
from aveo3.config.settings import Settings
from aveo3.dispatch import lane_pool
from aveo3.dispatch.planner import Prompt, Prompts
from aveo3.dispatch.stats import Stats
from aveo3.dispatch.stream import ClipStream
from aveo3.errors import ClipError, UsageError
from aveo3.events.bus import BUFFER, EventReader
from aveo3.events.kinds import Event
from aveo3.input_forms import rows_of
from aveo3.journal.fresh import Fresh
from aveo3.journal.journal import Journal
from aveo3.journal.next_step import left_with_emulator, resumable
from aveo3.journal.retrying import RETRIABLE, choose, may_be_paid_twice, plan_again, refusal
from aveo3.journal.review import JobHistory, JournalStatus, history_of, status_of
from aveo3.journal.rows import JobRecord
from aveo3.lanes.estimate import Estimate, estimate
from aveo3.lanes.lane_file import LaneSettings
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import WITHOUT_FILE, is_emulated
from aveo3.models import VideoClip, as_prompt
from aveo3.session import Session

if TYPE_CHECKING:
    from aveo3.backends.base import Backend


class VeoClient:
    """Generates videos within a quota: `async with VeoClient() as veo: clips = await veo.generate_many(prompts)`.

    With `settings` None it reads the environment and `.env`. `lanes`, as `LaneSettings` or mappings of their fields,
    share the prompts, and replace the one place in the settings. Each client counts its own quota for each lane: share
    one client instead of making several for the same project.

    `server` is the address of an `aveo3 serve` that makes the clips, as `Settings(server=…)`: see `aveo3 guide serve`.

    `backend` and `connect` are for tests and for your own services. Pass at most one of them:

    - `backend` serves every lane. The journal keeps its clips apart from Google's.
    - `connect` creates the backend of each lane when the lane opens: an async callable of a name, `"vertex"` or
      `"gemini"`, and the lane's `Settings`. It may wrap the backends of `aveo3.backends`. Its clips count as those of
      the service in the settings, so give a test its own output directory.

    `on_event` is called with each event of `aveo3.events`, in the event loop, while the run waits for it: be quick. It
    may stop a stream. If it raises, that is logged once, and the run goes on. `events()` needs no such care.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        server: str | None = None,
        lanes: Sequence[LaneSettings | Mapping[str, Any]] | None = None,
        backend: Backend | None = None,
        connect: Callable[[str, Settings], Awaitable[Backend]] | None = None,
        rng: random.Random | None = None,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        if lanes is not None and not lanes:
            raise UsageError("lanes: give at least one, or leave them out for the place that the settings name")
        if backend is not None and connect is not None:
            raise UsageError("backend serves every lane, connect makes one for each: give one of them")
        if server is not None and settings is not None:
            raise UsageError("server: these settings have a field of that name: Settings(server=…)")
        if settings is None:
            settings = Settings() if server is None else Settings(server=server)
        self._session = Session(
            settings,
            Lanes(settings, lanes, custom=backend is not None),
            backend=backend,
            connect=connect or lane_pool.connect,
            rng=rng or random.Random(),
            now_utc=now_utc,
            on_event=on_event,
        )

    async def __aenter__(self) -> Self:
        """Open the journal, find credentials, open connections, start the emulator in mock mode. Submits nothing.

        Raises `UsageError` if credentials are missing, a model is retired, the output directory cannot be written, or
        the client was opened before: it opens only once. Raises `JournalError`, a subclass, if another run with this
        journal is active, or the journal cannot be used.
        """
        if (database := self.settings.database) is not None:
            raise UsageError(
                f"VEO3_DATABASE={shown_address(database)}: several machines share the quota there, and a client of its "
                "own would send beside them. Run `aveo3 serve` with it and use VEO3_SERVER here, or `aveo3 generate`."
            )
        await self._session.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def generate(self, prompt: Prompt, *, fresh: Fresh = False) -> VideoClip:
        """Generate the video of one prompt. Raises `ClipError`, with the clip attached, if there is no video."""
        async with self._session.stream([prompt], fresh=fresh, single=True) as clips:
            [clip] = [clip async for clip in clips]
        if not clip.succeeded:
            raise ClipError(clip)
        return clip

    async def generate_many(self, prompts: Prompts, *, fresh: Fresh = False) -> Clips:
        """Generate a clip for each prompt and return them in the order of `prompts`.

        A prompt that fails becomes a clip with another status and never disturbs its neighbours. Finished clips of
        earlier runs with the same journal are returned unchanged (`clip.cached`), and their running operations are
        resumed. Cancelling stops new submits: the log and `stats().may_be_paid` name the operations that still run,
        and the next run resumes them. Raises `UsageError` if `prompts` is a single prompt, and any error that
        `prompts` itself raises.

        Prompts may begin from the clips of others, see `Media.from_clip`: each is sent as soon as its clips are on
        disk. Raises `UsageError`, before anything is sent, if there is no such clip, or a circle.

        With `fresh`, prompts that have a clip get a new one: a fresh batch. It ends when each of its prompts has a
        video. Until then, `fresh=True` goes on with it, so that no prompt is paid twice. `fresh="new"` always begins
        another.
        """
        done: dict[int, VideoClip] = {}
        async with self.stream(prompts, fresh=fresh) as clips:
            async for clip in clips:
                done[clip.index] = clip
        return Clips(done[index] for index in sorted(done))

    def stream(self, prompts: Prompts, *, fresh: Fresh = False) -> ClipStream:
        """The clips of `prompts` as they finish: `async with veo.stream(prompts) as clips: async for clip in clips`.

        `prompts` may be lazy, asynchronous or endless: read-ahead and memory depend on the clips in flight. A slow
        reader slows down new submits. `clips.stop()` ends the stream early and in order. `fresh` as in `generate_many`.
        """
        return self._session.stream(prompts, fresh=fresh)

    def resume(self) -> ClipStream:
        """The clips that earlier runs left running or not fetched, oldest first; use it as `stream`. Submits nothing.

        `stream` and `generate_many` do the same for their own prompts. This is for all other clips. In mock mode, whose
        operations end with their run, the clips are made anew.
        """
        self._session.check_loop()
        if is_emulated(self.service):
            requested = self.journal.requested() if self.journal is not None else ()
            records = self.journal.records() if self.journal is not None else ()
            prompts = left_with_emulator(record for record in records if record.id not in requested)
            return self._session.stream(prompts, fresh=False)
        records = self.journal.records(*WITHOUT_FILE) if self.journal is not None else ()
        return self._session.stream(resumable(records, self.service), fresh=False, resumes=True)

    def pause(self) -> None:
        """Submit nothing more until `go_on`, in no batch. Clips that were submitted go on to their end.

        The time does not count against `quota_patience`. A job whose permit was granted a moment before is still sent.
        You may call it at any time, also before the client is open, and again: a second call does nothing.
        """
        self._session.pause()

    def go_on(self) -> None:
        """Submit again after `pause`, in the same order and within the same quota. Without a pause it does nothing."""
        self._session.go_on()

    def status(self) -> JournalStatus:
        """How every job of the output directory stands, and what they cost: what `aveo3 status` shows.

        It reads the journal and asks Google nothing. You may call it before, while and after the client is open. It
        reads all jobs at once, which takes seconds for tens of thousands: then call it in a thread, by another client
        that is not open.
        Raises `UsageError` if the settings keep no journal, and `JournalError`, a subclass, if there is none yet.
        """
        with self._session.review() as journal:
            return status_of(journal)

    def history(self, job: str | VideoClip) -> JobHistory:
        """The life of one job, step by step: what `aveo3 history` shows. `job` is an ID as in `clip.job`, or a clip.

        Raises `UsageError` as `status` does, and if the ID, or its beginning, is that of no job or of several.
        """
        with self._session.review() as journal:
            service = None
            with suppress(UsageError):  # no credentials: any service will do
                service = self.service
            return history_of(_id_of(job), journal, service)

    def retry(
        self,
        *jobs: str | VideoClip,
        uncertain: bool = False,
        failed: bool = False,
        filtered: bool = False,
        rejected: bool = False,
        may_pay_twice: bool = False,
    ) -> tuple[JobRecord, ...]:
        """Mark jobs so that the next run of their prompts sends them again, as `aveo3 retry` does. It sends nothing.

        Name the jobs by ID or clip, or by kind: `failed=True` means all whose retries are used up. Returns them as they
        stood before; deferred and cancelled jobs are left out, because they need no retry. Uncertain jobs, and running
        ones that you name to give them up, may be paid already: without `may_pay_twice` they are a `UsageError`, and
        nothing is changed. So are jobs that this client works on.
        """
        wanted = dict(zip(RETRIABLE, (uncertain, failed, filtered, rejected), strict=True))
        states = [state for state, is_wanted in wanted.items() if is_wanted]
        ids = [_id_of(job) for job in jobs]
        if not ids and not states:
            raise UsageError("name the jobs to send again, by ID, clip or kind, such as retry(failed=True)")
        with self._session.review(writes=True) as journal:
            chosen, _ = choose(journal, ids, states)
            held = [record.name for record in chosen if journal.claims.holds(record.id)]
            if held:
                raise UsageError(
                    f"this client works on {', '.join(held[:10])}: wait for the clips. Nothing was changed."
                )
            if not may_pay_twice and (owed := may_be_paid_twice(chosen)):
                raise refusal(owed, "Use may_pay_twice=True if you want that.")
            plan_again(chosen, journal)
            return tuple(chosen)

    def stats(self) -> Stats:
        """A frozen snapshot of the client's totals. Cheap: call it as often as you like."""
        return self._session.stats()

    def events(self, *, buffer: int = BUFFER) -> EventReader:
        """The events from now on: `async for event in veo.events()`. It ends when the client closes.

        Call it before or after you open the client, as often as you like: each reader gets every event. A run never
        waits for a reader. If more than `buffer` events wait, the oldest are dropped, and a `Missed` says how many.
        """
        return self._session.bus.reader(buffer)

    @property
    def settings(self) -> Settings:
        """The settings. In mock mode, once the client is open, they hold the emulator's address."""
        return self._session.settings

    @property
    def journal(self) -> Journal | None:
        """The record of all jobs, while the client is open; None if the settings turn it off."""
        return self._session.journal

    @property
    def service(self) -> str:
        """The service that makes the clips: `google`, `local` (on this machine), `mock` or `custom` (`backend`).

        The journal keeps their clips apart. Raises `UsageError` without any credentials.
        """
        return self._session.service

    @property
    def routes(self) -> Routes:
        """The lanes that each prompt may go to. Raises `UsageError` if the fallback names a model that no lane has."""
        return self._session.routes

    def estimate(self, prompts: Iterable[Prompt]) -> list[Estimate]:
        """The cost of `prompts` in US$, and the seconds that their quota takes, for each lane. Sends and opens nothing.

        Raises `pydantic.ValidationError` for an invalid prompt.
        """
        seconds = mock_mode.clip_seconds(self.settings)
        return estimate(map(as_prompt, rows_of(prompts)), self.routes, clip_seconds=seconds)


def _id_of(job: str | VideoClip) -> str:
    """The ID of a job in the journal. Raises `UsageError` for a clip that was made without one."""
    name = job.job if isinstance(job, VideoClip) else job
    if name is None:
        raise UsageError("this clip has no job: it was made without a journal")
    return name
