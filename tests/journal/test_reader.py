"""Reading the journal: jobs by name and by state, and sums."""

from __future__ import annotations

from datetime import timedelta, timezone
from pathlib import Path

import pytest

from aveo3.errors import JournalError
from aveo3.journal import reader
from aveo3.journal.journal import Journal
from aveo3.journal.rows import Left, StateCount
from aveo3.lifecycle import State
from tests.support.journals import PLAIN_PATH, batch, plan, sqlite_of, states, walk
from tests.support.virtual import START_UTC


def test_jobs_are_found_by_the_beginning_of_their_name(journal: Journal) -> None:
    batch(journal, "1a2b3c4d5e", "1a2b3c4d5e", "1a2bffff00", "77")
    names = [each.name for each in journal.records()]
    assert names == ["1a2b3c4d", "1a2b3c4d.2", "1a2bffff", "77"]
    found = {name: [each.id for each in journal.match(name)] for name in (*names, "1A2B", "2", "", "%", "7g", "1a.3")}
    assert [*found.values()] == [[1], [2], [3], [4], [1, 3], [], [], [], [], []]


def test_jobs_are_counted_and_listed_by_where_they_stand(journal: Journal) -> None:
    for job, path in zip(batch(journal, "a", "b", "c"), (PLAIN_PATH, PLAIN_PATH[:1], PLAIN_PATH), strict=True):
        walk(journal, job, *path)
    assert journal.counts() == {State.SUCCEEDED: 2, State.PLANNED: 1}
    assert [each.id for each in journal.records(State.SUCCEEDED)] == [1, 3]
    assert states(journal) == [State.SUCCEEDED, State.PLANNED, State.SUCCEEDED]


def test_files_in_its_directory_move_with_it_and_others_stay_where_they_are(journal: Journal) -> None:
    inside, outside = Path("clips", "a.mp4"), Path("/", "elsewhere", "b.mp4")
    assert [journal.relative(path) for path in (inside, outside)] == [str(inside), str(outside)]
    assert [journal.locate({"path": journal.relative(path)}) for path in (inside, outside)] == [inside, outside]


def test_jobs_are_added_up_by_service_and_state_those_without_a_price_apart(journal: Journal) -> None:
    stream = journal.claims.begin_stream()
    for number, (service, cost) in enumerate([("google", 3.25), ("google", None), ("google", 0.5), ("mock", 3.2)]):
        job = journal.claims.plan(stream, service, f"{number}", position=0, model="veo", prompt={}).id
        journal.move(job, State.PLANNED, State.SUBMITTING, cost_usd=cost)
    journal.move(2, State.SUBMITTING, State.RUNNING)
    journal.move(4, State.SUBMITTING, State.RUNNING)
    plan(journal)
    assert sorted(journal.tallies(), key=lambda tally: (tally.service, tally.state)) == [
        StateCount("google", State.RUNNING, 1, 0.0, 1),
        StateCount("google", State.SUBMITTING, 2, 3.75, 0),
        StateCount("mock", State.RUNNING, 1, 3.2, 0),
        StateCount("vertex", State.PLANNED, 1, 0.0, 1),
    ]


def test_what_a_job_cost_stays_spent_whatever_it_came_to(journal: Journal) -> None:
    """Omni bills the words of an answer without a video. What was never sent has an estimate at most."""
    for number, path in enumerate(
        [
            PLAIN_PATH,
            (State.PLANNED, State.SUBMITTING),
            PLAIN_PATH[:3],
            PLAIN_PATH[:4],
            (State.PLANNED, State.SUBMITTING, State.UNCERTAIN),
            (State.PLANNED, State.SUBMITTING, State.RUNNING, State.REJECTED),
            (State.PLANNED, State.SUBMITTING, State.RUNNING, State.FILTERED),
            (State.PLANNED, State.SUBMITTING, State.RUNNING, State.FAILED),
            (State.PLANNED, State.SUBMITTING, State.PLANNED),
            (State.PLANNED, State.DEFERRED),
            (State.PLANNED, State.CANCELLED),
        ]
    ):
        job = plan(journal, f"{number}").id
        walk(journal, job, *path)
        journal.note(job, path[-1], cost_usd=2.0**number)
    journal.note(1, State.SUCCEEDED, sunk_usd=0.5)
    assert journal.spent("vertex") == 2.0**8 - 1 + 0.5
    assert sum(each.counted_usd for each in journal.records()) == journal.spent("vertex")


def test_what_is_left_is_told_by_backend_with_the_oldest_whatever_time_zone_it_was_noted_in(journal: Journal) -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    hour = timedelta(hours=1)
    instants = {
        "vertex": [
            START_UTC + hour,
            START_UTC.astimezone(kathmandu),
            START_UTC + 2 * hour,
        ],
        "gemini": [START_UTC],
    }
    for backend, sent in instants.items():
        for at in sent:
            job = plan(journal, f"{backend} {at}").id
            walk(journal, job, *PLAIN_PATH[:3])
            journal.note(job, State.RUNNING, submitted_utc=at, place={"backend": backend})
    walk(journal, plan(journal, "made").id, *PLAIN_PATH)
    found = journal.left(State.RUNNING, State.FETCHING, but="mock", since=START_UTC + hour)
    assert found == [Left("gemini", 1, START_UTC, 1), Left("vertex", 3, instants["vertex"][1], 2)]
    assert journal.left(State.RUNNING, but="vertex", since=START_UTC) == []


def test_sums_make_no_job_of_any_row(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    walk(journal, plan(journal).id, *PLAIN_PATH[:3])
    monkeypatch.setattr(reader, "from_row", None)
    assert journal.tallies()
    assert journal.left(State.RUNNING, but="mock", since=START_UTC)
    assert journal.counts() == {State.RUNNING: 1}
    assert journal.spent("vertex") == 0.0


@pytest.mark.parametrize("values", ["place = '{'", "submitted_utc = 'soon'"])
def test_sums_of_what_makes_no_sense_are_refused(journal: Journal, values: str) -> None:
    walk(journal, plan(journal).id, *PLAIN_PATH[:3])
    sqlite_of(journal).connection.execute(f"UPDATE jobs SET {values}")
    with pytest.raises(JournalError, match=r"journal\.db cannot be read: "):
        journal.left(State.RUNNING, but="mock", since=START_UTC)
