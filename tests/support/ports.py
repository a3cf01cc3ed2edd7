"""Ports on this machine for servers that tests start."""

from __future__ import annotations

import random
import socket
from contextlib import closing, suppress


def free_port() -> int:
    """A port that is free now. It lies below those that systems give out by themselves, so that nobody gets it soon."""
    while True:
        port = random.randrange(20_000, 32_000)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
