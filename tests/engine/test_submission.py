"""The operation that an answer names belongs to one submit only, in this run and in all runs before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from aveo3 import ClipStatus, VideoClip, VideoPrompt, verdicts
from aveo3.backends.base import Backend
from aveo3.engine.attempt import Attempt
from aveo3.engine.job import Job
from aveo3.engine.submission import Submission
from aveo3.errors import JournalError
from aveo3.journal.journal import Journal
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Candidate
from aveo3.lifecycle import State
from aveo3.verdicts import VerdictKind
from tests.support.settings import settings
from tests.support.virtual import START_UTC, now_utc, stall

HERE = {"backend": "vertex", "project": "p", "location": "l", "lane": "first"}
NAME = "projects/p/operations/7d1f"


def submitting(journal: Journal, text: str, *, service: str = "google", place: Mapping[str, Any] = HERE) -> Attempt:
    """The attempt of a job that has been sent and awaits its answer."""
    job = Job.planned(VideoPrompt(text=text), 0, "veo", START_UTC)
    job.take_up(journal.claims.plan(1, service, text * 64, position=0, model="veo", prompt={"text": text}), journal)
    job.move(State.SUBMITTING, attempts=1, place=place)
    return Attempt(job, Mock(), cast("Backend", Mock()), None, 0.0)


def told(attempt: Attempt, name: str = NAME) -> verdicts.Verdict:
    """The verdict of another process on an answer with this operation."""
    submission = Submission(settings(), now_utc)
    verdict = submission.told_apart(attempt, verdicts.accepted(name))
    submission.note(attempt, verdict)
    return verdict


def test_an_answer_that_names_an_operation_of_an_earlier_run_is_uncertain_and_says_whose_it_is(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        first = submitting(journal, "a")
        assert told(first).kind is VerdictKind.ACCEPTED
        second = told(submitting(journal, "b", place={**HERE, "lane": "the same by another name"}))
    assert second.kind is VerdictKind.UNCERTAIN
    assert second.message.startswith(f"the answer names {NAME}, the operation of {first.job.name}: something between")


@pytest.mark.parametrize(
    ("service", "place", "name"),
    [
        ("google", {**HERE, "project": "another"}, NAME),
        ("google", HERE, NAME + "0"),
        ("local", HERE, NAME),
        ("custom", HERE, NAME),
    ],
    ids=["another project", "another name", "an emulator", "a backend of the caller"],
)
def test_the_same_name_elsewhere_is_another_operation(
    service: str, place: Mapping[str, str], name: str, tmp_path: Path
) -> None:
    """An emulator that is started again with the same seed gives the same names."""
    with Journal(tmp_path / "journal.db") as journal:
        told(submitting(journal, "a", service="google" if place is HERE and name != NAME else service))
        assert told(submitting(journal, "b", service=service, place=place), name).kind is VerdictKind.ACCEPTED


def test_a_journal_that_cannot_be_read_does_not_lose_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        attempt = submitting(journal, "a")
        monkeypatch.setattr(journal, "others_with", Mock(side_effect=JournalError("the disk is away")))
        assert told(attempt).operation == NAME
    assert NAME in caplog.text


def test_the_name_is_found_by_an_index_however_many_jobs_there_are(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        plan = journal.read("EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE operation = ? AND id != ?", NAME, 1)
    assert "jobs_by_operation" in plan[0]["detail"]


DENIED = "Permission 'storage.objects.create' denied on resource (or it may not exist)."


@pytest.mark.parametrize(
    ("storage_uri", "image", "message", "kind"),
    [
        ("gs://theirs/out", None, DENIED, VerdictKind.REJECTED),
        (None, "gs://theirs/boat.png", "gs://theirs/boat.png cannot be read", VerdictKind.REJECTED),
        (None, None, DENIED, VerdictKind.REFUSED),  # the bucket of the settings: so it would be for every prompt
        ("gs://theirs/out", None, "Permission 'aiplatform.endpoints.predict' denied", VerdictKind.REFUSED),
    ],
)
async def test_a_bucket_of_the_request_that_google_may_not_use_closes_no_lane(
    tmp_path: Path, storage_uri: str | None, image: str | None, message: str, kind: VerdictKind
) -> None:
    denied = verdicts.Verdict(VerdictKind.REFUSED, message, refusal=verdicts.Refusal.PERMISSION, status=403)
    with Journal(tmp_path / "journal.db") as journal:
        attempt = submitting(journal, "a")
        attempt.job.storage_uri = storage_uri
        cast("Mock", attempt.backend).submit = AsyncMock(return_value=denied)
        verdict = await Submission(settings(), now_utc).post(attempt, VideoPrompt(text="a", image=image))
    assert (verdict.kind, verdict.message, verdict.status) == (kind, message, 403)


class Shared(Journal):
    """As one on PostgreSQL: others write there, too. `wait` seconds pass until an intent is on the disk."""

    shared = True
    lease: float | None = 15.0
    wait = 0.0
    refuses = False

    async def on_disk(self) -> None:
        stall(self.wait)
        if self.refuses:
            raise JournalError("the database is away")


async def intended(journal: Journal) -> tuple[Job, VideoClip | None]:
    """A planned job and what `intend` says of it."""
    job = Job.planned(VideoPrompt(text="a"), 0, "veo", START_UTC, known_by=("a",))
    job.take_up(journal.claims.plan(1, "google", "a", position=0, model="veo", prompt={"text": "a"}), journal)
    [lane] = Lanes(settings(backend="gemini", model="veo")).of("veo")
    return job, await Submission(settings(), now_utc).intend(job, Candidate(lane, job.prompt, 1.0))


async def test_an_intent_that_is_older_than_the_lease_is_not_sent_and_the_job_stays_planned(tmp_path: Path) -> None:
    with Shared(tmp_path / "journal.db") as journal:
        journal.wait = 14.9
        job, unsent = await intended(journal)
        assert (job.state, unsent) == (State.SUBMITTING, None)
        journal.wait = 15.1
        job, unsent = await intended(journal)
        [record] = journal.select("SELECT * FROM jobs WHERE id = ?", job.record.id)
    assert (record.state, record.attempts, record.submitted_utc) == (State.PLANNED, 0, None)
    assert unsent is not None
    assert (unsent.status, unsent.error_kind) == (ClipStatus.DEFERRED, "journal")
    assert (unsent.error_message or "").startswith("not sent: its intent was more than 15 s old")


async def test_a_journal_of_one_process_has_no_lease(tmp_path: Path) -> None:
    class Slow(Shared):
        shared, lease, wait = False, None, 3600.0

    with Slow(tmp_path / "journal.db") as journal:
        job, unsent = await intended(journal)
    assert (job.state, unsent) == (State.SUBMITTING, None)


@pytest.mark.parametrize("shared", [True, False])
async def test_a_job_whose_intent_is_refused_is_left_to_whoever_leads_in_a_shared_journal(
    tmp_path: Path, shared: bool
) -> None:
    with Shared(tmp_path / "journal.db") as journal:
        journal.shared, journal.refuses = shared, True
        job, unsent = await intended(journal)
        [record] = journal.select("SELECT * FROM jobs WHERE id = ?", job.record.id)
    assert record.state is (State.PLANNED if shared else State.DEFERRED)
    assert unsent is not None
    assert (unsent.status, unsent.error_kind, unsent.error_message) == (
        ClipStatus.DEFERRED,
        "journal",
        "the database is away",
    )
