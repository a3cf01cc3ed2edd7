"""What must not leak into a benchmark from whoever runs it."""

from __future__ import annotations

import os


def forget_the_environment() -> None:
    """Nobody's project, key or proxy takes part."""
    for name in list(os.environ):
        if name.upper().startswith(("VEO3_", "GOOGLE_", "GEMINI_")) or name.upper().endswith("_PROXY"):
            del os.environ[name]
