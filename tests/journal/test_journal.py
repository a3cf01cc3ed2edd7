"""The journal after a kill on any line, with two processes at once, and on a full disk."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aveo3.errors import JournalError
from aveo3.journal.journal import Journal
from aveo3.journal.rows import CHANGING, JobRecord, plain, replay, storable
from aveo3.lifecycle import NEXT, REOPEN, IllegalMove, State
from tests.support.journals import (
    FILE,
    FULL,
    PLAIN_PATH,
    CtrlC,
    behind_its_back,
    entry,
    flaky,
    left_by_a_kill,
    plan,
    sqlite_of,
    states,
    walk,
)
from tests.support.virtual import START_UTC

ENDED = {State.SUCCEEDED, State.FILTERED, State.REJECTED, State.UNCERTAIN}
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A directory on no disk, for tests that would mostly wait for one; None if there is none here."""


def as_noted(values: dict[str, Any]) -> dict[str, Any]:
    """Changes in the form that an event has them in."""
    noted: dict[str, Any] = json.loads(json.dumps({n: storable(v) for n, v in values.items()}, default=plain))
    return noted


def changing(row: JobRecord) -> dict[str, Any]:
    """What events have made of a job, in the form that events have it in."""
    return as_noted({name: getattr(row, name) for name in CHANGING}) | {"state": row.state}


def blank() -> dict[str, Any]:
    """A job to which nothing has happened yet, as `changing` shows it."""
    job: dict[str, Any] = {"id": 1, "service": "", "digest": "", "ordinal": 1, "position": 0, "model": "", "prompt": {}}
    return changing(JobRecord(**job, queued_utc=START_UTC, state=State.PLANNED))


# ---- any order of events, and a kill between any two -----------------------------------------------------------------


@dataclass
class Known:
    """A job as a plain person would keep it in mind."""

    digest: str
    ordinal: int
    events: list[tuple[State, dict[str, Any]]] = field(default_factory=lambda: [(State.PLANNED, {"model": "veo"})])

    @property
    def state(self) -> State:
        return self.events[-1][0]


texts = st.none() | st.text(st.characters(), max_size=8)
instants = st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]))
files = st.fixed_dictionaries({"path": st.text(st.characters(), max_size=5), "size": st.integers(0, 9)})
changes = st.fixed_dictionaries(
    {},
    optional={
        "attempts": st.integers(0, 9),
        "operation": texts,
        "error_message": texts,
        "cost_usd": st.none() | st.floats(0, 99),
        "uris": st.lists(st.text(st.characters(), max_size=5), max_size=2).map(tuple),
        "files": st.lists(files, max_size=2).map(tuple),
        "place": st.dictionaries(st.sampled_from(["project", "location"]), texts, max_size=2),
        "submitted_utc": instants,
    },
)
digests = st.sampled_from(["a1", "b2"])
lines = [("BEGIN", True), ("UPDATE", False), ("UPDATE", True), ("INSERT", True), ("COMMIT", False), ("COMMIT", True)]


class Lives(RuleBasedStateMachine):
    """Plans, claims, moves and releases jobs; closes and kills the journal; fills and frees the disk.

    `live` is what the journal must say now, `durable` what it must say after a kill.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY)
        self.live: dict[int, Known] = {}
        self.held: set[int] = set()

    @initialize()
    def begin(self) -> None:
        self.open(Path(self.directory.name) / FILE)

    def open(self, path: Path) -> None:
        self.journal = Journal(path)
        self.disk = flaky(self.journal)
        self.held.clear()
        for job, known in self.live.items():
            if known.state is State.SUBMITTING:
                [*_, last] = self.journal.history(job)
                assert "ended between the request and its answer" in last.changes["error_message"]
                known.events.append((State.UNCERTAIN, dict(last.changes)))
        self.durable = deepcopy(self.live)
        self.begin_batch()

    def teardown(self) -> None:
        self.journal.close()
        self.directory.cleanup()

    def draw_job(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.live)))

    def move(self, job: int, new: State, values: dict[str, Any]) -> None:
        """Move, and keep in mind what came of it."""
        old = self.live[job].state
        intent, soft = new is State.SUBMITTING is not old, old is State.PLANNED and new is not State.SUBMITTING
        interrupt, before = self.disk.interrupt, self.disk.commits
        taken = True
        try:
            self.journal.move(job, old, new, **values)
        except JournalError:
            assert self.disk.full
            assert intent
            taken = committed = False
        except CtrlC:
            committed = interrupt == ("COMMIT", True)
            taken = committed or not intent
        else:
            committed = self.disk.commits > before and not self.disk.full
            assert committed or soft or self.disk.full
        if taken:
            self.live[job].events.append((new, as_noted(values)))
        if committed:
            self.durable = deepcopy(self.live)
            assert not self.journal.broken
        elif self.disk.full and not soft:
            assert self.journal.broken

    # ---- rules ----

    @rule()
    def begin_batch(self) -> None:
        self.stream = self.journal.claims.begin_stream()
        self.met: dict[str, int] = {}  # the highest ordinal of equal prompts that this batch has had

    @rule(digest=digests)
    def plan(self, digest: str) -> None:
        new = plan(self.journal, "\ud83d half \x00 zero", stream=self.stream, digest=digest)
        assert new.id not in self.live
        assert new.ordinal == 1 + sum(known.digest == digest for known in self.live.values())
        self.live[new.id] = Known(digest, new.ordinal)
        self.met[digest] = new.ordinal
        self.held.add(new.id)

    @rule(digest=digests)
    def claim(self, digest: str) -> None:
        free = [
            (known.ordinal, job)
            for job, known in self.live.items()
            if known.digest == digest and known.ordinal > self.met.get(digest, 0) and job not in self.held
        ]
        found = self.journal.claims.claim(self.stream, "vertex", (digest,))
        assert self.journal.claims.claim(self.stream, "another service", (digest,)) is None
        assert (found and found.id) == (min(free)[1] if free else None)
        if found is not None:
            self.hold(found)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        job = self.draw_job(data)
        found = self.journal.claims.take(self.stream, job)
        assert (found is None) == (job in self.held)
        if found is not None:
            self.hold(found)

    def hold(self, found: JobRecord) -> None:
        self.check(found)
        self.met[found.digest] = max(found.ordinal, self.met.get(found.digest, 0))
        self.held.add(found.id)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.held)))
        self.journal.claims.release(job)
        self.held.discard(job)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), values=changes)
    def go_on(self, data: st.DataObject, values: dict[str, Any]) -> None:
        job = self.draw_job(data)
        old = self.live[job].state
        self.move(job, data.draw(st.sampled_from(sorted(NEXT[old] | REOPEN.get(old, frozenset())))), values)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), values=changes)
    def note(self, data: st.DataObject, values: dict[str, Any]) -> None:
        job = self.draw_job(data)
        self.move(job, self.live[job].state, values)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def go_where_no_table_lets_it(self, data: st.DataObject) -> None:
        job = self.draw_job(data)
        old = self.live[job].state
        illegal = set(State) - NEXT[old] - REOPEN.get(old, frozenset()) - {old}
        with pytest.raises(IllegalMove):
            self.journal.move(job, old, data.draw(st.sampled_from(sorted(illegal))))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), old=st.sampled_from(State))
    def lose_a_race(self, data: st.DataObject, old: State) -> None:
        job = self.draw_job(data)
        if self.live[job].state is not old:
            with pytest.raises(JournalError, match="a job is not where this process left it"):
                self.journal.note(job, old, attempts=99)

    @rule(full=st.booleans(), kept_open=st.booleans())
    def fill_or_clear_the_disk(self, full: bool, kept_open: bool) -> None:
        self.disk.full, self.disk.kept_open = full, kept_open

    @precondition(lambda self: self.live and not self.disk.full)
    @rule(data=st.data(), values=changes, line=st.sampled_from(lines))
    def press_ctrl_c(self, data: st.DataObject, values: dict[str, Any], line: tuple[str, bool]) -> None:
        job = self.draw_job(data)
        old = self.live[job].state
        following = {new for new in NEXT[old] if State.SUBMITTING in (old, new)} or {old} - {State.PLANNED}
        if following:  # a move that somebody waits for
            self.disk.interrupt = line
            self.move(job, data.draw(st.sampled_from(sorted(following))), values)
            self.disk.interrupt = None

    @rule()
    def close_and_open(self) -> None:
        if self.disk.full:
            self.live = deepcopy(self.durable)
        self.journal.close()
        self.open(self.journal.path)

    @rule()
    def kill(self) -> None:
        killed, path = self.journal, left_by_a_kill(self.journal, self.directory.name)
        self.live = deepcopy(self.durable)
        self.open(path)
        killed.close()

    # ---- what always holds ----

    def check(self, row: JobRecord) -> None:
        known = self.live[row.id]
        assert (row.digest, row.ordinal) == (known.digest, known.ordinal)
        events = self.journal.history(row.id)
        assert [(event.state, event.changes) for event in events] == known.events
        assert changing(row) == blank() | replay(events)

    @invariant()
    def every_row_is_what_its_events_make_of_it(self) -> None:
        rows = list(self.journal.records())
        assert [row.id for row in rows] == sorted(self.live)
        for row in rows:
            self.check(row)
        assert len({(row.digest, row.ordinal) for row in rows}) == len(rows)

    @invariant()
    def what_a_kill_would_leave_is_what_was_promised(self) -> None:
        with Journal(self.journal.path, writes=False) as other:
            said = {row.id: [(e.state, e.changes) for e in other.history(row.id)] for row in other.records()}
        assert said == {job: known.events for job, known in self.durable.items()}


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


# ---- moves that cannot be --------------------------------------------------------------------------------------------


def test_an_illegal_move_writes_nothing(journal: Journal) -> None:
    walk(journal, plan(journal).id, *PLAIN_PATH)
    before = journal.history(1)
    with pytest.raises(IllegalMove, match=r"^job 1 cannot go from succeeded to planned$"):
        journal.move(1, State.SUCCEEDED, State.PLANNED)
    with pytest.raises(TypeError, match=r"^a job has no api_key, id$"):
        journal.note(1, State.SUCCEEDED, api_key="sk", id=7)
    assert (states(journal), journal.history(1)) == ([State.SUCCEEDED], before)


def test_who_loses_a_race_hears_of_it_and_writes_nothing(journal: Journal) -> None:
    walk(journal, plan(journal, "one").id, *PLAIN_PATH[:3])
    plan(journal, "two")
    walk(journal, plan(journal, "three").id, *PLAIN_PATH[:3])
    behind_its_back(journal, "UPDATE jobs SET state = 'fetching' WHERE id = 1")
    before = journal.history(1)
    plan(journal, "four")  # waits in an open transaction
    for _ in range(2):
        refused = pytest.raises(JournalError, match=r"journal\.db: a job is not where this process left it")
        with nullcontext() if journal.shared else refused:  # where others write, too, that is no error
            journal.move(1, State.RUNNING, State.PLANNED)
    assert journal.broken is None
    assert journal.history(1) == before
    journal.move(2, State.PLANNED, State.SUBMITTING)
    with Journal(journal.place, writes=False) as other:
        assert states(other) == [State.FETCHING, State.SUBMITTING, State.RUNNING, State.PLANNED]
        assert other.history(1) == before


def test_what_another_wrote_while_the_disk_was_full_holds_nothing_up(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("one", "two"):
        walk(journal, plan(journal, text).id, *PLAIN_PATH[:3])
    disk = flaky(journal)
    disk.full = True
    for job in (1, 2):
        journal.move(job, State.RUNNING, State.FETCHING)
    with closing(sqlite3.connect(FILE)) as another, another:
        another.execute("UPDATE jobs SET state = 'failed' WHERE id = 1")
    disk.full = False
    journal.move(2, State.FETCHING, State.SUCCEEDED)
    assert states(journal) == [State.FAILED, State.SUCCEEDED]
    assert [event.state for event in journal.history(1)] == [*PLAIN_PATH[:3]]
    assert "a job is not where this process left it" in caplog.text


def test_what_is_not_for_a_column_is_refused_and_holds_nothing_up(journal: Journal) -> None:
    walk(journal, plan(journal).id, *PLAIN_PATH[:3])
    wrong: list[dict[str, Any]] = [{"attempts": None}, {"cost_usd": {1}}, {"attempts": 2**70}, {"output_uri": FILE}]
    for values in wrong:
        with pytest.raises((JournalError, TypeError, OverflowError)):
            journal.move(1, State.RUNNING, State.FETCHING, **values)
    assert journal.broken is None
    walk(journal, 1, *PLAIN_PATH[2:])
    assert len(journal.history(1)) == len(PLAIN_PATH)


# ---- a full disk -----------------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_what_is_about_to_be_sent_and_keeps_what_came_of_the_rest(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("sent", "waiting"):
        plan(journal, text)
    journal.move(1, State.PLANNED, State.SUBMITTING)
    [pages] = sqlite_of(journal).connection.execute("PRAGMA page_count").fetchone()
    sqlite_of(journal).connection.execute(f"PRAGMA max_page_count = {pages}")
    journal.move(1, State.SUBMITTING, State.RUNNING, operation="o" * 20_000)
    assert journal.broken == f"the journal {FILE} cannot be written: {FULL}"
    with pytest.raises(JournalError, match=rf"^the journal .*journal\.db cannot be written: {FULL}\. Free the disk"):
        journal.move(2, State.PLANNED, State.SUBMITTING, output_uri="u" * 20_000)
    with pytest.raises(JournalError, match=FULL):
        plan(journal, "p" * 20_000)
    journal.move(1, State.RUNNING, State.FETCHING, uris=("gs://b/1",))
    journal.move(2, State.PLANNED, State.DEFERRED)
    assert caplog.text.count("what happens now is kept in memory") == 1
    with Journal(FILE, writes=False) as other:
        assert states(other) == [State.SUBMITTING, State.PLANNED]

    sqlite_of(journal).connection.execute("PRAGMA max_page_count = 1000000")
    journal.move(1, State.FETCHING, State.SUCCEEDED)
    assert journal.broken is None
    with Journal(FILE, writes=False) as other:
        assert states(other) == [State.SUCCEEDED, State.DEFERRED]
        assert [event.state for event in other.history(1)] == [*PLAIN_PATH]
        assert [event.state for event in other.history(2)] == [State.PLANNED, State.DEFERRED]
        assert entry(other).uris == ("gs://b/1",)


def test_with_a_full_disk_the_journal_still_says_what_is_so(journal: Journal) -> None:
    """What the disk refused was rolled back; nobody may be handed a job as it stood before that."""
    sent, planned = plan(journal, digest="a1"), plan(journal, digest="b2")
    journal.move(sent.id, State.PLANNED, State.SUBMITTING)
    later = plan(journal, digest="c3")
    flaky(journal).full = True
    journal.move(sent.id, State.SUBMITTING, State.RUNNING, operation="operations/1")
    with pytest.raises(JournalError):
        journal.move(planned.id, State.PLANNED, State.SUBMITTING)
    assert states(journal) == [State.RUNNING, State.PLANNED, State.PLANNED]
    for known in (sent, planned, later):
        journal.claims.release(known.id)
        claimed = journal.claims.claim(journal.claims.begin_stream(), "vertex", (known.digest,))
        assert claimed is not None
        assert claimed.id == known.id
    assert plan(journal, digest="c3").ordinal == 2


def test_what_is_noted_of_a_request_that_has_left_is_kept_like_its_answer(journal: Journal) -> None:
    walk(journal, plan(journal).id, *PLAIN_PATH[:2])
    disk = flaky(journal)
    disk.full = True
    journal.note(1, State.SUBMITTING, error_message="stopped")
    assert journal.broken
    disk.full = False
    walk(journal, 1, *PLAIN_PATH[1:])
    assert [event.state for event in journal.history(1)] == [*PLAIN_PATH[:2], *PLAIN_PATH[1:]]


def test_a_journal_that_closes_on_a_full_disk_tells_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(FILE)
    for text in ("sent", "waiting"):
        plan(journal, text)
    journal.move(1, State.PLANNED, State.SUBMITTING)
    flaky(journal).full = True
    journal.move(1, State.SUBMITTING, State.RUNNING, operation="operations/77")
    journal.move(2, State.PLANNED, State.CANCELLED)
    caplog.clear()
    journal.close()
    why, lost = [record.getMessage() for record in caplog.records]
    assert why == f"the journal {FILE} cannot be written: {FULL}. Free the disk or mend the file, then run it again."
    assert re.fullmatch(r'not in the journal: job 1, running at 2\S+: \{"operation": "operations/77"\}', lost)
    with Journal(FILE) as after:
        assert states(after) == [State.UNCERTAIN, State.PLANNED]


def test_a_journal_is_closed_once_however_often_it_is_asked_to(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.close()
    journal.close()
    assert not caplog.records
    with Journal(journal.place, writes=False) as another:
        assert not another.in_use()


def test_ctrl_c_while_the_disk_syncs_neither_loses_nor_doubles_anything(journal: Journal) -> None:
    """The commit is where a second Ctrl-C most likely strikes: it is what takes long."""
    disk = flaky(journal)
    plan(journal)
    for after, old, new in ((True, *PLAIN_PATH[:2]), (False, *PLAIN_PATH[1:3])):
        disk.interrupt = ("COMMIT", after)
        with pytest.raises(CtrlC):
            journal.move(1, old, new)
    journal.close()
    with Journal(FILE, writes=False) as other:
        assert [event.state for event in other.history(1)] == [*PLAIN_PATH[:3]]


LIMITED = """
import resource, sys
from pathlib import Path
from aveo3.errors import JournalError
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State

path = Path(sys.argv[1])
journal = Journal(path)
for n in range(2):
    journal.claims.plan(1, "vertex", f"a{n}", position=n, model="veo", prompt={})
log_file = path.with_name(path.name + "-wal")
size = log_file.stat().st_size
journal.move(1, State.PLANNED, State.SUBMITTING)
while log_file.stat().st_size == size:  # the log begins anew, and has room up to its old end
    journal.note(1, State.SUBMITTING, error_message="waits")
size = log_file.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
journal.move(1, State.SUBMITTING, State.RUNNING, operation="operations/1")
assert journal.broken, "the disk took it"
try:
    journal.move(2, State.PLANNED, State.SUBMITTING)
except JournalError:
    pass
else:
    raise SystemExit("the disk took an intent")
if sys.argv[2] == "freed":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.note(1, State.RUNNING, error_message="looked")
    assert journal.broken is None
journal.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
@pytest.mark.parametrize(
    ("then", "kept"), [("freed", [State.RUNNING, State.PLANNED]), ("still full", [State.UNCERTAIN, State.PLANNED])]
)
def test_a_file_that_may_not_grow_is_a_full_disk(then: str, kept: list[State]) -> None:
    run = subprocess.run([sys.executable, "-c", LIMITED, FILE, then], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert ("operations/1" in run.stderr) == (then == "still full")
    with Journal(FILE) as journal:
        assert states(journal) == kept
        assert len(journal.history(2)) == 1


# ---- two processes ---------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State

with Journal(Path(sys.argv[1])) as journal:
    for n, path in enumerate([["submitting"], ["submitting", "running"], ["submitting", "uncertain"]], start=1):
        journal.claims.plan(1, "vertex", f"a{n}", position=n, model="veo", prompt={})
        for old, new in zip(["planned", *path], path):
            journal.move(n, State(old), State(new), error_message=f"then {new}")
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder() -> Iterator[subprocess.Popen[str]]:
    """Another process that works with the journal, until its input ends or it is killed."""
    command = [sys.executable, "-c", HOLDER, str(FILE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_told_who_has_the_journal_and_readers_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.journal.sqlite.LOCK_PATIENCE", 0.0)
    with holder() as process:
        with pytest.raises(JournalError) as refused:
            Journal(FILE)
        with Journal(FILE, writes=False) as reader:
            assert reader.in_use()
            assert states(reader) == [State.SUBMITTING, State.RUNNING, State.UNCERTAIN]
            run = reader.last_run()
            assert run is not None
            assert (run.pid, run.ended_utc) == (process.pid, None)
            who = f"process {process.pid} on {run.host} since {run.started_utc:%Y-%m-%d %H:%M:%S} UTC"
            assert str(refused.value).startswith(f"{FILE} is in use by {who}. Wait for its end")
            with pytest.raises(JournalError, match="readonly"):
                plan(reader)
            process.communicate("")
            assert not reader.in_use()
            run = reader.last_run()
            assert run is not None
            assert run.ended_utc is not None


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_killed_process_frees_the_journal_and_what_it_was_sending_is_uncertain() -> None:
    with holder() as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Journal(FILE, writes=False) as reader:
        assert not reader.in_use()
        assert states(reader) == [State.SUBMITTING, State.RUNNING, State.UNCERTAIN]
    with Journal(FILE) as journal:
        assert journal.in_use()
        assert states(journal) == [State.UNCERTAIN, State.RUNNING, State.UNCERTAIN]
        assert entry(journal, 3).error_message == "then uncertain"
        lost = entry(journal)
        assert lost.error_kind == "answer_lost"
        assert lost.error_message == (
            "the program ended between the request and its answer: a video may be under way and billed"
        )
        assert changing(lost) == blank() | replay(journal.history(1))


def test_who_has_the_journal_but_has_not_said_so_is_not_taken_for_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aveo3.journal.sqlite.LOCK_PATIENCE", 0.0)
    Journal(FILE).close()
    with Journal(FILE, writes=False) as reader:
        sqlite_of(reader)._lock.acquire()
        with pytest.raises(JournalError, match=r"journal\.db is in use\. Wait for its end"):
            Journal(FILE)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_a_link_to_a_journal_is_the_same_journal(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite_of(journal)
    monkeypatch.setattr("aveo3.journal.sqlite.LOCK_PATIENCE", 0.0)
    Path("link.db").symlink_to(FILE)
    with pytest.raises(JournalError, match=r"^link\.db is in use by process"):
        Journal(Path("link.db"))


def test_a_reader_that_never_ends_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.journal.sqlite_connect.BUSY_PATIENCE", 0.05)  # it is what closing takes here
    journal = Journal(FILE)
    plan(journal)
    journal.move(1, State.PLANNED, State.SUBMITTING)
    with closing(sqlite3.connect(FILE, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT state FROM jobs").fetchall() == [("submitting",)]
        for _ in range(60):
            journal.note(1, State.SUBMITTING, error_message="m" * 100_000)  # more than SQLite keeps beside the file
        journal.close()
        with Journal(FILE) as after:
            assert states(after) == [State.UNCERTAIN]
            assert len(after.history(1)) == 63
        assert reader.execute("SELECT state FROM jobs").fetchall() == [("submitting",)]


FORKS = """
import os, sys
from pathlib import Path
from aveo3.errors import JournalError
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State

with Journal(Path(sys.argv[1])) as journal:
    journal.claims.plan(1, "vertex", "a1", position=0, model="veo", prompt={})
    child = os.fork()
    if child == 0:
        try:
            journal.move(1, State.PLANNED, State.SUBMITTING)
        except JournalError as error:
            sys.exit(str(error))  # which leaves the block, and closes the journal
    assert os.waitpid(child, 0)[1]
    assert journal.last_run().ended_utc is None
    journal.move(1, State.PLANNED, State.DEFERRED)
    journal.move(1, State.DEFERRED, State.PLANNED)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_neither_writes_into_the_journal_nor_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.journal.sqlite.LOCK_PATIENCE", 0.0)
    monkeypatch.setattr(f"{__name__}.HOLDER", FORKS)
    with holder() as process:
        with pytest.raises(JournalError, match=f"in use by process {process.pid} "):
            Journal(FILE)
        process.communicate("")
    with Journal(FILE, writes=False) as journal:
        assert [event.state for event in journal.history(1)] == [State.PLANNED, State.DEFERRED, State.PLANNED]


# ---- what it costs ---------------------------------------------------------------------------------------------------


@contextmanager
def counted_commits(journal: Journal) -> Iterator[Callable[[], int]]:
    seen: list[str] = []
    sqlite_of(journal).connection.set_trace_callback(seen.append)
    yield lambda: seen.count("COMMIT")
    sqlite_of(journal).connection.set_trace_callback(None)


def test_a_clip_costs_four_commits(journal: Journal) -> None:
    with counted_commits(journal) as commits:
        for n in range(5):
            job = plan(journal, str(n)).id
            for number, (old, new) in enumerate(pairwise(PLAIN_PATH), start=1):
                journal.move(job, old, new)
                assert commits() == 4 * n + number


def test_what_nobody_waits_for_is_committed_together(journal: Journal) -> None:
    with counted_commits(journal) as commits:
        for n in range(10_000):
            plan(journal, stream=1, digest=f"{n:x}")
        assert 5 <= commits() <= 20
    journal.close()
    with Journal(FILE, writes=False) as other:
        assert other.counts() == {State.PLANNED: 10_000}


def test_on_a_full_disk_what_nobody_waits_for_is_not_tried_each_time(journal: Journal) -> None:
    """All that is planned is put off at once when the disk is full, and each try writes all of it."""
    jobs = [plan(journal, stream=1, digest=f"{n:x}").id for n in range(2_000)]
    disk = flaky(journal)
    disk.full = True
    with pytest.raises(JournalError):
        journal.move(jobs[0], State.PLANNED, State.SUBMITTING)
    for job in jobs:
        journal.move(job, State.PLANNED, State.DEFERRED)
    assert disk.commits <= 4
    disk.full = False
    journal.close()
    with Journal(FILE, writes=False) as other:
        assert other.counts() == {State.DEFERRED: 2_000}


# ---- what stands in it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Straße 東京 🎬", "half \ud83d a pair", "a zero \x00 in it", "quo\"te's; DROP TABLE jobs", "", "x" * 100_000],
    ids=["unicode", "surrogate", "zero", "quotes", "nothing", "long"],
)
def test_any_text_comes_back(text: str) -> None:
    with Journal(FILE) as journal:
        assert plan(journal, text, digest="a1").prompt == {"text": text}
        journal.move(1, State.PLANNED, State.SUBMITTING)
        journal.move(1, State.SUBMITTING, State.RUNNING, error_message=text, uris=(text,), files=({"path": text},))
    with Journal(FILE) as journal:
        row = entry(journal)
        assert (row.prompt, row.uris, row.files) == ({"text": text}, (text,), ({"path": text},))
        assert row.error_message == text.replace("\ud83d", "\\ud83d")
        assert changing(row) == blank() | replay(journal.history(1))


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 11, 1, 1, 30, tzinfo=timezone(timedelta(hours=-7))),
        datetime(2026, 11, 23, 12, 0, 0, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
    ids=str,
)
def test_an_instant_is_kept_with_its_time_zone_and_comes_back_equal(instant: datetime) -> None:
    with Journal(FILE, now_utc=lambda: instant) as journal:
        assert plan(journal).queued_utc == instant
        journal.note(1, State.PLANNED, submitted_utc=instant, finished_utc=instant, fetched_utc=instant)
    with Journal(FILE, writes=False) as journal:
        row, run = entry(journal), journal.last_run()
        assert run is not None
        [*_, event] = journal.history(1)
    kept = [row.queued_utc, row.submitted_utc, row.finished_utc, row.fetched_utc, run.started_utc, run.ended_utc]
    assert [*kept, event.at_utc] == [instant] * 7
    assert all(each is not None and each.utcoffset() == instant.utcoffset() for each in kept)
