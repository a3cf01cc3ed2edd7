"""`aveo3.cli.run`: streams and names that do not take every character, and a close that fails."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aveo3
from aveo3 import ClipStatus, Settings, VeoClient, VideoClip, VideoPrompt
from aveo3.cli import run
from aveo3.cli.exit_codes import Exit
from aveo3.cli.manifest import Manifest
from aveo3.journal.journal import Journal
from aveo3.testing import ScriptedBackend
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


class Jammed(VeoClient):
    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        raise RuntimeError("it is jammed")


def jam(*_: object) -> int:
    raise RuntimeError("it is jammed")


@pytest.mark.parametrize("part", ["the client", "the manifest", "what others left"])
@pytest.mark.usefixtures("time_jumps")
def test_a_close_that_fails_hides_no_summary(
    part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if part == "the manifest":
        monkeypatch.setattr(Manifest, "__exit__", jam)
    elif part == "what others left":
        monkeypatch.setattr(run, "_left_by_others", jam)

    async def main() -> Exit:
        kind = Jammed if part == "the client" else VeoClient
        client = kind(Settings(backend="vertex", project="p"), backend=ScriptedBackend())
        return await run.run(
            client,
            lambda veo: veo.stream(["a", "b"]),
            total=2,
            to_send=2,
            notes=[],
            as_json=False,
            quiet=False,
        )

    assert asyncio.run(main()) is Exit.ALL_MADE
    told = capsys.readouterr()
    assert "succeeded" in told.out
    assert told.err.count("the run cannot be closed in order: RuntimeError: it is jammed") == 1


@pytest.mark.real_time
def test_where_file_names_are_ascii_every_clip_is_made(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"text": "B\u00e4r \U0001f43b", "metadata": {"x": "\\ud83d"}}\n', "utf-8")
    posix = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "aveo3", "generate", "prompts.jsonl", "--mock", "--json", "-o", "clips"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **posix}, capture_output=True, check=False)
    assert done.returncode == Exit.ALL_MADE, done.stderr
    clip = json.loads(done.stdout)
    assert (tmp_path / clip["paths"][0]).is_file()
    assert clip["prompt"]["text"] == "Bär \N{BEAR FACE}"


def test_a_full_disk_behind_standard_output_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    clip = VideoClip(prompt=VideoPrompt(text="a"), status=ClipStatus.SUCCEEDED, model="m")
    assert run._print_json(clip)
    assert run._print_json(clip)
    sys.stdout.close()
