"""`ClipStream`: the clips of one batch as they finish, to be read, stopped and left.

A lane's worker takes a permit first and only then starts a job's task, so tasks, memory and open sockets follow what is
in flight, not how many prompts there are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sized
from types import TracebackType
from typing import Self

from aveo3.dispatch.backlog import Backlogs, Order
from aveo3.dispatch.batch import Batch
from aveo3.dispatch.budget import Budget
from aveo3.dispatch.feeder import Feeder
from aveo3.dispatch.in_flight import InFlight
from aveo3.dispatch.lane_pool import LanePool
from aveo3.dispatch.planner import Planner, Source
from aveo3.engine.runner import Engine
from aveo3.errors import UsageError
from aveo3.input_forms import rows_of
from aveo3.models import VideoClip, VideoPrompt


class ClipStream:
    """The clips of one batch of prompts, as they finish. Use it as `async with veo.stream(prompts) as clips`.

    Leaving the block early stops the run as `leave` does. If `prompts` itself raises, the stream raises that error
    after the clips of all earlier prompts.
    """

    def __init__(
        self,
        prompts: Source,
        batch: Batch,
        *,
        planner: Planner,
        lane_pool: LanePool,
        engine: Engine,
        budget: Budget,
        lookahead: float | None = None,
        order: Order | None = None,
    ) -> None:
        prompts = rows_of(prompts)
        if isinstance(prompts, str | bytes | Mapping | VideoPrompt):
            raise UsageError(
                f"prompts is one {type(prompts).__name__}, not several: write generate_many([prompt]), or "
                "generate(prompt) for a single one"
            )
        self._opened = False
        self._batch = batch
        self._planner = planner
        self._budget = budget
        self._total = len(prompts) if isinstance(prompts, Sized) else None
        backlogs = Backlogs(order)
        if order is not None:
            order.begin(backlogs)
        in_flight = InFlight(batch, backlogs, engine=engine, budget=budget, lane_pool=lane_pool)
        self._feeder = Feeder(
            prompts, batch, backlogs, in_flight, planner=planner, lane_pool=lane_pool, lookahead=lookahead
        )

    # ---- reading -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._batch.begin(self._total)
        self._batch.events.money(self._budget)
        self._batch.start(self._feeder.run())
        self._opened = True
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._batch.abandoned = True
        try:
            await self.leave()
        finally:
            batch = self._batch
            # Clips that the reader has not seen, or could not use, are still to be handed out.
            read = kind is None and not batch.finished
            self._planner.end(all_made=read and batch.fed and batch.over and batch.all_made)

    def __aiter__(self) -> AsyncIterator[VideoClip]:
        return self

    async def __anext__(self) -> VideoClip:
        if not self._opened:
            raise UsageError("open the stream first: async with veo.stream(prompts) as clips: …")
        batch = self._batch
        while not batch.finished:
            if batch.over:
                if batch.crash is not None:
                    crash, batch.crash = batch.crash, None
                    raise crash
                raise StopAsyncIteration
            await batch.reader.wait()
        return batch.collect()

    # ---- stopping ----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Submit nothing more. Jobs in flight run to their end; waiting jobs become `cancelled` clips."""
        self._batch.stop()

    async def leave(self) -> None:
        """Stop without waiting for running operations: their clips become `unfinished`; the next run resumes them.

        Submits in progress get 10 seconds to learn their operation's name, and downloads the same time to reach the
        disk. Cancelling `leave` ends this time.
        """
        await self._batch.leave()
