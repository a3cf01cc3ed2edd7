"""A journal moves whole or not at all: interrupted anywhere, one place has it and takes writers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aveo3.errors import JournalError, UsageError
from aveo3.events.kinds import LanePaused
from aveo3.journal.journal import Journal
from aveo3.journal.moving.move import give_up, move
from aveo3.journal.moving.side import TABLES, Side
from aveo3.journal.moving.sqlite_side import SqliteSide
from aveo3.journal.totals import totals_of
from aveo3.lifecycle import State
from tests.support.journals import FILE, PLAIN_PATH, plan, walk

WHEN = datetime(2026, 11, 27, tzinfo=UTC)


def filled(place: Any) -> None:
    """A journal with rows in every table, as a run leaves it that was killed."""
    with Journal(place) as journal:
        first = plan(journal, "a boat \0 with a null")
        walk(journal, first.id, *PLAIN_PATH[:3])
        journal.move(
            first.id, State.RUNNING, State.FAILED, error_kind="x", error_message="odd \0 words ünd mehr", cost_usd=0.4
        )
        stream = journal.claims.begin_stream("new")
        plan(journal, "made anew", stream=stream)
        for n in range(3):
            request, _ = journal.requests.accept(
                "google", f"{n:064x}", model="veo", prompt={"text": f"clip {n}"}, position=n, caller="shop",
                key=f"k{n}", body="b", priority=n, door_name=f"d{n}", resource="models/veo", storage_uri=None,
                callback=("https://shop.example/done", "http://door"),
            )  # fmt: skip
            walk(journal, request.job, *PLAIN_PATH[:4])
            files = [{"path": f"{n}.mp4", "size": 100 + n, "sha256": "0"}]
            journal.move(request.job, State.FETCHING, State.SUCCEEDED, files=files, cost_usd=1.2)
        journal.keep("google", "latency", "veo", {"seconds": [41.5]})
        paused = LanePaused(lane="a", at_utc=WHEN, until_utc=WHEN, reason="minute", message="slow", breaker="closed")
        journal.keep_lane_event("google", paused)
        journal.commit()


def without_null(value: Any) -> Any:
    return value.replace("\0", "\\x00") if isinstance(value, str) else value


def content(side: Side) -> dict[str, list[Any]]:
    with side.opened():
        found = {}
        for table in TABLES:
            columns = sorted(side.columns(table))
            with side.rows(table, columns) as rows:
                found[table] = [tuple(row) for row in rows]
        return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "here" / FILE
    filled(place)
    return place


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "there" / FILE


def sides(source: Path, target: Path) -> tuple[SqliteSide, SqliteSide]:
    return SqliteSide(source, made=False), SqliteSide(target, made=True)


def test_every_row_arrives_and_the_old_journal_says_where_it_went(source: Path, target: Path) -> None:
    before = content(SqliteSide(source, made=False))
    assert all(before.values()), "every table has rows"
    moved = move(*sides(source, target))
    assert moved.rows == {table: len(rows) for table, rows in before.items()}
    assert moved.state == "moved"
    after = content(SqliteSide(target, made=False))
    assert after == {table: [tuple(map(without_null, row)) for row in rows] for table, rows in before.items()}
    with pytest.raises(JournalError, match=f"was moved to {target} at .* UTC, and takes nothing more here"):
        Journal(source)
    with Journal(source, writes=False) as old, Journal(target) as new:
        assert [each.name for each in old.records()] == [each.name for each in new.records()]
        new.requests.accept(
            "google", "f" * 64, model="veo", prompt={"text": "later"}, position=9, caller="shop", key="k9", body="b",
            priority=0, door_name="d9", resource="models/veo", storage_uri=None,
        )  # fmt: skip
        assert [total.jobs for total in totals_of(new)] == [1, 3], "triggers count on from there"


def test_an_older_aveo3_that_knows_no_mark_cannot_write_either(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(*sides(source, target))
    monkeypatch.setattr("aveo3.journal.journal.mark_in", lambda _: None)
    with pytest.raises(JournalError, match=f"the journal was moved to {target}"):
        Journal(source)


def test_a_journal_may_come_back_to_where_it_was(source: Path, target: Path) -> None:
    move(*sides(source, target))
    with Journal(target) as journal:
        plan(journal, "made meanwhile")
    moved = move(*sides(target, source))
    assert moved.state == "moved"
    with Journal(source) as journal:
        assert [each.prompt["text"] for each in journal.records()][-1] == "made meanwhile"
    with pytest.raises(JournalError, match="was moved to"):
        Journal(target)
    assert move(*sides(target, source)).state == "before"
    assert len([*source.parent.glob("journal.db.moved-*")]) == 1


class Killed(BaseException):
    """What no handler catches: the process is gone."""


@pytest.mark.parametrize("step", range(4))
def test_a_move_that_is_killed_anywhere_is_ended_by_the_same_command(
    source: Path, target: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(SqliteSide(source, made=False))
    at, here = [0], SqliteSide(source, made=False)
    marks = here.mark

    def mark(*arguments: Any) -> None:
        if step == 0 or (step == 2 and at[0] == 1) or (step == 3 and at[0] == 1):
            if step == 3:
                marks(*arguments)
            raise Killed
        at[0] += 1
        marks(*arguments)

    monkeypatch.setattr(here, "mark", mark)
    if step == 1:  # in the middle of the rows
        monkeypatch.setattr("aveo3.journal.moving.move._copy", _die)
        monkeypatch.setattr(here, "mark", lambda given, name: marks(given, name) if given else _die())
    with pytest.raises(Killed):
        move(here, SqliteSide(target, made=True))
    monkeypatch.undo()
    if step:
        with pytest.raises(JournalError, match=r"has not ended|was moved"):
            Journal(source)
    moved = move(*sides(source, target))
    assert moved.state == {0: "moved", 1: "moved", 2: "finished", 3: "before"}[step]
    assert {table: len(rows) for table, rows in content(SqliteSide(target, made=False)).items()} == {
        table: len(rows) for table, rows in before.items()
    }
    with pytest.raises(JournalError, match="was moved"):
        Journal(source)


def _die(*_: object) -> None:
    raise Killed


def test_an_interrupted_move_can_be_taken_back_unless_it_arrived(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = SqliteSide(source, made=False)
    marks = here.mark
    monkeypatch.setattr("aveo3.journal.moving.move._copy", _die)
    monkeypatch.setattr(here, "mark", lambda given, name: marks(given, name) if given else _die())
    with pytest.raises(Killed):
        move(here, SqliteSide(target, made=True))
    monkeypatch.undo()
    elsewhere = SqliteSide(target.parent / "other.db", made=True)
    with pytest.raises(JournalError, match="run that one again, or take it back with --give-up"):
        move(SqliteSide(source, made=False), elsewhere)
    assert give_up(*sides(source, target))
    assert not give_up(*sides(source, target))
    Journal(source).close()
    assert move(*sides(source, target)).state == "moved"
    with pytest.raises(JournalError, match="was moved"):
        give_up(*sides(source, target))


def test_a_row_that_does_not_arrive_as_it_was_stops_the_move(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = SqliteSide.fill

    def wrong(self: SqliteSide, table: str, columns: Any, rows: Any) -> int:
        return fill(self, table, columns, (("?", *row[1:]) if table == "memory" else row for row in rows))

    monkeypatch.setattr(SqliteSide, "fill", wrong)
    with pytest.raises(JournalError, match=r"a row of memory \(service google, .* name veo\) did not arrive"):
        move(*sides(source, target))
    monkeypatch.undo()
    Journal(source).close()
    assert not target.exists()
    assert move(*sides(source, target)).state == "moved"


def test_a_move_mixes_no_journals_and_disturbs_no_run(source: Path, target: Path) -> None:
    with Journal(target) as journal:
        plan(journal)
        with pytest.raises(JournalError, match="is in use"):
            move(*sides(source, target))
    with pytest.raises(UsageError, match=r"is not empty \(1 jobs, 1 events\)"):
        move(*sides(source, target))
    with Journal(source), pytest.raises(JournalError, match="is in use"):
        move(*sides(source, target.with_name("new.db")))
    Journal(source).close()
