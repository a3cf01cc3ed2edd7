"""Decides what follows a submit without an operation, or the end of an operation: a clip, or another attempt."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aveo3 import verdicts
from aveo3.backends.base import Failure, Finished, GivenUp, LateRefusal
from aveo3.config.catalog import UNLISTED_TIERS
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt
from aveo3.engine.delivery import Delivery
from aveo3.engine.following import End, Gone, LeftThere
from aveo3.engine.job import Again, Job
from aveo3.engine.recovery import Recovery
from aveo3.engine.retry import wait_before
from aveo3.journal.next_step import NO_VIDEO, NOT_SENDABLE
from aveo3.lifecycle import State
from aveo3.models import VideoClip
from aveo3.verdicts import Ending, Refusal, Verdict, VerdictKind

LATE_REFUSALS = 10
"""Times that a job may be accepted and then refused before it is deferred. Each time uses up a request."""


class Outcomes:
    """Decides the next step after an answer or an end, and moves the job. Sends nothing."""

    def __init__(
        self,
        settings: Settings,
        delivery: Delivery,
        recovery: Recovery,
        *,
        rng: random.Random,
        now_utc: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._delivery = delivery
        self._recovery = recovery
        self._rng = rng
        self._now_utc = now_utc

    # ---- the answer to the submit --------------------------------------------------------------------------------

    async def not_accepted(self, attempt: Attempt, verdict: Verdict) -> VideoClip | Again:
        """The clip or next attempt after a submit without an operation."""
        job = attempt.job
        if verdict.kind is VerdictKind.UNCERTAIN:
            return await self._uncertain(attempt, verdict.error_kind, verdict.message)
        if verdict.kind is VerdictKind.REJECTED:
            return self._rejected(job, verdict, submitted_utc=None, attempts=job.attempts - verdict.unsent)
        if verdict.refusal is Refusal.BUDGET:  # a cheaper clip may fit
            job.plan_again(verdict.error_kind, verdict.message, refused=True)
            return job.end(State.DEFERRED, verdict.error_kind, verdict.message)
        is_refused = verdict.kind is VerdictKind.REFUSED
        if is_refused or attempt.is_probe or attempt.lane.gate.is_ill(besides=job.retries + 1):
            # Nothing happened, so no retry is used up: a probe only tests the lane, and in an outage other jobs fail,
            # too. If the prompt itself is at fault, the next job will show it. So this job goes last: otherwise it
            # could block the lane for ever.
            job.plan_again(verdict.error_kind, verdict.message, unsent=verdict.unsent, refused=is_refused)
            return Again(0.0, last=not is_refused, retrying=not is_refused)
        at_least = verdict.retry_after or 0.0
        return self._retry(job, verdict.error_kind, verdict.message, at_least, unsent=verdict.unsent)

    # ---- the end of the operation --------------------------------------------------------------------------------

    async def ended(self, attempt: Attempt, end: End) -> VideoClip | Again:
        """The clip or next attempt after an operation that has ended or is no longer polled."""
        attempt.finish(succeeded=isinstance(end, Finished))
        if isinstance(end, Finished):
            return await self._finished(attempt, end)
        if isinstance(end, Failure):
            return self._failed(attempt.job, end)
        if isinstance(end, LateRefusal):
            return self._refused(attempt, end)
        if isinstance(end, GivenUp):
            attempt.job.plan_again(end.kind, end.message)
            state = State.CANCELLED if end.cancelled else State.DEFERRED
            return attempt.job.end(state, end.kind, end.message)
        if isinstance(end, LeftThere):
            return attempt.job.leave(end.kind, end.message)
        return await self._gone(attempt, end)

    async def _finished(self, attempt: Attempt, end: Finished) -> VideoClip | Again:
        job, reasons = attempt.job, "; ".join(end.filter_reasons)
        if end.videos:
            held_back = f"{end.filtered} held back: {reasons or 'no reason given'}" if end.filtered else None
            cost = self._cost_of(job, end.tokens)
            return await self._delivery.deliver(
                attempt, end.videos, held_back=held_back, cost_usd=cost, usage=end.usage
            )
        if not (reasons or end.filtered):
            why = f"{end.note or 'it ended with neither video nor error'}: it may be billed"
            return await self._uncertain(attempt, NO_VIDEO, why)
        if verdicts.is_audio_filter(end.filter_reasons) and not job.audio_tries and self._settings.max_retries:
            job.audio_tries += 1  # the filter is not deterministic, and the clip is not billed: try once more
            job.plan_again("audio", reasons)
            return Again(0.0, retrying=True)
        why = reasons or "held back by a safety filter"
        return job.end(State.FILTERED, "safety", why, finished_utc=self._now_utc())

    def _failed(self, job: Job, end: Failure) -> VideoClip | Again:
        message = f"{end.message} (code {end.code})"
        ended: dict[str, Any] = {"finished_utc": self._now_utc()}
        ending = verdicts.from_operation_error(end.code, end.message)
        if ending is Ending.FILTERED:
            return job.end(State.FILTERED, "safety", message, **ended)
        if ending is Ending.REJECTED:
            return job.end(State.REJECTED, "bad_request", message, **ended)
        if ending is Ending.RETRY and job.retries < self._settings.max_retries:
            return self._retry(job, "operation_failed", message)
        return job.end(State.FAILED, "operation_failed", message, **ended)

    def _refused(self, attempt: Attempt, end: LateRefusal) -> VideoClip | Again:
        """After a late refusal. There is no video, so it counts like a refused submit."""
        job, verdict = attempt.job, end.verdict
        if verdict.kind is VerdictKind.REJECTED:
            cost = self._cost_of(job, end.tokens)
            if cost is None and not (end.tokens and job.prompt.service_tier in UNLISTED_TIERS):
                cost = 0.0
            return self._rejected(
                job, verdict, finished_utc=self._now_utc(), cost_usd=cost, **job.noted_usage(end.usage)
            )
        if verdict.kind is not VerdictKind.REFUSED:
            return self._retry(job, verdict.error_kind, verdict.message, verdict.retry_after or 0.0)
        attempt.refuse_late(verdict)
        job.late_refusals += 1
        job.plan_again(verdict.error_kind, verdict.message, refused=True)
        if job.late_refusals < LATE_REFUSALS:
            return Again(0.0)
        why = f"{verdict.message} (accepted and then refused {job.late_refusals} times)"
        return job.end(State.DEFERRED, verdict.error_kind, why, operation=None)

    def _cost_of(self, job: Job, tokens: Mapping[str, int]) -> float | None:
        return self._settings.model_catalog.cost_of_tokens(tokens, job.model, job.prompt.service_tier)

    async def _gone(self, attempt: Attempt, end: Gone) -> VideoClip:
        why = f"{end.message}; it is unknown whether it was billed"
        if attempt.job.made:
            why = f"made and paid, but its file is missing, and Google no longer has it: {end.message}"
        return await self._uncertain(attempt, "operation_gone", why)

    # ---- common ends --------------------------------------------------------------------------------------------

    def _rejected(self, job: Job, verdict: Verdict, **changes: Any) -> VideoClip:
        state = State.FILTERED if verdict.filtered else State.REJECTED
        kind = NOT_SENDABLE if verdict.unsent else verdict.error_kind
        return job.end(state, kind, verdict.message, **changes)

    def _retry(
        self, job: Job, kind: str, message: str, at_least: float = 0.0, *, unsent: bool = False
    ) -> VideoClip | Again:
        """Another attempt, after at least `at_least` seconds; a failed clip if the job has no retry left."""
        if job.retries >= self._settings.max_retries:
            job.plan_again(kind, message, unsent=unsent)
            return job.end(State.FAILED, kind, f"{message} (after {job.retries} retries)")
        job.retries += 1
        job.plan_again(kind, message, unsent=unsent)
        wait = max(at_least, wait_before(job.retries, self._settings.retry_wait_base, self._rng))
        return Again(wait, retrying=True)

    async def _uncertain(self, attempt: Attempt, kind: str, message: str) -> VideoClip:
        """End a job that may be paid. Its video can be recovered only if the request named an output place."""
        job = attempt.job
        clip = job.end(State.UNCERTAIN, kind, message)
        if job.output_uri is None or job.leaving:
            return clip
        return await self._recovery.recover(attempt)
