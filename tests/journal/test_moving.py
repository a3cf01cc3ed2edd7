"""A journal moves whole or not at all: interrupted anywhere, one place has it and takes writers."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from aveo3.errors import JournalError, UsageError
from aveo3.events.kinds import LanePaused
from aveo3.journal.journal import Journal
from aveo3.journal.moving.move import give_up, move
from aveo3.journal.moving.postgres_side import PostgresSide
from aveo3.journal.moving.side import TABLES, Side
from aveo3.journal.moving.sqlite_side import SqliteSide
from aveo3.journal.place import Place, SharedJournal
from aveo3.journal.requests import Request
from aveo3.journal.totals import totals_of
from aveo3.lifecycle import State
from tests.support import postgres
from tests.support.journals import FILE, PLAIN_PATH, plan, walk

WHEN = datetime(2026, 11, 27, tzinfo=UTC)


def ordered(journal: Journal, n: int) -> Request:
    request, _ = journal.requests.accept(
        "google",
        f"{n:064x}",
        model="veo",
        prompt={"text": f"clip {n}"},
        position=n,
        caller="shop",
        key=f"k{n}",
        body="b",
        priority=n,
        door_name=f"d{n}",
        resource="models/veo",
        storage_uri=None,
        callback=("https://shop.example/done", "http://door"),
    )
    return request


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
            request = ordered(journal, n)
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


@pytest.fixture(params=["directory to database", "database to directory"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """A journal with rows in every table, and a place that has none."""
    here, there = tmp_path / "here" / FILE, tmp_path / "there" / FILE
    with postgres.database(request.getfixturevalue("postgres_server")) as url:
        database = SharedJournal(SecretStr(url), tmp_path / "all")
        filled(here)
        if request.param == "directory to database":
            yield here, database
            return
        move(*sides(here, database))
        yield database, there


@pytest.fixture
def source(way: tuple[Place, Place]) -> Place:
    return way[0]


@pytest.fixture
def target(way: tuple[Place, Place]) -> Place:
    return way[1]


def side(place: Place, *, made: bool = False) -> SqliteSide | PostgresSide:
    return SqliteSide(place, made=made) if isinstance(place, Path) else PostgresSide(place, made=made)


def sides(source: Place, target: Place) -> tuple[Side, Side]:
    return side(source), side(target, made=True)


def test_every_row_arrives_and_the_old_journal_says_where_it_went(source: Place, target: Place) -> None:
    before = content(side(source))
    assert all(before.values()), "every table has rows"
    moved = move(*sides(source, target))
    assert moved.rows == {table: len(rows) for table, rows in before.items()}
    assert moved.state == "moved"
    after = content(side(target))
    assert after == {table: [tuple(map(without_null, row)) for row in rows] for table, rows in before.items()}
    with pytest.raises(JournalError, match=f"was moved to {re.escape(str(target))} at .* UTC, and takes nothing"):
        Journal(source)
    with Journal(source, writes=False) as old, Journal(target) as new:
        assert [each.name for each in old.records()] == [each.name for each in new.records()]
        ordered(new, 9)
        assert [total.jobs for total in totals_of(new)] == [1, 3], "triggers count on from there"
        fetched = new.requests.with_key("shop", "k0")
        assert fetched is not None
        new.stored_files.collect(fetched.job, [0], WHEN)
        assert new.stored_files.total().collected == 100


def test_an_older_aveo3_that_knows_no_mark_cannot_write_either(
    source: Place, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(*sides(source, target))
    monkeypatch.setattr("aveo3.journal.journal.mark_in", lambda _: None)
    with pytest.raises(JournalError, match=f"the journal was moved to {re.escape(str(target))}"):
        Journal(source)


def test_a_journal_may_come_back_to_where_it_was(source: Place, target: Place) -> None:
    move(*sides(source, target))
    with Journal(target) as journal:
        ordered(journal, 9)
    moved = move(*sides(target, source))
    assert moved.state == "moved"
    with Journal(source) as journal:
        assert [each.prompt["text"] for each in journal.records()][-1] == "clip 9"
    with pytest.raises(JournalError, match="was moved to"):
        Journal(target)
    assert move(*sides(target, source)).state == "before"
    if isinstance(source, Path):
        assert len([*source.parent.glob("journal.db.moved-*")]) == 1


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.journal.moving.postgres_side.LOOK", 0.1)


class Killed(BaseException):
    """What no handler catches: the process is gone."""


@pytest.mark.parametrize("step", range(4))
def test_a_move_that_is_killed_anywhere_is_ended_by_the_same_command(
    source: Place, target: Place, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(side(source))
    at, here = [0], side(source)
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
        move(here, side(target, made=True))
    monkeypatch.undo()
    if step:
        with pytest.raises(JournalError, match=r"has not ended|was moved"):
            Journal(source)
    moved = move(*sides(source, target))
    assert moved.state == {0: "moved", 1: "moved", 2: "finished", 3: "before"}[step]
    assert {table: len(rows) for table, rows in content(side(target)).items()} == {
        table: len(rows) for table, rows in before.items()
    }
    with pytest.raises(JournalError, match="was moved"):
        Journal(source)


def _die(*_: object) -> None:
    raise Killed


def test_an_interrupted_move_can_be_taken_back_unless_it_arrived(
    source: Place, target: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = side(source)
    marks = here.mark
    monkeypatch.setattr("aveo3.journal.moving.move._copy", _die)
    monkeypatch.setattr(here, "mark", lambda given, name: marks(given, name) if given else _die())
    with pytest.raises(Killed):
        move(here, side(target, made=True))
    monkeypatch.undo()
    elsewhere = SqliteSide(tmp_path / "other.db", made=True)
    with pytest.raises(JournalError, match="run that one again, or take it back with --give-up"):
        move(side(source), elsewhere)
    assert give_up(*sides(source, target))
    assert not give_up(*sides(source, target))
    Journal(source).close()
    assert move(*sides(source, target)).state == "moved"
    with pytest.raises(JournalError, match="was moved"):
        give_up(*sides(source, target))


def test_a_row_that_does_not_arrive_as_it_was_stops_the_move(
    source: Place, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(side(target))
    fill = kind.fill

    def wrong(self: Any, table: str, columns: Any, rows: Any) -> int:
        return fill(self, table, columns, ((*row[:-1], "?") if table == "memory" else row for row in rows))

    monkeypatch.setattr(kind, "fill", wrong)
    with pytest.raises(JournalError, match=r"a row of memory \(service google, .* name veo\) did not arrive"):
        move(*sides(source, target))
    monkeypatch.undo()
    Journal(source).close()
    assert move(*sides(source, target)).state == "moved"


def test_a_move_mixes_no_journals_and_disturbs_no_run(source: Place, target: Place, tmp_path: Path) -> None:
    with Journal(target) as journal:
        ordered(journal, 0)
        with pytest.raises(JournalError, match="is in use"):
            move(*sides(source, target))
    with pytest.raises(UsageError, match=r"is not empty \(1 jobs, 1 events, 1 requests\)"):
        move(*sides(source, target))
    with Journal(source), pytest.raises(JournalError, match="is in use"):
        move(*sides(source, tmp_path / "new.db"))
    Journal(source).close()


KILLED = """
import os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from aveo3.journal.moving import move as moving
from aveo3.journal.moving.postgres_side import PostgresSide
from aveo3.journal.moving.sqlite_side import SqliteSide
from aveo3.journal.place import SharedJournal

copy = moving._copy
moving._copy = lambda a, b, table: os.kill(os.getpid(), signal.SIGKILL) if table == "requests" else copy(a, b, table)
here = Path(sys.argv[1])
moving.move(SqliteSide(here, made=False), PostgresSide(SharedJournal(SecretStr(sys.argv[2]), here.parent), made=True))
"""


def test_a_kill_9_among_the_rows_leaves_the_journal_where_it_was(tmp_path: Path, postgres_url: str) -> None:
    here = tmp_path / FILE
    filled(here)
    before = content(side(here))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(here), postgres_url], check=False)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(JournalError, match=r"its move to PostgreSQL at .* began at .* and has not ended"):
        Journal(here)
    database = SharedJournal(SecretStr(postgres_url), tmp_path)
    assert move(*sides(here, database)).state == "moved"
    assert {table: len(rows) for table, rows in content(side(database)).items()} == {
        table: len(rows) for table, rows in before.items()
    }
