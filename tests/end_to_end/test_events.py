"""The events of runs against the emulator with faults on every side: in order, and adding up."""

from __future__ import annotations

from pathlib import Path

import pytest

from aveo3 import VeoClient
from aveo3.events import Event, Retrying, Saved
from tests.support.emulated import emulator, quick
from tests.support.stories import check_order, check_sums

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

FAULTS = ["500-before:0.1", "503:0.1", "drop-after:0.1", "error-13:0.1", "poll-500:0.1", "download-503:0.1"]


async def test_through_faults_every_job_tells_its_story_in_order_and_the_money_adds_up(tmp_path: Path) -> None:
    async with emulator(faults=FAULTS, rpm=40, speed=60, seed=3) as server:
        for again in (False, True):
            events: list[Event] = []
            settings = quick(server, output_dir=tmp_path, journal=tmp_path / "journal.db", max_retries=20)
            async with VeoClient(settings, on_event=events.append) as veo:
                await veo.generate_many([f"boat {number}" for number in range(30)])
            check_order(events)
            check_sums(events, veo.stats())
            saved = [event for event in events if isinstance(event, Saved)]
            assert all(event.paths and event.bytes for event in saved)
            assert again or any(isinstance(event, Retrying) for event in events)
