"""Keeps the user's environment out of a benchmark."""

from __future__ import annotations

import os


def forget_the_environment() -> None:
    """Remove all variables that set a project, a key, aveo3 settings or a proxy."""
    for name in list(os.environ):
        if name.upper().startswith(("VEO3_", "GOOGLE_", "GEMINI_")) or name.upper().endswith("_PROXY"):
            del os.environ[name]
