"""The one paid request of an attempt: writes its intent to the journal first, sends it, writes the operation's name."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from aveo3 import verdicts
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt
from aveo3.engine.job import Job
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import JournalError
from aveo3.lanes.routing import Candidate
from aveo3.lifecycle import State
from aveo3.models import VideoClip, VideoPrompt
from aveo3.verdicts import Verdict, VerdictKind

log = logging.getLogger(__name__)

SUBMIT_GRACE = 2.0
"""Seconds beyond the request's timeout after which a submit without an answer counts as lost."""


ASK_TIMEOUT = 10.0
"""Seconds for the free request that precedes a probe."""


class Submission:
    """The steps of a submit. `Engine.run` calls them in order."""

    def __init__(self, settings: Settings, now_utc: Callable[[], datetime]) -> None:
        self._timeout = settings.request_timeout + SUBMIT_GRACE
        self._now_utc = now_utc

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

    async def intend(self, job: Job, candidate: Candidate) -> VideoClip | None:
        """Return when the intent to send `job` to `candidate` would survive a power cut. From then on the next run
        counts the job as sent, whatever happens to this run.

        Returns a clip if nothing may be sent: the journal refused the intent, or the run was stopped meanwhile.
        """
        if job.leaving:
            return job.cancel()
        try:
            self._note_intent(job, candidate)
        except JournalError as error:
            return job.end(State.DEFERRED, "journal", str(error))
        try:
            await job.on_disk()
        except JournalError as error:
            job.not_sent()
            return job.end(State.DEFERRED, "journal", str(error))
        except asyncio.CancelledError:
            job.leaving = True
        if job.leaving:
            job.not_sent()
            return job.cancel()
        return None

    def _note_intent(self, job: Job, candidate: Candidate) -> None:
        where = candidate.lane.settings.output_gcs_uri
        number = job.attempts + 1
        job.move(
            State.SUBMITTING,
            attempts=number,
            **job.turn_to(candidate),
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

    async def post(self, attempt: Attempt, prompt: VideoPrompt) -> Verdict:
        """Send the request, once. Without an answer, cancellation included, the verdict is uncertain."""
        job = attempt.job
        try:
            async with asyncio.timeout(self._timeout):
                return await attempt.backend.submit(prompt, job.model, output_uri=job.output_uri)
        except asyncio.CancelledError:
            job.leaving = True
            return verdicts.uncertain("stopped before the answer came: a video may be under way and billed")
        except TimeoutError:
            return verdicts.uncertain("no answer in time: a video may be under way and billed")
        except Exception as error:
            log.exception("submitting %r raised; counted as sent", job.prompt.text[:60])
            return verdicts.uncertain(f"{type(error).__name__}: {error}")

    def note(self, attempt: Attempt, verdict: Verdict) -> None:
        """Write the operation's name to the journal if the request was accepted: from now on money may be owed."""
        if verdict.kind is VerdictKind.ACCEPTED:
            try:
                attempt.job.move(State.RUNNING, operation=verdict.operation)
            except BaseException:  # the log is the last place for the name
                log.error("accepted, but the journal did not take it: %s", verdict.operation)
                raise
            log.info("accepted: %s", verdict.operation)
        elif verdict.kind is VerdictKind.UNAVAILABLE:  # the gate or the clip reports the others
            log.warning("%s: %r: %.200s", verdict.kind, attempt.job.prompt.text[:60], verdict.message)
