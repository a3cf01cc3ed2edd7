"""Exports the telemetry of a command, if somebody asks for it."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aveo3.config.settings import Settings

log = logging.getLogger("aveo3")


def exported(settings: Settings) -> AbstractContextManager[None]:
    """Export traces and metrics of what runs in the block: see `aveo3.telemetry.export`. Costs nothing if it is off."""
    from aveo3.cli.telling import tell
    from aveo3.telemetry.export import exporting

    def warn(text: str) -> None:
        if log.handlers:  # a run shows its log, above its bars
            log.warning("%s", text)
        else:
            tell(f"aveo3: {text}", in_json=settings.log_format == "json", level=logging.WARNING)

    return exporting(settings.otel, warn)
