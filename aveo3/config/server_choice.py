"""What cannot be set together with a server: its own settings decide about lanes, quota and money at Google. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aveo3.config.settings import Settings

_WHY = {
    "mock_mode": "the emulator makes clips in this process, without a server (`aveo3 serve --mock` has one)",
    "backend": "the server chooses the backend",
    "base_url": "the server knows Google's address, and a run goes to one address",
    "lanes": "the server has the lanes",
    "fallback": "the server has the fallback models",
    "rate_limit": "the server has the quota",
    "burst": "the server has the quota",
    "daily_limit": "the server has the quota",
    "spend_limit": "the server has the quota",
    "webhook": "the server tells by itself when a clip has ended",
}


def left_to_the_server() -> tuple[str, ...]:
    """The settings about which a server decides."""
    return tuple(_WHY)


def in_the_way(settings: Settings) -> list[str]:
    """A part of a sentence for each setting that would have no effect, because the server decides about it."""
    fields = type(settings).model_fields
    given = [name for name in _WHY if getattr(settings, name) not in (fields[name].default, None, ())]
    return [f"VEO3_{name.upper()} cannot go with it, because {_WHY[name]}" for name in given]
