"""Polls a running operation until it has ended, or until its result cannot be found out."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from math import inf
from typing import TypeGuard

from aveo3 import verdicts
from aveo3.backends.base import (
    Backend,
    Failure,
    Finished,
    GivenUp,
    LateRefusal,
    OperationGone,
    PollError,
    PollResult,
    Running,
    is_queue,
)
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt, now
from aveo3.engine.retry import repeating, wait_before
from aveo3.errors import FetchError
from aveo3.polling.poller import Poller, Pollers

log = logging.getLogger(__name__)

GONE_POLLS = 4
"""Polls in a row that must find the operation unknown before a paid clip is given up."""

EMPTY_POLLS = 5
"""Polls that must find an operation ended with neither video nor reason: one odd answer proves nothing, and the video
may be paid."""

LOGGED_POLLS = 5
"""Failed polls in a row that are logged: credentials may have expired, and then no poll can succeed."""

OVERTIME = 60.0
"""Seconds that an operation of an earlier run is polled even after its deadline."""


@dataclass(frozen=True, slots=True)
class LeftThere:
    """The operation stays at Google: it still runs, or its videos could not be saved. A later run may finish it."""

    kind: str
    """`late` or `disk`."""
    message: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Google no longer knows the operation. It may have been billed."""

    message: str


End = Finished | Failure | LateRefusal | GivenUp | LeftThere | Gone
"""The result of following an operation."""


class Follower:
    """Follows operations, each until its end or its deadline.

    `median` is the expected time of a clip in seconds; None for the catalog's value of each model.
    """

    def __init__(self, settings: Settings, pollers: Pollers, *, rng: random.Random, median: float | None) -> None:
        self._settings = settings
        self._pollers = pollers
        self._median = median
        self._failed_polls: dict[Backend, int] = {}  # in a row
        self._rng = rng
        self._base = base = settings.poll_interval or 2.0
        answered = repeating(PollError, base=base, max_value=60.0, rng=rng)(self._poll_once)
        self._poll = repeating(OperationGone, base=base, max_value=60.0, rng=rng, max_tries=GONE_POLLS)(answered)

    async def follow(self, attempt: Attempt) -> End:
        """Poll the operation of `attempt` until it has ended. Raises nothing but bugs."""
        operation, sent_at = attempt.job.operation, attempt.sent_at
        assert operation is not None
        poller = self._poller(attempt)
        deadline = self._deadline(attempt)
        polled_at: float | None = sent_at
        if attempt.resumed:
            # The time of the earlier run's last poll is unknown: poll at once, and learn no latency from the gap.
            polled_at = None
        poll: PollResult = Running()
        ended_between, empty_polls, no_video = None, 0, None
        try:
            while isinstance(poll, Running):
                if now() >= deadline:
                    return no_video or LeftThere(
                        "late", f"still running {now() - sent_at:.0f} s after its submit; may be billed"
                    )
                if polled_at is not None and is_queue(attempt.backend):
                    await attempt.backend.ended(operation)
                elif polled_at is not None:
                    await poller.wait(operation, sent_at, polled_at, deadline)
                poll = await self._poll(attempt, deadline, poller)
                before, polled_at = polled_at, now()
                if isinstance(poll, Finished) and poll.videos and before is not None:
                    # Failed and filtered operations end early and would distort the latency.
                    ended_between = before - sent_at, polled_at - sent_at
                elif _is_empty(poll) and (empty_polls := empty_polls + 1) < EMPTY_POLLS:
                    no_video, poll, polled_at = poll, Running(), None
                    await asyncio.sleep(wait_before(empty_polls, self._base, self._rng))
        except FetchError as error:  # it has ended, and the videos in the answer could not be saved
            return LeftThere("disk", str(error))
        except PollError as error:
            return LeftThere("late", f"no poll succeeded before the deadline; the last error: {error}")
        except OperationGone as error:
            return no_video or Gone(str(error))
        finally:
            poller.ended(operation, ended_between)
            if is_queue(attempt.backend):
                attempt.backend.forget(operation)
        return poll

    def _deadline(self, attempt: Attempt) -> float:
        """When polling ends. A server has deadlines of its own, and nobody knows how long its queue is."""
        if is_queue(attempt.backend):
            return inf
        deadline = attempt.sent_at + self._settings.operation_timeout
        return max(deadline, now() + OVERTIME) if attempt.resumed else deadline

    async def _poll_once(self, attempt: Attempt, deadline: float, poller: Poller) -> PollResult:
        """Poll once. A failed poll proves nothing; `self._poll` repeats it until the operation's deadline."""
        job, operation, backend = attempt.job, attempt.job.operation, attempt.backend
        assert operation is not None
        job.polls += 1
        try:
            poll = await backend.poll(operation)
        except PollError as error:
            self._failed_polls[backend] = failed = self._failed_polls.get(backend, 0) + 1
            if failed == LOGGED_POLLS:
                words = verdicts.brief(error, 300)
                log.warning("%d polls in a row have failed; polling goes on. The last: %s", failed, words)
            late = now() >= deadline
            job.events.poll_failed(job, verdicts.brief(error, 300), refused=error.refused)
            if error.verdict is not None:  # the quota is used up, although a poll got the refusal
                attempt.refuse_late(error.verdict)
            if error.refused and not late:
                await poller.refused(operation, error.retry_after, deadline)
            raise PollError(str(error), final=late) from error
        self._failed_polls[backend] = 0
        return poll

    def _poller(self, attempt: Attempt) -> Poller:
        lane, prompt = attempt.lane, attempt.job.prompt
        median = self._median or self._settings.model_catalog.latency(lane.lane.model, prompt.resolution)
        return self._pollers.of(lane, (lane.lane.model, prompt.resolution, prompt.duration_seconds), median)


def _is_empty(poll: PollResult) -> TypeGuard[Finished | LateRefusal]:
    if isinstance(poll, LateRefusal):
        return poll.by_absence
    return isinstance(poll, Finished) and not (poll.videos or poll.filtered or poll.filter_reasons)
