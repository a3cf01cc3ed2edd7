"""Feeds prompts to backlogs: reads ahead a little. `Intake` takes each prompt, `Dependents` those that must wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence, Sized

from aveo3.dispatch.backlog import Backlogs
from aveo3.dispatch.batch import Batch
from aveo3.dispatch.clip_graph import dependent
from aveo3.dispatch.dependents import Dependents
from aveo3.dispatch.intake import Intake
from aveo3.dispatch.planner import Prompt, Source
from aveo3.journal.rows import JobRecord

LOOKAHEAD = 16
"""Prompts read ahead per backlog, so that a stalled lane does not hide prompts for another."""

LOOKAHEAD_IN_LIST = 10_000
"""The same if all prompts are already in memory, where reading ahead costs nothing."""


class Feeder:
    """Feeds the prompts of one batch, in order."""

    def __init__(
        self,
        prompts: Source,
        batch: Batch,
        backlogs: Backlogs,
        intake: Intake,
        dependents: Dependents,
        *,
        lookahead: float | None = None,
    ) -> None:
        self._prompts = prompts
        self._lookahead = lookahead or (LOOKAHEAD_IN_LIST if isinstance(prompts, Sized) else LOOKAHEAD)
        self._batch = batch
        self._backlogs = backlogs
        self._intake = intake
        self._dependents = dependents

    async def run(self) -> None:
        """Feed until the prompts end or the batch stops. The reader gets an error of the iterable after all clips."""
        prompts = aiter(_each(self._prompts))
        index = 0
        prompt: Prompt | JobRecord | None = None
        known = self._dependents.known  # of a list all are known beforehand
        try:
            if self._batch.stopping:
                raise asyncio.CancelledError
            async for prompt in prompts:
                if known is None:
                    self._dependents.see(prompt, index)
                if (known is None or index in known) and (waiting := dependent(prompt)) is not None:
                    await asyncio.sleep(0)
                    self._dependents.hold(waiting, index)
                else:
                    await self._feed(prompt, index)
                index, prompt = index + 1, None
            self._batch.fed = True
        except asyncio.CancelledError:
            if prompt is not None:
                if self._intake.owns(index):
                    self._intake.give_back(prompt, index)
                index += 1
            if isinstance(self._prompts, Sized) and not self._batch.abandoned:
                async for prompt in prompts:  # a list: each prompt gets a clip, even if not read yet
                    self._intake.give_back(prompt, index)
                    index += 1
        except Exception as error:
            self._batch.crash = error  # from the iterable: raised after the jobs of earlier prompts
        finally:
            self._intake.release()
            self._dependents.all_read()

    async def _feed(self, prompt: Prompt | JobRecord, index: int) -> None:
        if (job := await self._intake.plan(prompt, index)) is None:
            return
        if (backlog := await self._intake.enqueue(job)) is not None:
            while len(backlog.fresh) >= self._lookahead:
                await self._backlogs.room.wait()


def is_known(prompts: Source) -> bool:
    """True if all prompts can be looked at before the first is fed, and again then."""
    return isinstance(prompts, Sequence)


async def _each(prompts: Source) -> AsyncIterator[Prompt | JobRecord]:
    if isinstance(prompts, AsyncIterable):
        async for prompt in prompts:
            yield prompt
    else:
        for each in prompts:
            yield each
