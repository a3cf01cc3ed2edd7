"""`manifest.jsonl` and `failed.jsonl`: what a run writes, and what the next run keeps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aveo3 import ClipStatus, VideoClip, VideoPrompt
from aveo3.cli.manifest import FAILED, MANIFEST, Manifest
from aveo3.cli.prompt_files import read_prompts


def clip(text: str, status: ClipStatus) -> VideoClip:
    return VideoClip(prompt=VideoPrompt(text=text), status=status, model="m", error_message="why")


def write(*clips: VideoClip) -> Manifest:
    with Manifest(Path()) as manifest:
        for each in clips:
            manifest.add(each)
    return manifest


def failed() -> list[str]:
    return [json.loads(line)["text"] for line in Path(FAILED).read_text("utf-8").splitlines()]


def test_every_clip_gets_a_line_and_one_that_may_be_paid_is_not_in_failed() -> None:
    manifest = write(
        clip("made", ClipStatus.SUCCEEDED), clip("perhaps", ClipStatus.UNCERTAIN), clip("not", ClipStatus.DEFERRED)
    )
    lines = [json.loads(line) for line in Path(MANIFEST).read_text("utf-8").splitlines()]
    assert [(line["text"], line["status"]) for line in lines] == [
        ("made", "succeeded"),
        ("perhaps", "uncertain"),
        ("not", "deferred"),
    ]
    assert failed() == ["not"]
    assert manifest.hint == "; prompts without a video are in failed.jsonl"


def test_failed_keeps_the_prompts_of_other_batches_until_they_are_made() -> None:
    write(clip("a", ClipStatus.FAILED), clip("b", ClipStatus.DEFERRED))
    write(clip("c", ClipStatus.CANCELLED))
    assert failed() == ["a", "b", "c"]
    write(clip("b", ClipStatus.SUCCEEDED), clip("a", ClipStatus.UNCERTAIN))
    assert failed() == ["c"]
    write(clip("c", ClipStatus.SUCCEEDED))
    assert not Path(FAILED).exists()


def test_failed_names_the_model_and_gives_a_line_up_whichever_way_the_model_is_named_again() -> None:
    """Without it, `aveo3 generate failed.jsonl` would use the default model, which costs eight times as much."""
    lite, fast = "veo-3.1-lite-generate-001", "veo-3.1-fast-generate-001"
    by_option, by_prompt = clip("a", ClipStatus.FAILED), clip("b", ClipStatus.FAILED)
    by_option = by_option.model_copy(update={"model": lite})
    by_prompt = by_prompt.model_copy(update={"model": lite, "prompt": VideoPrompt(text="b", model=lite)})
    stood_in = clip("c", ClipStatus.FAILED).model_copy(update={"model": fast, "instead_of": lite})
    write(by_option, by_prompt, stood_in)
    assert [(prompt.text, prompt.model) for prompt in read_prompts(FAILED)] == [("a", lite), ("b", lite), ("c", lite)]
    made = {"status": ClipStatus.SUCCEEDED}
    write(by_option.model_copy(update=made), stood_in.model_copy(update=made))  # the same command again
    assert failed() == ["b"]
    write(by_prompt.model_copy(update={**made, "prompt": VideoPrompt(text="b")}))
    assert not Path(FAILED).exists()


def test_an_unreadable_line_is_kept() -> None:
    Path(FAILED).write_text('{"text": "half\n{"text": "a"}\n', "utf-8")
    write(clip("a", ClipStatus.SUCCEEDED))
    assert Path(FAILED).read_text("utf-8") == '{"text": "half\n'


def test_a_clip_of_an_earlier_run_keeps_its_line_or_gets_the_line_that_a_kill_lost() -> None:
    made, lost = (clip(text, ClipStatus.SUCCEEDED).model_copy(update={"job": text}) for text in ("made", "lost"))
    write(made)
    with Path(MANIFEST).open("a") as file:
        file.write('{"text": "lost", "job": "lo')
    again = [each.model_copy(update={"cached": True}) for each in (made, lost)]
    write(*again)
    write(*again)
    lines = Path(MANIFEST).read_text("utf-8").splitlines()
    assert [json.loads(lines[number])["text"] for number in (0, 2)] == ["made", "lost"]
    assert lines[1:2] + lines[3:] == ['{"text": "lost", "job": "lo']
    assert not Path(FAILED).exists()


def test_a_prompt_that_an_earlier_run_filtered_stays_in_failed() -> None:
    filtered = clip("filtered", ClipStatus.FILTERED).model_copy(update={"job": "f"})
    write(filtered)
    write(filtered.model_copy(update={"cached": True}))
    assert len(Path(MANIFEST).read_text("utf-8").splitlines()) == 1
    assert failed() == ["filtered"]


def test_an_unfinished_clip_is_not_in_failed() -> None:
    manifest = write(clip("running", ClipStatus.UNFINISHED))
    assert not Path(FAILED).exists()
    assert manifest.hint == ""


def test_a_disk_error_costs_lines_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    Path(MANIFEST).mkdir()
    Path(FAILED).mkdir()
    write(clip("a", ClipStatus.FAILED), clip("b", ClipStatus.SUCCEEDED))
    assert caplog.text.count("cannot write") == 1


# ---- what lies in their places, and what the disk does ---------------------------------------------------------------


def test_nothing_is_written_through_a_link(caplog: pytest.LogCaptureFixture) -> None:
    for name in (MANIFEST, FAILED):
        Path(f"their {name}").write_text("kept", "utf-8")
        Path(name).symlink_to(f"their {name}")
    write(clip("not", ClipStatus.DEFERRED))
    assert [Path(f"their {name}").read_text("utf-8") for name in (MANIFEST, FAILED)] == ["kept", "kept"]
    assert "cannot write manifest.jsonl: it is a link" in caplog.text
    assert not Path(FAILED).is_symlink()
    assert Path(FAILED).read_text("utf-8").splitlines()[:-1] == ["kept"]


def test_a_pipe_in_the_place_of_the_manifest_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(MANIFEST)
    write(clip("not", ClipStatus.DEFERRED))
    assert "cannot write manifest.jsonl" in caplog.text
    assert failed() == ["not"]


def test_a_line_that_a_full_disk_cut_is_closed_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write

    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with Manifest(Path()) as manifest:
        monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:9]) if len(data) > 60 else refuse(fd, data))
        manifest.add(clip("lost " * 9, ClipStatus.SUCCEEDED))
        monkeypatch.setattr(os, "write", whole)
        manifest.add(clip("kept", ClipStatus.SUCCEEDED))
    cut, kept = Path(MANIFEST).read_text("utf-8").splitlines()
    assert cut.startswith('{"')
    assert json.loads(kept)["text"] == "kept"


def test_a_full_disk_leaves_the_prompts_that_failed_named_before(monkeypatch: pytest.MonkeyPatch) -> None:
    write(clip("a", ClipStatus.FAILED))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        write(clip("b", ClipStatus.FAILED))
    assert failed() == ["a"]
    assert sorted(path.name for path in Path().iterdir()) == [FAILED, MANIFEST]


def test_half_an_emoji_gets_its_line() -> None:
    odd = clip("a", ClipStatus.DEFERRED)
    odd = odd.model_copy(
        update={"error_message": "half \ud83d", "prompt": odd.prompt.model_copy(update={"text": "\ud83d"})}
    )
    write(odd, clip("b", ClipStatus.DEFERRED))
    assert [json.loads(line)["text"] for line in Path(MANIFEST).read_text("utf-8").splitlines()] == ["\ud83d", "b"]
    assert failed() == ["\ud83d", "b"]
