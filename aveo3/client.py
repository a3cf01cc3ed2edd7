"""`VeoClient`: the public face. The session opens and holds what a client needs; `dispatch` makes the clips."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from aveo3.config.settings import Settings
from aveo3.dispatch import lane_pool
from aveo3.dispatch.planner import Prompt, Prompts
from aveo3.dispatch.stats import Stats
from aveo3.dispatch.stream import ClipStream
from aveo3.errors import ClipError, UsageError
from aveo3.journal.journal import Journal
from aveo3.journal.next_step import resumable
from aveo3.lanes.estimate import Estimate, estimate
from aveo3.lanes.lane_file import LaneSettings
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import WITHOUT_FILE
from aveo3.models import VideoClip, as_prompt
from aveo3.session import Session

if TYPE_CHECKING:
    from aveo3.backends.base import Backend


class VeoClient:
    """Generates videos within a quota: `async with VeoClient() as veo: clips = await veo.generate_many(prompts)`.

    `settings` None reads the environment and `.env`. `lanes`, as `LaneSettings` or mappings of their fields, are
    several places that share the prompts, instead of the one that the settings name. One client has one quota for each
    lane: share it rather than make several for the same project.

    `backend` and `connect` are for tests and for services of your own; give one of them at most:

    - `backend` serves every lane, and its clips are kept apart from Google's in the journal.
    - `connect` makes the backend of each lane when the lane is opened: an async callable of a name, `"vertex"` or
      `"gemini"`, and the lane's `Settings`. It may wrap what `aveo3.backends` has. Its clips count as those of the
      service that the settings name, so give a test its own output directory.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        lanes: Sequence[LaneSettings | Mapping[str, Any]] | None = None,
        backend: Backend | None = None,
        connect: Callable[[str, Settings], Awaitable[Backend]] | None = None,
        rng: random.Random | None = None,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if lanes is not None and not lanes:
            raise UsageError("lanes: give at least one, or leave them out for the place that the settings name")
        if backend is not None and connect is not None:
            raise UsageError("backend serves every lane, connect makes one for each: give one of them")
        settings = settings if settings is not None else Settings()
        self._session = Session(
            settings,
            Lanes(settings, lanes, custom=backend is not None),
            backend=backend,
            connect=connect or lane_pool.connect,
            rng=rng or random.Random(),
            now_utc=now_utc,
        )

    async def __aenter__(self) -> Self:
        """Open the journal, find credentials, open connections, start the emulator in mock mode. Submits nothing.

        Raises `UsageError` if credentials are missing, a model is retired, the output directory cannot be written,
        or the client was opened before (it is opened once); `JournalError`, which is one, if another process works
        with the journal or it cannot be used.
        """
        await self._session.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def generate(self, prompt: Prompt, *, fresh: bool = False) -> VideoClip:
        """Generate the video of one prompt. Raises `ClipError`, with the clip attached, if there is none."""
        [clip] = await self.generate_many([prompt], fresh=fresh)
        if not clip.succeeded:
            raise ClipError(clip)
        return clip

    async def generate_many(self, prompts: Prompts, *, fresh: bool = False) -> list[VideoClip]:
        """Generate a clip for each prompt and return them in the order of `prompts`.

        A prompt that fails becomes a clip with another status and never disturbs its neighbours. Clips that earlier
        runs with the same journal have made come back as they are (`clip.cached`), and operations that they left
        running are followed to their end; with `fresh`, prompts that have a clip get a new one. Cancelling stops new
        submits: the log and `stats().may_be_paid` name the operations that still run, and the next run picks them up.
        Raises `UsageError` if `prompts` is a single prompt, and any error that `prompts` itself raises.
        """
        done: dict[int, VideoClip] = {}
        async with self.stream(prompts, fresh=fresh) as clips:
            async for clip in clips:
                done[clip.index] = clip
        return [done[index] for index in sorted(done)]

    def stream(self, prompts: Prompts, *, fresh: bool = False) -> ClipStream:
        """The clips of `prompts` as they finish: `async with veo.stream(prompts) as clips: async for clip in clips`.

        `prompts` may be lazy, asynchronous or endless: how many are read ahead and held in memory follows what is in
        flight. A slow reader slows down new submits. `clips.stop()` ends the stream early and in order. `fresh` as in
        `generate_many`.
        """
        return self._session.stream(prompts, fresh=fresh)

    def resume(self) -> ClipStream:
        """The clips that earlier runs left running or not fetched, oldest first; use it as `stream`. Submits nothing.

        `stream` and `generate_many` do the same for the prompts that they are given. This is for all the others.
        """
        left = self.journal.records(*WITHOUT_FILE) if self.journal is not None else ()
        return self._session.stream(resumable(left, self.service), fresh=False, resumes=True)

    def stats(self) -> Stats:
        """A frozen snapshot of everything so far. Free; call it as often as you like."""
        return self._session.stats()

    @property
    def settings(self) -> Settings:
        """The settings; in mock mode, once the client is open, with the address of the emulator."""
        return self._session.settings

    @property
    def journal(self) -> Journal | None:
        """Where every job is written down, from opening to closing; None if the settings want none."""
        return self._session.journal

    @property
    def service(self) -> str:
        """Who makes the clips: `google`, `local` (a server on this machine), `mock` or `custom` (`backend` was given).

        No clip is handed out as another service's. Raises `UsageError` without any credentials.
        """
        return self._session.service

    @property
    def routes(self) -> Routes:
        """The lanes that each prompt may go to. Raises `UsageError` if the fallback names a model that no lane has."""
        return self._session.routes

    def estimate(self, prompts: Iterable[Prompt]) -> list[Estimate]:
        """What `prompts` will cost in US$, and how long their quota will take, lane by lane. Sends and opens nothing.

        Raises `pydantic.ValidationError` for an invalid prompt.
        """
        return estimate(map(as_prompt, prompts), self.routes)
