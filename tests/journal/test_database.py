"""The journal's file: a file that is no journal, or that this version must not write, is named and left unchanged."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import product
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

import pytest

from aveo3.errors import JournalError
from aveo3.journal import sqlite_connect, sqlite_schema
from aveo3.journal.journal import Journal
from aveo3.journal.sqlite_connect import connect
from aveo3.journal.sqlite_errors import WHO_LOCKS
from aveo3.journal.sqlite_files import closed_mark, log_of, uri_of
from aveo3.journal.sqlite_schema import APPLICATION_ID, MIGRATIONS
from aveo3.journal.sqlite_writer import SqliteWriter
from aveo3.journal.wal_sync import SYNCS_LATER
from aveo3.lifecycle import State
from tests.support.journals import FILE, left_by_a_kill, plan, sqlite_of, states, walk

WAL = FILE.with_name(f"{FILE.name}-wal")


@pytest.fixture
def file() -> Path:
    """A journal of some hundred pages, closed as it should be."""
    with Journal(FILE) as journal:
        for n in range(300):
            plan(journal, f"{n} boats " + "and a river " * 50, stream=1)
    assert not WAL.exists()
    return FILE


def contents(directory: Path) -> dict[str, bytes]:
    """What lies there, but for the lock, which any look takes for a moment."""
    return {f.name: f.read_bytes() for f in directory.iterdir() if f.is_file() and f.suffix != ".lock"}


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        [number] = db.execute("PRAGMA user_version").fetchone()
    return int(number)


# ---- damage ----------------------------------------------------------------------------------------------------------


def random_bytes(path: Path) -> None:
    path.write_bytes(bytes(range(7, 256)) * 100)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_off_within_a_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5_000])


def a_page_flipped(path: Path) -> None:
    page = slice(20 * 4096, 21 * 4096)
    data = bytearray(path.read_bytes())
    data[page] = bytes(byte ^ 0xFF for byte in data[page])
    path.write_bytes(data)


def the_schema_gone(path: Path) -> None:
    execute(path, "DROP TABLE events", "DROP TABLE runs", "DROP TABLE jobs")


def empty_beside_a_log(path: Path) -> None:
    path.write_bytes(b"")
    WAL.write_bytes(b"\x37\x7f\x06\x82" * 100)


@pytest.mark.parametrize(
    "damage", [random_bytes, cut_off, cut_off_within_a_page, a_page_flipped, the_schema_gone, empty_beside_a_log]
)
@pytest.mark.parametrize("writes", [True, False])
def test_a_damaged_journal_is_named_with_what_to_do_and_left_as_it_is(
    file: Path, damage: Callable[[Path], None], writes: bool
) -> None:
    damage(file)
    before = contents(file.parent)
    for _ in range(2):
        with pytest.raises(JournalError) as refused:
            Journal(file, writes=writes)
        assert str(refused.value).startswith(f"the journal {file} cannot be read: ")
        assert "restore it from a copy; or move it away" in str(refused.value)
    assert contents(file.parent).items() >= before.items()


@pytest.mark.parametrize(
    "values", ["state = 'flying'", "prompt = '{'", "submitted_utc = 'soon'", "uris = x'00ff'", "files = 7"]
)
def test_a_column_that_makes_no_sense_is_damage_too(file: Path, values: str) -> None:
    execute(file, f"UPDATE jobs SET {values} WHERE id = 7")
    with Journal(file, writes=False) as journal:
        with pytest.raises(JournalError, match=r"journal\.db cannot be read: "):
            journal.match(f"6 boats {'and a river ' * 50}".encode().hex())
        if "state" in values:
            with pytest.raises(JournalError, match=r"journal\.db cannot be read: 'flying' is not a valid State"):
                journal.counts()


@pytest.mark.parametrize(
    "values",
    [
        *("prompt = '7'", "place = '[]'", "uris = '{}'", "files = '[7]'", "attempts = 'x'", "cost_usd = 'much'"),
        *("operation = x'00'", "prompt = '" + "[" * 100_000 + "'"),
    ],
)
def test_the_row_that_makes_no_sense_is_named(file: Path, values: str) -> None:
    execute(file, f"UPDATE jobs SET {values} WHERE id = 7")
    with Journal(file, writes=False) as journal, pytest.raises(JournalError, match=r"cannot be read: job 7: "):
        list(journal.records())


@pytest.mark.parametrize("values", ["changes = '7'", "at_utc = 'soon'", "at_utc = '2026-11-01'", "state = 'flying'"])
def test_the_event_that_makes_no_sense_is_named(file: Path, values: str) -> None:
    execute(file, f"UPDATE events SET {values} WHERE job = 7")
    with Journal(file, writes=False) as journal:
        with pytest.raises(JournalError, match="cannot be read: an event of job 7: "):
            journal.history(7)
        with pytest.raises(JournalError, match="cannot be read: event 7: "):
            list(journal.events_since("vertex", datetime.min.replace(tzinfo=UTC)))


def test_a_disk_that_is_full_when_a_run_begins_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("aveo3.journal.sqlite.load_ballast", full)
        with pytest.raises(JournalError, match=r"the journal .*journal\.db cannot be"):
            Journal(file)
    Journal(file).close()


def test_the_ballast_is_written_through_no_link(file: Path) -> None:
    ballast = file.with_name(f"{file.name}-ballast")
    Path("theirs").write_text("kept")
    for link in (ballast.symlink_to, ballast.hardlink_to):
        link(Path("theirs").absolute())
        with Journal(file):
            assert ballast.stat().st_size > 100_000
        assert Path("theirs").read_text() == "kept"
        assert not ballast.exists()


# ---- moved or removed in mid-run -------------------------------------------------------------------------------------


def move_the_directory() -> None:
    FILE.parent.rename("elsewhere")


def move_the_file() -> None:
    FILE.rename("elsewhere.db")


def put_another_in_its_place() -> None:
    shutil.copy(FILE, "copy.db")
    Path("copy.db").replace(FILE)


def remove_the_log() -> None:
    log_of(FILE).unlink()


@pytest.mark.parametrize("change", [move_the_directory, move_the_file, put_another_in_its_place, remove_the_log])
def test_nothing_is_sent_once_the_open_file_is_not_the_one_at_the_path(
    change: Callable[[], None],
) -> None:
    with Journal(FILE) as journal:
        walk(journal, plan(journal).id, State.PLANNED, State.SUBMITTING)
        asyncio.run(journal.on_disk())
        change()
        for _ in range(2):
            with pytest.raises(JournalError, match="was moved or removed while the run worked with it"):
                asyncio.run(journal.on_disk())
            journal.note(1, State.SUBMITTING, error_message="still written")
        assert journal.broken is not None


def test_an_error_in_the_middle_of_a_claim_leaves_the_journal_usable(file: Path) -> None:
    digest = b"a boat".hex()
    with Journal(file) as journal:
        walk(journal, plan(journal, "other").id, State.PLANNED, State.SUBMITTING)
        plan(journal, "waits")
        bad = plan(journal, digest=digest).id
        journal.claims.release(bad)
        sqlite_of(journal).connection.execute("UPDATE jobs SET prompt = '{' WHERE id = ?", (bad,))
        with pytest.raises(JournalError, match="cannot be read"):
            journal.claims.claim(journal.claims.begin_stream(), "vertex", (digest,))
        sqlite_of(journal).connection.execute("UPDATE jobs SET prompt = '{}' WHERE id = ?", (bad,))
        found = journal.claims.claim(journal.claims.begin_stream(), "vertex", (digest,))
        assert found is not None
        assert found.id == bad


@pytest.mark.parametrize("writes", [True, False])
def test_a_directory_in_its_place_is_no_journal(writes: bool) -> None:
    FILE.mkdir(parents=True)
    with pytest.raises(JournalError, match=r"journal\.db( cannot be used: unable to open|: there is no journal)"):
        Journal(FILE, writes=writes)


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("statement", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 77"])
def test_a_database_of_somebody_else_is_not_touched(writes: bool, statement: str) -> None:
    path = Path("theirs.db")
    execute(path, "PRAGMA journal_mode = WAL", statement)
    before = path.read_bytes()
    with pytest.raises(JournalError) as refused:
        Journal(path, writes=writes)
    assert str(refused.value) == f"{path} is a database, but no journal of aveo3. Name another with VEO3_JOURNAL."
    assert path.read_bytes() == before


@pytest.mark.parametrize("writes", [True, False])
def test_a_journal_of_a_newer_version_is_left_to_it(file: Path, writes: bool) -> None:
    execute(file, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = contents(file.parent)
    with pytest.raises(JournalError) as refused:
        Journal(file, writes=writes)
    assert str(refused.value).startswith(f"{file} was written by a newer aveo3 (schema {len(MIGRATIONS) + 1}, this one")
    assert "pip install -U aveo3" in str(refused.value)
    assert contents(file.parent).items() >= before.items()


def test_a_journal_that_was_killed_at_birth_is_a_new_one() -> None:
    """SQLite makes the file before it writes anything into it."""
    FILE.parent.mkdir()
    FILE.write_bytes(b"")
    with pytest.raises(JournalError, match="must be opened by a run once"):
        Journal(FILE, writes=False)
    with Journal(FILE) as journal:
        assert states(journal) == []
        assert plan(journal).id == 1


def test_a_journal_that_lost_its_log_is_refused_until_somebody_says_that_nothing_was_lost() -> None:
    """SQLite cannot tell; what it then says is at least whole, as of some earlier moment."""
    with Journal(FILE) as journal:
        walk(journal, plan(journal, "one").id, State.PLANNED, State.SUBMITTING, State.RUNNING)
    with Journal(FILE) as journal:
        journal.move(1, State.RUNNING, State.FETCHING)
        killed = left_by_a_kill(journal)
    killed.with_name(WAL.name).unlink()
    with pytest.raises(JournalError, match=r"journal\.db-wal is missing: .*may be paid twice"):
        Journal(killed)
    closed_mark(killed).touch()
    with Journal(killed) as journal:
        assert states(journal) == [State.RUNNING]
        assert [event.state for event in journal.history(1)] == [State.PLANNED, State.SUBMITTING, State.RUNNING]


def test_a_journal_that_another_program_has_locked_is_not_called_damaged(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connect, "BUSY_PATIENCE", 0)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match=r"journal\.db (cannot be written: database )?is locked"):
            Journal(file)
        other.execute("COMMIT")
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        for writes in (True, False):
            with pytest.raises(JournalError) as refused:
                Journal(file, writes=writes)
            assert str(refused.value) == f"the journal {file} is locked. {WHO_LOCKS}"


def test_a_lock_of_ten_seconds_is_waited_for_and_one_in_mid_run_names_who_may_hold_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sqlite_connect.BUSY_PATIENCE > 10
    monkeypatch.setattr(sqlite_connect, "BUSY_PATIENCE", 0)
    with Journal(FILE) as journal, closing(sqlite3.connect(FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match=r"is locked.*a database browser, the sqlite3 shell"):
            walk(journal, plan(journal).id, State.PLANNED, State.SUBMITTING)
        other.execute("COMMIT")


def test_who_looks_leaves_the_directory_as_it_was(file: Path) -> None:
    before = {f.name: f.stat().st_mtime_ns for f in file.parent.iterdir()}
    for _ in range(2):
        with Journal(file, writes=False) as reader:
            assert reader.counts() == {State.PLANNED: 300}
            with pytest.raises(JournalError, match="readonly"):
                plan(reader)
        assert {f.name: f.stat().st_mtime_ns for f in file.parent.iterdir()} == before


def test_who_looks_neither_takes_what_a_kill_left_nor_makes_up_for_a_log_that_is_lost() -> None:
    with Journal(FILE) as journal:
        walk(journal, plan(journal).id, State.PLANNED, State.SUBMITTING, State.RUNNING)
        killed = left_by_a_kill(journal)
    log_file = killed.with_name(WAL.name)
    before = log_file.read_bytes()
    with Journal(killed, writes=False) as reader:
        assert states(reader) == [State.RUNNING]
    assert log_file.read_bytes() == before
    log_file.unlink()
    with Journal(killed, writes=False) as reader:
        assert states(reader) == []
    with pytest.raises(JournalError, match=r"journal\.db-wal is missing: .*may be paid twice"):
        Journal(killed)


@pytest.mark.parametrize("rest", [b"", b"\0" * 50_000, b"\x37\x7f"])
@pytest.mark.parametrize("noted", [True, False])
def test_a_log_that_was_emptied_after_a_kill_is_lost(rest: bytes, noted: bool) -> None:
    with Journal(FILE) as journal:
        if noted:
            walk(journal, plan(journal).id, State.PLANNED, State.SUBMITTING)
        killed = left_by_a_kill(journal)
    log_of(killed).write_bytes(rest)
    before = contents(killed.parent)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"journal\.db-wal is (empty|no log of SQLite): .*may be paid twice"):
            Journal(killed)
    assert contents(killed.parent) == before
    closed_mark(killed).touch()
    for _ in range(2):
        Journal(killed).close()
        assert not closed_mark(killed).exists()


def test_a_run_that_was_killed_before_it_noted_its_beginning_lost_nothing(file: Path) -> None:
    """Its log may be missing, empty, or hold the beginning: the file says that the run before has ended."""
    db = connect(file, writes=True)
    db.execute("INSERT INTO runs (pid, host, started_utc) VALUES (1, 'here', '2026-11-01T00:00:00+00:00')")
    for number, state in enumerate(("missing", "empty", "whole")):
        place = Path(f"killed{number}") / FILE
        shutil.copytree(file.parent, place.parent)
        if state == "missing":
            log_of(place).unlink()
        elif state == "empty":
            log_of(place).write_bytes(b"")
        Journal(place).close()
    db.close()


@pytest.mark.parametrize("log", [b"", None])
@pytest.mark.parametrize("writes", [True, False])
def test_a_journal_that_is_missing_while_its_log_is_there_is_not_made_anew(log: bytes | None, writes: bool) -> None:
    with Journal(FILE) as journal:
        walk(journal, plan(journal).id, State.PLANNED, State.SUBMITTING, State.RUNNING)
        killed = left_by_a_kill(journal)
    killed.unlink()
    if log is not None:
        log_of(killed).write_bytes(log)
    before = contents(killed.parent)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"journal\.db cannot be read: it is missing, .*restore it from a copy"):
            Journal(killed, writes=writes)
    assert contents(killed.parent) == before


def test_an_opening_that_fails_after_a_kill_leaves_nothing_to_be_refused_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On closing, SQLite takes the log into the file."""
    with Journal(FILE) as journal:
        walk(journal, plan(journal).id, State.PLANNED, State.SUBMITTING, State.RUNNING)
        killed = left_by_a_kill(journal)
    with monkeypatch.context() as patch:
        patch.setattr("aveo3.journal.sqlite.load_ballast", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Journal(killed)
    with Journal(killed) as journal:
        assert states(journal) == [State.RUNNING]


def test_a_log_that_holds_no_more_than_its_beginning_is_left_to_the_next_run() -> None:
    """A run may have been killed before it noted anything."""
    with Journal(FILE) as journal:
        killed = left_by_a_kill(journal)
    log_file = killed.with_name(WAL.name)
    assert log_file.stat().st_size > 0
    with Journal(killed, writes=False) as reader:
        assert states(reader) == []
    assert log_file.exists()
    Journal(killed).close()


# ---- permissions -----------------------------------------------------------------------------------------------------


def test_a_journal_that_cannot_be_written_to_can_be_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {**contents(file.parent)}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with Journal(file, writes=False) as journal:
        assert journal.counts() == {State.PLANNED: 300}
    assert contents(file.parent) == before  # nor was it tried


def test_what_a_kill_left_in_the_log_is_read_by_those_who_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(FILE) as journal:
        plan(journal)
        journal.move(1, State.PLANNED, State.SUBMITTING)
        killed = left_by_a_kill(journal)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with Journal(killed, writes=False) as journal:
        assert states(journal) == [State.SUBMITTING]


def test_a_directory_that_cannot_be_written_to_can_be_read_and_says_so_to_writers(file: Path) -> None:
    file.parent.chmod(0o555)
    try:
        if os.access(file.parent, os.W_OK):
            pytest.skip("root may write everywhere")
        with Journal(file, writes=False) as journal:
            assert journal.counts() == {State.PLANNED: 300}
            assert not journal.in_use()
        file.with_name(f"{file.name}.lock").chmod(0o444)
        with pytest.raises(JournalError, match="cannot be made: Permission denied"):
            Journal(file)
    finally:
        file.parent.chmod(0o755)


def test_a_place_where_no_directory_can_be_is_named_with_what_to_do() -> None:
    Path("taken").write_text("a file")
    path = Path("taken", ".aveo3", "journal.db")
    with pytest.raises(JournalError) as refused:
        Journal(path)
    assert str(refused.value).startswith(f"the journal {path} cannot be made: ")
    assert "VEO3_JOURNAL=none" in str(refused.value)
    with pytest.raises(JournalError, match="there is no journal"):
        Journal(path, writes=False)


def test_a_journal_that_could_not_be_opened_can_be_opened_when_that_is_mended(file: Path) -> None:
    """Neither the lock nor the file stays with a process that was refused."""
    execute(file, "PRAGMA user_version = 99")
    with pytest.raises(JournalError):
        Journal(file)
    execute(file, f"PRAGMA user_version = {len(MIGRATIONS)}")
    Journal(file).close()


# ---- versions --------------------------------------------------------------------------------------------------------

SECOND = ("ALTER TABLE jobs ADD COLUMN mood TEXT NOT NULL DEFAULT 'good'", "CREATE INDEX jobs_by_mood ON jobs (mood)")


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]


def test_a_new_file_says_what_it_is() -> None:
    connect(Path("new.db"), writes=True).close()
    with closing(sqlite3.connect("new.db")) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert version(Path("new.db")) == len(MIGRATIONS)


@pytest.mark.parametrize("old", range(1, len(MIGRATIONS)))
def test_a_journal_of_each_older_schema_is_brought_up_to_date(old: int) -> None:
    with closing(sqlite3.connect("old.db")) as db:
        for statement in [statement for step in MIGRATIONS[:old] for statement in step]:
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {old}")
        db.commit()
    connect(Path("old.db"), writes=True).close()
    connect(Path("new.db"), writes=True).close()
    for table in ("jobs", "requests", "callbacks"):
        assert columns(Path("old.db"), table) == columns(Path("new.db"), table)
    with closing(sqlite3.connect("old.db")) as db:
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'jobs_by_operation'").fetchone()


def test_sqlite_syncs_each_commit_only_where_nobody_else_does() -> None:
    with closing(connect(Path("new.db"), writes=True)) as db:
        assert [*db.execute("PRAGMA synchronous").fetchone()] == [1 if SYNCS_LATER else 2]


def test_on_macos_sqlite_syncs_past_the_cache_of_the_drive() -> None:
    with closing(connect(Path("new.db"), writes=True)) as db:
        assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("fullfsync", "checkpoint_fullfsync")] == [1, 1]


@pytest.mark.parametrize(
    "name", ["a?mode=memory", "a#b", "a%41", "a\\b", "a b", "C:\\clips", "\\\\server\\share\\clips", "ü \N{SAILBOAT}"]
)
def test_whatever_its_name_holds_the_journal_is_at_its_path(name: str) -> None:
    path = Path(name) / "journal.db"
    path.parent.mkdir()
    connect(path, writes=True).close()
    connect(path, writes=False).close()
    assert path.is_file()


@pytest.mark.parametrize("path", ["//server/share/clips/journal.db", "C:/clips/100 %/journal.db"])
def test_a_path_of_windows_reaches_sqlite_as_it_is(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = PureWindowsPath(path)
    monkeypatch.setattr(PureWindowsPath, "absolute", lambda self: self, raising=False)
    scheme, _, quoted = uri_of(windows).partition(":")  # type: ignore[arg-type]
    assert (scheme, unquote(quoted)) == ("file", str(windows))
    assert not set(quoted) & set("/?#")  # SQLite takes what follows two slashes for a server


def test_an_older_journal_can_be_read_and_the_next_run_brings_it_up_to_date(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*MIGRATIONS, SECOND))
    before = contents(file.parent)
    with closing(connect(file, writes=False)) as copy:
        assert copy.execute("SELECT count(*), min(mood) FROM jobs").fetchone()[:] == (300, "good")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            copy.execute("DELETE FROM jobs")
    assert contents(file.parent).items() >= before.items()
    assert version(file) == len(MIGRATIONS)
    for _ in range(2):
        with closing(connect(file, writes=True)) as db:
            assert db.execute("SELECT count(*), min(mood) FROM jobs").fetchone()[:] == (300, "good")
    assert version(file) == len(MIGRATIONS) + 1
    assert columns(file, "jobs")[-1] == "mood"


def test_a_step_that_fails_halfway_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    monkeypatch.setattr(
        sqlite_schema, "MIGRATIONS", (*MIGRATIONS, (*SECOND, "DROP TABLE jobs", "SELECT no FROM where"))
    )
    for _ in range(2):
        with pytest.raises(JournalError, match=r"journal\.db cannot be read: "):
            Journal(file)
        assert version(file) == len(MIGRATIONS)
        assert "mood" not in columns(file, "jobs")
    assert file.read_bytes() == before
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", MIGRATIONS)
    with Journal(file, writes=False) as journal:
        assert journal.counts() == {State.PLANNED: 300}


def test_of_two_steps_the_one_that_succeeded_stays(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*MIGRATIONS, SECOND, ("SELECT no FROM where",)))
    with pytest.raises(JournalError):
        connect(file, writes=True)
    assert version(file) == len(MIGRATIONS) + 1


# ---- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["INSERT INTO one VALUES (1, 1)", "UPDATE one SET id = 5 WHERE id = 4"])
def test_a_step_comes_to_stand_there_whole_or_not_at_all(wrong: str) -> None:
    add = "INSERT INTO one VALUES (?, ?)"
    with closing(sqlite3.connect("steps.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, what TEXT)")
        writer = SqliteWriter(db, Path("steps.db"), Path("steps.db-wal"))
        writer.write(((add, (1, "waits")),))
        for commit, keep in product((False, True), repeat=2):
            with pytest.raises(JournalError, match=r"^steps\.db"):
                writer.write(((add, (2, "half")), (wrong, ())), commit=commit, keep=keep)
        assert writer.broken is None
        writer.write(((add, (3, "last")),), commit=True)
        assert [*db.execute("SELECT * FROM one")] == [(1, "waits"), (3, "last")]
        assert not writer.waiting


# ---- secrets ---------------------------------------------------------------------------------------------------------


def test_nothing_in_the_schema_is_made_for_a_secret(file: Path) -> None:
    names = {name for table in ("jobs", "events", "runs") for name in columns(file, table)}
    assert len(names) > 25
    for word in ("key", "token", "secret", "password", "credential", "auth", "header"):
        assert not [name for name in names if word in name]


def test_what_the_caller_knows_for_a_secret_is_in_no_byte_of_the_files() -> None:
    """An error's message may quote the request that it answers."""
    key = "AIza" + "b" * 35
    with Journal(FILE, without_secrets=lambda text: text.replace(key, "***")) as journal:
        walk(journal, plan(journal).id, State.PLANNED, State.SUBMITTING)
        journal.move(1, State.SUBMITTING, State.REJECTED, error_message=f"API key {key} not valid")
        killed = left_by_a_kill(journal)
    for directory in (FILE.parent, killed.parent):
        assert not [name for name, data in contents(directory).items() if key.encode() in data]
    with Journal(FILE, writes=False) as journal:
        assert [each.error_message for each in journal.records()] == ["API key *** not valid"]
        assert journal.history(1)[-1].changes == {"error_message": "API key *** not valid"}


def test_a_journal_from_before_the_accounts_of_tokens_opens_and_keeps_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    added = MIGRATIONS.index(("ALTER TABLE jobs ADD COLUMN usage TEXT",))
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", MIGRATIONS[:added])
    with closing(connect(Path("old.db"), writes=True)) as db:
        columns = "service, digest, ordinal, position, model, prompt, queued_utc, state"
        db.execute(
            f"INSERT INTO jobs ({columns}) VALUES ('gemini', 'a1', 1, 0, 'omni', '{{}}', '2026-11-20', 'planned')"
        )
        db.commit()
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", MIGRATIONS)
    with Journal(Path("old.db")) as journal:
        [record] = journal.records()
        assert record.usage == {}
        journal.move(record.id, State.PLANNED, State.CANCELLED, usage={"total_tokens": 7})
        [record] = journal.records()
        assert record.usage == {"total_tokens": 7}
