"""The event bus: who gets an event, slow readers, and listeners that raise."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from aveo3 import UsageError, VeoClient
from aveo3.events import Event, Missed, RunEnded
from aveo3.events.bus import EventBus
from aveo3.testing import ScriptedBackend
from tests.support.settings import settings
from tests.support.virtual import START_UTC


def event(number: int) -> Event:
    return RunEnded(at_utc=START_UTC, batch=number, clips={})


def number_of(each: Event) -> int:
    """The number of an event; less than 0: so many were missed."""
    if isinstance(each, Missed):
        return -each.count
    assert isinstance(each, RunEnded)
    return each.batch


async def test_every_reader_gets_every_event_from_its_making_on_and_ends_when_the_bus_closes() -> None:
    bus = EventBus()
    first = bus.reader()
    bus.publish(event(1))
    second = bus.reader()
    reading = [asyncio.create_task(_all(reader)) for reader in (first, second)]
    await asyncio.sleep(1)  # both wait now
    bus.publish(event(2))
    bus.close()
    assert await asyncio.gather(*reading) == [[1, 2], [2]]
    assert await _all(bus.reader()) == []


async def _all(reader: object) -> list[int]:
    return [number_of(each) async for each in reader]  # type: ignore[attr-defined]


async def test_a_slow_reader_loses_the_oldest_and_learns_in_their_place_how_many() -> None:
    bus = EventBus()
    slow, quick = bus.reader(buffer=3), bus.reader()
    for number in range(1, 9):
        bus.publish(event(number))
    assert [number_of(await anext(slow)) for _ in range(2)] == [-5, 6]
    bus.publish(event(9))
    bus.publish(event(10))  # 7 gives way
    bus.close()
    assert await _all(slow) == [-1, 8, 9, 10]
    assert await _all(quick) == [*range(1, 11)]


async def test_a_reader_that_is_left_or_closed_costs_nothing_any_more() -> None:
    bus = EventBus()
    reader = bus.reader()
    bus.publish(event(1))
    async for _ in reader:
        break
    assert bus.listening
    del reader
    gc.collect()
    assert not bus.listening
    async with bus.reader() as other:
        bus.publish(event(2))
    assert not bus.listening
    assert await _all(other) == []


async def test_a_listener_that_raises_is_logged_once_and_the_others_get_their_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = []

    def listener(each: Event) -> None:
        heard.append(number_of(each))
        raise (ValueError("no"), asyncio.CancelledError())[len(heard) - 1]

    bus = EventBus(listener)
    reader = bus.reader()
    with caplog.at_level(logging.ERROR):
        bus.publish(event(1))
        bus.publish(event(2))
    bus.close()
    bus.publish(event(3))
    assert (heard, await _all(reader)) == ([1, 2], [1, 2])
    [record] = caplog.records
    assert record.getMessage().startswith("on_event raised at RunEnded(")
    assert not bus.listening


async def coroutine(_: Event) -> None: ...


class Called:
    async def __call__(self, _: Event) -> None: ...


@pytest.mark.parametrize("wrong", [coroutine, Called(), "print"])
def test_a_listener_that_could_not_be_called_is_refused_at_once(wrong: Callable[[Event], object]) -> None:
    with pytest.raises(UsageError, match=r"^on_event is "):
        VeoClient(settings(), backend=ScriptedBackend(), on_event=wrong)


def test_a_buffer_without_room_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^buffer=0: at least one event must have room$"):
        EventBus().reader(0)


async def test_a_reader_ends_if_its_client_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    veo = VeoClient(settings(output_dir=tmp_path / "file"), backend=ScriptedBackend())
    reader = veo.events()
    with pytest.raises(UsageError):
        async with veo:
            pass
    assert [each async for each in reader] == []
