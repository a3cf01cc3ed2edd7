"""How many files and connections this process may have open, and what to say when there are too many."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any

resource: Any = None
with suppress(ImportError):  # Windows, which has no such limit
    import resource

ENOUGH = 8192
"""Open files that suffice for any batch. macOS refuses more than 10,240."""

KEPT_FREE = 64
"""Open files for all that is no connection: the journal, parts of videos, a terminal."""

SHARES = 5
"""Parts of the rest: submits and polls, downloads, and both again if the emulator runs in this process."""

FEWEST = 4

TOO_MANY = {errno.EMFILE, errno.ENFILE}

WAY_OUT = "Allow more, for example with `ulimit -n 4096`, or set VEO3_MAX_CONCURRENCY."


def raise_limit() -> None:
    """Raise this process's limit of open files to `ENOUGH`, as far as the system allows."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
        except (OSError, ValueError):  # the limit stays, and connections below it
            return


def most_connections() -> int:
    """The most connections of one kind, so that all of them stay below the limit of open files."""
    if resource is None:
        return ENOUGH // SHARES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = ENOUGH if soft == resource.RLIM_INFINITY else min(soft, ENOUGH)
    return max(FEWEST, (limit - KEPT_FREE) // SHARES)
