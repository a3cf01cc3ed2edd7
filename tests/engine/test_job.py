"""A job: its record in the journal, and the fields that belong to one run."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from aveo3 import ClipStatus, VideoPrompt
from aveo3.engine.job import Job
from aveo3.errors import JournalError
from aveo3.files.saving import SavedFile
from aveo3.journal.journal import Journal
from aveo3.lifecycle import IllegalMove, State
from tests.support.virtual import START_UTC

PROMPT = VideoPrompt(text="a boat")


def new_job(index: int = 0) -> Job:
    return Job.planned(PROMPT, index, "veo", START_UTC, known_by=("0123abcdef",))


def noted_job(journal: Journal, index: int = 0, *, planned_at: int = 0) -> Job:
    """A job with a record in `journal`, planned at another index in an earlier batch."""
    job = new_job(index)
    claims = journal.claims
    job.take_up(claims.plan(1, "mock", "0123abcdef", position=planned_at, model="veo", prompt={}), journal)
    return job


def test_its_record_is_frozen_and_a_move_puts_another_in_its_place() -> None:
    job = new_job()
    before = job.record
    job.move(State.SUBMITTING, attempts=1)
    assert (before.state, job.state, job.attempts) == (State.PLANNED, State.SUBMITTING, 1)
    with pytest.raises(FrozenInstanceError):
        job.record.attempts = 2  # type: ignore[misc]


def test_what_the_journal_does_not_take_is_not_true_here_either(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        job = noted_job(journal)
        journal.move(job.record.id, State.PLANNED, State.CANCELLED)  # behind its back
        before = job.record
        with pytest.raises(JournalError):
            job.move(State.SUBMITTING, attempts=1)
        assert job.record is before


def test_a_move_that_the_table_does_not_list_changes_nothing() -> None:
    job = new_job()
    with pytest.raises(IllegalMove):
        job.move(State.SUCCEEDED)
    assert job.state is State.PLANNED


def test_every_move_leaves_in_memory_what_the_journal_has(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        job = noted_job(journal)
        film = SavedFile(tmp_path / "film.mp4", 4, "beef")

        def check() -> None:
            [entry] = journal.records()
            assert job.record == entry

        job.move(State.SUBMITTING, attempts=1, place={"project": "p"}, cost_usd=3.2, submitted_utc=START_UTC)
        check()
        job.plan_again("unavailable", "away", unsent=True)
        check()
        assert job.attempts == 0
        job.move(State.SUBMITTING, attempts=1)
        job.move(State.RUNNING, operation="o")
        job.move(State.FETCHING, uris=("gs://b/film.mp4",))
        check()
        assert job.clip(ClipStatus.SUCCEEDED).paths == ()
        clip = job.end(State.SUCCEEDED, files=(film,), cost_usd=3.2)
        check()
        assert job.files == (film,)
        assert clip.paths == (film.path,)
        assert [file["path"] for file in job.record.files] == ["film.mp4"]

        again = new_job()
        again.take_up(job.record, journal)
        assert again.files == (film,)


def test_without_a_journal_a_record_in_memory_does_as_well() -> None:
    job = new_job(4)
    job.move(State.SUBMITTING, attempts=1, cost_usd=3.2)
    clip = job.end(State.UNCERTAIN, "answer_lost", "no answer")
    assert (clip.index, clip.job, clip.attempts, clip.cost_usd) == (4, None, 1, 3.2)
    assert job.record.error_kind == "answer_lost"


def test_a_file_is_named_after_the_batch_that_first_sent_its_prompt(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        never_sent = noted_job(journal, 0, planned_at=5)
        assert never_sent.position is None  # this batch's place
        never_sent.move(State.SUBMITTING, attempts=1)
        sent = new_job(0)
        sent.take_up(never_sent.record, journal)
        assert sent.position == 5


def test_retries_are_those_of_one_run(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        job = noted_job(journal)
        job.move(State.SUBMITTING, attempts=1)
        job.retries = 2
        job.plan_again("unavailable", "away")
        assert job.record.retries == 2
        again = new_job()
        again.take_up(job.record, journal)
        assert (again.retries, again.clip(ClipStatus.FAILED).retry_count) == (0, 0)


def test_what_an_uncertain_clip_has_to_say_also_is_added_to_what_is_noted() -> None:
    job = new_job()
    job.move(State.SUBMITTING, attempts=1)
    job.end(State.UNCERTAIN, "answer_lost", "no answer")
    assert job.leave("stopped", "and then it stopped").error_message == "no answer; and then it stopped"
    assert job.error_message == "no answer"
