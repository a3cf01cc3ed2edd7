"""Clips as the rows of a table, and as JSON and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aveo3
from aveo3 import Clips, ClipStatus, VideoClip, VideoPrompt
from aveo3.testing import ScriptedBackend
from tests.support.virtual import client, virtual

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n\xff\x00"


def clip(index: int, **values: Any) -> VideoClip:
    prompt = VideoPrompt(text=f"boat {index}", id=f"b{index}", metadata=values.pop("metadata", {}))
    return VideoClip(prompt=prompt, status=ClipStatus.SUCCEEDED, model="veo", index=index, **values)


def test_every_clip_is_a_row_and_all_rows_have_the_same_columns() -> None:
    clips = Clips(
        [
            clip(0, paths=(Path("a.mp4"), Path("b.mp4")), queued_utc=NOON, metadata={"scene": 3}, cost_usd=3.2),
            clip(1, metadata={"note": "x", "take": 2}),
        ]
    )
    first, second = clips.to_dicts()
    assert list(first) == list(second)
    assert (first["index"], first["id"], first["text"], first["status"]) == (0, "b0", "boat 0", "succeeded")
    assert (first["path"], first["paths"], second["path"], second["paths"]) == ("a.mp4", ["a.mp4", "b.mp4"], None, [])
    assert (first["queued_utc"], first["cost_usd"], second["cost_usd"]) == (NOON, 3.2, None)
    assert (first["metadata.scene"], first["metadata.take"]) == (3, None)
    assert (second["metadata.scene"], second["metadata.note"]) == (None, "x")
    assert {*first} >= {name for name in VideoClip.model_fields if name != "prompt"}
    assert type(first["status"]) is str


def test_no_clips_are_no_rows() -> None:
    assert Clips().to_dicts() == []


def test_generate_many_returns_them() -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            clips = await veo.generate_many(["a", {"text": ""}])
        assert isinstance(clips, list)
        assert [row["status"] for row in clips.to_dicts()] == ["succeeded", "rejected"]

    virtual(main)
    assert aveo3.Clips is Clips


def test_a_clip_whose_prompt_holds_bytes_is_json_and_back() -> None:
    prompt = VideoPrompt(text="a", image=PNG, reference_images=(), metadata={"when": NOON, "raw": b"\xff"})
    made = VideoClip(prompt=prompt, status=ClipStatus.SUCCEEDED, model="veo", paths=(Path("a.mp4"),), queued_utc=NOON)
    text = made.model_dump_json()
    back = VideoClip.model_validate_json(text)
    assert back == VideoClip.model_validate(json.loads(text)) == VideoClip.model_validate(made.model_dump(mode="json"))
    assert back.prompt.image is not None
    assert back.prompt.image.data == PNG
    assert back.prompt.digest("veo") == prompt.digest("veo")
    assert back.model_dump(exclude={"prompt": {"metadata"}}) == made.model_dump(exclude={"prompt": {"metadata"}})
    assert made.model_dump()["prompt"]["image"]["data"] == PNG
