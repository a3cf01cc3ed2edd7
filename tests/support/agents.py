"""An agent without a model: the official MCP client on a desk, in memory. On virtual time, with a studio behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mcp import Client

from aveo3 import Settings, VeoClient
from aveo3.mcp_server.desk import Desk
from aveo3.mcp_server.transport import server_of
from tests.support.settings import settings
from tests.support.studio import Studio
from tests.support.virtual import NoJitter, now_utc

CLIP_USD = 3.20
"""A clip of the usual model, at list price."""


class Agent:
    """Calls tools. `said` is what the last refusal told it."""

    def __init__(self, client: Client, desk: Desk) -> None:
        self.client, self.desk = client, desk

    async def call(self, tool: str, **arguments: Any) -> Any:
        """The structured answer of a tool. A refusal is an `AssertionError`."""
        result: Any = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content[0].text
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        """What a tool says that refuses."""
        result: Any = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.content
        return str(result.content[0].text)


def clips(*prompts: str, **fields: Any) -> list[dict[str, Any]]:
    """Orders of clips."""
    return [{"prompt": prompt, **fields} for prompt in prompts]


def client_of(studio: Studio, chosen: Settings, **more: Any) -> VeoClient:
    """A client whose clips a studio makes."""
    return VeoClient(chosen, backend=studio, rng=NoJitter(), now_utc=now_utc, **more)


def desk_of(studio: Studio, home: Path, **values: Any) -> Desk:
    """A desk whose clips a studio makes, with a budget of US$ 10."""

    chosen = {"output_dir": home, "journal": "auto", "poll_interval": 1.0, "rate_limit": 1000, "mcp_budget": 10}
    return Desk(settings(**{**chosen, **values}), client=partial(client_of, studio), now_utc=now_utc)


@asynccontextmanager
async def agent(
    studio: Studio, home: Path, *, mode: Any = "auto", elicits: Any = None, **values: Any
) -> AsyncIterator[Agent]:
    """An agent at a desk of its own: a session of the server."""
    async with (
        desk_of(studio, home, **values) as desk,
        Client(server_of(desk), mode=mode, elicitation_callback=elicits) as client,
    ):
        yield Agent(client, desk)
