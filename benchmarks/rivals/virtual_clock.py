"""Virtual time for libraries that read the module `time`: its clocks show the loop's time while a contestant runs.

The waits of these libraries use asyncio, so they need no change.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

CLOCKS = ("time", "monotonic", "perf_counter")


@contextmanager
def loop_clocks(*bound: Any) -> Iterator[None]:
    """Make the clocks of `time`, and the default argument `clock` of `bound`, show the time of the running loop.

    The functions in `bound` took their default from `time` at definition, so that patching `time` is not enough.
    """
    now = asyncio.get_running_loop().time
    with ExitStack() as stack:
        for clock in CLOCKS:
            stack.enter_context(patch.object(time, clock, now))
        for function in bound:
            stack.enter_context(patch.dict(function.__kwdefaults__, clock=now))
        yield
