"""Tells before a run, and in `aveo3 check`, that the catalog of models and prices is old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from aveo3.lifecycle import is_emulated

if TYPE_CHECKING:
    from aveo3.config.settings import Settings


def today_utc() -> date:
    """The day that the age of the catalog is counted to."""
    return datetime.now(UTC).date()


def what_is_old(settings: Settings) -> Iterator[str]:
    """A warning if the catalog is old or its date is wrong; none in mock mode, where no price is paid."""
    if settings.mock_mode or is_emulated(settings.backend):
        return
    from aveo3.config.catalog import doubts_of_age

    if (doubt := doubts_of_age(settings.model_catalog, today_utc(), settings.catalog)) is not None:
        yield doubt
