"""Orders at the same time, and orders that their callers give up: nothing is paid twice, and the budget holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import pytest

from aveo3 import VideoPrompt
from aveo3.integrations.quotes import Refused
from aveo3.journal.journal import Journal
from aveo3.mcp_server import looking
from tests.support.agents import CLIP_USD, desk_of
from tests.support.studio import Studio


async def tell(done: float, total: float, words: str) -> None:
    """Nobody listens."""


def prompts(*texts: str) -> list[VideoPrompt]:
    return [VideoPrompt(text=text) for text in texts]


async def test_equal_orders_at_the_same_time_are_one(tmp_path: Path) -> None:
    studio = Studio(latency=5)
    async with desk_of(studio, tmp_path) as desk:
        started = await asyncio.gather(*(desk.start(prompts("one", "two", "one")) for _ in range(5)))
        assert len({tuple(record.id for record in records) for records, _, _ in started}) == 1
        assert sorted(cost for _, cost, _ in started) == pytest.approx([0, 0, 0, 0, 3 * CLIP_USD])
        await asyncio.sleep(60)
    assert len(studio.prompts) == 3


async def test_orders_at_the_same_time_stay_within_the_budget_together(tmp_path: Path) -> None:
    studio = Studio(latency=5)
    async with desk_of(studio, tmp_path) as desk:
        orders = (desk.start(prompts(f"boat {number}")) for number in range(10))
        ended = await asyncio.gather(*orders, return_exceptions=True)
        assert sum(isinstance(each, Refused) for each in ended) == 7
        await asyncio.sleep(60)
        assert desk.till.money().spent_usd == pytest.approx(3 * CLIP_USD)
    assert len(studio.prompts) == 3


@pytest.mark.parametrize("steps", [1, 3, 6, 10, 20, 80])
async def test_an_order_that_its_caller_gives_up_leaves_all_in_order(
    tmp_path: Path, steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    """After any number of steps of the loop, and however often the caller is cancelled."""
    studio = Studio(latency=5)
    async with desk_of(studio, tmp_path) as desk:
        async with anyio.create_task_group() as group:
            group.start_soon(desk.start, prompts("one"))
            for _ in range(steps):
                await asyncio.sleep(0)
            group.cancel_scope.cancel()
        await asyncio.sleep(60)
        Journal(tmp_path / ".aveo3" / "journal.db").close()  # nothing holds it any more
        assert len(studio.prompts) <= 1
        assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
        await desk.start(prompts("one"))
        await asyncio.sleep(60)
        assert desk.till.money().spent_usd == pytest.approx(CLIP_USD)
    assert len(studio.prompts) == 1


async def test_a_second_program_sees_what_the_first_one_does_and_pays_nothing(tmp_path: Path) -> None:
    studio = Studio(latency=30)
    async with desk_of(studio, tmp_path) as one, desk_of(studio, tmp_path) as other:
        await one.start(prompts("one", "two"))
        await asyncio.sleep(5)
        with pytest.raises(Refused, match="is in use"):
            await other.start(prompts("one", "three"))
        assert other.till.money().left_usd == pytest.approx(10 - 2 * CLIP_USD)
        assert [job.status for job in looking.status(other, None).jobs] == ["running", "running"]
        done = await looking.wait(other, None, 300, tell)
        assert [job.status for job in done.jobs] == ["succeeded", "succeeded"]
        _, cost, _ = await other.start(prompts("one", "three"))
        assert cost == CLIP_USD
        await asyncio.sleep(60)
    assert len(studio.prompts) == 3


async def test_what_leaves_things_in_order_is_not_cancelled_again(tmp_path: Path) -> None:
    in_order = []

    async def order() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)
            in_order.append(True)

    async with desk_of(Studio(), tmp_path) as desk:
        with anyio.move_on_after(10):
            await desk.client.apart(order())
        assert in_order == []
        await asyncio.sleep(2)
    assert in_order == [True]


async def test_an_order_that_is_cancelled_at_once_sends_nothing(tmp_path: Path) -> None:
    studio = Studio(latency=5)
    async with desk_of(studio, tmp_path) as desk:
        records, _, _ = await desk.start(prompts("one", "two"))
        await desk.cancel(records)
        await asyncio.sleep(60)
        assert desk.till.money().spent_usd == 0
    assert not studio.prompts


async def test_a_desk_that_is_closed_takes_no_orders(tmp_path: Path) -> None:
    async with desk_of(Studio(), tmp_path) as desk:
        pass
    with pytest.raises(Refused, match="is stopping"):
        await desk.start(prompts("one"))
