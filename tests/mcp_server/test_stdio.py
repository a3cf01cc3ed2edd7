"""`aveo3 mcp` as clients start it: a program on stdin and stdout, which may be killed at any time."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from typer.testing import CliRunner

from aveo3.cli import app
from aveo3.journal.journal import Journal
from aveo3.mock import MockServer
from tests.support.agents import CLIP_USD, clips
from tests.support.emulated import KEY, emulator

ROOT = Path(__file__).parents[2]


def environment(server: MockServer, home: Path, **more: str) -> dict[str, str]:
    """The environment of a program whose clips the emulator makes, as if it were Google."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "VEO3_BASE_URL": server.url,
        "VEO3_BACKEND": "vertex",
        "GOOGLE_API_KEY": KEY,
        "VEO3_POLL_INTERVAL": "0.02",
        "VEO3_RATE_LIMIT": "100",
        "VEO3_OUTPUT_DIR": str(home),
        "VEO3_MCP_BUDGET": "10",
        **more,
    }


@asynccontextmanager
async def session(server: MockServer, home: Path, **more: str) -> AsyncIterator[Client]:
    """A session with a program of its own."""
    program = StdioServerParameters(
        command=sys.executable, args=["-m", "aveo3", "mcp"], env=environment(server, home, **more), cwd=home.parent
    )
    async with Client(program) as client:
        yield client


HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
HANDSHAKE: list[dict[str, Any]] = [
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]


def call(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    """A request as it goes over the wire."""
    parameters = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": parameters}


async def answer(client: Client, tool: str, **arguments: Any) -> Any:
    result: Any = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


@pytest.mark.whole
@pytest.mark.real_time
async def test_a_program_that_is_killed_pays_nothing_twice_and_keeps_its_budget(tmp_path: Path) -> None:
    home = tmp_path / "clips"
    async with emulator(latency="1.5") as server:
        killed, started = None, None
        with suppress(Exception, BaseExceptionGroup):  # its client hears of the kill in its own way
            async with session(server, home) as client:
                started = await answer(client, "start", clips=clips("one", "two"))
                while server.books.accepted < 2:
                    await answer(client, "wait", seconds=0.1)
                with Journal(home / ".aveo3" / "journal.db", writes=False) as journal:
                    run = journal.last_run()
                assert run is not None
                os.kill(run.pid, signal.SIGKILL)
                killed = run.pid
        assert killed is not None
        assert started is not None
        async with session(server, home) as client:
            assert (await answer(client, "budget"))["left_usd"] == pytest.approx(10 - 2 * CLIP_USD)
            done = await answer(client, "wait", seconds=30)  # without `start`: what was sent is taken up
            assert {job["status"] for job in done["jobs"]} == {"succeeded"}
            again = await answer(client, "start", clips=clips("one", "two"))
            assert [job["job"] for job in again["jobs"]] == [job["job"] for job in started["jobs"]]
            assert again["new_cost_usd"] == 0
        assert server.books.accepted_by_prompt == {"one": 1, "two": 1}


@pytest.mark.whole
@pytest.mark.real_time
async def test_a_signal_ends_it_in_order_while_its_client_is_there(tmp_path: Path) -> None:
    home = tmp_path / "clips"
    async with emulator(latency="30") as server:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aveo3", "mcp"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(server, home),
        )
        assert program.stdin is not None
        assert program.stdout is not None
        for request in (*HANDSHAKE, call(2, "start", clips=clips("one"))):
            program.stdin.write(json.dumps(request).encode() + b"\n")
        while b'"id":2' not in await program.stdout.readline():
            pass
        program.send_signal(signal.SIGTERM)
        assert await program.wait() == 0
    with Journal(home / ".aveo3" / "journal.db", writes=False) as journal:
        run = journal.last_run()
        assert run is not None
        assert run.ended_utc is not None


@pytest.mark.real_time
async def test_stdout_belongs_to_the_protocol(tmp_path: Path) -> None:
    """Whatever is logged or goes wrong; and the program ends when its client leaves."""
    requests = [*HANDSHAKE, call(2, "start", clips=[{}]), call(3, "start", clips=clips("a boat"))]
    async with emulator() as server:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aveo3", "mcp"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(server, tmp_path / "clips", VEO3_DEBUG_MODE="true"),
        )
        assert program.stdin is not None
        assert program.stdout is not None
        for request in requests:
            program.stdin.write(json.dumps(request).encode() + b"\n")
        await program.stdin.drain()
        answers: dict[int, Any] = {}
        while set(answers) != {1, 2, 3}:
            message = json.loads(await program.stdout.readline())
            answers[message.get("id")] = message
        program.stdin.close()
        assert await program.wait() == 0
        assert await program.stdout.read() == b""
        assert program.stderr is not None
        assert KEY.encode() not in await program.stderr.read()
    assert answers[1]["result"]["serverInfo"]["name"] == "aveo3"
    assert answers[2]["result"]["isError"]
    assert answers[3]["result"]["structuredContent"]["new_cost_usd"] == CLIP_USD


@pytest.mark.parametrize(("version", "said"), [(None, "is not installed"), ("1.26.0", "and 1.26.0 is installed")])
def test_without_the_package_a_sentence_names_the_command(
    monkeypatch: pytest.MonkeyPatch, version: str | None, said: str
) -> None:
    def of(package: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(package)
        return version

    monkeypatch.setattr(importlib.metadata, "version", of)
    result = CliRunner().invoke(app, ["mcp"])
    assert result.exit_code == 2
    assert said in result.stderr
    assert "pip install 'aveo3[mcp]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mock", "--http", "0.0.0.0:0"], "VEO3_MCP_TOKEN"),
        (["--mock", "--http", "nowhere:port"], "write HOST:PORT"),
        (["--mock", "--budget", "-1"], "--budget"),
        (["--mock", "--ask-above", "much"], "--ask-above"),
        ([], "No credentials found"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_served(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["mcp", *arguments])
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stdout == ""
