"""Waiting requests reach Google in fair shares, each once, whatever stops the server in between."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aveo3.errors import JournalError
from aveo3.lifecycle import State
from aveo3.mock import MockServer
from aveo3.server.door import dispatcher as module
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.session import Session
from tests.support.door import accept, session_of
from tests.support.emulated import emulator, quick


@asynccontextmanager
async def opened(
    server: MockServer, *, weights: dict[str, float] | None = None, **values: Any
) -> AsyncIterator[tuple[Session, Dispatcher]]:
    weight_of = weights.__getitem__ if weights else lambda _: 1.0
    session = session_of(quick(server, **{"journal": "auto", "poll_interval": 2.0, **values}))
    await session.open()
    dispatcher = Dispatcher(session, weight_of=weight_of)
    try:
        yield session, dispatcher
    finally:
        await dispatcher.leave()
        await session.close()


async def until_ended(session: Session, jobs: int, state: State = State.SUCCEEDED) -> None:
    assert session.journal is not None
    async with asyncio.timeout(1000):
        while session.journal.counts().get(state, 0) < jobs:  # noqa: ASYNC110 - the journal rings no bell
            await asyncio.sleep(1)


async def test_one_request_of_a_caller_does_not_wait_behind_another_ones_many() -> None:
    async with emulator(rpm=10) as server, opened(server, rate_limit=10) as (session, dispatcher):
        for number in range(40):
            accept(session, dispatcher, f"alice {number}")
        await asyncio.sleep(1)  # the first ten are sent
        accept(session, dispatcher, "bob 1", caller="bob")
        await until_ended(session, 20)
        assert "bob 1" in server.books.accepted_by_prompt
        await until_ended(session, 41)
        assert max(server.books.accepted_by_prompt.values()) == 1
        assert server.books.refused == 0


WEIGHTS = {"alice": 3.0, "bob": 1.0}
FALLBACK = {"fallback": "veo-3.1-lite-generate-001"}


def went(server: MockServer) -> Counter[str]:
    """How many of each caller were sent."""
    return Counter(text.partition(" ")[0] for text in server.books.accepted_by_prompt)


async def test_a_weight_is_the_share_of_a_lane_whatever_else_the_requests_may_use() -> None:
    """Bob's go to this lane only, alice's to another one in need, too: they wait in different lines."""
    async with (
        emulator(rpm=10) as server,
        opened(server, rate_limit=10, weights=WEIGHTS, **FALLBACK) as (session, dispatcher),
    ):
        for number in range(40):
            accept(session, dispatcher, f"alice {number}")
            accept(session, dispatcher, f"bob {number}", caller="bob", resolution="4k")
        for minute in range(1, 5):
            await asyncio.sleep(61)
            share = 0.75 * (sent := 10 * minute + 10)
            assert sum(went(server).values()) == sent
            assert abs(went(server)["alice"] - share) <= 1.5  # within one, and who went before the other had come
        assert max(server.books.accepted_by_prompt.values()) == 1


async def test_a_reload_of_the_lanes_keeps_turns_and_shares() -> None:
    async with emulator(rpm=10) as server, opened(server, rate_limit=10, weights=WEIGHTS) as (session, dispatcher):
        for number in range(60):
            accept(session, dispatcher, f"alice {number}")
            accept(session, dispatcher, f"bob {number}", caller="bob")
        for _ in range(50):
            await asyncio.sleep(6)
            await dispatcher.reroute()
        sent = went(server)
        assert sent.total() == 50
        assert abs(sent["alice"] - 37.5) <= 1.5
        await until_ended(session, 120)
        assert Counter(server.books.accepted_by_prompt.values()) == {1: 120}


async def test_priority_holds_until_the_turn_comes() -> None:
    async with emulator() as server, opened(server, rate_limit=1, rate_period=60) as (session, dispatcher):
        for number in range(5):
            accept(session, dispatcher, f"usual {number}")
        await asyncio.sleep(1)
        accept(session, dispatcher, "urgent", priority=5)
        await until_ended(session, 6)
        order = [*server.books.accepted_by_prompt]
        assert order.index("urgent") == 2  # one was sent, and one stood ready


async def test_what_a_server_left_is_finished_and_nothing_is_sent_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with emulator(latency="30") as server:
        async with opened(server, rate_limit=5, rate_period=60) as (session, dispatcher):
            for number in range(12):
                accept(session, dispatcher, f"boat {number}")
            await asyncio.sleep(10)
            assert session.journal is not None
            assert session.journal.counts() == {State.RUNNING: 5, State.PLANNED: 7}
            killed = tmp_path / "killed"
            shutil.copytree(session.settings.output_dir, killed)  # as `kill -9` leaves it
        async with opened(server, rate_limit=5, rate_period=60, output_dir=killed) as (session, dispatcher):
            found: list[str] = []
            dispatcher.start(lambda request, _: found.append(request.caller))
            assert len(found) == 12  # none has ended
            await until_ended(session, 12)
        assert Counter(server.books.accepted_by_prompt.values()) == {1: 12}


async def test_what_was_stopped_in_order_goes_on_too() -> None:
    async with emulator(latency="30") as server:
        async with opened(server, rate_limit=5, rate_period=60) as (session, dispatcher):
            for number in range(8):
                accept(session, dispatcher, f"boat {number}")
            await asyncio.sleep(10)
        async with opened(server, rate_limit=5, rate_period=60) as (session, dispatcher):
            dispatcher.start()
            await until_ended(session, 8)
        assert Counter(server.books.accepted_by_prompt.values()) == {1: 8}


async def test_a_failed_operation_of_an_earlier_run_is_tried_again() -> None:
    async with emulator(latency="30", faults=["error-13@1"]) as server:
        async with opened(server) as (session, dispatcher):
            accept(session, dispatcher, "a boat")
            await asyncio.sleep(10)
        async with opened(server) as (session, dispatcher):
            dispatcher.start()
            await until_ended(session, 1)
        assert server.books.accepted_by_prompt == {"a boat": 2}


async def test_a_full_disk_keeps_requests_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator() as server, opened(server) as (session, dispatcher):
        journal = session.journal
        assert journal is not None

        def refuse(*_: object, **__: object) -> None:
            raise JournalError("the disk is full")

        ended: list[int] = []
        dispatcher._ended = ended.append
        move = type(journal).move
        with monkeypatch.context() as full:
            full.setattr(
                type(journal),
                "move",
                lambda self, job, old, new, **changes: (
                    refuse() if new is State.SUBMITTING else move(self, job, old, new, **changes)
                ),
            )
            accept(session, dispatcher, "a boat")
            await asyncio.sleep(module.PAUSE * 3)
            assert ended == []
            assert server.books.accepted == 0
        await until_ended(session, 1)
        assert len(ended) == 1


async def test_a_request_that_no_lane_takes_any_more_ends_with_the_reason() -> None:
    async with emulator() as server:
        async with opened(server) as (session, _):
            accept(session, None, "a boat", model="veo-3.0-generate-001")
        async with opened(server) as (session, dispatcher):
            dispatcher.start()
            await until_ended(session, 1, State.REJECTED)
            assert session.journal is not None
            [record] = session.journal.records()
            assert (
                record.error_message == "model veo-3.0-generate-001 was retired on 2026-06-30: use veo-3.1-generate-001"
            )


async def test_a_cancelled_request_leaves_its_queue_unless_its_turn_has_come() -> None:
    async with emulator() as server, opened(server, rate_limit=1, rate_period=60) as (session, dispatcher):
        requests = [accept(session, dispatcher, f"boat {number}") for number in range(4)]
        await asyncio.sleep(1)
        assert [dispatcher.cancel(request) for request in requests] == [False, False, True, True]
        assert dispatcher.waiting == 0
