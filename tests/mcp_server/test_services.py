"""Agents' clips by the emulator of mock mode, and by an `aveo3 serve`: the same tools, the same budget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from aveo3.mcp_server.desk import Desk
from aveo3.mcp_server.transport import server_of
from aveo3.server.door.server import DoorServer
from tests.support.agents import CLIP_USD, Agent, clips
from tests.support.emulated import emulator, quick
from tests.support.settings import settings


@asynccontextmanager
async def at(home: Path, **values: Any) -> AsyncIterator[Agent]:
    """An agent whose clips are made where `values` say."""
    chosen = settings(output_dir=home, journal="auto", mcp_budget=10, poll_interval=0.1, **values)
    async with Desk(chosen) as desk, Client(server_of(desk)) as client:
        yield Agent(client, desk)


async def test_mock_mode_counts_list_prices_in_all_sessions(tmp_path: Path) -> None:
    async with at(tmp_path, mock_mode=True) as it:
        await it.call("start", clips=clips("one"))
        assert (await it.call("wait"))["jobs"][0]["status"] == "succeeded"
    async with at(tmp_path, mock_mode=True) as it:
        assert (await it.call("budget"))["left_usd"] == pytest.approx(10 - CLIP_USD)
        await it.refused("start", clips=clips("two", "three", "four"))


async def test_what_mock_mode_forgot_is_made_again_within_the_budget(tmp_path: Path) -> None:
    """Operations of the emulator end with their session. They were counted, and are not counted twice."""
    async with at(tmp_path, mock_mode=True) as it:
        await it.call("start", clips=clips("one", "two", "three"))
        now = await it.call("wait", seconds=0.3)
        assert "running" in {job["status"] for job in now["jobs"]}
    async with at(tmp_path, mock_mode=True) as it:
        started = await it.call("start", clips=clips("one", "two", "three"))
        assert started["money"]["left_usd"] == pytest.approx(10 - 3 * CLIP_USD)
        done = await it.call("wait")
        assert [job["status"] for job in done["jobs"]] == ["succeeded"] * 3


async def test_a_server_makes_the_clips_and_the_budget_holds_here(tmp_path: Path) -> None:
    async with (
        emulator() as google,
        DoorServer(quick(google, output_dir=tmp_path / "door", journal="auto"), port=0) as door,
    ):
        async with at(tmp_path / "here", server=door.url) as it:
            await it.call("start", clips=clips("one", "two"))
            done = await it.call("wait", seconds=120)
            assert [job["status"] for job in done["jobs"]] == ["succeeded", "succeeded"]
            assert "US$ 3.60" in await it.refused("start", clips=clips("three", "four"))
        assert google.books.accepted_by_prompt == {"one": 1, "two": 1}
