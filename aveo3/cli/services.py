"""Which services made the clips of a directory, and whether a run may add to them: emulated and real look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aveo3.cli.preview import reading
from aveo3.lifecycle import EMULATED

if TYPE_CHECKING:
    from aveo3.config.settings import Settings

_GOOGLE = "google"


def of_directory(settings: Settings) -> Settings:
    """`settings` in mock mode, if the output directory has no jobs but those of the emulator."""
    emulated = not settings.mock_mode and _services_of(settings) <= {EMULATED}
    return settings.model_copy(update={"mock_mode": True}) if emulated else settings


def mixture(settings: Settings, service: str | None) -> str | None:
    """A sentence if a run at `service` (None: without credentials) would put emulated clips among real ones."""
    there = _services_of(settings)
    if there == {EMULATED} and service in (_GOOGLE, None):
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


def _services_of(settings: Settings) -> set[str]:
    """The services that made, or were to make, the clips of the output directory."""
    if settings.journal_path is None:
        return set()
    with reading(settings.journal_path) as journal:
        return set() if journal is None else {tally.service for tally in journal.tallies()}
