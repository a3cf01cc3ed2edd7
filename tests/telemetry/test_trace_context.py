"""The caller's trace through the server: taken from HTTP, kept over a restart, and handed on by a client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry import trace

from aveo3 import Settings, VeoClient
from aveo3.journal import sqlite_schema
from aveo3.journal.journal import Journal
from aveo3.journal.sqlite_connect import connect
from aveo3.journal.sqlite_schema import MIGRATIONS
from aveo3.server.door.server import DoorServer
from aveo3.telemetry.trace_context import checked
from tests.support.door import MODEL, accept, session_of
from tests.support.emulated import emulator, quick
from tests.support.telemetry import Exported, exporting, seconds, story, told

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
URL = f"/v1beta/models/{MODEL}:predictLongRunning"


@pytest.fixture
def exported() -> Iterator[Exported]:
    with exporting() as exported:
        yield exported


async def order(http: aiohttp.ClientSession, text: str = "a boat", **headers: str) -> None:
    async with http.post(URL, json={"instances": [{"prompt": text}]}, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


def linked(exported: Exported) -> list[list[tuple[str, str]]]:
    """The traces and spans that each job is linked to."""
    return [
        [(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") for link in span.links]
        for span in exported.jobs
    ]


async def test_a_request_is_a_trace_of_its_own_from_its_acceptance_linked_to_who_asked(exported: Exported) -> None:
    async with (
        emulator(latency="40") as google,
        DoorServer(quick(google, journal="auto", poll_interval=5.0, rate_limit=1, rate_period=60.0), port=0) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        await order(http, traceparent=PARENT)
        with trace.get_tracer("other").start_as_current_span("another request of this process"):
            await order(http, "a tree")
        await asyncio.sleep(600)
    assert sorted(linked(exported)) == [[], [(TRACE, SPAN)]]
    assert [span.parent for span in exported.jobs] == [None, None]
    assert {told(span)["aveo3.status"] for span in exported.jobs} == {"succeeded"}
    assert all(story(span)[0] == "planned" for span in exported.jobs)


async def test_omni_and_openai_requests_are_linked_too(exported: Exported) -> None:
    async with (
        emulator(latency="40") as google,
        DoorServer(quick(google, journal="auto", poll_interval=5.0), port=0) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        headers = {"traceparent": PARENT}
        video = {"model": MODEL, "prompt": "a boat"}
        async with http.post("/v1/videos", json=video, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        interaction: dict[str, Any] = {"model": "gemini-omni-1.2-flash", "input": "a tree", "background": True}
        async with http.post("/v1beta/interactions", json=interaction, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        await asyncio.sleep(600)
    assert linked(exported) == [[(TRACE, SPAN)]] * 2


async def test_the_callers_trace_outlives_the_server_that_took_the_request(exported: Exported) -> None:
    """As after a kill: the process that took it never sent it."""
    async with emulator(latency="40") as google:
        chosen = quick(google, journal="auto", poll_interval=5.0)
        session = session_of(chosen)
        await session.open()
        accept(session, None, "a boat", traceparent=PARENT)
        await session.close()
        assert exported.jobs == []
        await asyncio.sleep(500)
        async with DoorServer(chosen, port=0):
            await asyncio.sleep(600)
    assert linked(exported) == [[(TRACE, SPAN)]]
    assert told(exported.job)["aveo3.status"] == "succeeded"


async def test_a_client_of_a_server_hands_its_span_on(exported: Exported) -> None:
    async with (
        emulator(latency="40") as google,
        DoorServer(quick(google, journal="auto", poll_interval=5.0), port=0) as door,
    ):
        settings = Settings(server=door.url, output_dir=Path("mine"), poll_interval=1.0)
        async with VeoClient(settings) as veo:
            with trace.get_tracer("shop").start_as_current_span("order 12") as asked:
                await veo.generate("a boat")
    [mine] = [span for span in exported.jobs if not span.links]
    [served] = [span for span in exported.jobs if span.links]
    assert mine.parent is not None
    assert mine.parent.span_id == asked.get_span_context().span_id
    assert served.links[0].context.span_id == mine.get_span_context().span_id  # type: ignore[union-attr]
    assert served.parent is None
    assert seconds(mine) >= 0


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (PARENT, PARENT),
        (f" {PARENT}\t", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", PARENT),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (PARENT.upper(), None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
        (None, None),
        (f"{PARENT}\r\nx: y", None),
    ],
)
def test_a_trace_context_is_read_as_w3c_has_it(value: str | None, read: str | None) -> None:
    assert checked(value) == read


def test_a_journal_from_before_trace_contexts_opens_and_its_requests_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("journal.db")
    added = MIGRATIONS.index(("ALTER TABLE requests ADD COLUMN traceparent TEXT",))
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", MIGRATIONS[:added])
    with closing(connect(path, writes=True)) as db:
        columns = "service, digest, ordinal, position, model, prompt, queued_utc, state"
        db.execute(f"INSERT INTO jobs ({columns}) VALUES ('mock', 'a1', 1, 0, 'veo', '{{}}', '2026-11-20', 'planned')")
        columns = "job, caller, body, priority, door_name, resource"
        db.execute(f"INSERT INTO requests ({columns}) VALUES (1, 'alice', '0', 0, 'old', 'models/veo')")
        db.commit()
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", MIGRATIONS)
    for writes in (False, True):
        with Journal(path, writes=writes) as journal:
            found = journal.requests.of_job(1)
            assert found is not None
            assert (found.door_name, found.traceparent) == ("old", None)
