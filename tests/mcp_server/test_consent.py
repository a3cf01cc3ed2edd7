"""Above a sum a person must agree: asked by the client where it can ask, whatever protocol it speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.types import ElicitResult

from tests.support.agents import CLIP_USD, agent, clips
from tests.support.studio import Studio

MODES = ["auto", "legacy"]


def person(*answers: Any) -> tuple[Callable[..., Awaitable[ElicitResult]], list[str]]:
    """A person who gives these answers, in order, and what they were asked."""
    asked: list[str] = []
    left: list[ElicitResult] = list(answers)

    async def answer(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return left.pop(0)

    return answer, asked


YES = ElicitResult(action="accept", content={"agree": True})
NO = ElicitResult(action="accept", content={"agree": False})


@pytest.mark.parametrize("mode", MODES)
async def test_a_person_is_asked_above_the_sum_and_told_the_price(tmp_path: Path, mode: str) -> None:
    studio, (answer, asked) = Studio(latency=1), person(YES)
    async with agent(studio, tmp_path, mode=mode, elicits=answer, mcp_ask_above=4) as it:
        await it.call("start", clips=clips("one"))
        assert asked == []
        started = await it.call("start", clips=clips("two"))
        assert len(asked) == 1
        assert "1 video clips with aveo3 for US$ 3.20" in asked[0]
        assert "ordered clips for US$ 3.20" in asked[0]
        assert started["money"]["unasked_usd"] == 0
        await it.call("start", clips=clips("one", "two"))  # costs nothing: nobody is asked
        await it.call("start", clips=clips("three"))  # since they agreed, nothing was ordered
        assert len(asked) == 1
        await it.call("wait")
    assert len(studio.prompts) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("answer", [NO, ElicitResult(action="decline"), ElicitResult(action="cancel")])
async def test_without_a_yes_nothing_is_sent(tmp_path: Path, mode: str, answer: ElicitResult) -> None:
    studio, (says, asked) = Studio(), person(answer)
    async with agent(studio, tmp_path, mode=mode, elicits=says, mcp_ask_above=0) as it:
        assert "they did not agree" in await it.refused("start", clips=clips("one"))
        assert len(asked) == 1
        assert (await it.call("budget"))["spent_usd"] == 0
    assert not studio.prompts


async def test_many_small_orders_do_not_get_round_the_person(tmp_path: Path) -> None:
    studio = Studio(latency=1)
    for name in ("one", "two", "three"):  # each in a session of its own: a restart forgets nothing
        async with agent(studio, tmp_path, mcp_ask_above=2 * CLIP_USD) as it:
            if name != "three":
                await it.call("start", clips=clips(name))
                await it.call("wait")
                continue
            assert (await it.call("estimate", clips=clips(name)))["needs_person"]
            said = await it.refused("start", clips=clips(name))
    assert "Your client did not ask them" in said
    assert "VEO3_MCP_ASK_ABOVE" in said
    assert len(studio.prompts) == 2


async def test_nobody_is_asked_for_what_the_budget_refuses(tmp_path: Path) -> None:
    answer, asked = person(YES)
    async with agent(Studio(), tmp_path, elicits=answer, mcp_ask_above=0, mcp_budget=3) as it:
        assert "of the budget of US$ 3.00 are left" in await it.refused("start", clips=clips("one"))
    assert asked == []


async def test_none_asks_nobody(tmp_path: Path) -> None:
    async with agent(Studio(latency=1), tmp_path, mcp_ask_above=None, mcp_budget=100) as it:
        await it.call("start", clips=clips(*map(str, range(10))))


async def test_a_price_that_rises_while_a_person_thinks_was_not_agreed_to(tmp_path: Path) -> None:
    studio = Studio(latency=100)
    at: dict[str, Any] = {}

    async def answer(_: Any, params: Any) -> ElicitResult:
        assert "US$ 3.20 at list price" in params.message  # "two" waits, and is paid for
        await at["agent"].desk.cancel([record for record in at["records"] if record.prompt["text"] == "two"])
        return YES

    async with agent(studio, tmp_path, mode="legacy", elicits=answer, mcp_ask_above=7, max_concurrency=1) as it:
        await it.call("start", clips=clips("one", "two"))
        with it.desk.journal() as journal:
            assert journal is not None
            at |= {"agent": it, "records": [*journal.records()]}
        assert "would cost US$ 6.40" in await it.refused("start", clips=clips("two", "three"))
    assert len(studio.prompts) == 1
