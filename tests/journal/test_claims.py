"""Which batch gets a job: equal prompts, batches one after another and at once, and a claim that cannot be written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aveo3.errors import JournalError
from aveo3.journal.claims import Claims, DryClaims
from aveo3.journal.database import Row
from aveo3.journal.fresh import Fresh
from aveo3.journal.journal import Journal
from aveo3.journal.met import FEW
from aveo3.journal.sqlite_writer import BATCH
from aveo3.lifecycle import State
from tests.support.journals import FULL, PLAIN_PATH, batch, entry, flaky, plan, sqlite_of, walk


def test_many_equal_prompts_look_at_few_jobs_each_by_what_was_sent_for_them_too(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, stream, rows = [0], journal.claims.begin_stream(), journal.rows

    @contextmanager
    def counted(query: str, *values: Any) -> Iterator[Iterator[Row]]:
        def counting(found: Iterator[Row]) -> Iterator[Row]:
            for row in found:
                looks[0] += 1
                yield row

        with rows(query, *values) as found:
            yield counting(found)

    monkeypatch.setattr(journal, "rows", counted)
    for _ in range(100):
        assert journal.claims.claim(stream, "vertex", ("a1", "b2")) is None
        job = plan(journal, stream=stream, digest="a1").id
        walk(journal, job, *PLAIN_PATH)
        journal.note(job, State.SUCCEEDED, sent_as="b2")
        journal.claims.release(job)
    assert looks[0] <= (FEW + 1) * 2 * 100


def test_equal_prompts_in_one_batch_get_jobs_of_their_own_and_the_next_batch_the_same_in_order(
    journal: Journal,
) -> None:
    assert batch(journal, "a1", "a1", "b2", "a1") == [1, 2, 3, 4]
    assert [entry(journal, job).name for job in (1, 2, 4)] == ["a1", "a1.2", "a1.3"]
    assert batch(journal, "a1", "b2", "a1", "a1", "a1") == [1, 3, 2, 4, 5]


def test_a_fresh_batch_passes_over_what_has_ended_and_over_nothing_that_is_under_way(journal: Journal) -> None:
    ended = [
        PLAIN_PATH,
        (State.PLANNED, State.SUBMITTING, State.UNCERTAIN),
        (State.PLANNED, State.SUBMITTING, State.FILTERED),
        (State.PLANNED, State.REJECTED),
    ]
    under_way = [
        PLAIN_PATH[:1],
        PLAIN_PATH[:3],
        PLAIN_PATH[:4],
        (State.PLANNED, State.FAILED),
        (State.PLANNED, State.DEFERRED),
        (State.PLANNED, State.CANCELLED),
    ]
    paths = [*ended, *under_way]
    assert {path[-1] for path in paths} == set(State) - {State.SUBMITTING}
    for job, path in zip(batch(journal, *["a1"] * len(paths)), paths, strict=True):
        walk(journal, job, *path)
    assert batch(journal, *["a1"] * 7, fresh=True) == [5, 6, 7, 8, 9, 10, 11]
    assert batch(journal, *["a1"] * 2) == [1, 2]


def test_two_batches_at_once_never_work_on_one_job(journal: Journal) -> None:
    [job] = batch(journal, "a1")
    first, second = journal.claims.begin_stream(), journal.claims.begin_stream()
    claimed = journal.claims.claim(first, "vertex", ("a1",))
    assert claimed is not None
    assert claimed.id == job
    assert journal.claims.claim(second, "vertex", ("a1",)) is None
    assert journal.claims.take(second, job) is None
    journal.claims.release(job)
    assert journal.claims.take(second, job) == claimed
    assert journal.claims.claim(first, "vertex", ("a1",)) is None


def test_what_an_emulator_made_is_never_handed_out_as_googles(journal: Journal) -> None:
    batch(journal, "a1")
    assert journal.claims.claim(journal.claims.begin_stream(), "mock", ("a1",)) is None


def test_a_claim_that_could_not_be_written_leaves_the_job_for_the_next_batch(journal: Journal) -> None:
    """Held for ever, it would be passed over, and a paid clip made once more."""
    [job] = batch(journal, "a1")
    walk(journal, job, *PLAIN_PATH[:3])
    for _ in range(BATCH):
        journal.keep("vertex", "lane", "a", {})
    disk = flaky(journal)
    disk.full = True
    stream = journal.claims.begin_stream(fresh="new")
    with pytest.raises(JournalError, match=FULL):
        journal.claims.claim(stream, "vertex", ("a1",))
    disk.full = False
    assert batch(journal, "a1") == [job]


def test_a_stream_does_not_go_back_to_a_job_that_it_passed_over_while_another_had_it(journal: Journal) -> None:
    first, second = batch(journal, "a1", "a1")
    one, two = journal.claims.begin_stream(), journal.claims.begin_stream()
    assert journal.claims.take(one, first) is not None
    claimed = journal.claims.claim(two, "vertex", ("a1",))
    assert claimed is not None
    assert claimed.id == second
    journal.claims.release(first)
    assert journal.claims.claim(two, "vertex", ("a1",)) is None


@pytest.mark.parametrize("fresh", [False, True])
def test_the_work_of_a_claim_does_not_grow_with_the_number_of_equal_prompts(fresh: bool) -> None:
    counts: dict[int, list[int]] = {100: [], 200: []}
    for number, found in counts.items():
        with Journal(Path(f"{number}.db")) as journal:
            for _ in range(2):
                stream, steps = journal.claims.begin_stream(fresh), [0]
                sqlite_of(journal).connection.set_progress_handler(partial(steps.append, 0), 100)
                for _ in range(number):
                    job = journal.claims.claim(stream, "vertex", ("a1",)) or plan(journal, stream=stream, digest="a1")
                    journal.claims.release(job.id)
                sqlite_of(journal).connection.set_progress_handler(None, 0)
                journal.claims.end_stream(stream, all_made=False)
                found.append(len(steps))
    assert all(twice < 2.6 * once for once, twice in zip(*counts.values(), strict=True)), counts


def test_what_a_batch_has_met_takes_little_memory_and_is_forgotten_with_it(journal: Journal) -> None:
    """Some 75 bytes a job in a set of 100,000; a prompt without equals takes no more."""
    claims, stream = journal.claims, journal.claims.begin_stream()
    for number in range(50):
        assert claims.claim(stream, "vertex", (f"{number:x}",)) is None
        plan(journal, stream=stream, digest=f"{number:x}")
    met = claims._met[stream]
    assert len(met.jobs) == 50
    assert met._marks == {}
    claims.end_stream(stream, all_made=False)
    assert stream not in claims._met


digests = st.sampled_from("abc")
jobs = st.tuples(
    digests,
    st.none() | digests,
    st.sampled_from(sorted(set(State) - {State.SUBMITTING})),
    st.none() | st.sampled_from([1, 2, 3]),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(jobs, max_size=8), st.lists(st.lists(digests, min_size=1, max_size=3, unique=True), max_size=8))
def test_what_is_said_before_a_run_is_what_the_run_gives_out(
    left: list[tuple[str, str | None, State, int | None]], prompts: list[list[str]]
) -> None:
    fresh: Fresh
    for fresh in (True, False, "new"):
        with tempfile.TemporaryDirectory() as home, Journal(Path(home, "journal.db")) as journal:
            for number in (1, 2, 3):
                begin = "INSERT INTO batches VALUES (?, 'vertex', ?, ?)"
                journal._write((begin, (number, journal._stamp(), None if number > 1 else journal._stamp())))
            for digest, sent_as, state, batch in left:
                job = plan(journal, digest=digest).id
                changed = "UPDATE jobs SET state = ?, sent_as = ?, fresh_batch = ? WHERE id = ?"
                journal._write((changed, (state, sent_as, batch, job)))
                journal.claims.release(job)
            claims = Claims(journal, journal._write, journal._stamp)
            claims._streams = 100  # behind those that planned the jobs
            stream = claims.begin_stream(fresh)
            dry = DryClaims(journal.records(), fresh=fresh, batches=journal.open_batches("vertex"))
            for known_by in prompts:
                found = claims.claim(stream, "vertex", known_by)
                assert (found and found.id) == ((said := dry.claim(known_by)) and said.id)
