"""Which services made the clips of a directory, and whether a run may add to them: emulated and real look alike."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from aveo3.cli.journal_view import counted, listed
from aveo3.cli.preview import reading
from aveo3.journal.mixture import paid_elsewhere
from aveo3.lifecycle import EMULATED, SERVER, UNDER_WAY

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.journal.rows import StateCount

_GOOGLE = "google"


def of_directory(settings: Settings) -> Settings:
    """`settings` in mock mode, if the output directory has no jobs but those of the emulator."""
    emulated = not settings.mock_mode and _services_of(settings) <= {EMULATED}
    return settings.model_copy(update={"mock_mode": True}) if emulated else settings


def mixture(settings: Settings, service: str | None) -> str | None:
    """A sentence if a run at `service` (None: without credentials) would put emulated clips among real ones."""
    tallies = _tallies(settings)
    path = settings.journal_path
    if service is not None and path is not None and (why := paid_elsewhere(tallies, service, path)) is not None:
        return why
    there = {tally.service for tally in tallies}
    if there == {EMULATED} and service in (_GOOGLE, SERVER, None):
        return (
            f"{settings.output_dir} holds clips of the emulator. For real ones name another directory (--output-dir); "
            "to go on with the emulator add --mock."
        )
    if _GOOGLE in there and EMULATED not in there and service == EMULATED:
        return (
            f"{settings.output_dir} holds clips that Google made. For those of the emulator name another directory "
            "(--output-dir)."
        )
    return None


def left_elsewhere(settings: Settings, service: str | None) -> str | None:
    """A sentence on the running jobs of other services than `service`, and how to reach them."""
    left: Counter[str] = Counter()
    for tally in _tallies(settings):
        if tally.state in UNDER_WAY and tally.service != service:
            left[tally.service] += tally.jobs
    ways = [f"{counted(jobs)} {_REACHED.get(name, f'at {name}')}" for name, jobs in left.items()]
    return f"{settings.output_dir} has {listed(ways)}" if ways else None


_REACHED = {
    _GOOGLE: "at Google: for these, set its credentials (aveo3 login), and neither VEO3_BASE_URL nor VEO3_MOCK_MODE",
    "local": "at a server on this machine: for these, set VEO3_BASE_URL to its address",
    EMULATED: "of the emulator: for these, set VEO3_MOCK_MODE=true",
    SERVER: "at a server of aveo3: for these, set VEO3_SERVER to its address",
    "custom": "at a backend of your own: for these, call veo.resume() in Python",
}


def _services_of(settings: Settings) -> set[str]:
    """The services that made, or were to make, the clips of the output directory."""
    return {tally.service for tally in _tallies(settings)}


def _tallies(settings: Settings) -> list[StateCount]:
    if settings.journal_path is None or settings.database is not None:  # who opens the database looks itself
        return []
    with reading(settings.journal_path) as journal:
        return [] if journal is None else journal.tallies()
