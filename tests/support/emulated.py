"""The client against the emulator: a server, settings with short waits, a whole batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aveo3 import ClipStatus, Settings, VeoClient, VideoClip, VideoPrompt
from aveo3.mock import Books, MockOptions, MockServer
from tests.support.settings import settings

KEY = "AIzaSy-secret-key-0123456789"
BOATS = [f"boat {number}" for number in range(1, 5)]


@asynccontextmanager
async def emulator(**options: Any) -> AsyncIterator[MockServer]:
    """The emulator, with clips that take 20 ms and no quota unless `options` name one."""
    chosen = {"latency": "0.02", "films": "bundled", "rpm": None, **options}
    async with MockServer(MockOptions.model_validate(chosen)) as server:
        yield server


def quick(server: MockServer, **values: object) -> Settings:
    """Settings for `server` under which every wait takes hundredths of a second."""
    return settings(
        **{
            "base_url": server.url,
            "backend": "vertex",
            "api_key": KEY,
            "rate_limit": 100,
            "poll_interval": 0.01,
            "retry_wait_base": 0.01,
            "quota_wait_time": 0.02,
            "quota_reset_interval": 0.1,
            "request_timeout": 20.0,
            **values,
        }
    )


async def make(
    server: MockServer, prompts: Sequence[str | VideoPrompt] = BOATS, **values: object
) -> tuple[list[VideoClip], Books]:
    async with VeoClient(quick(server, **values)) as veo:
        return await veo.generate_many(prompts), server.books


def assert_on_disk(clips: Sequence[VideoClip]) -> None:
    """Every clip has a file of its own, an MP4, and nothing half-written lies beside them."""
    assert {clip.status for clip in clips} == {ClipStatus.SUCCEEDED}, [clip.error_message for clip in clips]
    paths = [path for clip in clips for path in clip.paths]
    assert len(set(paths)) == len(paths) >= len(clips)
    assert all(path.read_bytes()[4:8] == b"ftyp" for path in paths)
    assert sorted(paths[0].parent.glob("*")) == sorted([*paths, *paths[0].parent.glob(".aveo3")])
