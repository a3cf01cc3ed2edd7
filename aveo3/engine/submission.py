"""The one paid request of an attempt: writes its intent to the journal first, sends it, writes the operation's name."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from math import inf

from aveo3 import _timeouts, verdicts
from aveo3.backends import http
from aveo3.backends.base import is_queue
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt, now
from aveo3.engine.job import Job
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import JournalError
from aveo3.journal.next_step import REQUEST_KEY
from aveo3.lanes.lanes import is_server, namespace
from aveo3.lanes.routing import Candidate
from aveo3.lifecycle import State
from aveo3.models import VideoClip, VideoPrompt
from aveo3.verdicts import Verdict, VerdictKind, problems
from aveo3.verdicts.problems import Problem

log = logging.getLogger(__name__)

SUBMIT_GRACE = 2.0
"""Seconds beyond the request's timeout after which a submit without an answer counts as lost."""


_BUCKET = re.compile(r"storage\.(objects|buckets)|gs://|cloud storage|\bbucket\b", re.IGNORECASE)
"""Words of a 403 that is about a bucket."""

ASK_TIMEOUT = 10.0
"""Seconds for the free request that precedes a probe."""


_FOR_A_PERSON = (Problem.TLS, Problem.OUT_OF_DATE, Problem.PROXY)
"""Problems of this machine's network settings. Waiting cures the others: no name, no route, nobody who answers."""

_OUT_OF_ORDER = re.compile(r"ClientHttpProxyError: 5\d\d")
"""The proxy itself is well, and does not reach Google now."""


class _Lease:
    """How long the intent to send a job holds, from now on. Counts the time that the machine sleeps, too."""

    def __init__(self, job: Job) -> None:
        self.seconds = inf if job.journal is None or job.journal.lease is None else job.journal.lease
        self._began, self._slept = now(), _slept()

    @property
    def is_over(self) -> bool:
        return now() - self._began + _slept() - self._slept > self.seconds


def _slept() -> float:
    """Seconds that the loop's clock has left out because the machine slept, where the system can tell."""
    if sys.platform != "linux":
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class Submission:
    """The steps of a submit. `Engine.run` calls them in order."""

    def __init__(self, settings: Settings, now_utc: Callable[[], datetime]) -> None:
        self._timeout = settings.request_timeout + SUBMIT_GRACE
        self._now_utc = now_utc
        self._named: set[int] = set()

    async def ask_first(self, lane: OpenLane) -> Verdict | None:
        """Send a free request where something that is not Google answered before: what is to be paid must not meet it
        again. None if Google answers; else a verdict that says who does."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                probe = await lane.backend.check(lane.lane.model)
        except TimeoutError:
            words = "no answer"
        else:
            if probe.status is not None and (probe.status == 200 or verdicts.is_google(probe.body)):
                return None
            status = probe.problem or f"HTTP {probe.status}"
            words = f"{status}: {probe.said or verdicts.message_of(probe.body)}"
        why = f"a free request shows that Google still does not answer: {words}"
        return replace(verdicts.unsent(why), not_google=True)

    async def diagnose(self, lane: OpenLane) -> None:
        """After a request that could not leave, ask for free why, and log it as `aveo3 check` does.

        Where only a person can help, the gate closes: else each clip would be tried for an hour, as in an outage.
        """
        async with lane.diagnosing:
            if not lane.gate.is_closed:
                await self._diagnose(lane)

    async def _diagnose(self, lane: OpenLane) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                probe = await lane.backend.check(lane.lane.model)
        except TimeoutError:
            return
        known, lane.problem = lane.problem, probe.problem
        if probe.problem is None or probe.problem is known:
            return
        settings, place = lane.lane.settings, lane.lane.place
        target = problems.CheckTarget(
            place.get("backend") or "", lane.lane.model, probe.address, place.get("project"), place.get("location")
        )
        finding = problems.explain(probe.problem, target, said=probe.said)
        words = http.without_key(f"{finding.what}. {finding.way_out} ({finding.said})", settings.api_key)
        log.warning("%s", words)
        if probe.problem in _FOR_A_PERSON and not _OUT_OF_ORDER.match(probe.said):
            lane.gate.close(probe.problem.value, words)

    async def intend(self, job: Job, candidate: Candidate) -> VideoClip | None:
        """Return when the intent to send `job` to `candidate` would survive a power cut. From then on the next run
        counts the job as sent, whatever happens to this run.

        Returns a clip if nothing may be sent: the journal refused the intent, or the run was stopped meanwhile.
        """
        if job.leaving:
            return job.cancel()
        lease = _Lease(job)
        try:
            self._note_intent(job, candidate)
        except JournalError as error:
            return job.put_off("journal", str(error))
        try:
            await job.on_disk()
        except JournalError as error:
            job.not_sent()
            return job.put_off("journal", str(error))
        except asyncio.CancelledError:
            job.leaving = True
        if job.leaving:
            job.not_sent()
            return job.cancel()
        if lease.is_over:
            job.not_sent()
            why = f"not sent: its intent was more than {lease.seconds:g} s old, and another process may have taken over"
            log.warning("%r: %s", job.prompt.text[:60], why)
            return job.put_off("journal", why)
        return None

    def _note_intent(self, job: Job, candidate: Candidate) -> None:
        where = job.storage_uri or candidate.lane.settings.output_gcs_uri
        number = job.attempts + 1
        job.move(
            State.SUBMITTING,
            attempts=number,
            **job.turn_to(candidate, **self._key_of(candidate)),
            # Each attempt has its own place, so a video there can only come from this attempt.
            output_uri=where and f"{where.rstrip('/')}/{job.name}/{number}-{uuid.uuid4().hex[:12]}/",
            submitted_utc=self._now_utc(),
            # The results of an earlier attempt must not count as those of this one.
            operation=None,
            finished_utc=None,
            error_kind=None,
            error_message=None,
            uris=(),
            files=(),
        )

    @staticmethod
    def _key_of(candidate: Candidate) -> dict[str, str]:
        """The idempotency key of an attempt at a server: random, since others may send the same prompts there."""
        return {REQUEST_KEY: uuid.uuid4().hex} if is_server(candidate.lane.place) else {}

    async def post(self, attempt: Attempt, prompt: VideoPrompt) -> Verdict:
        """Send the request, once. Without an answer, cancellation included, the verdict is uncertain.

        A server gets it again until it answers: it takes a key once.
        """
        job = attempt.job
        try:
            if (key := job.place.get(REQUEST_KEY)) is not None and is_queue(attempt.backend):
                return await attempt.backend.enqueue(prompt, job.model, key=key, output_uri=job.output_uri)
            async with _timeouts.timeout(self._timeout, ticks=2 * _timeouts.TICKS):  # after the backend's own
                verdict = await attempt.backend.submit(prompt, job.model, output_uri=job.output_uri)
            return _of_its_bucket(job, prompt, verdict)
        except asyncio.CancelledError:
            job.leaving = True
            return verdicts.uncertain("stopped before the answer came: a video may be under way and billed")
        except TimeoutError:
            return verdicts.uncertain("no answer in time: a video may be under way and billed")
        except Exception as error:
            log.exception("submitting %r raised; counted as sent", job.prompt.text[:60])
            return verdicts.uncertain(f"{type(error).__name__}: {error}")

    def told_apart(self, attempt: Attempt, verdict: Verdict) -> Verdict:
        """`verdict`; but uncertain if the operation that it names belongs to another submit, whose film it would get.

        Something on the way, such as a cache, then gave one answer to several requests.
        """
        if verdict.operation is None:
            return verdict
        job, place = attempt.job, namespace(attempt.job.place)
        key = hash((place, verdict.operation))  # 8 bytes instead of the name: this set grows with the run
        owners: list[str] = []
        if key in self._named:
            owners = ["another submit of this run"]
        elif job.journal is not None and job.record.service == "google":
            # Emulators and backends of the caller may give the same names in each run.
            try:
                others = job.journal.others_with(verdict.operation, job.record)
            except JournalError as error:  # the name must be kept all the same
                log.error("is %s new? %s", verdict.operation, error)
                others = []
            owners = [other.name for other in others if namespace(other.place) == place]
        self._named.add(key)
        if not owners:
            return verdict
        return verdicts.uncertain(
            f"the answer names {verdict.operation}, the operation of {owners[0]}: something between here and Google, "
            "such as a cache, mixes up answers, and a video may be under way and billed",
            verdict.status,
        )

    def note(self, attempt: Attempt, verdict: Verdict) -> None:
        """Write the operation's name to the journal if the request was accepted: from now on money may be owed."""
        if verdict.kind is VerdictKind.ACCEPTED:
            try:
                # Another process may have taken this one for dead, and given a reason why the job is uncertain.
                attempt.job.move(State.RUNNING, operation=verdict.operation, error_kind=None, error_message=None)
            except BaseException:  # the log is the last place for the name
                log.error("accepted, but the journal did not take it: %s", verdict.operation)
                raise
            log.info("accepted: %s", verdict.operation)
        elif verdict.kind is VerdictKind.UNAVAILABLE:  # the gate or the clip reports the others
            words = verdicts.brief(verdict.message)
            log.warning("%s: %r: %s", verdict.kind, attempt.job.prompt.text[:60], words)


def _of_its_bucket(job: Job, prompt: VideoPrompt, verdict: Verdict) -> Verdict:
    """`verdict`; but rejected if Google may not use a bucket that the request itself names.

    That is no fault of the lane, which would be closed to everybody.
    """
    names_bucket = job.storage_uri is not None or any(medium.uri is not None for medium in prompt.media)
    if verdict.refusal is verdicts.Refusal.PERMISSION and names_bucket and _BUCKET.search(verdict.message):
        return verdicts.rejected(verdict.message, status=verdict.status)
    return verdict
