"""Fixtures of every test in this package."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from aveo3 import VeoClient
from aveo3.testing import VirtualTimeLoop
from tests.support.ssl_context import one_ssl_context as one_ssl_context


class Calendar:
    """The time of day: it goes with the loop whose time jumps, and never back. Elsewhere it is the system's."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = self._begin = datetime.now(UTC)

    def __call__(self) -> datetime:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualTimeLoop):
            return datetime.now(UTC)
        if loop is not self._loop:
            self._loop, self._begin = loop, self._last - timedelta(seconds=loop.time())
        self._last = self._begin + timedelta(seconds=loop.time())
        return self._last


@pytest.fixture(autouse=True)
def calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long ago a submit was is not a question of how fast the machine is."""
    defaults = VeoClient.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "now_utc", Calendar())
