"""Polls a running operation until it has ended, or until nobody can tell how it ended."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass

from aveo3.backends.base import (
    Backend,
    Failure,
    Finished,
    LateRefusal,
    OperationGone,
    PollError,
    PollResult,
    Running,
)
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt, now
from aveo3.engine.retry import repeating
from aveo3.errors import FetchError
from aveo3.polling.poller import Poller, Pollers

log = logging.getLogger(__name__)

GONE_POLLS = 4
"""Polls that must all find the operation unknown before a paid clip is given up."""

TOLD_POLLS = 5
"""Failed polls in a row after which the log says so: credentials may have expired, and then no poll will succeed."""

OVERTIME = 60.0
"""Seconds for which an operation of an earlier run is polled even if its time is up."""


@dataclass(frozen=True, slots=True)
class LeftThere:
    """The operation is left at Google: it runs on, or ended in a way that we could not take in. A later run may."""

    kind: str
    """`late` or `disk`."""
    message: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Google does not know the operation any more. It may have been billed."""

    message: str


End = Finished | Failure | LateRefusal | LeftThere | Gone
"""How following an operation ends."""


class Follower:
    """Follows operations, each until its end or its deadline.

    `median` seconds is what clips take as far as is known; None for what the catalog says of each.
    """

    def __init__(self, settings: Settings, pollers: Pollers, *, rng: random.Random, median: float | None) -> None:
        self._settings = settings
        self._pollers = pollers
        self._median = median
        self._failed_polls: dict[Backend, int] = {}  # in a row
        base = settings.poll_interval or 2.0
        answered = repeating(PollError, base=base, max_value=60.0, rng=rng)(self._poll_once)
        self._poll = repeating(OperationGone, base=base, max_value=60.0, rng=rng, max_tries=GONE_POLLS)(answered)

    async def follow(self, attempt: Attempt) -> End:
        """Poll the operation of `attempt` until it has ended. Raises only what a bug raises."""
        operation, sent_at = attempt.job.operation, attempt.sent_at
        assert operation is not None
        poller = self._poller(attempt)
        deadline = sent_at + self._settings.operation_timeout
        polled_at: float | None = sent_at
        if attempt.resumed:
            deadline = max(deadline, now() + OVERTIME)
            # When an earlier run polled last is not known: poll at once, and learn nothing from the gap.
            polled_at = None
        poll: PollResult = Running()
        ended_between = None
        try:
            while isinstance(poll, Running):
                if now() >= deadline:
                    return LeftThere("late", f"still running {now() - sent_at:.0f} s after its submit; may be billed")
                if polled_at is not None:
                    await poller.wait(operation, sent_at, polled_at, deadline)
                poll = await self._poll(attempt, deadline, poller)
                before, polled_at = polled_at, now()
                if isinstance(poll, Finished) and poll.videos and before is not None:
                    # What failed or was filtered ended early and would mislead.
                    ended_between = before - sent_at, polled_at - sent_at
        except FetchError as error:  # it has ended, and its videos were in the answer
            return LeftThere("disk", str(error))
        except PollError as error:
            return LeftThere("late", f"no look succeeded before its deadline; the last: {error}")
        except OperationGone as error:
            return Gone(str(error))
        finally:
            poller.ended(operation, ended_between)
        return poll

    async def _poll_once(self, attempt: Attempt, deadline: float, poller: Poller) -> PollResult:
        """Poll; a poll that fails proves nothing and is repeated, but not past the operation's deadline."""
        operation, backend = attempt.job.operation, attempt.backend
        assert operation is not None
        try:
            poll = await backend.poll(operation)
        except PollError as error:
            self._failed_polls[backend] = failed = self._failed_polls.get(backend, 0) + 1
            if failed == TOLD_POLLS:
                log.warning("%d polls in a row have failed; polling goes on. The last: %.300s", failed, error)
            late = now() >= deadline
            if error.verdict is not None:  # the quota is used up, whichever request drew the refusal
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
