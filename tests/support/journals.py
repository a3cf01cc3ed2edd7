"""A journal in a test's directory: planned and moved in one line, on a disk that fails, left by a kill."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aveo3.journal.fresh import Fresh
from aveo3.journal.journal import Journal
from aveo3.journal.place import Place, SharedJournal
from aveo3.journal.reader import JournalReader
from aveo3.journal.rows import JobRecord
from aveo3.journal.sqlite import SqliteDatabase
from aveo3.lifecycle import State

FILE = Path(".aveo3", "journal.db")
PLAIN_PATH = (State.PLANNED, State.SUBMITTING, State.RUNNING, State.FETCHING, State.SUCCEEDED)
FULL = "database or disk is full"


def sqlite_of(journal: JournalReader) -> SqliteDatabase:
    """The SQLite file under `journal`, to look at or to harm. A test of another database is skipped here."""
    if not isinstance(journal._database, SqliteDatabase):
        pytest.skip("it is about SQLite alone")
    return journal._database


def plan(journal: Journal, text: str = "a boat", *, stream: int | None = None, digest: str | None = None) -> JobRecord:
    return journal.claims.plan(
        journal.claims.begin_stream() if stream is None else stream,
        "vertex",
        text.encode(errors="replace").hex() if digest is None else digest,
        position=0,
        model="veo",
        prompt={"text": text},
    )


def walk(journal: Journal, job: int, *states: State) -> None:
    """Along a path of states, of which the job stands in the first."""
    for old, new in pairwise(states):
        journal.move(job, old, new)


def entry(journal: Journal, job: int = 1) -> JobRecord:
    [found] = [each for each in journal.records() if each.id == job]
    return found


def states(journal: Journal) -> list[State]:
    return [each.state for each in journal.records()]


def left_by_a_kill(journal: Journal, within: str | None = None) -> Path:
    """The files as a process leaves them that is killed now, in a directory of their own."""
    sqlite_of(journal)
    place = Path(tempfile.mkdtemp(dir=within or journal.home)) / FILE
    place.parent.mkdir()
    for file in journal.path.parent.iterdir():
        shutil.copy(file, place.with_name(file.name))
    return place


class CtrlC(BaseException):
    """As `KeyboardInterrupt`, but it does not end the tests if the journal lets it through where it should not."""


class Flaky:
    """A connection to a disk that can be full, and to a user who can press Ctrl-C."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.full = False
        self.kept_open = False  # SQLite rolls back by itself when the disk is full, or does not
        self.interrupt: tuple[str, bool] | None = None  # the next statement that begins so: before it, or after it
        self.commits = 0

    @property
    def in_transaction(self) -> bool:
        return self.db.in_transaction

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        verb, after = self.interrupt or ("", False)
        hit = bool(verb) and statement.startswith(verb)
        if hit:
            self.interrupt = None
            if not after:
                raise CtrlC
        if statement == "COMMIT":
            self.commits += 1
            if self.full:
                if not self.kept_open:
                    self.db.rollback()
                raise sqlite3.OperationalError(FULL)
        cursor = self.db.execute(statement, values)
        if hit:
            raise CtrlC
        return cursor


def flaky(journal: Journal) -> Flaky:
    """Put one between `journal` and its file."""
    database = sqlite_of(journal)
    between = Flaky(database.connection)
    database.writer._db = between  # type: ignore[assignment]
    return between


@pytest.fixture
def journal(journal_place: Place) -> Iterator[Journal]:
    with Journal(journal_place) as journal:
        lead(journal)
        yield journal


def lead(journal: Journal) -> None:
    """Have a journal that others may write to, too, take intents to submit: only a leader may."""
    if journal.shared:
        from aveo3.journal.postgres import PostgresDatabase
        from aveo3.journal.postgres_session import connect

        assert isinstance(journal._database, PostgresDatabase)
        journal._database.writer.lead(connect(journal._database.place), lambda: None)


def behind_its_back(journal: Journal, statement: str) -> None:
    """Change the journal as another program does it."""
    if journal.shared:
        from aveo3.journal.postgres_session import connect

        assert isinstance(journal.place, SharedJournal)
        with closing(connect(journal.place)) as session:
            session.execute(statement)
        return
    with closing(sqlite3.connect(journal.path)) as another, another:
        another.execute(statement)


def batch(journal: Journal, *digests: str, fresh: Fresh = False) -> list[int]:
    """The jobs of some prompts, as a run ties them; it is done with them at its end, and has made them all."""
    stream = journal.claims.begin_stream(fresh)
    jobs = [
        (journal.claims.claim(stream, "vertex", (digest,)) or plan(journal, stream=stream, digest=digest)).id
        for digest in digests
    ]
    for job in jobs:
        journal.claims.release(job)
    journal.claims.end_stream(stream, all_made=True)
    return jobs
