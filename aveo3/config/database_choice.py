"""What cannot be set together with a database that keeps the journal of several machines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aveo3.config.settings import Settings

_WHY = {
    "journal": "the journal is in the database",
    "server": "that server keeps the journal",
    "webhook": "Google reports to one machine, and another may follow the clip: aveo3 polls without it",
    "mock_mode": "the emulator runs in one process, and no other machine reaches it: start `aveo3 mock-server`, and "
    "set VEO3_BASE_URL to its address",
}


def in_the_way(settings: Settings) -> list[str]:
    """A part of a sentence for each setting that means one machine."""
    fields = type(settings).model_fields
    given = {
        f"VEO3_{name.upper()}": why for name, why in _WHY.items() if getattr(settings, name) != fields[name].default
    }
    if settings.backend == "mock":
        given["VEO3_BACKEND=mock"] = _WHY["mock_mode"]
    return [f"{name} cannot go with it, because {why}" for name, why in given.items()]
