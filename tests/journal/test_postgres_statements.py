"""Statements of the journal, in the form that PostgreSQL takes."""

from __future__ import annotations

from aveo3.journal.postgres_statements import commands, query
from aveo3.lifecycle import State


def test_marks_get_numbers_except_within_quotes() -> None:
    text = "SELECT '?', \"?\", 'it''s ?' FROM jobs WHERE prompt LIKE '%\"path\":%' AND id = ? AND state = ?"
    assert query(text, (1, "x")).text == text[:-20] + "id = $1 AND state = $2"


def test_values_are_of_types_that_every_column_takes() -> None:
    assert query("SELECT ?", (State.PLANNED, True, "a\0b", None, 1.5)).values == ("planned", 1, "a\\x00b", None, 1.5)
    assert [type(value) for value in query("", (State.PLANNED, True)).values] == [str, int]


def test_a_step_of_several_statements_becomes_one() -> None:
    step = ("UPDATE jobs SET state = ? WHERE id = ?", ("a", 1)), ("INSERT INTO events (job) VALUES (?)", (2,))
    [command] = commands(step)
    assert command.values == ("a", 1, 2)
    assert command.text == (
        "WITH s0 AS (UPDATE jobs SET state = $1 WHERE id = $2 RETURNING 1), "
        "s1 AS (INSERT INTO events (job) VALUES ($3) RETURNING 1) "
        "SELECT CASE WHEN (SELECT count(*) FROM s0) = 1 AND (SELECT count(*) FROM s1) = 1 "
        "THEN 1 ELSE journal_row_changed() END"
    )


def test_statements_that_may_touch_a_row_twice_stay_apart() -> None:
    twice = ("UPDATE jobs SET state = ? WHERE id = ?", ("a", 1)), ("UPDATE jobs SET model = ? WHERE id = ?", ("b", 1))
    assert [command.values for command in commands(twice)] == [("a", 1), ("b", 1)]

    added = ("INSERT INTO jobs (id) VALUES (?)", (1,)), ("UPDATE jobs SET model = ? WHERE id = ?", ("b", 1))
    assert len(commands(added)) == 2
    assert len(commands((added[0], added[0]))) == 1

    upserts = ("INSERT INTO memory VALUES (?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (1,))
    assert len(commands((upserts, upserts))) == 2
