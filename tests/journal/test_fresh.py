"""Fresh batches: gone on with until each prompt has a video, whatever interrupts them, and only then begun anew."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aveo3.errors import UsageError
from aveo3.journal import sqlite_schema
from aveo3.journal.fresh import Fresh, check_fresh
from aveo3.journal.journal import Journal
from aveo3.journal.sqlite_connect import connect
from aveo3.lifecycle import State
from tests.support.journals import PLAIN_PATH, batch, entry, plan, walk


class Stream:
    """One stream of prompts on a journal, and which of its jobs were paid for it."""

    def __init__(self, journal: Journal, fresh: Fresh = False) -> None:
        self.journal = journal
        self.stream = journal.claims.begin_stream(fresh)
        self.held: list[int] = []
        self.paid: Counter[str] = Counter()

    def claim(self, digest: str) -> int:
        record = self.journal.claims.claim(self.stream, "vertex", (digest,))
        job = (record or plan(self.journal, stream=self.stream, digest=digest)).id
        self.held.append(job)
        return job

    def make(self, digest: str, end: State = State.SUCCEEDED) -> int:
        """Claim the job of a prompt, and bring it to its end as a run does."""
        job = self.claim(digest)
        state = entry(self.journal, job).state
        if state in (State.CANCELLED, State.FAILED, State.DEFERRED):
            self.journal.move(job, state, State.PLANNED)
        if state in (State.PLANNED, State.CANCELLED, State.FAILED, State.DEFERRED):
            if end is State.CANCELLED:
                self.journal.move(job, State.PLANNED, end)
            elif end is State.SUCCEEDED:
                walk(self.journal, job, *PLAIN_PATH)
                self.paid[digest] += 1
            else:
                walk(self.journal, job, *PLAIN_PATH[:3], end)
        self.journal.claims.release(job)
        return job

    def end(self, *, all_made: bool = True) -> None:
        for job in self.held:
            self.journal.claims.release(job)
        self.journal.claims.end_stream(self.stream, all_made=all_made)


def test_a_fresh_batch_that_was_interrupted_is_gone_on_with_and_then_another_begins(journal: Journal) -> None:
    for digest in "abcd":
        Stream(journal).make(digest)
    first = Stream(journal, fresh=True)
    made = [first.make("a"), first.make("b"), first.make("c", State.CANCELLED)]
    first.end(all_made=False)
    second = Stream(journal, fresh=True)
    assert [second.make(digest) for digest in "abcd"] == [*made, 8]
    assert second.paid == Counter("cd")
    second.end()
    third = Stream(journal, fresh=True)
    assert [third.make(digest) for digest in "abcd"] == [9, 10, 11, 12]


def test_a_fresh_batch_outlives_the_process_that_began_it() -> None:
    with Journal(Path("journal.db")) as journal:
        made = Stream(journal, fresh=True).make("a")
    with Journal(Path("journal.db")) as journal:
        stream = Stream(journal, fresh=True)
        assert stream.make("a") == made
        stream.end()
    with Journal(Path("journal.db")) as journal:
        assert not journal.open_batches("vertex")
        assert Stream(journal, fresh=True).make("a") == made + 1


def test_new_always_begins_another_and_what_is_under_way_joins_it(journal: Journal) -> None:
    first = Stream(journal, fresh=True)
    first.make("a")
    left = first.make("b", State.CANCELLED)
    first.end(all_made=False)
    second = Stream(journal, fresh="new")
    assert [second.make("a"), second.make("b")] == [3, left]
    assert second.paid == Counter("ab")
    second.end()
    third = Stream(journal, fresh=True)  # what the first has made of these is no part of it any more
    assert [third.make("a"), third.make("b")] == [4, 5]


def test_another_list_of_prompts_has_a_fresh_batch_of_its_own(journal: Journal) -> None:
    first = Stream(journal, fresh=True)
    first.make("a")
    first.make("b", State.CANCELLED)
    first.end(all_made=False)
    for expected in ([3, 4], [5, 6]):
        other = Stream(journal, fresh=True)
        assert [other.make("x"), other.make("y")] == expected
        other.end()
    again = Stream(journal, fresh=True)
    again.make("a")
    again.make("b")
    assert again.paid == Counter("b")


def test_a_list_that_shares_prompts_with_an_open_batch_pays_for_none_of_them_again(journal: Journal) -> None:
    first = Stream(journal, fresh=True)
    for digest in "abc":
        first.make(digest)
    first.make("d", State.CANCELLED)
    first.end(all_made=False)
    fewer = Stream(journal, fresh=True)  # is complete; but d is still to come
    fewer.make("a")
    fewer.end()
    more = Stream(journal, fresh=True)
    for digest in "xabcdaa":
        more.make(digest)
    assert more.paid == Counter("xdaa")  # a repeat is one more clip


def test_what_a_stream_works_on_is_left_to_it(journal: Journal) -> None:
    first, second = Stream(journal, fresh=True), Stream(journal, fresh=True)
    first.make("a")
    second.make("a")
    assert (first.paid, second.paid) == (Counter("a"), Counter("a"))
    first.end(all_made=False)
    second.end(all_made=False)
    third, fourth = Stream(journal, fresh=True), Stream(journal, fresh=True)
    assert {third.make("a"), fourth.make("a")} == {1, 2}
    assert not third.paid + fourth.paid


@pytest.mark.parametrize("end", [State.FILTERED, State.REJECTED])
def test_what_was_filtered_or_rejected_is_tried_anew_beside_what_was_made(journal: Journal, end: State) -> None:
    first = Stream(journal, fresh=True)
    made, refused = first.make("a"), first.make("b", end)
    first.end(all_made=False)
    second = Stream(journal, fresh=True)
    assert second.make("a") == made
    assert second.make("b") != refused
    second.end()
    assert not journal.open_batches("vertex")


def test_what_may_be_paid_is_left_to_a_person_and_keeps_its_batch_open(journal: Journal) -> None:
    first = Stream(journal, fresh=True)
    made, uncertain = first.make("a"), first.make("b", State.UNCERTAIN)
    first.end(all_made=False)
    for _ in range(2):
        again = Stream(journal, fresh=True)
        assert [again.make("a"), again.make("b")] == [made, uncertain]
        assert not again.paid
        again.end(all_made=False)
    journal.move(uncertain, State.UNCERTAIN, State.PLANNED)  # aveo3 retry
    last = Stream(journal, fresh=True)
    last.make("a")
    last.make("b")
    assert last.paid == Counter("b")


def test_plain_runs_and_other_services_take_no_notice_of_fresh_batches(journal: Journal) -> None:
    old = Stream(journal).make("a")
    Stream(journal, fresh=True).make("a")
    assert Stream(journal).make("a") == old
    elsewhere = journal.claims.begin_stream(True)
    assert journal.claims.claim(elsewhere, "mock", ("a",)) is None


def test_any_other_value_of_fresh_is_a_mistake_because_it_would_be_paid_for() -> None:
    for fresh in (True, False, "new"):
        check_fresh(fresh)
    for wrong in ("false", "New", "", 2, None):
        with pytest.raises(UsageError, match="fresh="):
            check_fresh(wrong)  # type: ignore[arg-type]


def test_a_journal_from_before_fresh_batches_opens_and_keeps_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(sqlite_schema, "MIGRATIONS", sqlite_schema.MIGRATIONS[:3])
        connect(Path("journal.db"), writes=True).close()
    with closing(sqlite3.connect("journal.db", isolation_level=None)) as db:
        db.execute(
            "INSERT INTO jobs (service, digest, ordinal, position, model, prompt, queued_utc, state) "
            "VALUES ('vertex', 'a1', 1, 0, 'veo', '{}', '2026-11-20T12:00:00+00:00', 'succeeded')"
        )
    with Journal(Path("journal.db")) as journal:
        assert entry(journal).fresh_batch is None
        assert batch(journal, "a1") == [1]
        assert batch(journal, "a1", fresh=True) == [2]


prompts = st.lists(st.sampled_from("abc"), min_size=1, max_size=5)
ends = st.sampled_from([State.SUCCEEDED, State.SUCCEEDED, State.CANCELLED, State.FAILED, State.FILTERED])
runs = st.lists(st.tuples(st.integers(0, 5), ends, st.booleans()), max_size=5)


@settings(deadline=None, max_examples=60)
@given(prompts, runs, st.booleans())
def test_however_often_a_fresh_batch_is_interrupted_each_prompt_is_paid_exactly_once(
    prompts: list[str], interrupted: list[tuple[int, State, bool]], made_before: bool
) -> None:
    with tempfile.TemporaryDirectory() as home:
        path, paid, number = Path(home, "0", "journal.db"), Counter[str](), 0
        journal = Journal(path)
        if made_before:
            plain = Stream(journal)
            for digest in prompts:
                plain.make(digest)
            plain.end()
        for read, end, killed in interrupted:
            stream = Stream(journal, fresh=True)
            for digest in prompts[: read % len(prompts)]:
                stream.make(digest, end)
            paid += stream.paid
            if killed:
                number += 1
                path = Path(home, f"{number}", "journal.db")
                shutil.copytree(journal.path.parent, path.parent)
            else:
                stream.end(all_made=False)
            journal.close()
            journal = Journal(path)
        last = Stream(journal, fresh=True)
        for digest in prompts:
            last.make(digest)
        paid += last.paid
        last.end()
        assert paid == Counter(prompts)
        another = Stream(journal, fresh=True)
        for digest in prompts:
            another.make(digest)
        assert another.paid == Counter(prompts)
        journal.close()
