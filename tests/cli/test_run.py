"""`aveo3.cli.run`: streams that do not take every character."""

from __future__ import annotations

import io
import json
import sys

import pytest

from aveo3 import ClipStatus, VideoClip, VideoPrompt
from aveo3.cli import run


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("text", ["a boat \N{SAILBOAT}", "half \ud83d"])
def test_a_clip_is_a_line_of_json_on_every_stream(encoding: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    prompt = VideoPrompt(text="a").model_copy(update={"text": text})
    assert run._print_json(VideoClip(prompt=prompt, status=ClipStatus.SUCCEEDED, model="m"))
    assert json.loads(raw.getvalue().decode(encoding))["text"] == text


def test_a_full_disk_behind_standard_output_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    clip = VideoClip(prompt=VideoPrompt(text="a"), status=ClipStatus.SUCCEEDED, model="m")
    assert run._print_json(clip)
    assert run._print_json(clip)
    sys.stdout.close()
