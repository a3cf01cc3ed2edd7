"""From Google to the disk: the videos of a finished operation, and those of lost answers that turn up all the same."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from aveo3.backends.base import Backend, PollError, Video
from aveo3.config.settings import Settings
from aveo3.engine.job import Job
from aveo3.engine.retry import repeating
from aveo3.errors import FetchError
from aveo3.files import download, saving
from aveo3.files.saving import SavedFile
from aveo3.lanes.routing import translate
from aveo3.lifecycle import State
from aveo3.models import ClipStatus, VideoClip

log = logging.getLogger(__name__)

FETCH_TRIES = 5

PARALLEL = 8
"""Downloads at once: more would only share the line, and leave more of them half done when it breaks."""

RECOVER_MEDIANS = 3.0
"""Medians of the model's latency after which nearly every clip is made: one in a thousand takes longer."""

_PARTLY, _SOME = "partly_filtered", "partly_found"


class Delivery:
    """Brings finished videos to the output directory, and jobs to their end."""

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        *,
        rng: random.Random,
        now_utc: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._session = session
        self._now_utc = now_utc
        self._line = asyncio.Semaphore(PARALLEL)
        base = settings.poll_interval or 2.0
        again = repeating(FetchError, base=base, max_value=60.0, rng=rng, max_tries=FETCH_TRIES)
        self._download = again(self._download_once)
        self._find = repeating(PollError, base=base, max_value=60.0, rng=rng, max_tries=FETCH_TRIES)(_find)

    async def deliver(
        self,
        job: Job,
        videos: Sequence[Video],
        backend: Backend,
        *,
        held_back: str | None = None,
        cost_usd: float | None = None,
    ) -> VideoClip:
        """The operation has ended with `videos`; some of those asked for may have been `held_back`, and are free.

        `cost_usd` is what Google says that they cost; None has it estimated.
        """
        made, asked = len(videos), max(len(videos), job.prompt.number_of_videos)
        if cost_usd is None and (estimate := self._price(job)) is not None:
            cost_usd = round(estimate * made / asked, 4)
        self._found(
            job,
            videos,
            cost_usd=cost_usd,
            error_kind=_PARTLY if held_back else None,
            error_message=held_back,
        )
        return await self.fetch(job, videos, backend)

    def _price(self, job: Job) -> float | None:
        """The list price of all that was asked for, as it was put to the model that got it."""
        catalog, sent = self._settings.model_catalog, job.prompt
        if job.instead_of is not None:
            sent, _, _ = translate(job.prompt, job.instead_of, job.model, catalog)
        return catalog.cost_usd(sent, job.model)

    def _found(self, job: Job, videos: Sequence[Video], **more: Any) -> None:
        job.move(
            State.FETCHING,
            uris=tuple(video.uri for video in videos if video.uri),
            finished_utc=self._now_utc(),
            **more,
        )

    async def fetch(self, job: Job, videos: Sequence[Video], backend: Backend) -> VideoClip:
        """Bring the videos of a job that is `fetching` to disk. What fails leaves it there, for the next run."""
        before, job.files = job.files, ()
        left = list(videos)
        try:
            while left:
                number = len(videos) - len(left) + 1 if len(videos) > 1 else None
                await self._fetch_one(job, left.pop(0), number, backend)
        except FetchError as error:
            if error.gone:
                job.files = before
                return job.end(State.UNCERTAIN, "fetch", f"made and paid, but Google has it no more: {error}")
            return job.leave("disk" if error.disk else "fetch", str(error))
        finally:
            for video in left:
                if video.file is not None:
                    saving.drop(video.file)
        partly = job.error_kind in (_PARTLY, _SOME)
        return job.end(
            State.SUCCEEDED,
            job.error_kind if partly else None,
            job.error_message if partly else None,
            cost_usd=job.cost_usd,
            files=job.files,
            fetched_utc=self._now_utc() if job.files else None,
        )

    async def _fetch_one(self, job: Job, video: Video, number: int | None, backend: Backend) -> None:
        position = job.index if job.position is None else job.position
        name = saving.file_name(position, job.prompt.text, job.digest, number, ordinal=job.ordinal)
        target = self._settings.output_dir / name
        if video.file is not None:
            job.files += (await saving.keep(video.file, target),)
        elif video.data is not None:
            job.files += (await saving.save(video.data, target),)
        elif video.uri is not None:
            async with self._line:
                if (saved := await self._download(video.uri, target, backend)) is not None:
                    job.files += (saved,)

    async def _download_once(self, uri: str, target: Path, backend: Backend) -> SavedFile | None:
        """Fetch a video from where it is, with a token that is fresh; None if it is to stay there."""
        try:
            place = await backend.locate(uri)
        except PollError as error:
            raise FetchError(str(error), final=error.final) from error
        if place is None:
            return None
        url, headers = place
        return await download.to_file(self._session, url, target, headers, silence=self._settings.request_timeout)

    async def recover(self, job: Job, backend: Backend, sent_at: float) -> VideoClip:
        """Watch the place that this attempt alone was told to write to: what turns up there is the lost clip.

        Looks for as long as nearly all clips take, and at least once; a look that fails is repeated. Finding nothing
        proves nothing.
        """
        assert job.output_uri is not None
        median = self._settings.model_catalog.latency(job.model, job.prompt.resolution)
        until = sent_at + RECOVER_MEDIANS * median
        try:
            while True:
                late = asyncio.get_running_loop().time() >= until
                videos, seen, hopeless = await self._turned_up(job.output_uri, backend)
                asked = job.prompt.number_of_videos
                if len(videos) >= asked or (videos and late):
                    log.warning("recovered: the answer was lost, but %s is there", videos[0].uri)
                    # Whether the others were held back, and so are free, or come later, nobody can tell.
                    some = f"{len(videos)} of {asked} had turned up under {job.output_uri}"
                    lack = (_SOME, some) if len(videos) < asked else (None, None)
                    self._found(job, videos, error_kind=lack[0], error_message=lack[1])
                    return await self.fetch(job, videos, backend)
                if late or job.leaving or hopeless:
                    break
                await asyncio.sleep(self._settings.poll_interval or max(2.0, median / 10))
        except asyncio.CancelledError:
            if job.state is State.FETCHING:
                return job.leave("stopped", "made and paid, but stopped before it was on disk")
            return job.clip(ClipStatus.UNCERTAIN)
        except Exception as error:  # a bug, a backend's or ours: it must not cost the neighbours anything
            log.exception("looking for %s raised", job.output_uri)
            return job.leave("unexpected", f"{type(error).__name__}: {error}")
        return job.clip(ClipStatus.UNCERTAIN).model_copy(update={"error_message": f"{job.error_message}; {seen}"})

    async def _turned_up(self, output_uri: str, backend: Backend) -> tuple[Sequence[Video], str, bool]:
        """The videos there, what to say if there are none, and whether to ask again is pointless."""
        try:
            return await self._find(backend, output_uri), f"nothing has turned up under {output_uri} by now", False
        except PollError as error:
            return (), f"whether anything has turned up under {output_uri} cannot be told: {error}", error.final


async def _find(backend: Backend, output_uri: str) -> Sequence[Video]:
    return await backend.find(output_uri)
