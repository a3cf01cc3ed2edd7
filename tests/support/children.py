"""Waiting for what a child process does: for as long as it lives, whatever the machine's speed, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(happened: Callable[[], bool], child: asyncio.subprocess.Process) -> None:
    """Wait until `happened`. Fails at once if `child` ends first, for example while it imports.

    What it said on stderr, if that is a pipe, is in the failure.
    """
    while not happened():
        if child.returncode is not None:
            said = b"" if child.stderr is None else await child.stderr.read()
            raise AssertionError(f"the child ended with {child.returncode}: {said.decode('utf-8', 'replace')[-3000:]}")
        await asyncio.sleep(0.01)
