"""One job from permit to the end of its operation: submit once, look until it has ended. Which job comes when, and with
how many at once, is the dispatcher's business (`dispatch`); how its videos come to disk, `delivery`'s."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import aiohttp

from aveo3 import verdicts
from aveo3.backends.base import Backend, Failure, Finished, LateRefusal, Video
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt, now
from aveo3.engine.delivery import STOPPED, Delivery
from aveo3.engine.following import End, Follower, Gone, LeftThere
from aveo3.engine.job import Again, Job
from aveo3.engine.open_lane import OpenLane
from aveo3.engine.recovery import Recovery
from aveo3.engine.retry import wait_before
from aveo3.engine.submission import Submission
from aveo3.lanes.lanes import same_place
from aveo3.lifecycle import State
from aveo3.models import VideoClip
from aveo3.polling.poller import Pollers
from aveo3.quota.gate import Permit, QuotaGate
from aveo3.verdicts import Ending, Verdict, VerdictKind

log = logging.getLogger(__name__)

LATE_REFUSALS = 10
"""Times that a job may be accepted and then refused, each time costing a request, before it is left for later."""


class Engine:
    """Takes jobs that hold a permit through their lives.

    `median` seconds is what clips take as far as is known; None for what the catalog says of each.
    """

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        *,
        rng: random.Random,
        now_utc: Callable[[], datetime],
        median: float | None = None,
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._now_utc = now_utc
        self._submission = Submission(settings, now_utc)
        self._delivery = Delivery(settings, session, rng=rng, now_utc=now_utc)
        self._recovery = Recovery(settings, self._delivery, rng=rng)
        self.pollers = Pollers(interval=settings.poll_interval, rate=settings.poll_rate, rng=rng)
        self._follower = Follower(settings, self.pollers, rng=rng, median=median)

    async def run(self, job: Job, permit: Permit, lane: OpenLane) -> VideoClip | Again:
        """Submit `job` and see it through. Cancelling it gives a clip too, which names what is still running.

        Between an answer and the note of it nothing waits, so nothing can be cancelled there.
        """
        assert job.route is not None
        candidate = job.route.at(lane.lane)
        if (unsent := await self._submission.intend(job, candidate)) is not None:  # 1. the intent, on disk
            lane.gate.cancel(permit)
            return unsent
        attempt = Attempt(job, lane, lane.backend, permit, sent_at=now())
        verdict = await self._submission.post(attempt, candidate.prompt)  # 2. one POST
        self._submission.note(attempt, verdict)  # 3. its operation's name, in the journal
        lane.gate.settle(permit, verdict)
        if verdict.kind is not VerdictKind.ACCEPTED:
            return await self._not_accepted(attempt, verdict)
        return await self._see_through(attempt)  # 4. its end, and its videos

    async def resume(self, job: Job, lane: OpenLane, backend: Backend) -> VideoClip | Again:
        """Go on with a job that an earlier run left running, fetching or uncertain; `backend` is where it was sent.

        Submits nothing. Cancelling it gives a clip, as with `run`.
        """
        sent_utc = job.record.submitted_utc or self._now_utc()
        sent_at = now() - max(0.0, (self._now_utc() - sent_utc).total_seconds())
        if job.state is State.UNCERTAIN:
            return await self._recovery.recover(Attempt(job, lane, backend, None, sent_at, resumed=True))
        its_own = same_place(lane.lane.place, job.place) and lane.lane.model == job.model
        if not its_own:  # that is gone: this one's quota is another
            lane = replace(
                lane, gate=QuotaGate(lane.lane.settings, lane.lane.model, rng=self._rng, now_utc=self._now_utc)
            )
        permit = lane.gate.adopt() if job.state is State.RUNNING else None
        return await self._see_through(Attempt(job, lane, backend, permit, sent_at, resumed=True))

    async def _see_through(self, attempt: Attempt) -> VideoClip | Again:
        """From accepted to the clip, whatever happens on the way."""
        job = attempt.job
        try:
            if job.leaving:
                return job.cancel() if job.state is State.FETCHING else job.leave(*_LEFT_RUNNING)
            if job.state is State.FETCHING:
                return await self._delivery.fetch(attempt, [Video(uri=uri) for uri in job.uris])
            return await self._ended(attempt, await self._follower.follow(attempt))
        except asyncio.CancelledError:
            return job.leave(*(STOPPED if job.state is State.FETCHING else _LEFT_RUNNING))
        except Exception as error:  # a bug, a backend's or ours: it must cost neither the neighbours nor the name
            log.exception("following %s raised", job.operation)
            return job.leave("unexpected", f"{type(error).__name__}: {error}")
        finally:
            attempt.finish()

    async def _not_accepted(self, attempt: Attempt, verdict: Verdict) -> VideoClip | Again:
        job = attempt.job
        if verdict.kind is VerdictKind.UNCERTAIN:
            return await self._uncertain(attempt, verdict.error_kind, verdict.message)
        if verdict.kind is VerdictKind.REJECTED:
            state = State.FILTERED if verdict.filtered else State.REJECTED
            return job.end(state, verdict.error_kind, verdict.message, submitted_utc=None)
        is_refused = verdict.kind is VerdictKind.REFUSED
        if is_refused or attempt.is_probe or attempt.lane.gate.is_ill(besides=job.retries + 1):
            job.plan_again(verdict.error_kind, verdict.message, unsent=verdict.unsent)
            # Nothing happened; a probe was sent for the lane's sake, and others failed, too. If it is the prompt after
            # all, another's turn will show it: the lane must not stand still for this one for ever.
            return Again(0.0, last=not is_refused)
        at_least = verdict.retry_after or 0.0
        return self._retry(job, verdict.error_kind, verdict.message, at_least, unsent=verdict.unsent)

    def _retry(
        self, job: Job, kind: str, message: str, at_least: float = 0.0, *, unsent: bool = False
    ) -> VideoClip | Again:
        """Another try if the job has one left."""
        if job.retries >= self._settings.max_retries:
            job.plan_again(kind, message, unsent=unsent)
            return job.end(State.FAILED, kind, f"{message} (after {job.retries} retries)")
        job.retries += 1
        job.plan_again(kind, message, unsent=unsent)
        return Again(max(at_least, wait_before(job.retries, self._settings.retry_wait_base, self._rng)))

    async def _uncertain(self, attempt: Attempt, kind: str, message: str) -> VideoClip:
        """It may be paid and cannot be found, unless Google was told where to put it."""
        job = attempt.job
        clip = job.end(State.UNCERTAIN, kind, message)
        if job.record.output_uri is None or job.leaving:
            return clip
        return await self._recovery.recover(attempt)

    async def _ended(self, attempt: Attempt, end: End) -> VideoClip | Again:
        """What the end of an operation makes of its job."""
        job = attempt.job
        attempt.finish(succeeded=isinstance(end, Finished))
        match end:
            case LeftThere():
                return job.leave(end.kind, end.message)
            case Gone():
                why = f"{end.message}; whether it was billed cannot be told"
                if job.made:
                    why = f"made and paid, but its file is not where it was, and Google has it no more: {end.message}"
                return await self._uncertain(attempt, "operation_gone", why)
            case Failure():
                return self._failed(job, end)
            case LateRefusal():
                return self._refused(attempt, end)
        return await self._finished(attempt, end)

    def _failed(self, job: Job, failure: Failure) -> VideoClip | Again:
        message = f"{failure.message} (code {failure.code})"
        ended: dict[str, Any] = {"finished_utc": self._now_utc()}
        ending = verdicts.from_operation_error(failure.code, failure.message)
        if ending is Ending.FILTERED:
            return job.end(State.FILTERED, "safety", message, **ended)
        if ending is Ending.REJECTED:
            return job.end(State.REJECTED, "bad_request", message, **ended)
        if ending is Ending.RETRY and job.retries < self._settings.max_retries:
            return self._retry(job, "operation_failed", message)
        return job.end(State.FAILED, "operation_failed", message, **ended)

    def _refused(self, attempt: Attempt, poll: LateRefusal) -> VideoClip | Again:
        """It was accepted and turned down afterwards: nothing was made, so it is as if the answer had said so."""
        job, verdict = attempt.job, poll.verdict
        if verdict.kind is VerdictKind.REJECTED:
            state = State.FILTERED if verdict.filtered else State.REJECTED
            cost = self._settings.model_catalog.cost_of_tokens(poll.tokens, job.model) or 0.0
            ended: dict[str, Any] = {"finished_utc": self._now_utc(), "cost_usd": cost}
            return job.end(state, verdict.error_kind, verdict.message, **ended)
        if verdict.kind is not VerdictKind.REFUSED:
            return self._retry(job, verdict.error_kind, verdict.message, verdict.retry_after or 0.0)
        attempt.refuse_late(verdict)
        job.late_refusals += 1
        job.plan_again(verdict.error_kind, verdict.message)
        if job.late_refusals < LATE_REFUSALS:
            return Again(0.0)
        why = f"{verdict.message} (accepted and then refused {job.late_refusals} times)"
        return job.end(State.DEFERRED, verdict.error_kind, why, operation=None)

    async def _finished(self, attempt: Attempt, poll: Finished) -> VideoClip | Again:
        job = attempt.job
        reasons = "; ".join(poll.filter_reasons)
        if poll.videos:
            held_back = f"{poll.filtered} held back: {reasons or 'no reason given'}" if poll.filtered else None
            cost = self._settings.model_catalog.cost_of_tokens(poll.tokens, job.model)
            return await self._delivery.deliver(attempt, poll.videos, held_back=held_back, cost_usd=cost)
        if not (reasons or poll.filtered):
            why = f"{poll.note or 'it ended with neither video nor error'}: it may be billed"
            return await self._uncertain(attempt, "no_video", why)
        if verdicts.is_audio_filter(poll.filter_reasons) and not job.audio_tries and self._settings.max_retries:
            job.audio_tries += 1  # it is not deterministic, and not billed: once more may do
            job.plan_again("audio", reasons)
            return Again(0.0)
        kind, why = "safety", reasons or "held back by a safety filter"
        return job.end(State.FILTERED, kind, why, finished_utc=self._now_utc())


_LEFT_RUNNING = "left_running", "still running at Google when this program stopped"
