"""The command line of the MCP inspector, from npm: another client, in another language."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support import npm

INSPECTOR = Path(__file__).parents[1] / "data" / "inspector"
OLDEST = 22
"""The major version of Node.js that it needs."""


@cache
def _command() -> tuple[str, ...]:
    """How to call it. Skips the test where there is no Node.js that can run it, or npm cannot install it."""
    try:
        home = npm.installed(INSPECTOR, "inspector")
    except AssertionError as error:
        pytest.skip(f"npm cannot install the inspector: {error}")
    program = home / "node_modules" / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build"
    return _node(), str(program / "index.js"), "--cli"


def _node() -> str:
    """A Node.js that is new enough: that of the machine, or the one that Playwright brings."""
    spec = find_spec("playwright")
    brought = Path(spec.origin or "").with_name("driver") / "node" if spec is not None else None
    for node in (shutil.which("node"), None if brought is None else str(brought)):
        if node is None or not Path(node).is_file():
            continue
        version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
        if version.startswith("v") and int(version[1:].partition(".")[0]) >= OLDEST:
            return node
    pytest.skip(f"the inspector needs Node.js {OLDEST}")


async def inspect(*arguments: str, home: Path) -> tuple[int, Any]:
    """Its exit code, and the JSON that it prints. `home` stands in for the user's directory, where it keeps a file."""
    command = await asyncio.to_thread(_command)
    program = await asyncio.create_subprocess_exec(
        *command, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={"HOME": str(home)}
    )
    said, complaints = await program.communicate()
    assert said, complaints.decode()
    assert program.returncode is not None
    return program.returncode, json.loads(said)
