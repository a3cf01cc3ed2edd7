"""Leading lanes: who holds the locks submits, what was left is taken up, and nothing is sent by who has lost them.

The journal is one of SQLite that says it is shared; what another process does is written into it beside its back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aveo3 import _threads
from aveo3.dispatch.prior_runs import lane_key
from aveo3.errors import JournalError, UsageError
from aveo3.events.kinds import Event, Planned
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.mock import MockServer
from aveo3.server.door.shared_dispatcher import SharedDispatcher
from aveo3.server.farm.leading import LEADERS, Leading
from aveo3.session import Session
from tests.support.door import accept, session_of
from tests.support.emulated import emulator, quick
from tests.support.virtual import now_utc

OTHER = {"worker": "another"}


class Locks:
    """Locks that a test gives and takes away."""

    def __init__(self) -> None:
        self.held: frozenset[str] = frozenset()
        self.free = asyncio.Event()
        self.away = False
        self._lost = asyncio.Event()

    async def take_free(self, lanes: Collection[str]) -> frozenset[str]:
        if self.away:
            raise JournalError("the database is away")
        if self.free.is_set():
            self.held |= frozenset(lanes)
            self._lost.clear()
        return self.held

    async def wait(self, lanes: Collection[str]) -> frozenset[str]:
        await self.free.wait()
        return await self.take_free(lanes)

    async def until_lost(self) -> None:
        await self._lost.wait()

    async def release(self) -> None:
        self.held = frozenset()

    def lose(self) -> None:
        """The database goes away."""
        self.away = True
        self.held = frozenset()
        self._lost.set()


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals say that others write, too; they are read at once, for SQLite knows one thread only."""

    async def at_once(function: Any, *args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    monkeypatch.setattr(Journal, "shared", property(lambda _: True))
    monkeypatch.setattr(Journal, "lease", property(lambda _: 15.0))
    monkeypatch.setattr(_threads.reading, "run", at_once)


@asynccontextmanager
async def standby(server: MockServer, **values: Any) -> AsyncIterator[tuple[Session, SharedDispatcher, Locks, Leading]]:
    """A process that waits for the locks."""
    session = session_of(quick(server, **{"journal": "auto", "poll_interval": 2.0, **values}), now_utc)
    await session.open()
    locks, dispatcher = Locks(), SharedDispatcher(session)
    leading = Leading(session, dispatcher, locks)
    leading.start()
    try:
        yield session, dispatcher, locks, leading
    finally:
        await leading.close()
        await session.close()


def journal_of(session: Session) -> Journal:
    assert session.journal is not None
    return session.journal


async def until(session: Session, jobs: int, state: State = State.SUCCEEDED) -> None:
    async with asyncio.timeout(1000):
        while journal_of(session).counts().get(state, 0) < jobs:  # noqa: ASYNC110 - the journal rings no bell
            await asyncio.sleep(1)


async def test_a_standby_sends_nothing_and_with_the_locks_it_sends_what_waits_within_the_quota() -> None:
    async with emulator(rpm=5) as server, standby(server, rate_limit=5) as (session, dispatcher, locks, leading):
        for number in range(8):
            accept(session, dispatcher, f"boat {number}")
        await asyncio.sleep(100)
        assert (server.books.accepted, leading.led, leading.since_utc) == (0, (), None)
        locks.free.set()
        await asyncio.sleep(1)
        assert server.books.accepted == 5
        assert leading.led == (session.settings.model,)
        await until(session, 8)
        assert (server.books.accepted, server.books.refused) == (8, 0)
        [entry] = journal_of(session).kept(session.service, LEADERS).values()
        assert entry["lane"] == session.settings.model


async def test_locks_that_are_lost_and_come_back_change_nothing_but_that_nothing_is_sent_meanwhile() -> None:
    """As when the database is away: what runs is followed, and the quota that was used stays used."""
    async with (
        emulator(rpm=5, latency="30") as server,
        standby(server, rate_limit=5) as (session, dispatcher, locks, _),
    ):
        locks.free.set()
        for number in range(12):
            accept(session, dispatcher, f"boat {number}")
        await dispatcher.heard(range(1, 13))
        await asyncio.sleep(5)
        locks.lose()
        await asyncio.sleep(120)
        assert server.books.accepted == 5
        assert journal_of(session).counts()[State.SUCCEEDED] == 5  # followed all the same
        locks.away = False
        await asyncio.sleep(2)
        assert server.books.accepted == 10
        await until(session, 12)
        assert max(server.books.accepted_by_prompt.values()) == 1
        assert server.books.refused == 0


async def test_when_another_process_has_led_the_gates_begin_anew_with_what_it_used() -> None:
    async with emulator(rpm=5) as server, standby(server, rate_limit=5) as (session, dispatcher, locks, leading):
        journal = journal_of(session)
        locks.free.set()
        requests = [accept(session, None, f"boat {number}") for number in range(12)]
        await asyncio.sleep(1)
        await dispatcher.heard([request.job for request in requests])
        await asyncio.sleep(1)
        assert server.books.accepted == 5
        locks.lose()
        await asyncio.sleep(120)  # the quota that this process knows of is free again
        [lane] = session.lane_pool.open_lanes
        journal.keep(session.service, LEADERS, lane_key(lane), OTHER)
        for request in requests[5:9]:  # the other one sends four, and ends before the last answer
            intent: dict[str, Any] = {
                "attempts": 1,
                "place": lane.place,
                "model": lane.model,
                "submitted_utc": now_utc(),
            }
            journal.move(request.job, State.PLANNED, State.SUBMITTING, **intent)
            if request is not requests[8]:
                journal.move(request.job, State.SUBMITTING, State.RUNNING, operation=f"operations/{request.job}")
        locks.away = False
        await asyncio.sleep(2)
        assert leading.led
        assert server.books.accepted == 6  # one place of five is left in this minute
        assert journal.select("SELECT * FROM jobs WHERE id = ?", requests[8].job)[0].state is State.UNCERTAIN
        await asyncio.sleep(61)
        assert server.books.accepted == 8
        sent = server.books.accepted_by_prompt
        assert {f"boat {number}" for number in range(12)} - {*sent} == {f"boat {number}" for number in range(5, 9)}
        assert max(sent.values()) == 1


async def test_it_hears_of_requests_that_others_accept_cancel_and_answer_late() -> None:
    async with emulator() as server, standby(server, rate_limit=1, rate_period=60) as (session, dispatcher, locks, _):
        journal = journal_of(session)
        locks.free.set()
        await asyncio.sleep(1)
        requests = [accept(session, None, f"boat {number}") for number in range(4)]
        jobs = [request.job for request in requests]
        await dispatcher.heard(jobs)
        await dispatcher.heard(jobs)  # twice is once
        assert dispatcher.waiting == 4
        await asyncio.sleep(1)
        journal.move(jobs[3], State.PLANNED, State.CANCELLED, error_kind="withdrawn", cost_usd=0.0)
        await dispatcher.heard(jobs)
        assert dispatcher.waiting == 1  # one was sent, one stands ready, one is cancelled
        await until(session, 3)
        assert "boat 3" not in server.books.accepted_by_prompt
        assert server.books.accepted == 3


async def test_who_leads_later_knows_in_whose_trace_a_request_is() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told: list[Event] = []
    async with emulator() as server, standby(server) as (session, _, locks, _):
        session.bus.listen(told.append)
        accept(session, None, "a boat", traceparent=parent)
        locks.free.set()
        await until(session, 1)
    assert [event.traceparent for event in told if isinstance(event, Planned)] == [parent]


async def test_a_model_that_a_request_names_first_gets_a_lane_and_is_led_too() -> None:
    async with emulator() as server, standby(server) as (session, dispatcher, locks, leading):
        locks.free.set()
        await asyncio.sleep(1)
        request = accept(session, None, "a boat", model="veo-3.1-lite-generate-001")
        await dispatcher.heard([request.job])
        await until(session, 1)
        assert set(leading.led) == {session.settings.model, "veo-3.1-lite-generate-001"}
        assert server.books.accepted == 1


async def test_a_takeover_that_breaks_off_begins_again_and_forgets_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator() as server, standby(server) as (session, dispatcher, locks, leading):
        accept(session, dispatcher, "a boat")
        lead = dispatcher.lead
        failed: list[bool] = []

        async def fails_once(*arguments: Any) -> None:
            if not failed:
                failed.append(True)
                raise JournalError("the database is away")
            await lead(*arguments)

        monkeypatch.setattr(dispatcher, "lead", fails_once)
        locks.free.set()
        await until(session, 1)
        assert (failed, bool(leading.led)) == ([True], True)
        assert server.books.accepted == 1


async def test_a_budget_holds_when_the_leader_changes() -> None:
    """What another process has spent meanwhile counts, and nothing counts twice."""
    async with emulator() as server, standby(server, budget=12.9) as (session, dispatcher, locks, _):
        locks.free.set()
        await asyncio.sleep(1)
        for number in range(2):  # US$ 3.20 each
            accept(session, dispatcher, f"boat {number}")
        await until(session, 2)
        locks.lose()
        await asyncio.sleep(2)
        theirs, *_ = [accept(session, None, f"boat {number}").job for number in range(2, 6)]
        journal = journal_of(session)
        for lane in session.lane_pool.open_lanes:
            journal.keep(session.service, LEADERS, lane_key(lane), OTHER)
            if lane.model == session.settings.model:
                sent: dict[str, Any] = {"place": lane.place, "model": lane.model, "submitted_utc": now_utc()}
                journal.move(theirs, State.PLANNED, State.SUBMITTING, attempts=1, cost_usd=3.2, **sent)
        locks.away = False
        await asyncio.sleep(120)
        counts = journal.counts()
        assert (counts[State.SUCCEEDED], counts[State.UNCERTAIN], counts[State.DEFERRED]) == (3, 1, 2)
        assert server.books.accepted == 3


async def test_the_database_that_is_away_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async with emulator() as server, standby(server) as (session, dispatcher, locks, leading):
        locks.free.set()
        locks.away = True
        accept(session, dispatcher, "a boat")
        await asyncio.sleep(20)
        assert not leading.led
        locks.away = False
        await asyncio.sleep(1)
        assert leading.led
        await until(session, 1)
        assert "the database is away" in caplog.text


async def test_an_unknown_lane_and_a_choice_of_lanes_beside_a_budget_are_refused() -> None:
    async with emulator() as server:
        session = session_of(quick(server, journal="auto", budget=5.0, fallback="veo-3.1-lite-generate-001"))
        await session.open()
        try:
            dispatcher = SharedDispatcher(session)
            with pytest.raises(UsageError, match="no lane is called 'other': the lanes are veo-"):
                Leading(session, dispatcher, Locks(), names=["other"])
            with pytest.raises(UsageError, match="VEO3_BUDGET=5 is one for all lanes"):
                Leading(session, dispatcher, Locks(), names=[session.settings.model])
        finally:
            await session.close()
