"""The locks of lanes in PostgreSQL: one process holds each, as long as it gives signs of life."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from aveo3.errors import JournalError
from aveo3.journal import postgres_locks
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_flushes import NotLeading
from aveo3.journal.postgres_session import Session, connect
from benchmarks.harness.postgres_server import PostgresServer

pytestmark = pytest.mark.real_time


@pytest.fixture
def journals(postgres_place: SharedJournal) -> Iterator[tuple[Journal, Journal]]:
    with ExitStack() as stack:
        yield stack.enter_context(Journal(postgres_place)), stack.enter_context(Journal(postgres_place))


async def test_who_waits_gets_the_locks_when_their_holder_gives_them_back(journals: tuple[Journal, Journal]) -> None:
    first, second = (journal.lane_locks() for journal in journals)
    both = frozenset({"one", "two"})
    assert await first.take_free(["one"]) == {"one"}
    assert await second.take_free(["one"]) == frozenset()
    assert await first.take_free(["one", "two"]) == both
    waiting = asyncio.ensure_future(second.wait(["one", "two"]))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await first.release()
    began = time.monotonic()
    assert await waiting == both
    assert time.monotonic() - began < 1.0
    await second.release()


async def test_who_waits_for_several_lanes_gets_one_that_is_not_the_first(journals: tuple[Journal, Journal]) -> None:
    first, second = (journal.lane_locks() for journal in journals)
    assert await first.take_free(["one"]) == {"one"}
    assert await second.wait(["one", "two"]) == {"two"}
    await first.release()
    await second.release()


async def test_a_wait_that_is_cancelled_leaves_the_queue(journals: tuple[Journal, Journal]) -> None:
    first, second = (journal.lane_locks() for journal in journals)
    await first.take_free(["one"])
    waiting = asyncio.ensure_future(second.wait(["one"]))
    await asyncio.sleep(0.2)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=2)
    assert waiting.cancelled()
    await first.release()
    assert await second.take_free(["one"]) == {"one"}
    await second.release()


async def test_who_is_cancelled_while_it_connects_leaves_no_session_open(
    journals: tuple[Journal, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Session] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(place: SharedJournal, **options: Any) -> Session:
        begun.set()
        go_on.wait()
        opened.append(connect(place, **options))
        return opened[0]

    monkeypatch.setattr(postgres_locks, "connect", slow)
    locks = journals[0].lane_locks()
    taking = asyncio.ensure_future(locks.take_free(["one"]))
    await asyncio.to_thread(begun.wait)
    taking.cancel()
    await asyncio.wait([taking])
    go_on.set()
    await locks.release()
    assert [session.closed for session in opened] == [True]


async def test_locks_are_lost_when_the_server_restarts_and_nothing_fenced_is_written_without_them(
    postgres_server: PostgresServer, journals: tuple[Journal, Journal]
) -> None:
    journal, _ = journals
    locks = journal.lane_locks()
    await locks.take_free(["one"])
    journal.keep("google", "kind", "name", {"n": 1}, fenced=True)
    await journal.on_disk()
    lost = asyncio.ensure_future(locks.until_lost())
    await asyncio.to_thread(postgres_server.restart)
    journal.keep("google", "kind", "name", {"n": 2}, fenced=True)
    with pytest.raises(JournalError):
        await journal.on_disk()
    await asyncio.wait_for(lost, 2)
    assert locks.held == frozenset()
    with pytest.raises(NotLeading):
        journal.keep("google", "kind", "name", {"n": 3}, fenced=True)
    assert journal.kept("google", "kind") == {"name": {"n": 1}}
    await locks.release()


async def test_the_server_ends_the_session_of_a_holder_that_stands_still_also_right_after_a_write(
    journals: tuple[Journal, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_locks, "LEASE", 1.0)
    monkeypatch.setattr(postgres_locks, "BEAT", 60.0)  # as if it stood still
    first, second = (journal.lane_locks() for journal in journals)
    await first.take_free(["one"])
    journals[0].keep("google", "kind", "name", {"n": 1}, fenced=True)
    await journals[0].on_disk()
    began = time.monotonic()
    assert await asyncio.wait_for(second.wait(["one"]), 5) == {"one"}
    assert 0.5 < time.monotonic() - began < 2.5
    await first.release()
    await second.release()


async def test_beats_keep_the_locks(journals: tuple[Journal, Journal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_locks, "LEASE", 1.0)
    monkeypatch.setattr(postgres_locks, "BEAT", 0.3)
    first, second = (journal.lane_locks() for journal in journals)
    await first.take_free(["one"])
    await asyncio.sleep(2.0)
    assert await second.take_free(["one"]) == frozenset()
    assert first.held == {"one"}
    await first.release()
