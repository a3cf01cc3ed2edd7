"""Recovers the clip of a lost answer: watches the output place, which belongs to this attempt alone."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from aveo3.backends.base import Backend, PollError, Video
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt, now
from aveo3.engine.delivery import STOPPED, Delivery
from aveo3.engine.job import PARTLY_FOUND
from aveo3.engine.retry import repeating
from aveo3.lifecycle import State
from aveo3.models import ClipStatus, VideoClip

log = logging.getLogger(__name__)

FIND_TRIES = 5

RECOVER_MEDIANS = 3.0
"""Multiple of the model's median latency. One clip in a thousand takes longer."""


class Recovery:
    """Recovers the clips of uncertain jobs. It needs an output place that the attempt shares with no other."""

    def __init__(self, settings: Settings, delivery: Delivery, *, rng: random.Random) -> None:
        self._settings = settings
        self._delivery = delivery
        base = settings.poll_interval or 2.0
        self._find = repeating(PollError, base=base, max_value=60.0, rng=rng, max_tries=FIND_TRIES)(_find)

    async def recover(self, attempt: Attempt) -> VideoClip:
        """Watch the output place of `attempt`, whose job is uncertain: a video there is the lost clip.

        Checks until nearly every clip would be done, at least once, and repeats a failed check. If nothing appears,
        that proves nothing: the job stays uncertain. Cancelling it returns a clip, too.
        """
        job, output_uri = attempt.job, attempt.job.output_uri
        assert output_uri is not None
        median = self._settings.model_catalog.latency(job.model, job.prompt.resolution)
        until = attempt.sent_at + RECOVER_MEDIANS * median
        try:
            while True:
                late = now() >= until
                videos, reason, hopeless = await self._videos_at(output_uri, attempt.backend)
                if len(videos) >= job.prompt.number_of_videos or (videos and late):
                    return await self._take(attempt, videos, output_uri)
                if late or job.leaving or hopeless:
                    return job.clip(ClipStatus.UNCERTAIN, also=reason)
                await asyncio.sleep(self._settings.poll_interval or max(2.0, median / 10))
        except asyncio.CancelledError:
            return job.leave(*STOPPED) if job.state is State.FETCHING else job.clip(ClipStatus.UNCERTAIN)
        except Exception as error:  # a bug, in a backend or here: it must not harm other jobs
            log.exception("watching %s raised", output_uri)
            return job.leave("unexpected", f"{type(error).__name__}: {error}")

    async def _take(self, attempt: Attempt, videos: Sequence[Video], output_uri: str) -> VideoClip:
        wanted, lack, why = attempt.job.prompt.number_of_videos, None, None
        log.warning("recovered: the answer was lost, but %s is there", videos[0].uri)
        if len(videos) < wanted:  # a filter may have blocked the others, which are then free, or they may come later
            lack, why = PARTLY_FOUND, f"{len(videos)} of {wanted} videos were under {output_uri}"
        self._delivery.note_made(attempt.job, videos, lack, why)
        return await self._delivery.fetch(attempt, videos)

    async def _videos_at(self, output_uri: str, backend: Backend) -> tuple[Sequence[Video], str, bool]:
        """The videos there, the reason if there are none, and whether every later check will fail, too."""
        try:
            return await self._find(backend, output_uri), f"no video is under {output_uri} yet", False
        except PollError as error:
            return (), f"cannot check whether a video is under {output_uri}: {error}", error.final


async def _find(backend: Backend, output_uri: str) -> Sequence[Video]:
    return await backend.find(output_uri)
