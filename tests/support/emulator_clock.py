"""The emulator's clock, moved by a test."""

from __future__ import annotations

from aveo3.mock import MockServer


def let_pass(server: MockServer, seconds: float) -> None:
    """Put the emulator's clock forward: for processes, which cannot jump along."""
    server.emulator.clock._started_at -= seconds / server.emulator.clock.speed
