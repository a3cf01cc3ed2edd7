"""What one process does for all that share a journal, while it leads: callbacks, and the room that files take."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from aveo3 import _threads
from aveo3.errors import JournalError
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.server.door.callbacks import CallbackSender
from aveo3.server.door.callers import Caller
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.server.door.media_store import SharedMediaStore, hashes_in
from aveo3.server.door.standing import WITHDRAWN, has_ended
from aveo3.server.door.video_store import VideoStore
from aveo3.session import Session

log = logging.getLogger(__name__)

EVERY = 3600.0
"""Seconds between two looks for media that nobody needs, and their least age: a door may be about to note them."""


class Duties:
    """Begins and ends with each `on_duty` block. `caller_named` returns None for a caller without a key."""

    def __init__(
        self,
        session: Session,
        dispatcher: Dispatcher,
        videos: VideoStore,
        media: SharedMediaStore,
        *,
        caller_named: Callable[[str], Caller | None],
        private_callbacks: bool,
        rng: random.Random,
    ) -> None:
        assert session.journal is not None
        self._session = session
        self._journal: Journal = session.journal
        self._dispatcher = dispatcher
        self._videos = videos
        self._media = media
        self._caller_named = caller_named
        self._private_callbacks = private_callbacks
        self._rng = rng
        self._callbacks: CallbackSender | None = None

    def ended(self, job: int) -> None:
        """Have the end of `job` told, if this process leads; else the leader hears of it."""
        if self._callbacks is not None:
            self._callbacks.ended(job)

    @asynccontextmanager
    async def on_duty(self) -> AsyncIterator[None]:
        """Do what is to be done until the block ends."""
        callbacks = self._callbacks = CallbackSender(
            self._journal,
            caller_named=self._caller_named,
            catalog=self._session.settings.model_catalog,
            private=self._private_callbacks,
            rng=self._rng,
            now_utc=self._session.now_utc,
        )
        with suppress(JournalError):
            callbacks.start(self._dispatcher.is_busy)
        self._videos.start()
        sweeping = asyncio.ensure_future(self._sweep())
        try:
            yield
        finally:
            self._callbacks = None
            sweeping.cancel()
            await callbacks.close()
            await self._videos.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                before = self._session.now_utc() - timedelta(seconds=EVERY)
                used = await _threads.reading.run(self._in_use)
                await _threads.saving.run(self._media.remove_unused, used, before.timestamp())
            except (JournalError, OSError) as error:
                log.warning("media that no request needs are not removed now: %s", error)

    def _in_use(self) -> set[str]:
        return set().union(*media_in_use(self._journal, self._session.service))


def media_in_use(journal: Journal, service: str) -> Iterator[set[str]]:
    """The hashes of the media of each request that a person may have sent again, whatever its end. Blocks."""
    without = journal.stored_files.without_media()
    for _, record in journal.requests.in_states(service, *(set(State) - {State.SUCCEEDED})):
        if record.error_kind != WITHDRAWN and not (record.id in without and has_ended(record, busy=False)):
            yield hashes_in(record.prompt)
