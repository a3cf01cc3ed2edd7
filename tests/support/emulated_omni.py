"""The client against the emulator on the Interactions API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aveo3 import Settings
from aveo3.mock import MockServer
from tests.support.emulated import quick as on_vertex


def on_gemini(**values: object) -> dict[str, Any]:
    return {"backend": "gemini", "model": "gemini-omni-1.1-flash", **values}


def quick(server: MockServer, tmp_path: Path, **values: object) -> Settings:
    """Settings for `server` under which every wait takes hundredths of a second, with a memory."""
    return on_vertex(server, **on_gemini(output_dir=tmp_path / "clips", journal="auto", **values))
