"""Every fault of the emulator on every wire where it can occur, before and after the point where money is owed: the
clip's status, the status after the next run, and how often it was paid. The table of the guide `never-paid-twice` is
checked here."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from aveo3 import VeoClient
from aveo3.mock import FAULTS
from aveo3.mock.config.faults import OF_INTERACTIONS, OF_NO_CLIP, Point
from tests.support.emulated import emulator, quick
from tests.support.guide import GUIDES, place
from tests.support.settings import settings

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

ONCE = (Point.SUBMIT, Point.CREATE, Point.ACCEPTED, Point.OUTCOME, Point.ENDING)
"""These faults hit the first request only; the others last as long as the first run."""

VEOS = [name for name, (point, _) in FAULTS.items() if point not in OF_INTERACTIONS | OF_NO_CLIP]
OMNIS = [name for name, (point, _) in FAULTS.items() if point not in {Point.STORAGE, *OF_NO_CLIP}]
NEVER = "–"
"""The table's entry for a fault that cannot occur there."""

BILLED = ("success", "slow", "stuck", "unread", "unshown", "file-failed")


class Stories(NamedTuple):
    """The outcome of one fault: for Veo with inline videos, for Veo with a bucket, and for Omni."""

    inline: str = NEVER
    bucket: str = NEVER
    omni: str = NEVER


def table() -> list[tuple[str, Stories]]:
    """The guide's table, fault by fault."""
    text = place(GUIDES["never-paid-twice"].read_text("utf-8"), "fault matrix")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "`" in line]
    return [(fault, Stories(*stories)) for faults, *stories in rows for fault in re.findall(r"`([\w-]+)`", faults)]


TABLE = dict(table())


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.engine.following.OVERTIME", 0.1)
    monkeypatch.setattr(
        "aveo3.engine.recovery.RECOVER_MEDIANS", 0.002
    )  # the wait for a lost clip is a seventh of a second
    monkeypatch.setattr("aveo3.backends.interactions.UNNAMED_DOUBT", 0.05)


async def story(fault: str, **values: Any) -> str:
    """Two runs of one prompt in one directory, the fault in the first: how each ends, and what was billed."""
    point = FAULTS[fault][0]
    strikes = [f"{fault}@1" if point in ONCE else fault]
    if point is Point.STORAGE:
        strikes.append("drop-after@1")  # only lost answers are recovered
    timeout = 0.3 if {"timeout", "hang", "stall"} & set(fault.split("-")) else 10.0
    ends = []
    speed = 500 if point is Point.CREATE else 1  # a late refusal asks for 23 s
    async with emulator(faults=strikes, hang=600, speed=speed) as server:
        patience = {"request_timeout": timeout, "operation_timeout": 0.5, "max_retries": 1, "quota_patience": 0.0}
        chosen = quick(server, **{"journal": "auto", "storage_url": server.url, **patience, **values})
        for _ in range(2):
            async with VeoClient(chosen) as veo:
                [clip] = await veo.generate_many(["a boat"])
            ends.append("cached" if clip.cached and clip.succeeded else clip.status.value)
            server.set_faults()
        books = server.books
        paid = books.accepted - sum(count for outcome, count in books.outcomes.items() if outcome not in BILLED)
    return f"{ends[0]}, then {ends[1]}; paid: {paid}"


def told(fault: str) -> Stories:
    return TABLE.get(fault, Stories())


@pytest.mark.parametrize("fault", VEOS)
async def test_the_table_tells_what_each_fault_does_to_veo(fault: str) -> None:
    inline = await story(fault)
    bucket = await story(fault, output_gcs_uri="gs://bucket/films", output_dir="bucket")
    assert told(fault)[:2] == (inline, bucket)


@pytest.mark.parametrize("fault", OMNIS)
async def test_the_table_tells_what_each_fault_does_to_omni(fault: str) -> None:
    assert told(fault).omni == await story(fault, backend="gemini")


def test_the_table_names_every_fault_once_and_none_where_it_cannot_strike() -> None:
    assert sorted(fault for fault, _ in table()) == sorted({*VEOS, *OMNIS})
    assert {fault for fault in TABLE if TABLE[fault].inline != NEVER} == set(VEOS)
    assert {fault for fault in TABLE if TABLE[fault].bucket != NEVER} == set(VEOS)
    assert {fault for fault in TABLE if TABLE[fault].omni != NEVER} == set(OMNIS)


async def test_the_time_of_day_goes_with_the_loop_and_not_with_the_machine() -> None:
    """Between two runs a slow machine takes longer than aveo3 searches for a lost clip here."""
    veo = VeoClient(settings(backend="vertex", project="p"))
    now_utc = veo._session._now_utc
    began = now_utc()
    assert now_utc() == began
    await asyncio.sleep(3600)
    assert now_utc() == began + timedelta(hours=1)


def test_nothing_is_paid_twice_unless_google_denied_it() -> None:
    assert [fault for fault, stories in TABLE.items() if any("paid: 2" in each for each in stories)] == ["503-after"]
