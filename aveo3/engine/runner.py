"""One job from its permit to its clip: the order of the steps. Each step has its own module. The dispatcher decides
which job runs when, and how many run at once."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime

import aiohttp

from aveo3.backends.base import Backend, Finished, Video, is_queue
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt, now
from aveo3.engine.delivery import STOPPED, Delivery
from aveo3.engine.following import Follower
from aveo3.engine.handover import ClaimLost, Handover, JobClaim
from aveo3.engine.job import Again, Job
from aveo3.engine.open_lane import OpenLane
from aveo3.engine.outcomes import Outcomes
from aveo3.engine.recovery import Recovery
from aveo3.engine.submission import Submission
from aveo3.files import saving
from aveo3.journal.next_step import can_be_asked_again
from aveo3.lanes.lanes import same_place
from aveo3.lifecycle import State
from aveo3.models import ClipStatus, VideoClip
from aveo3.polling.poller import Pollers
from aveo3.quota.gate import QuotaGate
from aveo3.quota.permit import Permit
from aveo3.verdicts import VerdictKind

log = logging.getLogger(__name__)


KEY_LASTS = 7 * 86_400.0
"""Seconds in which a request may be sent again with its key: a server whose journal was replaced would take it anew."""


class Engine:
    """Runs jobs that have a permit, each until its clip.

    `median` is the expected time of a clip in seconds; None for the catalog's value of each model.
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
        self.handover: Handover | None = None
        """Who lets other processes follow jobs; None: all are followed here."""
        self._rng = rng
        self._now_utc = now_utc
        self.pollers = Pollers(interval=settings.poll_interval, rate=settings.poll_rate, rng=rng)
        self._gone: dict[Hashable, OpenLane] = {}
        self._submission = Submission(settings, now_utc)
        self._follower = Follower(settings, self.pollers, rng=rng, median=median)
        self._delivery = Delivery(settings, session, rng=rng, now_utc=now_utc)
        self._recovery = Recovery(settings, self._delivery, rng=rng)
        self._outcomes = Outcomes(settings, self._delivery, self._recovery, rng=rng, now_utc=now_utc)

    async def run(self, job: Job, permit: Permit, lane: OpenLane) -> VideoClip | Again:
        """Submit `job` and run it to its clip. Cancelling it returns a clip, too, which names the running operation.

        There is no await between an answer and its journal entry, so nothing can be cancelled there.
        """
        try:
            return await self._run(job, permit, lane)
        except BaseException:  # the journal is not as this run left it, or a bug: it must not keep the running slot
            if permit.settled:
                lane.gate.finish(permit)
            else:
                lane.gate.cancel(permit)
            raise

    async def _run(self, job: Job, permit: Permit, lane: OpenLane) -> VideoClip | Again:
        assert job.route is not None
        candidate = job.route.at(lane.lane)
        if permit.admission.probe and lane.gate.met_a_stranger and (ended := await self._ask_first(job, permit, lane)):
            return ended
        if (unsent := await self._submission.intend(job, candidate)) is not None:  # 1. the intent, on disk
            lane.gate.cancel(permit)
            return unsent
        job.events.submitted(job)
        attempt = Attempt(job, lane, lane.backend, permit, sent_at=now())
        verdict = await self._submission.post(attempt, candidate.prompt)  # 2. one POST
        verdict = self._submission.told_apart(attempt, verdict)
        try:
            self._submission.note(attempt, verdict)  # 3. its operation's name, in the journal
        finally:
            lane.gate.settle(permit, verdict)
        if verdict.kind is not VerdictKind.ACCEPTED:
            outcome = await self._outcomes.not_accepted(attempt, verdict)
            if verdict.unsent and verdict.kind is VerdictKind.UNAVAILABLE and not (lane.gate.reached or job.leaving):
                try:
                    await self._submission.diagnose(lane)
                except asyncio.CancelledError:
                    job.leaving = True
                    return outcome if isinstance(outcome, VideoClip) else job.cancel()
                if lane.gate.is_closed and not isinstance(outcome, VideoClip):
                    return replace(outcome, wait=0.0, last=False)  # nothing is left to wait for
            return outcome
        return await self._see_through(attempt)  # 4. its end, and its videos

    async def _ask_first(self, job: Job, permit: Permit, lane: OpenLane) -> VideoClip | Again | None:
        """Before a probe: None if Google answers a free request again. Else nothing is sent, and the job goes last."""
        try:
            verdict = await self._submission.ask_first(lane)
        except asyncio.CancelledError:
            job.leaving = True
            lane.gate.cancel(permit)
            return job.cancel()
        if verdict is None:
            return None
        lane.gate.settle(permit, verdict)
        return Again(0.0, last=True)

    async def resume(self, job: Job, lane: OpenLane, backend: Backend) -> VideoClip | Again:
        """Resume a job that an earlier run left running, fetching or uncertain. `backend` reaches where it was sent.

        Submits nothing. Cancelling it returns a clip, as with `run`.
        """
        sent_utc = job.record.submitted_utc or self._now_utc()
        sent_at = now() - max(0.0, (self._now_utc() - sent_utc).total_seconds())
        if can_be_asked_again(job):
            return await self._ask_again(Attempt(job, lane, backend, lane.gate.adopt(), sent_at, resumed=True))
        if job.state is State.UNCERTAIN:
            return await self._recovery.recover(Attempt(job, lane, backend, None, sent_at, resumed=True))
        if not (same_place(lane.lane.place, job.place) and lane.lane.model == job.model):
            lane = self._lane_that_is_gone(job, lane)
        permit = lane.gate.adopt() if job.state is State.RUNNING else None
        return await self._see_through(Attempt(job, lane, backend, permit, sent_at, resumed=True))

    async def _ask_again(self, attempt: Attempt) -> VideoClip | Again:
        """Send a request to a server again whose answer an earlier run did not get: the server takes its key once.

        Labels or media may have changed since: then the server says so, and a person decides.
        """
        job, days = attempt.job, KEY_LASTS / 86_400
        if (self._now_utc() - (job.record.submitted_utc or job.record.queued_utc)).total_seconds() > KEY_LASTS:
            attempt.finish()
            why = f"its answer was lost more than {days:.0f} days ago, and the server may not know it any more"
            return job.clip(ClipStatus.UNCERTAIN, also=why)
        try:
            verdict = await self._submission.post(attempt, job.prompt)
        except BaseException:
            attempt.finish()
            raise
        if verdict.kind is VerdictKind.ACCEPTED:
            job.reopen(State.RUNNING, operation=verdict.operation)
            return await self._see_through(attempt)
        attempt.finish()
        if verdict.kind is VerdictKind.UNCERTAIN or verdict.unsent:
            return job.clip(ClipStatus.UNCERTAIN, also=verdict.message)
        # It says why it does not take the request now: it does not have it, and the usual way tells the rest.
        job.reopen(State.PLANNED, operation=None, submitted_utc=None, error_kind=None, error_message=None)
        return Again(0.0)

    def _lane_that_is_gone(self, job: Job, lane: OpenLane) -> OpenLane:
        """The lane that `job` was sent to, after the settings of `lane`: neither its running slots nor its refusals
        count for the quota of `lane`. All jobs of a lane share it, and its polls."""
        key = (job.model, *sorted(job.place.items()))
        if key not in self._gone:
            gate = QuotaGate(lane.lane.settings, lane.lane.model, rng=self._rng, now_utc=self._now_utc)
            self._gone[key] = replace(lane, gate=gate)
        return self._gone[key]

    async def follow(self, job: Job, lane: OpenLane, backend: Backend, claim: JobClaim, *, resumed: bool) -> bool:
        """Follow a job that another process has sent, and whose running slot that process holds. True if it has ended.

        It makes no decision about quota or retries: unless there is a video, the job stays as it is, and the process
        that sent it goes on. `resumed` says that it may have been polled before. Raises `ClaimLost`.
        """
        sent_utc = job.record.submitted_utc or job.record.queued_utc
        sent_at = now() - max(0.0, (self._now_utc() - sent_utc).total_seconds())
        attempt = Attempt(job, lane, backend, None, sent_at, resumed, claim)
        claim.check()
        if _is_to_be_fetched(job):
            await self._delivery.fetch(attempt, [Video(uri=uri) for uri in job.uris])
            return job.state is not State.FETCHING
        end = await self._follower.follow(attempt)
        videos = end.videos if isinstance(end, Finished) else ()
        try:
            claim.check()
        except ClaimLost:
            for video in videos:
                if video.file is not None:
                    saving.drop(video.file)
            raise
        if not videos:
            return False
        await self._outcomes.ended(attempt, end)
        return job.state is not State.FETCHING

    async def _see_through(self, attempt: Attempt) -> VideoClip | Again:
        """Bring an accepted attempt to its clip. Whatever happens, a paid video is never lost."""
        job = attempt.job
        try:
            if job.leaving:
                return job.cancel() if job.state is State.FETCHING else job.leave(*_left_running(attempt))
            if job.state is State.RUNNING:
                job.events.running(job, resumed=attempt.resumed)
            if self.handover is not None:
                outcome = await self.handover.see_through(attempt)
                if isinstance(outcome, VideoClip):
                    return outcome
                attempt = outcome
            if _is_to_be_fetched(job):
                return await self._delivery.fetch(attempt, [Video(uri=uri) for uri in job.uris])
            end = await self._follower.follow(attempt)
            return await self._outcomes.ended(attempt, end)
        except asyncio.CancelledError:
            return job.leave(*(STOPPED if job.state is State.FETCHING else _left_running(attempt)))
        except Exception as error:  # a bug, in a backend or here: it must harm no other job, and not lose the name
            log.exception("following %s raised", job.operation)
            return job.leave("unexpected", f"{type(error).__name__}: {error}")
        finally:
            attempt.finish()


def _is_to_be_fetched(job: Job) -> bool:
    """Whether the addresses of its videos are known. Those that came inline are at their operation only."""
    if job.state is State.FETCHING and not job.uris:
        job.reopen(State.RUNNING)
    return job.state is State.FETCHING


def _left_running(attempt: Attempt) -> tuple[str, str]:
    if is_queue(attempt.backend):
        return "left_running", "left at the server when this program stopped: the server goes on with it"
    return "left_running", "still running at Google when this program stopped"
