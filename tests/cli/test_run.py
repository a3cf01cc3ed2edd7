"""`aveo3.cli.run`: streams that do not take every character."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aveo3
from aveo3 import ClipStatus, VideoClip, VideoPrompt
from aveo3.cli import run
from aveo3.journal.journal import Journal
from tests.support.journals import plan


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("text", ["a boat \N{SAILBOAT}", "half \ud83d"])
def test_a_clip_is_a_line_of_json_on_every_stream(encoding: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    prompt = VideoPrompt(text="a").model_copy(update={"text": text})
    assert run._print_json(VideoClip(prompt=prompt, status=ClipStatus.SUCCEEDED, model="m"))
    assert json.loads(raw.getvalue().decode(encoding))["text"] == text


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("command", ["status {} --json", "status {}", "history {} --json", "history {}"])
def test_a_recorded_prompt_is_shown_on_every_stream(command: str, encoding: str) -> None:
    """Half an emoji cannot be in a journal; a whole one can."""
    with Journal(Path("clips", ".aveo3", "journal.db")) as journal:
        plan(journal, "a boat \N{ROWBOAT}", digest="1a2b3c4d")
    place = "clips" if command.startswith("status") else "1a2b"
    arguments = [sys.executable, "-m", "aveo3", *command.format(place).split()]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(aveo3.__path__[0]).parent)}
    shown = subprocess.run(arguments, capture_output=True, env=environment, check=True)
    assert shown.stderr == b""
    if "--json" in command:
        assert json.loads(shown.stdout.decode(encoding))["prompt"]["text"] == "a boat \N{ROWBOAT}"
    else:
        assert "a boat" in shown.stdout.decode(encoding)


def test_a_full_disk_behind_standard_output_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    clip = VideoClip(prompt=VideoPrompt(text="a"), status=ClipStatus.SUCCEEDED, model="m")
    assert run._print_json(clip)
    assert run._print_json(clip)
    sys.stdout.close()
