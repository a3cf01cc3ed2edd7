"""Settings for tests."""

from __future__ import annotations

from typing import Any

from aveo3 import Settings


def settings(**values: Any) -> Settings:
    """Settings for a test: quick retries, and no memory of what came before, unless it says otherwise."""
    return Settings(**{"retry_wait_base": 1.0, "journal": None, **values})
