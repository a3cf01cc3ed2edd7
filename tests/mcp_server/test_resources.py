"""Clips and guides as resources."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError

from tests.support.agents import agent, clips
from tests.support.guide import GUIDES
from tests.support.studio import Studio


async def test_clips_their_stills_and_guides_are_resources(tmp_path: Path) -> None:
    async with agent(Studio(latency=1), tmp_path) as it:
        [job] = (await it.call("start", clips=clips("one")))["jobs"]
        await it.call("wait")
        listed = {resource.uri: resource for resource in (await it.client.list_resources()).resources}
        assert {f"aveo3://guide/{topic}" for topic in GUIDES} <= set(listed)
        clip = listed[f"aveo3://clip/{job['job']}"]
        assert (clip.mime_type, clip.title) == ("video/mp4", "one")
        templates = (await it.client.list_resource_templates()).resource_templates
        assert {each.uri_template for each in templates} == {"aveo3://clip/{job}", "aveo3://clip/{job}/still"}

        async def read(uri: str) -> Any:
            [content] = (await it.client.read_resource(uri)).contents
            return content

        assert base64.b64decode((await read(clip.uri)).blob)[4:8] == b"ftyp"
        still = await read(f"{clip.uri}/still")
        assert base64.b64decode(still.blob).startswith(b"\xff\xd8\xff")
        assert (await read("aveo3://guide/mcp")).text.startswith("# Clips and films for agents")


@pytest.mark.parametrize("name", ["1a2b3c4d", "..%2F..%2Fetc%2Fpasswd", "..", "film-none"])
async def test_what_is_no_clip_cannot_be_read(tmp_path: Path, name: str) -> None:
    async with agent(Studio(latency=1), tmp_path) as it:
        await it.call("start", clips=clips("one"))
        with pytest.raises(MCPError):
            await it.client.read_resource(f"aveo3://clip/{name}")
