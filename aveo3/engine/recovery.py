"""Finds the clip of a lost answer: watches the place that this attempt alone was told to write to."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from aveo3.backends.base import Backend, PollError, Video
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt, now
from aveo3.engine.delivery import PARTLY_FOUND, STOPPED, Delivery
from aveo3.engine.retry import repeating
from aveo3.lifecycle import State
from aveo3.models import ClipStatus, VideoClip

log = logging.getLogger(__name__)

FIND_TRIES = 5

RECOVER_MEDIANS = 3.0
"""Medians of the model's latency after which nearly every clip is made: one in a thousand takes longer."""


class Recovery:
    """Recovers the clips of uncertain jobs. It needs an output place that the attempt shares with no other."""

    def __init__(self, settings: Settings, delivery: Delivery, *, rng: random.Random) -> None:
        self._settings = settings
        self._delivery = delivery
        base = settings.poll_interval or 2.0
        self._find = repeating(PollError, base=base, max_value=60.0, rng=rng, max_tries=FIND_TRIES)(_find)

    async def recover(self, attempt: Attempt) -> VideoClip:
        """Watch the output place of `attempt`, whose job is uncertain: what turns up there is the lost clip.

        Checks that place for as long as nearly all clips take, and at least once; a check that fails is repeated. An
        empty place proves nothing: the job stays uncertain. Cancelling it gives a clip, too.
        """
        job, output_uri = attempt.job, attempt.job.output_uri
        assert output_uri is not None
        median = self._settings.model_catalog.latency(job.model, job.prompt.resolution)
        until = attempt.sent_at + RECOVER_MEDIANS * median
        try:
            while True:
                late = now() >= until
                videos, nothing, hopeless = await self._turned_up(output_uri, attempt.backend)
                if len(videos) >= job.prompt.number_of_videos or (videos and late):
                    return await self._take(attempt, videos, output_uri)
                if late or job.leaving or hopeless:
                    return job.clip(ClipStatus.UNCERTAIN, also=nothing)
                await asyncio.sleep(self._settings.poll_interval or max(2.0, median / 10))
        except asyncio.CancelledError:
            return job.leave(*STOPPED) if job.state is State.FETCHING else job.clip(ClipStatus.UNCERTAIN)
        except Exception as error:  # a bug, a backend's or ours: it must not cost the neighbours anything
            log.exception("looking for %s raised", output_uri)
            return job.leave("unexpected", f"{type(error).__name__}: {error}")

    async def _take(self, attempt: Attempt, videos: Sequence[Video], output_uri: str) -> VideoClip:
        asked, lack, why = attempt.job.prompt.number_of_videos, None, None
        log.warning("recovered: the answer was lost, but %s is there", videos[0].uri)
        if len(videos) < asked:  # whether the others were held back, and so are free, or come later, nobody can tell
            lack, why = PARTLY_FOUND, f"{len(videos)} of {asked} had turned up under {output_uri}"
        self._delivery.note_made(attempt.job, videos, lack, why)
        return await self._delivery.fetch(attempt, videos)

    async def _turned_up(self, output_uri: str, backend: Backend) -> tuple[Sequence[Video], str, bool]:
        """The videos there, what to say if there are none, and whether every later check will fail as well."""
        try:
            return await self._find(backend, output_uri), f"nothing has turned up under {output_uri} by now", False
        except PollError as error:
            return (), f"whether anything has turned up under {output_uri} cannot be told: {error}", error.final


async def _find(backend: Backend, output_uri: str) -> Sequence[Video]:
    return await backend.find(output_uri)
