"""Every fault of the emulator, on either side of the point where money is owed: what the clip is then, what the next
run makes of it, and how often it was paid for. README's table says the same, and is checked here."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from aveo3 import VeoClient
from aveo3.mock import FAULTS
from aveo3.mock.faults import OF_INTERACTIONS, Point
from tests.test_end_to_end import SSL_CONTEXT, emulator, quick

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

README = Path(__file__).parent.parent / "README.md"
ONCE = (Point.SUBMIT, Point.ACCEPTED, Point.OUTCOME)
"""These strike the first request only; the others strike as long as the first run lasts."""

VEOS = [name for name, (point, _) in FAULTS.items() if point not in OF_INTERACTIONS]

BILLED = ("success", "slow", "stuck")


def table() -> dict[str, tuple[str, str]]:
    """README's table: fault -> what happens with videos that come inline, and with those in a bucket."""
    text = README.read_text("utf-8").partition("\n<!-- fault matrix -->\n")[2].partition("\n<!-- /fault matrix -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "`" in line]
    return {fault: (inline, bucket) for faults, inline, bucket in rows for fault in re.findall(r"`([\w-]+)`", faults)}


TABLE = table()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)
    monkeypatch.setattr("aveo3.engine.OVERTIME", 0.1)
    monkeypatch.setattr("aveo3.delivery.RECOVER_MEDIANS", 0.002)  # a lost clip is waited for a seventh of a second


async def story(fault: str, **values: Any) -> str:
    """Two runs of one prompt in one directory, the fault in the first: how each ends, and what was billed."""
    point = FAULTS[fault][0]
    strikes = [f"{fault}@1" if point in ONCE else fault]
    if point is Point.STORAGE:
        strikes.append("drop-after@1")  # only what is lost is looked for
    timeout = 0.3 if {"timeout", "hang", "stall"} & set(fault.split("-")) else 10.0
    ends = []
    async with emulator(faults=strikes, hang=600) as server:
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


@pytest.mark.parametrize("fault", VEOS)
async def test_the_table_tells_what_each_fault_does(fault: str) -> None:
    inline = await story(fault)
    bucket = await story(fault, output_gcs_uri="gs://bucket/films", output_dir="bucket")
    assert TABLE.get(fault) == (inline, bucket)
    assert "paid: 2" not in inline + bucket or fault == "503-after"


def test_the_table_names_no_other_fault() -> None:
    assert set(TABLE) == set(VEOS)
