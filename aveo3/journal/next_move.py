"""What a person does about a job, in a sentence, and the command for it. Pure. `next_step` says what a run does."""

from __future__ import annotations

from typing import NamedTuple

from aveo3.journal.next_step import NOT_SENDABLE, can_be_asked_again, can_be_polled_again
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import UNDER_WAY, State
from aveo3.models import ClipStatus
from aveo3.verdicts.problems import CheckTarget, Problem, explain


class NextMove(NamedTuple):
    """A sentence, and a command that is ready to paste; None if there is nothing to do, or no command for it."""

    sentence: str | None = None
    command: str | None = None


def advice(state: State, *, active: bool, directory: str) -> str:
    """What to do about all jobs in `state`. `active` says that a run is at work; `directory` is quoted for a shell."""
    if state in _WAITING:
        left, at_work = _WAITING[state]
        return (at_work if active else left).format(directory=directory)
    said = ClipStatus(state).advice
    return f"{said} (aveo3 retry)" if state is State.UNCERTAIN else said


def status_word(state: State, *, active: bool) -> str:
    """What a job is called: its state, or the `ClipStatus` with which a killed or stopped run has left it."""
    if active:
        return state.value
    if state is State.SUBMITTING:
        return ClipStatus.UNCERTAIN.value
    return ClipStatus.UNFINISHED.value if state in UNDER_WAY else state.value


def next_move(record: JobRecord, *, active: bool, directory: str, unmade: str | None, missing: bool) -> NextMove:
    """What to do about one job.

    `directory` is the output directory, and `unmade` the file of prompts that were not made, both quoted for a shell;
    None if there is no such file. `missing` says that a video is not where it was saved.
    """
    state = record.state
    if state is State.SUCCEEDED:
        return NextMove(_MISSING) if missing else NextMove()
    said = advice(state, active=active, directory=directory)
    if active and state in _WAITING:
        return NextMove()
    if state in UNDER_WAY:
        return NextMove(ClipStatus.UNFINISHED.advice, f"aveo3 resume {directory}")
    if state is State.SUBMITTING or state is State.UNCERTAIN:
        if record.output_uri or can_be_polled_again(record):
            return NextMove(f"{said}; resume looks for the video first, for free", f"aveo3 resume {directory}")
        if can_be_asked_again(record):
            return NextMove(f"{said}; the same command asks the server first, which takes the request once")
        return NextMove(said, f"aveo3 history {directory} {record.name}")
    again = None if unmade is None or active else f"aveo3 generate {unmade} --output-dir {directory}"
    if (way_out := _way_out(record)) is not None:
        return NextMove(f"{said}. {way_out}", "aveo3 check")
    if state is State.REJECTED and record.error_kind != NOT_SENDABLE and again is not None:
        return NextMove(f"{said}; its prompt is in failed.jsonl", again)
    if state is State.FILTERED and again is not None:
        return NextMove(f"{said} in failed.jsonl, then run it", again)
    return NextMove(said, again)


def _way_out(record: JobRecord) -> str | None:
    """What `aveo3 check` would say, if a closed lane or the network is the reason."""
    if (problem := _FOR_A_PERSON.get(record.error_kind or "")) is None:
        return None
    place = record.place
    backend, project, location = (place.get(name) for name in ("backend", "project", "location"))
    return explain(problem, CheckTarget(backend or "", record.model, "", project, location)).way_out


_FOR_A_PERSON = {
    "no_access": Problem.NO_QUOTA,
    **{
        problem.value: problem
        for problem in (
            *(Problem.BILLING, Problem.BAD_KEY, Problem.PERMISSION, Problem.NO_MODEL),
            *(Problem.PROXY, Problem.TLS, Problem.OUT_OF_DATE),
        )
    },
}
"""The problems behind the `error_kind` of a job that only a change of the settings, or of the network, can help."""

_MISSING = (
    "its file is not where it was saved: put it back, or run the same prompts again, which fetches the paid video "
    "while Google keeps it"
)

_WAITING = {
    State.PLANNED: (
        "not sent yet, nothing is owed: run the same prompts again",
        "waits for its turn",
    ),
    State.SUBMITTING: (
        "sent by a run that was killed before the answer came; may be billed; the next run marks it uncertain",
        "sent, waiting for the answer",
    ),
    State.RUNNING: (
        "Google is making it or has made it: aveo3 resume {directory}",
        "Google is making it",
    ),
    State.FETCHING: (
        "made and paid, not on disk yet: aveo3 resume {directory}",
        "made and paid, being downloaded",
    ),
}
"""The next move of an unfinished job: without an active run, and with one."""
