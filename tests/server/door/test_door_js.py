"""Google's SDK for JavaScript through the door, unchanged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.door import serving
from tests.support.emulated import emulator

JS = Path(__file__).parents[2] / "data" / "js"


@pytest.mark.real_time
@pytest.mark.parametrize("how", ["key", "project"])
async def test_google_genai_for_javascript_gets_its_film(how: str, tmp_path: Path) -> None:
    home, file = npm.installed(JS, "js"), tmp_path / "film.mp4"
    async with emulator(latency="0.2") as google, serving(google, poll_interval=0.05) as door:
        node = await asyncio.create_subprocess_exec(
            "node", "clip.mjs", how, door.url, str(file), cwd=home, stdout=asyncio.subprocess.PIPE
        )
        stdout, _ = await node.communicate()
        told = json.loads(stdout)
        assert "/operations/" in told.get("name", ""), told
        assert file.read_bytes()[4:8] == b"ftyp"
        assert google.books.accepted_by_prompt == {f"a paper boat, {how}": 1}
