"""What a run does with a job that it finds: decided from the record alone, for the run and for its announcement."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aveo3.journal.next_step import (
    NextStep,
    depends_on_files,
    is_to_be_fetched,
    next_step,
    record_as_found,
    resumable,
)
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import TO_SEND, WITHOUT_FILE, State, as_found
from tests.support.virtual import START_UTC

SUBMIT, PICK_UP, HAND_OUT = NextStep
FILES = ({"path": "a.mp4", "size": 1, "sha256": "f" * 64},)


def record(state: State, **values: object) -> JobRecord:
    plain = JobRecord(
        id=1,
        service="google",
        digest="a1",
        ordinal=1,
        position=0,
        prompt={},
        queued_utc=START_UTC,
        state=state,
        model="veo",
        attempts=1,
        operation="operations/1",
    )
    return replace(plain, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("job", "step", "emulated"),
    [
        *((record(state), SUBMIT, SUBMIT) for state in sorted(TO_SEND)),
        (record(State.REJECTED, attempts=0), SUBMIT, SUBMIT),
        (record(State.REJECTED), HAND_OUT, HAND_OUT),
        (record(State.FILTERED), HAND_OUT, HAND_OUT),
        (record(State.RUNNING), PICK_UP, SUBMIT),
        (record(State.FETCHING), PICK_UP, SUBMIT),
        (record(State.UNCERTAIN, error_kind="answer_lost"), HAND_OUT, SUBMIT),
        (record(State.UNCERTAIN, error_kind="answer_lost", output_uri="gs://b/x/"), PICK_UP, SUBMIT),
        (record(State.UNCERTAIN, error_kind="operation_gone"), PICK_UP, SUBMIT),
        (record(State.UNCERTAIN, error_kind="no_video"), PICK_UP, SUBMIT),
        (record(State.UNCERTAIN, error_kind="no_video", operation=None), HAND_OUT, SUBMIT),
        (record(State.UNCERTAIN, error_kind="fetch"), PICK_UP, SUBMIT),
        (record(State.UNCERTAIN, error_kind="fetch", operation=None), HAND_OUT, SUBMIT),
        (record(State.SUCCEEDED, files=FILES), PICK_UP, SUBMIT),
    ],
)
def test_each_job_has_one_next_step(job: JobRecord, step: NextStep, emulated: NextStep) -> None:
    """Nothing here is on disk. What may be paid is never submitted again by itself."""
    assert (next_step(job, "google", made=False), next_step(job, "mock", made=False)) == (step, emulated)


@pytest.mark.parametrize("state", State)
def test_a_clip_whose_files_are_there_is_handed_out_wherever_its_job_stands(state: State) -> None:
    job = record(state, files=FILES)
    if depends_on_files(job, "google"):
        assert next_step(job, "google", made=True) is HAND_OUT
    assert depends_on_files(job, "google") == (state in {State.SUCCEEDED, *WITHOUT_FILE})
    assert depends_on_files(job, "mock") == (state is State.SUCCEEDED)
    assert depends_on_files(record(state), "google") == (state is State.SUCCEEDED)


def test_a_video_that_was_left_in_its_bucket_is_fetched_if_this_run_keeps_none_there() -> None:
    there, here = (
        record(State.SUCCEEDED, uris=("gs://b/1.mp4",)),
        record(State.SUCCEEDED, files=FILES, uris=("gs://b/1",)),
    )
    assert [is_to_be_fetched(job, fetches=True) for job in (there, here)] == [True, False]
    assert not is_to_be_fetched(there, fetches=False)


@pytest.mark.parametrize("state", State)
def test_a_record_is_read_as_the_next_run_finds_it(state: State) -> None:
    job = record(state, error_kind="operation_gone")
    found = record_as_found(job)
    assert found.state is as_found(state)
    assert (found == job) == (state is not State.SUBMITTING)
    if state is State.SUBMITTING:  # what an earlier attempt came to says nothing of this one
        assert next_step(found, "google", made=False) is HAND_OUT


def test_resume_takes_what_is_at_google_or_may_turn_up_oldest_first() -> None:
    hour = timedelta(hours=1)
    jobs = [
        record(State.RUNNING, id=1, submitted_utc=START_UTC + hour),
        record(State.FETCHING, id=2, submitted_utc=START_UTC),
        record(State.RUNNING, id=3, operation=None),  # nothing tells what to poll
        record(State.UNCERTAIN, id=4, error_kind="operation_gone"),
        record(State.UNCERTAIN, id=5, operation=None, output_uri="gs://b/x/", queued_utc=START_UTC - hour),
        record(State.RUNNING, id=6, service="local"),
        record(State.UNCERTAIN, id=8, error_kind="no_video", submitted_utc=START_UTC + 2 * hour),
        *(record(state, id=7) for state in set(State) - WITHOUT_FILE),
    ]
    assert [job.id for job in resumable(jobs, "google")] == [5, 2, 4, 1, 8]
    assert resumable([replace(job, service="mock") for job in jobs], "mock") == []
    assert all(next_step(job, "google", made=False) is PICK_UP for job in resumable(jobs, "google"))
