"""A run that is killed before any write, request or answer is continued by the next: paid once, nothing lost.

Each test lets the real client, with the real SDK, SQLite and files, be killed at its first point, at its second, and so
on until a run comes through (`victim` says what a point is). After each death the same prompts are run again, and then
once more. The judges are the emulator's books, the disk, and the journal as the kill left it. This walk takes minutes:
unless the whole of it is asked for (`-m whole`), one run dies at each kind of point, and some at others.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import aveo3
from aveo3.journal.journal import Journal
from aveo3.journal.rows import CHANGING, JobRecord, replay, to_column
from aveo3.lifecycle import State
from aveo3.mock import MockOptions, MockServer
from aveo3.mock.state.films import bundled
from aveo3.mock.state.operations import Operation
from tests.support.victim import Kinds

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a run that dies is a fork"),
    pytest.mark.real_time,
]

BOAT = "a paper boat"
TWO_KITES = {"text": "two kites", "number_of_videos": 2}
INTRO = {"text": "an intro", "id": "intro"}
STORM = {"text": "a storm", "image": {"clip": "intro", "frame": "last"}}
BUCKET = {"output_gcs_uri": "gs://bucket/out"}


@dataclass(frozen=True)
class Case:
    """What is run, against which emulator, with which settings."""

    prompts: tuple[str | dict[str, Any], ...]
    faults: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    speed: float = 1.0
    fresh: bool = False

    @property
    def wanted(self) -> Counter[str]:
        """The texts of the prompts, each as often as it is given."""
        return Counter(str(p["text"]) if isinstance(p, dict) else p for p in self.prompts)

    @property
    def chained(self) -> bool:
        """One prompt begins from the clip of another."""
        return STORM in self.prompts

    @property
    def in_bucket(self) -> bool:
        return self.settings == BUCKET


CASES = {
    "one inline": Case((BOAT,), faults=("poll-pending@1",)),
    "one in a bucket": Case((BOAT,), faults=("storage-503@1",), settings=BUCKET),
    "one turned away, then failed": Case((BOAT,), faults=("503@1", "error-13@1")),
    "two videos that come slowly": Case((TWO_KITES,), faults=("download-slow",), settings=BUCKET, speed=2000),
    "three at once inline": Case((BOAT, BOAT, TWO_KITES)),
    "three at once in a bucket": Case((BOAT, BOAT, TWO_KITES), settings=BUCKET),
    "a fresh batch of three": Case((BOAT, BOAT, TWO_KITES), fresh=True),
    "one that begins from another": Case((STORM, INTRO)),
}


# ---- runs that die ---------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """A run: how it ended, and the points that it reached. If it lived, also its clips and files, and the clips of a
    second run of the same prompts, whose points come after "once more"."""

    exit: int
    points: list[str]
    clips: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    again: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lived(self) -> bool:
        return self.exit == 0


class Victims:
    """Runs a case, in a process of its own, that dies at a point if told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def run(self, case: Case, server: MockServer, home: Path, *, die_at: int | str | None = None) -> Life:
        """One run of `case` with its videos in `home`. One that goes on makes no new clips once its batch has ended."""
        settings = {
            "base_url": server.url,
            "storage_url": server.url,
            "backend": "vertex",
            "api_key": "key",
            "output_dir": str(home),
            "rate_limit": 100,
            "poll_interval": 0.01,
            "retry_wait_base": 0.01,
            **case.settings,
        }
        fresh = case.fresh and not read_dead(home, "SELECT 1 FROM batches WHERE ended_utc IS NOT NULL")
        order = json.dumps({"prompts": case.prompts, "die_at": die_at, "fresh": fresh, **settings})
        life = Life(**json.loads(await asyncio.to_thread(self._ask, order)))
        assert life.lived or life.exit == -signal.SIGKILL, life
        return life

    def _ask(self, order: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        print(order, file=self._process.stdin, flush=True)
        return self._process.stdout.readline()


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    program = [sys.executable, str(Path(__file__).parents[1] / "support" / "victim.py")]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(aveo3.__path__[0]).parent), "NO_GCE_CHECK": "true"}
    home = tmp_path_factory.mktemp("victims")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(program, text=True, cwd=home, env=env, **pipes) as process:  # type: ignore[call-overload]
        yield Victims(process)
        process.stdin.close()


def emulator(case: Case) -> MockServer:
    chosen = {"latency": "0", "films": "bundled", "rpm": None, "faults": case.faults, "speed": case.speed}
    return MockServer(MockOptions.model_validate(chosen))


# ---- what a death leaves ---------------------------------------------------------------------------------------------


def in_doubt(home: Path) -> set[int]:
    """The jobs that stood between their intent and their answer when the run died, as the disk has it."""
    return {job for [job] in read_dead(home, "SELECT id FROM jobs WHERE state = 'submitting'")}


def read_dead(home: Path, query: str) -> list[Any]:
    """What `query` finds in the journal of a run that died; nothing if it has not come so far."""
    journal, copy = home / ".aveo3/journal.db", home.with_name("autopsy")
    shutil.rmtree(copy, ignore_errors=True)
    if not journal.is_file():
        return []
    copy.mkdir()
    for file in journal.parent.glob("journal.db*"):
        if not file.name.endswith("-shm"):  # the kernel's memory of a process that is no more
            shutil.copy(file, copy)
    with closing(sqlite3.connect(copy / journal.name)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'batches'").fetchone():
            return []
        return db.execute(query).fetchall()


# ---- what is there in the end ----------------------------------------------------------------------------------------


class Aftermath:
    """The state after a complete run and one more, and what the state should be.

    `doubted` are the jobs that were between intent and answer when a run before it died.
    """

    def __init__(self, case: Case, server: MockServer, home: Path, doubted: set[int]) -> None:
        self.case = case
        self.home = home
        self.books = server.books
        self.made: list[Operation] = list(server.emulator.operations._by_id.values())
        with Journal(home / ".aveo3/journal.db", writes=False) as journal:
            self.entries = list(journal.records())
            histories = {entry.id: journal.history(entry.id) for entry in self.entries}
        self.told = {job: replay(events) for job, events in histories.items()}
        named = {event.changes.get("operation") for events in histories.values() for event in events}
        self.unnamed = [operation for operation in self.made if operation.name not in named]
        self.lost = [entry for entry in self.entries if entry.id in doubted]
        placed = {operation.order.storage_uri for operation in self.made}
        self.uncertain = {entry.id for entry in self.lost if not (case.in_bucket and entry.output_uri in placed)}
        self.states = {
            entry.id: State.UNCERTAIN if entry.id in self.uncertain else State.SUCCEEDED for entry in self.entries
        }

        # Nothing is sent that depends on a clip whose outcome is unknown, and nothing is noted of it.
        unknown = {entry.prompt["text"] for entry in self.entries if entry.id in self.uncertain}
        held = ["a storm"] if case.chained and "an intro" in unknown else []
        self.held = Counter(held)
        self.wanted = case.wanted - self.held

    def check(self, life: Life) -> None:
        """`life` is that of the run which came through."""
        self.every_prompt_was_paid_once()
        self.every_clip_is_here_or_honestly_uncertain(life.clips)
        self.nothing_accepted_is_unknown()
        self.every_file_is_whole_and_no_other_is_there(life.files)
        self.the_sums_agree()
        self.the_journal_says_how_it_came_there()
        self.once_more_changes_nothing(life)

    def every_prompt_was_paid_once(self) -> None:
        """Accepted as often as it was given, and once more for each time that Google failed, which it does not bill."""
        failed = texts(operation for operation in self.made if operation.outcome == "error-13")
        assert not self.books.accepted_by_prompt - self.case.wanted - failed
        assert not texts(operation for operation in self.made if operation.delivered) - self.case.wanted

    def every_clip_is_here_or_honestly_uncertain(self, clips: list[dict[str, Any]]) -> None:
        assert {entry.id: entry.state for entry in self.entries} == self.states
        held = Counter({"deferred": self.held.total()})
        assert Counter(clip["status"] for clip in clips) == Counter(map(str, self.states.values())) + held
        assert prompts(self.entries) == self.wanted

    def nothing_accepted_is_unknown(self) -> None:
        """What has no name in the journal is one of those whose answer was lost."""
        assert not texts(self.unnamed) - prompts(self.lost)
        if self.case.in_bucket:
            assert {op.order.storage_uri for op in self.unnamed} <= {entry.output_uri for entry in self.lost}

    def every_file_is_whole_and_no_other_is_there(self, there: list[str]) -> None:
        film = bundled()
        made = [entry for entry in self.entries if entry.state is State.SUCCEEDED]
        files = [file for entry in made for file in entry.files]
        assert len(files) == sum(entry.prompt.get("number_of_videos", 1) for entry in made)
        for file in files:
            assert (self.home / file["path"]).read_bytes() == film
            assert (file["size"], file["sha256"]) == (len(film), hashlib.sha256(film).hexdigest())
        others = [".aveo3/journal.db", ".aveo3/journal.db.lock"]
        if self.case.chained and not self.held:
            others.append(f".aveo3/frames/{hashlib.sha256(film).hexdigest()[:32]}-last.png")
        assert there == sorted([*others, *(file["path"] for file in files)])

    def the_sums_agree(self) -> None:
        paid = sum(entry.cost_usd or 0 for entry in self.entries if entry.state is State.SUCCEEDED)
        owed = sum(op.billed_usd for op in self.unnamed if not self.case.in_bucket)
        assert self.books.billed_usd == pytest.approx(paid + owed)

    def the_journal_says_how_it_came_there(self) -> None:
        with closing(sqlite3.connect(self.home / ".aveo3/journal.db")) as db:
            db.row_factory = sqlite3.Row
            for row in db.execute("SELECT * FROM jobs"):
                told = {"attempts": 0, "retries": 0} | self.told[row["id"]]
                assert {name: row[name] for name in told} == {name: to_column(value) for name, value in told.items()}
                assert all(row[name] is None for name in CHANGING - told.keys())

    def once_more_changes_nothing(self, life: Life) -> None:
        """All is as it was, and nothing is sent but a look into the bucket for what may turn up there."""
        sought = len(self.uncertain) if self.case.in_bucket else 0
        points = life.points[life.points.index("once more") :]
        assert [point for point in points if point.startswith("send")] == ["send GET o"] * sought
        assert [clip | {"cached": True} for clip in life.again] == [clip | {"cached": True} for clip in life.clips]
        assert sum(not clip["cached"] for clip in life.again) == sought + self.held.total()


def texts(operations: Iterable[Operation]) -> Counter[str]:
    return Counter(operation.order.prompt for operation in operations)


def prompts(entries: Iterable[JobRecord]) -> Counter[str]:
    return Counter(str(entry.prompt["text"]) for entry in entries)


# ---- the tests -------------------------------------------------------------------------------------------------------


async def test_a_request_leaves_after_its_intent_and_its_name_is_noted_before_all_else(
    victims: Victims, tmp_path: Path
) -> None:
    """A kill between the two commits leaves a doubt. Between them there may only be the sync, which a power cut makes
    necessary, and the request itself."""
    case = CASES["one inline"]
    async with emulator(case) as server:
        life = await victims.run(case, server, tmp_path / "clips")
    begin = life.points.index("event 1 submitting")
    assert life.points[begin : begin + 12] == [
        *("event 1 submitting", "COMMIT", "committed", "fsync"),
        *("send POST predictLongRunning", "sent POST predictLongRunning", "answer to POST predictLongRunning"),
        *("BEGIN IMMEDIATE", "UPDATE jobs SET", "event 1 running", "COMMIT", "committed"),
    ]
    for trace in ("open", "write", "fsync", "os.link", "os.remove", "os.mkdir", "CREATE TABLE", "close the journal"):
        assert any(point.startswith(trace) for point in life.points), trace


async def points_of(case: Case, victims: Victims, home: Path) -> list[str]:
    """The points of a run that nobody kills. Until there is a job all cases are alike: the first has that for all."""
    async with emulator(case) as server:
        life = await victims.run(case, server, home / "alive" / "clips")
    return life.points[: life.points.index("once more")]


def begin_of(case: Case, points: list[str]) -> int:
    """Where a case begins to be itself."""
    return (
        0
        if case is next(iter(CASES.values()))
        else points.index("INSERT INTO batches" if case.fresh else "INSERT INTO jobs")
    )


async def killed_at(die_at: int | str, case: Case, victims: Victims, home: Path) -> Life:
    """A run that is killed there if it comes there, and one that takes it up; all is then as it should be."""
    home = home / hashlib.sha256(f"{die_at}".encode()).hexdigest()[:8] / "clips"
    async with emulator(case) as server:
        first = life = await victims.run(case, server, home, die_at=die_at)
        doubted = in_doubt(home)
        if not first.lived:
            life = await victims.run(case, server, home)
        Aftermath(case, server, home, doubted).check(life)
    return first


PARTS = 2
"""A case is shared out over so many tests, which can run beside each other."""


@pytest.mark.whole
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", CASES)
async def test_killed_at_every_point_it_pays_once_and_loses_nothing(
    name: str, part: int, victims: Victims, tmp_path: Path
) -> None:
    case = CASES[name]
    begin = begin_of(case, await points_of(case, victims, tmp_path)) + 1
    for die_at in count(begin + part, PARTS):
        first = await killed_at(die_at, case, victims, tmp_path)
        if first.lived:
            break
    points = first.points.index("once more") + 1 - begin
    print(f"{name}: {points} points in {PARTS} parts")
    assert points > 40


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", ["one inline", pytest.param("one in a bucket", marks=pytest.mark.whole)])
async def test_killed_at_every_kind_of_point_it_pays_once_and_loses_nothing(
    name: str, part: int, victims: Victims, tmp_path: Path
) -> None:
    """The first point of each kind. A prompt reaches the same kinds in each run, except for syncs in a thread: by then
    the job may be in its next state."""
    case, kind = CASES[name], Kinds()
    points = await points_of(case, victims, tmp_path)
    chosen = [*dict.fromkeys([kind(point) for point in points][begin_of(case, points) :])]
    assert len(chosen) > 40
    for die_at in chosen[part::PARTS]:
        dead = await killed_at(die_at, case, victims, tmp_path)
        assert not dead.lived or die_at.endswith(": fsync")


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("one inline", "one in a bucket")])
async def test_killed_here_and_there_it_pays_once_and_loses_nothing(
    name: str, victims: Victims, tmp_path: Path
) -> None:
    case = CASES[name]
    points = await points_of(case, victims, tmp_path)
    for die_at in range(begin_of(case, points) + 1, len(points), 17):
        await killed_at(die_at, case, victims, tmp_path)


async def test_killed_while_the_frame_is_cut_that_a_clip_begins_from_it_pays_once(
    victims: Victims, tmp_path: Path
) -> None:
    case = CASES["one that begins from another"]
    points = await points_of(case, victims, tmp_path)
    cutting = [number for number, point in enumerate(points, 1) if ".aveo3/frames" in point]
    assert len(cutting) > 4
    for die_at in (*cutting, cutting[-1] + 1):
        assert not (await killed_at(die_at, case, victims, tmp_path)).lived


@pytest.mark.parametrize("step", [pytest.param(3, marks=pytest.mark.whole), 20])
@pytest.mark.parametrize("name", ["one inline", "two videos that come slowly"])
async def test_killed_again_while_it_is_taken_up_it_pays_once_and_loses_nothing(
    name: str, step: int, victims: Victims, tmp_path: Path
) -> None:
    case, rng = CASES[name], random.Random(name)
    for die_at in count(1, step):
        home, doubted = tmp_path / f"{die_at}" / "clips", set[int]()
        async with emulator(case) as server:
            first = life = await victims.run(case, server, home, die_at=die_at)
            for second in (rng.randint(1, 45), None):
                doubted |= in_doubt(home)
                if not life.lived:
                    life = await victims.run(case, server, home, die_at=second)
            Aftermath(case, server, home, doubted).check(life)
        if first.lived:
            break
