"""The inspector's command line, in JavaScript, on `aveo3 mcp`: it checks the schemas, and makes a clip."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from aveo3.mcp_server.http import serve_http
from tests.support.agents import desk_of
from tests.support.inspector import inspect
from tests.support.studio import Studio

pytestmark = [pytest.mark.whole, pytest.mark.real_time]

ROOT = Path(__file__).parents[2]


async def test_the_inspector_finds_no_fault_with_the_schemas(tmp_path: Path) -> None:
    program = ("-e", f"PYTHONPATH={ROOT}", "--cwd", str(tmp_path), sys.executable, "-m", "aveo3", "mcp", "--mock")
    code, said = await inspect(*program, "--method", "tools/list", "--strict", home=tmp_path)
    assert code == 0
    assert {"start", "wait", "result"} <= {tool["name"] for tool in said["tools"]}
    assert all(tool["outputSchema"]["type"] == "object" for tool in said["tools"])


async def test_the_inspector_makes_a_clip_by_http(tmp_path: Path) -> None:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    desk = desk_of(Studio(latency=0.05), tmp_path / "clips", poll_interval=0.01, mcp_budget=5)
    server = asyncio.create_task(serve_http(desk, "1", stop, "127.0.0.1", 0, opened=url.set_result))
    try:
        at = await asyncio.wait_for(url, 20)

        async def call(tool: str, *arguments: str) -> tuple[int, dict[str, object]]:
            given = ("--tool-arg", *arguments) if arguments else ()
            return await inspect(at, "--method", "tools/call", "--tool-name", tool, *given, home=tmp_path)

        code, _ = await call("start", 'clips=[{"prompt":"a boat"}]')
        assert code == 0
        code, said = await call("wait")
        assert code == 0
        assert "succeeded" in str(said)
        code, said = await call("start", 'clips=[{"prompt":"another"}]')
        assert code != 0
        assert "of the budget of US$ 5.00 are left" in str(said)
        code, said = await inspect(at, "--method", "resources/list", home=tmp_path)
        assert code == 0
        assert "aveo3://clip/" in str(said)
    finally:
        stop.set()
        await server
