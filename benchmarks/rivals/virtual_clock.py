"""For contestants whose library asks the module `time` how late it is: while they run on a loop whose time jumps, that
module tells the loop's time. Their waits are asyncio's anyway, and need nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

CLOCKS = ("time", "monotonic", "perf_counter")


@contextmanager
def told_by_the_loop(*bound: Any) -> Iterator[None]:
    """Have `time` tell the time of the running loop, and `bound` have it for their argument `clock`, too.

    Those took their default from `time` when they were defined: there the old clock would stay.
    """
    now = asyncio.get_running_loop().time
    with ExitStack() as stack:
        for clock in CLOCKS:
            stack.enter_context(patch.object(time, clock, now))
        for function in bound:
            stack.enter_context(patch.dict(function.__kwdefaults__, clock=now))
        yield
