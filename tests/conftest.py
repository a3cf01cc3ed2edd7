"""Isolates every test: no environment variables, no .env, no shared state."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aioresponses
import hypothesis
import pytest
import pytest_asyncio
from aiohttp import ClientResponse

from aveo3.cli import catalog_age
from aveo3.config import catalog
from aveo3.journal.place import Place, SharedJournal
from aveo3.testing import VirtualTimeLoop
from benchmarks.harness.postgres_server import PostgresServer
from tests.support import postgres
from tests.support.browser import chromium

hypothesis.settings.register_profile("aveo3", deadline=None)  # no test hangs on how fast the machine is
hypothesis.settings.load_profile("aveo3")


def pytest_configure() -> None:
    """`nohup pytest &` starts with signals ignored, and so would every program that a test starts and interrupts."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """On this loop the time jumps, also for a server in the same loop, so no test waits for the clock.

    Tests that talk to another process, whose time does not jump, are marked `real_time`.
    """
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualTimeLoop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for other processes comes first: at the end it would leave one worker alone with it."""
    items.sort(key=lambda item: item.get_closest_marker("real_time") is None)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable that aveo3 or the SDK reads, no look for a Google machine's credentials, an empty directory."""
    for name in list(os.environ):
        if name.startswith(("VEO3_", "GOOGLE_", "GEMINI_", "CLOUDSDK_", "STORAGE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def journal_place() -> Place:
    """Where the fixture `journal` has its journal; the tests of the journal have several of them."""
    return Path(".aveo3", "journal.db")


@pytest.fixture(autouse=True)
def young_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """The release's catalog is a day old, however long after the release the tests run."""
    day = date.fromisoformat(catalog.load().as_of) + timedelta(days=1)
    monkeypatch.setattr(catalog_age, "today_utc", lambda: day)


@pytest.fixture(autouse=True)
def logger_as_it_was() -> Iterator[None]:
    """The command line sets up aveo3's logger: other tests must not inherit that."""
    logger = logging.getLogger("aveo3")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    if logger.level != level:
        logger.setLevel(level)  # tells the loggers below it, too


@pytest.fixture
def time_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What calls `asyncio.run` itself, as the command line does, is on a loop whose time jumps, too."""
    monkeypatch.setattr(asyncio.events, "new_event_loop", VirtualTimeLoop)


class _Response(ClientResponse):
    """aiohttp 3.14 wants a `stream_writer`, of which aioresponses 0.7.9 knows nothing (its issue #289)."""

    def __init__(self, *args: Any, **values: Any) -> None:
        if "stream_writer" in inspect.signature(ClientResponse.__init__).parameters:
            values.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **values)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses.aioresponses]:
    """The web as far as an aiohttp session sees it: what is not laid down here cannot be reached."""
    monkeypatch.setattr("aioresponses.core.ClientResponse", _Response)
    with aioresponses.aioresponses() as web:
        yield web


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    """One headless Chromium for all tests of a session; see `tests/support/browser.py`."""
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests of a process."""
    with postgres.server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database, with a password in it."""
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_place(postgres_server: PostgresServer) -> Iterator[SharedJournal]:
    """An empty journal."""
    with postgres.journal(postgres_server) as url:
        yield postgres.place_of(url)
