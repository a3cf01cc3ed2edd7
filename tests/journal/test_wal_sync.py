"""What must outlive a power cut: on the disk before a request leaves, synced once for many; if not, nothing is sent."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aveo3 import VideoClip, VideoPrompt, verdicts
from aveo3.backends.base import PollResult
from aveo3.errors import JournalError
from aveo3.journal import wal_sync
from aveo3.journal.journal import Journal
from aveo3.journal.wal_sync import SYNCS_LATER
from aveo3.lifecycle import State
from aveo3.testing import ScriptedBackend, VirtualTimeLoop, run_virtual
from aveo3.verdicts import Verdict
from tests.support.journals import FILE, PLAIN_PATH, flaky, plan, states, walk
from tests.support.virtual import client, statuses, virtual

pytestmark = pytest.mark.skipif(not SYNCS_LATER, reason="SQLite syncs each commit here")

PROMPTS = [f"boat {number}" for number in range(20)]


class Disk:
    """What syncs reach, in place of the system: counts them, can be held up, and can be broken."""

    def __init__(self) -> None:
        self.syncs = 0
        self.free = threading.Event()
        self.free.set()
        self.began = threading.Event()
        self.error: OSError | None = None
        self.then: Callable[[], None] = lambda: None

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        self.began.set()
        self.free.wait()  # the fixture sets it at the latest
        if self.error is not None:
            raise self.error
        os.fsync(descriptor)
        self.then()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr(wal_sync, "sync_data", disk.sync)
    yield disk
    disk.free.set()


BROKEN = OSError(errno.EIO, "Input/output error")
TOLD = "cannot be synced to the disk: Input/output error"


# ---- the order of things ---------------------------------------------------------------------------------------------


class Platter:
    """What the disk holds for sure: the journal as it was when its log was synced last."""

    def __init__(self, disk: Disk, journal: Path) -> None:
        self._journal = journal
        self._copy = Path("platter", journal.name)
        self._copy.parent.mkdir()
        disk.then = self._take

    def _take(self) -> None:
        for suffix in ("", "-wal"):
            shutil.copy(f"{self._journal}{suffix}", f"{self._copy}{suffix}")

    def jobs(self) -> dict[str, tuple[str, str | None]]:
        """After a power cut now: the state and the operation of each job, by its prompt."""
        place = Path("after a power cut")
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._copy.parent, place)
        with closing(sqlite3.connect(place / self._copy.name)) as db:
            rows = db.execute("SELECT json_extract(prompt, '$.text'), state, operation FROM jobs").fetchall()
        return {text: (state, operation) for text, state, operation in rows}


def test_a_request_leaves_when_its_intent_would_outlive_a_power_cut_and_its_name_does_soon_after(disk: Disk) -> None:
    seen: Counter[str] = Counter()

    class Google(ScriptedBackend):
        async def poll(self, operation: str) -> PollResult:
            seen["looks"] += 1
            assert (State.RUNNING, operation) in platter.jobs().values()
            return await super().poll(operation)

    def answer(prompt: VideoPrompt) -> Verdict:
        seen["submits"] += 1
        assert platter.jobs()[prompt.text] == (State.SUBMITTING, None)
        return verdicts.accepted(f"operations/{seen['submits']}")

    async def main() -> None:
        async with client(Google(answer=answer), journal="auto", rate_limit=7, rate_period=2) as veo:
            assert statuses(await veo.generate_many(PROMPTS)) == ["succeeded"] * len(PROMPTS)

    platter = Platter(disk, Path("clips", FILE))
    virtual(main)
    assert seen["submits"] == len(PROMPTS)
    assert seen["looks"] >= len(PROMPTS)


def test_who_asks_at_the_same_time_shares_a_sync(disk: Disk) -> None:
    async def main() -> None:
        with Journal(FILE) as journal:
            jobs = [plan(journal, text).id for text in PROMPTS]
            before = disk.syncs
            for job in jobs:
                journal.move(job, State.PLANNED, State.SUBMITTING)
            await asyncio.gather(*(journal.on_disk() for _ in jobs))
            assert disk.syncs == before + 1

    run_virtual(main())


def test_who_asks_while_a_sync_is_under_way_waits_for_the_next_and_shares_that(disk: Disk) -> None:
    async def main() -> None:
        with Journal(FILE) as journal:
            jobs = [plan(journal, text).id for text in PROMPTS]
            disk.free.clear()
            journal.move(jobs[0], State.PLANNED, State.SUBMITTING)
            first = asyncio.create_task(journal.on_disk())
            await asyncio.to_thread(disk.began.wait)
            disk.then = lambda: landed.append(rest.done())
            for job in jobs[1:]:
                journal.move(job, State.PLANNED, State.SUBMITTING)
            rest = asyncio.gather(*(journal.on_disk() for _ in jobs[1:]))
            landed: list[bool] = []
            await asyncio.sleep(0)
            assert not first.done()
            disk.free.set()
            await first
            await rest
            assert landed == [False, False]

    run_virtual(main())


def test_a_clip_costs_two_syncs(disk: Disk) -> None:
    """The intent and the name: that the video is there, and here, another look would tell."""

    async def main() -> None:
        with Journal(FILE) as journal:
            plan(journal)
            begun = disk.syncs
            for (old, new), syncs in zip(pairwise(PLAIN_PATH), (1, 2, 2, 2), strict=True):
                journal.move(1, old, new)
                await asyncio.sleep(1)
                assert disk.syncs == begun + syncs

    run_virtual(main())


@pytest.mark.parametrize("path", [(State.UNCERTAIN,), (State.RUNNING, State.UNCERTAIN), (State.PLANNED,)])
def test_what_may_mean_money_is_synced_without_anybody_waiting_for_it(disk: Disk, path: tuple[State, ...]) -> None:
    async def main() -> None:
        with Journal(FILE) as journal:
            walk(journal, plan(journal).id, State.PLANNED, State.SUBMITTING, *path[:-1])
            await asyncio.sleep(1)
            before = disk.syncs
            walk(journal, 1, (State.SUBMITTING, *path)[-2], path[-1])
            await asyncio.sleep(1)
            assert disk.syncs == before + 1

    run_virtual(main())


def test_a_name_that_a_full_disk_did_not_take_is_synced_when_it_is_written_after_all(disk: Disk) -> None:
    async def main() -> None:
        with Journal(FILE) as journal:
            walk(journal, plan(journal).id, *PLAIN_PATH[:2])
            await journal.on_disk()
            between = flaky(journal)
            between.full = True
            journal.move(1, State.SUBMITTING, State.RUNNING, operation="operations/1")
            between.full = False
            before = disk.syncs
            journal.move(1, State.RUNNING, State.FETCHING)
            await asyncio.sleep(1)
            assert disk.syncs == before + 1

    run_virtual(main())


def test_where_no_loop_runs_it_is_synced_at_once(disk: Disk) -> None:
    threads = set(threading.enumerate())  # those of other tests may end meanwhile
    with Journal(FILE) as journal:
        walk(journal, plan(journal).id, *PLAIN_PATH[:2])
        assert disk.syncs == 1
        assert set(threading.enumerate()) <= threads


def test_one_journal_serves_one_loop_after_another(disk: Disk) -> None:
    async def main(text: str) -> None:
        journal.move(plan(journal, text).id, State.PLANNED, State.SUBMITTING)
        await journal.on_disk()

    async def gone_before_it_is_synced(text: str) -> None:
        journal.move(plan(journal, text).id, State.PLANNED, State.SUBMITTING)

    with Journal(FILE) as journal:
        run_virtual(main("one"))
        loop = VirtualTimeLoop()
        loop.run_until_complete(gone_before_it_is_synced("two"))
        before = disk.syncs
        run_virtual(main("three"))
        assert disk.syncs > before
    loop.close()


def test_a_sync_that_a_loop_has_left_behind_lets_nobody_go_before_his_own(disk: Disk) -> None:
    async def ask(text: str) -> None:
        journal.move(plan(journal, text).id, State.PLANNED, State.SUBMITTING)
        for _ in range(3):  # until it has begun
            await asyncio.sleep(0)

    async def wait(text: str) -> None:
        await ask(text)
        waiting = asyncio.ensure_future(journal.on_disk())
        disk.then = disk.free.clear  # one sync ends, and the next is held up
        disk.began.clear()
        disk.free.set()
        assert await asyncio.to_thread(disk.began.wait, 60)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        disk.then = lambda: None
        disk.free.set()
        await waiting
        assert disk.syncs == 3

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    with closing(first), closing(second), Journal(FILE) as journal:
        journal.move(plan(journal, "before").id, State.PLANNED, State.SUBMITTING)
        disk.syncs = 0
        disk.free.clear()
        first.run_until_complete(ask("one"))
        second.run_until_complete(ask("two"))
        first.run_until_complete(wait("three"))


def test_closing_the_journal_needs_no_loop_whose_waiters_are_left(disk: Disk) -> None:
    async def wait() -> None:
        journal.move(plan(journal, "boat").id, State.PLANNED, State.SUBMITTING)
        waiting = asyncio.ensure_future(journal.on_disk())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()

    disk.free.clear()
    with Journal(FILE) as journal:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(wait())
        loop.close()
        disk.free.set()


def test_what_was_synced_at_once_in_between_holds_up_nobody(disk: Disk) -> None:
    async def main(text: str) -> None:
        journal.move(plan(journal, text).id, State.PLANNED, State.SUBMITTING)
        if text == "waits":
            await journal.on_disk()

    with Journal(FILE) as journal, closing(VirtualTimeLoop()) as loop:
        loop.call_soon(loop.stop)
        asking = loop.create_task(main("does not wait"))
        loop.run_forever()
        walk(journal, plan(journal, "in between").id, *PLAIN_PATH[:2])
        loop.run_until_complete(main("waits"))
        assert asking.done()
        assert disk.syncs == 2


def test_without_a_thread_to_be_had_the_loop_has_to_wait(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        with Journal(FILE) as journal:
            monkeypatch.setattr(threading.Thread, "start", refuse)
            journal.move(plan(journal).id, State.PLANNED, State.SUBMITTING)
            await journal.on_disk()
            assert disk.syncs == 1

    run_virtual(main())


def test_directories_that_are_made_outlive_a_power_cut_too(monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    for _ in range(2):
        Journal(Path("new", "clips", FILE)).close()
    for place in (Path(), Path("new"), Path("new", "clips")):
        assert synced.count(place.stat().st_ino) == 1


# ---- stopped, and closed ---------------------------------------------------------------------------------------------


def test_a_wait_that_is_cancelled_holds_up_neither_the_sync_nor_the_others(disk: Disk) -> None:
    async def main() -> None:
        with Journal(FILE) as journal:
            walk(journal, plan(journal).id, *PLAIN_PATH[:2])
            disk.free.clear()
            waits = [asyncio.create_task(journal.on_disk()) for _ in range(3)]
            await asyncio.to_thread(disk.began.wait)
            waits[0].cancel()
            asyncio.get_running_loop().call_later(0, disk.free.set)
            await asyncio.gather(*waits[1:])
            assert waits[0].cancelled()
            assert disk.syncs == 1

    run_virtual(main())


Stop = Callable[[Any, "asyncio.Task[Any]"], None]


@pytest.mark.parametrize(
    "stop",
    [lambda clips, reader: clips.stop(), lambda clips, reader: reader.cancel()],
    ids=["stopped", "cancelled"],
)
def test_what_is_stopped_while_its_intent_is_on_its_way_to_the_disk_is_not_sent(disk: Disk, stop: Stop) -> None:
    backend = ScriptedBackend()
    came: list[VideoClip] = []

    async def main() -> None:
        async def read() -> None:
            came.extend([clip async for clip in clips])

        async with client(backend, journal="auto", rate_limit=1000) as veo:
            async with veo.stream(PROMPTS) as clips:
                reader = asyncio.create_task(read())
                disk.free.clear()
                await asyncio.to_thread(disk.began.wait)
                stop(clips, reader)
                asyncio.get_running_loop().call_later(0, disk.free.set)
                with suppress(asyncio.CancelledError):
                    await reader
            assert veo.stats().submitted == 0
            [gate] = veo.stats().gates.values()
            assert gate.running == 0
            assert statuses(await veo.generate_many(PROMPTS)) == ["succeeded"] * len(PROMPTS)

    virtual(main)
    assert backend.accepted == Counter(PROMPTS)
    assert {(clip.status, clip.attempts) for clip in came} <= {("cancelled", 0)}
    with Journal(Path("clips", FILE), writes=False) as journal:
        seen = Counter(tuple(event.state for event in journal.history(entry.id))[:4] for entry in journal.records())
        assert seen[State.PLANNED, State.SUBMITTING, State.PLANNED, State.CANCELLED] >= 1
        assert {(entry.state, entry.attempts) for entry in journal.records()} == {(State.SUCCEEDED, 1)}


def test_closing_waits_for_a_sync_under_way_and_syncs_what_came_after_it(disk: Disk) -> None:
    async def main() -> None:
        journal = Journal(FILE)
        jobs = [plan(journal, text).id for text in PROMPTS[:2]]
        disk.free.clear()
        journal.move(jobs[0], State.PLANNED, State.SUBMITTING)
        await asyncio.to_thread(disk.began.wait)
        journal.move(jobs[1], State.PLANNED, State.SUBMITTING)
        waits = asyncio.create_task(journal.on_disk())
        await asyncio.sleep(0)
        threading.Timer(0.01, disk.free.set).start()
        journal.close()
        assert disk.syncs == 2
        await waits

    run_virtual(main())
    with Journal(FILE, writes=False) as reader:
        assert states(reader) == [State.SUBMITTING] * 2


# ---- a disk that fails -----------------------------------------------------------------------------------------------


def test_what_cannot_be_synced_is_not_sent_and_the_run_stops(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    backend = ScriptedBackend()

    async def main() -> None:
        async with client(backend, journal="auto", rate_limit=1000) as veo:
            disk.error = BROKEN
            clips = await veo.generate_many(PROMPTS)
            assert {clip.status.value for clip in clips} <= {"deferred", "cancelled"}
            deferred = [clip for clip in clips if clip.status == "deferred"]
            assert deferred
            for clip in deferred:
                assert clip.error_kind == "journal"
                assert clip.error_message == (
                    f"the journal {Path('clips', FILE)} {TOLD}. See to the disk, then run it again."
                )
            [gate] = veo.stats().gates.values()
            assert gate.running == 0
            assert statuses(await veo.generate_many(["another"])) == ["deferred"]

    virtual(main)
    assert not backend.submits
    assert caplog.text.count("; a power cut may take what happens now") == 1
    disk.error = None

    async def again() -> None:
        async with client(backend, journal="auto", rate_limit=1000) as veo:
            assert statuses(await veo.generate_many(PROMPTS)) == ["succeeded"] * len(PROMPTS)

    virtual(again)
    assert backend.accepted == Counter(PROMPTS)


def test_a_name_that_cannot_be_synced_is_followed_and_no_further_request_leaves(disk: Disk) -> None:
    """It is noted all the same, and only a power cut would take it."""

    def breaks(prompt: VideoPrompt) -> Verdict:
        disk.error = BROKEN
        return verdicts.accepted("operations/1")

    async def main() -> None:
        async with client(backend, journal="auto", rate_limit=1, rate_period=60) as veo:
            clips = await veo.generate_many(PROMPTS)
        assert statuses(clips) == ["succeeded"] + ["cancelled"] * (len(PROMPTS) - 1)

    backend = ScriptedBackend(answers=[breaks])
    virtual(main)
    assert len(backend.submits) == 1
    with Journal(Path("clips", FILE), writes=False) as journal:
        assert [entry.operation for entry in journal.records(State.SUCCEEDED)] == ["operations/1"]


def test_what_one_sync_has_lost_no_later_one_makes_good(disk: Disk) -> None:
    """The system tells of a failed write once, and then takes the pages for written."""

    async def main() -> None:
        with Journal(FILE) as journal:
            disk.error = BROKEN
            walk(journal, plan(journal, "one").id, *PLAIN_PATH[:2])
            with pytest.raises(JournalError, match=TOLD):
                await journal.on_disk()
            disk.error = None
            journal.move(plan(journal, "two").id, State.PLANNED, State.SUBMITTING)
            with pytest.raises(JournalError, match=TOLD):
                await journal.on_disk()
            assert journal.broken == f"the journal {FILE} {TOLD}"

    run_virtual(main())


def test_a_log_that_is_gone_is_a_disk_that_fails() -> None:
    async def main() -> None:
        with Journal(FILE) as journal:
            FILE.with_name(f"{FILE.name}-wal").unlink()
            journal.move(plan(journal).id, State.PLANNED, State.SUBMITTING)
            with pytest.raises(JournalError, match="cannot be synced to the disk: No such file or directory"):
                await journal.on_disk()

    run_virtual(main())
