"""One job from permit to clip: submit once, look until it has ended, fetch the video. Which job comes when, and with
how many at once, is the dispatcher's business (`dispatch`)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp

from aveo3 import catalog, fetch, verdicts
from aveo3.backends.base import Backend, Failure, Finished, Look, LookError, OperationGone, Running
from aveo3.errors import FetchError, GateClosed
from aveo3.gate import Permit, QuotaGate
from aveo3.lifecycle import State, check_move
from aveo3.models import ClipStatus, VideoClip, VideoPrompt
from aveo3.poller import Poller
from aveo3.retry import repeating, wait_before
from aveo3.settings import Settings
from aveo3.verdicts import Ending, Verdict, VerdictKind

log = logging.getLogger(__name__)

FETCH_TRIES = 5

SUBMIT_GRACE = 2.0
"""Seconds beyond the request's timeout after which a submit that has not come back counts as lost."""

GONE_LOOKS = 4
"""Looks that must all find the operation unknown before a paid clip is given up."""


@dataclass(slots=True, eq=False)
class Job:
    """One prompt on its way to one clip."""

    prompt: VideoPrompt
    index: int
    model: str
    digest: str
    cost_usd: float | None
    queued_utc: datetime
    state: State = State.PLANNED
    attempts: int = 0
    retries: int = 0
    quota_wait: float = 0.0
    reserved: float = 0.0
    operation: str | None = None
    submitted_utc: datetime | None = None
    finished_utc: datetime | None = None
    leaving: bool = False  # the run is being left: send nothing; if sent, learn the operation's name, then go

    def move(self, state: State) -> None:
        """Go on to `state`; raises `IllegalMove` if the table does not list that."""
        self.state = check_move(self.state, state)

    def end(self, state: State, kind: str | None = None, message: str | None = None, **more: Any) -> VideoClip:
        """The job is over: its clip."""
        self.move(state)
        return VideoClip(
            prompt=self.prompt,
            status=ClipStatus(state),
            model=self.model,
            index=self.index,
            operation=self.operation,
            error_kind=kind,
            error_message=message,
            retry_count=self.retries,
            attempts=self.attempts,
            quota_wait=self.quota_wait,
            queued_utc=self.queued_utc,
            submitted_utc=self.submitted_utc,
            finished_utc=self.finished_utc,
            **{"cost_usd": self.cost_usd if state is State.UNCERTAIN else 0.0, **more},
        )

    def cancel(self) -> VideoClip:
        """The run was stopped: the clip of a job of which nothing is under way."""
        self.operation = None
        again = " again" if self.attempts else ""
        return self.end(State.CANCELLED, "stopped", f"the run was stopped before this prompt was sent{again}")

    def left_running(self) -> VideoClip:
        """We go, the operation stays: its clip names it."""
        return self.end(State.UNCERTAIN, "left_running", "still running at Google when this program stopped")

    def defer(self, closed: GateClosed) -> VideoClip:
        """The gate lets nobody through: the clip of a job that was never sent, or came to nothing."""
        self.operation = None
        return self.end(State.DEFERRED, closed.kind, str(closed))


@dataclass(frozen=True, slots=True)
class Again:
    """The job is planned anew and may be submitted after `wait` seconds."""

    wait: float


@dataclass(eq=False)
class Lane:
    """One place with a quota of its own, and what has been learnt about it."""

    model: str
    gate: QuotaGate
    backend: Backend
    pollers: dict[tuple[str | None, int | None], Poller] = field(default_factory=dict)


class Engine:
    """Takes jobs that hold a permit through their lives."""

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        *,
        rng: random.Random,
        now_utc: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._session = session
        self._rng = rng
        self._now_utc = now_utc
        base = settings.poll_interval or 2.0
        seen = repeating(LookError, base=base, max_value=60.0, rng=rng)(self._look_once)
        self._look = repeating(OperationGone, base=base, max_value=60.0, rng=rng, max_tries=GONE_LOOKS)(seen)
        again = repeating(FetchError, base=base, max_value=60.0, rng=rng, max_tries=FETCH_TRIES)
        self._download = again(fetch.download)

    async def run(self, job: Job, permit: Permit, lane: Lane) -> VideoClip | Again:
        """Submit `job` and see it through. Cancelling it gives a clip too, which names what is still running."""
        if job.leaving:  # stopped after its permit and before its submit
            lane.gate.cancel(permit)
            return job.cancel()
        job.move(State.SUBMITTING)
        job.operation = job.submitted_utc = job.finished_utc = None  # an earlier attempt's say nothing of this one
        sent_utc, sent_at = self._now_utc(), _now()
        try:
            async with asyncio.timeout(self._settings.request_timeout + SUBMIT_GRACE):
                verdict = await lane.backend.submit(job.prompt, job.model)
        except asyncio.CancelledError:
            verdict = verdicts.uncertain("stopped before the answer came: a video may be under way and billed")
        except TimeoutError:
            verdict = verdicts.uncertain("no answer in time: a video may be under way and billed")
        except Exception as error:
            log.exception("submitting %r raised; counted as sent", job.prompt.text[:60])
            verdict = verdicts.uncertain(f"{type(error).__name__}: {error}")
        job.operation = verdict.operation
        if verdict.kind is VerdictKind.ACCEPTED:  # told before anything else is done: from here on money may be owed
            log.info("accepted: %s", verdict.operation)
        elif verdict.kind in (VerdictKind.UNAVAILABLE, VerdictKind.UNCERTAIN):  # of others the gate tells, or the clip
            log.warning("%s: %r: %.200s", verdict.kind, job.prompt.text[:60], verdict.message)
        job.attempts += not verdict.unsent
        lane.gate.settle(permit, verdict)
        if verdict.kind is not VerdictKind.ACCEPTED:
            return self._not_accepted(job, permit, verdict)
        job.submitted_utc = sent_utc
        job.move(State.RUNNING)
        try:
            if job.leaving:
                return job.left_running()
            return await self._follow(job, permit, lane, sent_at)
        except asyncio.CancelledError:
            if job.state is State.FETCHING:
                why = "made and paid, but stopped before it was on disk"
                return job.end(State.UNCERTAIN, "stopped", why)
            return job.left_running()
        except Exception as error:  # a bug, a backend's or ours: it must cost neither the neighbours nor the name
            log.exception("following %s raised", job.operation)
            return job.end(State.UNCERTAIN, "unexpected", f"{type(error).__name__}: {error}")
        finally:
            lane.gate.finish(permit)

    def _not_accepted(self, job: Job, permit: Permit, verdict: Verdict) -> VideoClip | Again:
        if verdict.kind is VerdictKind.UNCERTAIN:
            return job.end(State.UNCERTAIN, verdict.error_kind, verdict.message)
        if verdict.kind is VerdictKind.REJECTED:
            return job.end(State.FILTERED if verdict.filtered else State.REJECTED, verdict.error_kind, verdict.message)
        job.move(State.PLANNED)
        if verdict.kind is VerdictKind.REFUSED or permit.admission.probe:
            return Again(0.0)  # nothing happened; a probe was sent for the lane's sake, not the job's
        return self._retry(job, verdict.error_kind, verdict.message, verdict.retry_after or 0.0)

    def _retry(self, job: Job, kind: str, message: str, at_least: float = 0.0) -> VideoClip | Again:
        """Another try of a planned job if it has one left."""
        if job.retries >= self._settings.max_retries:
            return job.end(State.FAILED, kind, f"{message} (after {job.retries} retries)")
        job.retries += 1
        return Again(max(at_least, wait_before(job.retries, self._settings.retry_wait_base, self._rng)))

    async def _follow(self, job: Job, permit: Permit, lane: Lane, sent_at: float) -> VideoClip | Again:
        """Look at a running operation until it has ended, then do what its end asks for."""
        assert job.operation is not None
        operation, poller = job.operation, self._poller(lane, job.prompt)
        deadline = sent_at + self._settings.operation_timeout
        looked_at = before = sent_at
        look: Look = Running()
        try:
            while isinstance(look, Running):
                if looked_at >= deadline:
                    waited = f"{self._settings.operation_timeout:g} s"
                    return job.end(State.UNCERTAIN, "late", f"still running {waited} after its submit; may be billed")
                await poller.wait(operation, sent_at, looked_at, deadline)
                look = await self._look(operation, lane.backend, deadline)
                before, looked_at = looked_at, _now()
        except LookError as error:
            return job.end(State.UNCERTAIN, "late", f"no look succeeded before its deadline; the last: {error}")
        except OperationGone as error:
            return job.end(State.UNCERTAIN, "operation_gone", f"{error}; whether it was billed cannot be told")
        finally:
            # It ended between the last two looks. What failed or was filtered ended early and would mislead.
            made = isinstance(look, Finished) and look.videos
            poller.ended(operation, (before + looked_at) / 2 - sent_at if made else None)
        job.finished_utc = self._now_utc()
        lane.gate.finish(permit, succeeded=isinstance(look, Finished))
        return self._failed(job, look) if isinstance(look, Failure) else await self._finished(job, look, lane)

    async def _look_once(self, operation: str, backend: Backend, deadline: float) -> Look:
        """Look; a look that fails proves nothing and is repeated, but not past the operation's deadline."""
        try:
            return await backend.look(operation)
        except LookError as error:
            error.final = _now() >= deadline
            raise

    def _poller(self, lane: Lane, prompt: VideoPrompt) -> Poller:
        kind = prompt.resolution, prompt.duration_seconds
        if kind not in lane.pollers:
            median = catalog.load().latency(lane.model, prompt.resolution)
            lane.pollers[kind] = Poller(median, interval=self._settings.poll_interval, rng=self._rng)
        return lane.pollers[kind]

    def _failed(self, job: Job, failure: Failure) -> VideoClip | Again:
        message = f"{failure.message} (code {failure.code})"
        ending = verdicts.from_operation_error(failure.code, failure.message)
        if ending is Ending.FILTERED:
            return job.end(State.FILTERED, "safety", message)
        if ending is Ending.REJECTED:
            return job.end(State.REJECTED, "bad_request", message)
        if ending is Ending.RETRY and job.retries < self._settings.max_retries:
            job.move(State.PLANNED)
            return self._retry(job, "operation_failed", message)
        return job.end(State.FAILED, "operation_failed", message)

    async def _finished(self, job: Job, look: Finished, lane: Lane) -> VideoClip:
        if not look.videos:
            reasons = "; ".join(look.filter_reasons)
            if reasons or look.filtered:
                return job.end(State.FILTERED, "safety", reasons or "held back by a safety filter")
            return job.end(State.UNCERTAIN, "no_video", "it ended with neither video nor error: it may be billed")
        job.move(State.FETCHING)
        made = len(look.videos)
        cost = None if job.cost_usd is None else round(job.cost_usd * made / max(made, job.prompt.number_of_videos), 4)
        uris = tuple(video.uri for video in look.videos if video.uri)
        paths = []
        try:
            for number, video in enumerate(look.videos, start=1):
                name = fetch.file_name(job.index, job.prompt.text, job.digest, number if made > 1 else None)
                target = self._settings.output_dir / name
                if video.data is not None:
                    paths.append(await fetch.save(video.data, target))
                elif video.uri is not None and not video.uri.startswith("gs://"):
                    headers = lane.backend.download_headers(video.uri)
                    silence = self._settings.request_timeout
                    paths.append(await self._download(self._session, video.uri, target, headers, silence=silence))
        except FetchError as error:
            kind = "disk" if error.disk else "fetch"
            return job.end(State.UNCERTAIN, kind, str(error), cost_usd=cost, uris=uris, paths=tuple(paths))
        held_back = f"{look.filtered} held back: {'; '.join(look.filter_reasons) or 'no reason given'}"
        return job.end(
            State.SUCCEEDED,
            "partly_filtered" if look.filtered else None,
            held_back if look.filtered else None,
            cost_usd=cost,
            uris=uris,
            paths=tuple(paths),
            fetched_utc=self._now_utc() if paths else None,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
