"""A job in the journal, as a Python object and as a row of SQLite."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveo3.journal.rows import CHANGING, Event, JobRecord, job_name, plain, replay, storable, to_column, to_time
from aveo3.journal.sqlite_schema import MIGRATIONS
from aveo3.lifecycle import State

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_the_row_of_a_job_is_all_that_its_events_have_changed_the_last_one_first() -> None:
    events = [
        Event(NOON, State.PLANNED, {}),
        Event(NOON, State.SUBMITTING, {"attempts": 1, "place": {"project": "p"}}),
        Event(NOON, State.RUNNING, {"operation": "o"}),
        Event(NOON, State.PLANNED, {"operation": None, "attempts": 2}),
    ]
    rows = [replay(events[:n]) for n in range(5)]
    assert rows[0] == {}
    assert rows[3] == {"state": State.RUNNING, "attempts": 1, "place": {"project": "p"}, "operation": "o"}
    assert rows[4] == {"state": State.PLANNED, "attempts": 2, "place": {"project": "p"}, "operation": None}


def test_what_a_job_is_never_changes_and_what_becomes_of_it_does() -> None:
    fixed = {"id", "service", "digest", "ordinal", "position", "model", "prompt", "queued_utc"}
    fixed |= {"fresh_batch"}  # it is where a job belongs, no part of its life
    assert {field.name for field in fields(JobRecord)} == CHANGING | fixed | {"state"}


def test_a_move_makes_another_record_and_leaves_the_first_as_it_was() -> None:
    planned = JobRecord(
        id=7, service="s", digest="d", ordinal=1, position=0, prompt={}, queued_utc=NOON, state=State.PLANNED, model="m"
    )
    sent = planned.moved(State.SUBMITTING, {"attempts": 1, "place": {"project": "p"}})
    assert sent == replace(planned, state=State.SUBMITTING, attempts=1, place={"project": "p"})
    assert (planned.state, planned.attempts, planned.place) == (State.PLANNED, 0, {})
    with pytest.raises(TypeError, match=r"^a job has no colour, id$"):
        sent.moved(State.RUNNING, {"id": 8, "colour": "red", "operation": "o"})


def test_every_field_has_a_column() -> None:
    jobs = " ".join(statement for step in MIGRATIONS for statement in step).replace(",", " ").split()
    assert {field.name for field in fields(JobRecord)} <= set(jobs)


@pytest.mark.parametrize(
    ("ordinal", "name"), [(1, "0123abcd"), (2, "0123abcd.2"), (10, "0123abcd.10")], ids=["first", "second", "tenth"]
)
def test_a_job_is_called_by_its_digest_and_from_the_second_on_by_its_number(ordinal: int, name: str) -> None:
    assert job_name("0123abcdef0123", ordinal) == name


@given(st.text(st.characters()))
def test_any_text_can_be_stored_and_well_formed_text_is_left_alone(text: str) -> None:
    stored = storable(text)
    assert stored.encode("utf-8").decode() == stored
    assert storable(stored) == stored
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert stored == text


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-8)), timezone(timedelta(hours=5.75))])))
def test_an_instant_comes_back_equal_and_with_its_time_zone(instant: datetime) -> None:
    again = to_time(to_column(instant))
    assert again == instant
    assert again is not None
    assert again.utcoffset() == instant.utcoffset()


@pytest.mark.parametrize(
    ("value", "column"),
    [(None, None), (0.4, 0.4), ("text", "text"), ((), "[]"), ([1, "a"], '[1, "a"]'), ({"a": None}, '{"a": null}')],
)
def test_a_value_is_kept_as_sqlite_and_json_have_it(value: Any, column: Any) -> None:
    assert to_column(value) == column


@pytest.mark.parametrize("value", [b"bytes of a video", Path("a.mp4"), {1, 2}])
def test_what_json_has_no_form_for_does_not_get_in(value: object) -> None:
    with pytest.raises(TypeError, match="does not belong into the journal"):
        plain(value)
