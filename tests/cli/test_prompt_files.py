"""Prompt files: every format is read, every mistake is named with its place, and failed prompts are written back."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from aveo3 import ClipStatus, UsageError, VideoClip, VideoPrompt
from aveo3.cli.prompt_files import clip_fields, prompt_fields, read_prompts, retry_fields


def file(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_a_text_file_holds_one_prompt_a_line_and_comments() -> None:
    prompts = read_prompts(file("p.txt", "\ufeff# a comment\n\n a boat \na fox, at dawn\n"))
    assert [prompt.text for prompt in prompts] == ["a boat", "a fox, at dawn"]


def test_json_lines_hold_fields_texts_and_private_keys() -> None:
    lines = ['{"text": "a boat", "duration_seconds": 4, "metadata": {"scene": 2}, "_status": "failed"}', '"a fox"', ""]
    prompts = read_prompts(file("p.jsonl", "\n".join(lines)))
    assert prompts == [VideoPrompt(text="a boat", duration_seconds=4, metadata={"scene": 2}), VideoPrompt(text="a fox")]


def test_csv_cells_are_fields_and_empty_ones_are_unset() -> None:
    prompts = read_prompts(
        file("p.csv", 'text,duration_seconds,generate_audio,metadata.scene\n"a boat, sailing",4,false,2\na fox,,,\n')
    )
    assert prompts == [
        VideoPrompt(text="a boat, sailing", duration_seconds=4, generate_audio=False, metadata={"scene": "2"}),
        VideoPrompt(text="a fox"),
    ]


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_yaml_is_a_list_of_texts_and_fields(suffix: str) -> None:
    prompts = read_prompts(file(f"p.{suffix}", "- a boat\n- text: a fox\n  seed: 7\n"))
    assert prompts == [VideoPrompt(text="a boat"), VideoPrompt(text="a fox", seed=7)]


def test_media_paths_are_relative_to_their_file() -> None:
    [prompt] = read_prompts(file("scenes/p.jsonl", '{"text": "x", "image": "first.png"}'))
    assert prompt.image is not None
    assert prompt.image.path == Path("scenes/first.png")


def test_csv_separates_reference_images_with_semicolons() -> None:
    [prompt] = read_prompts(file("p.csv", "text,reference_images\nx,a.png; gs://b/c.png\n"))
    assert [m.uri or str(m.path) for m in prompt.reference_images] == ["a.png", "gs://b/c.png"]


@pytest.mark.parametrize(("text", "first"), [("a boat\na fox", "a boat"), ('{"text": "a boat"}\n', "a boat")])
def test_standard_input_is_text_or_json_lines(monkeypatch: pytest.MonkeyPatch, text: str, first: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert read_prompts("-")[0].text == first


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("p.jsonl", '{"text": "a"}\n{"text": }\n', "p.jsonl:2:10: Expecting value."),
        ("p.jsonl", "[1]\n", "p.jsonl:1:1: a line holds one object of prompt fields, not a list"),
        ("p.jsonl", '{"text": "a", "duration": 4}', "p.jsonl:1: duration is not a field of a prompt: did you mean dur"),
        ("p.jsonl", '{"text": "a", "seed": -1}', "p.jsonl:1: seed: input should be greater than or equal to 0 (it is"),
        ("p.csv", "prompt\na\n", "p.csv:1: the first line must name the columns, `text` among them; it names prompt"),
        ("p.csv", "text\na, b\n", "p.csv:2: more cells than the 1 columns; put texts with commas in quotes"),
        ("p.csv", 'text\n"a', "p.csv:1: unexpected end of data"),
        ("p.csv", "text,seed\na,x\n", "p.csv:2: seed: input should be a valid integer"),
        ("p.yaml", "- text: [a\n", "p.yaml:2:1:"),
        ("p.yaml", "text: a\n", "p.yaml:1:1: a YAML file of prompts is a list (- …), not a dict"),
        ("p.yaml", "- a\n-   5\n", "p.yaml:2:5: a prompt is a text or a mapping of fields, not a int"),
        (
            "p.yaml",
            "- text: a\n- text: b\n  sed: 1\n",
            "p.yaml:2:3: sed is not a field of a prompt: did you mean seed?",
        ),
        ("p.txt", "# nothing\n", "p.txt holds no prompts: write one a line; blank lines and # comments do not count."),
        ("p.doc", "a", "p.doc: the name of a prompt file ends in .txt, .jsonl, .csv, .yaml, .yml, not .doc"),
    ],
)
def test_a_mistake_is_named_with_its_place(name: str, text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_prompts(file(name, text))
    assert sentence in str(caught.value)


def test_at_most_ten_mistakes_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        read_prompts(file("p.jsonl", '{"text": "a", "seed": -1}\n' * 12))
    lines = str(caught.value).splitlines()
    assert lines[0] == "nothing was sent: correct the file first"
    assert lines[-1] == "… and 2 more"
    assert len(lines) == 12


def test_a_missing_file_and_a_binary_one_are_named() -> None:
    with pytest.raises(UsageError, match=r"cannot read nowhere\.txt: No such file or directory"):
        read_prompts("nowhere.txt")
    Path("film.txt").write_bytes(b"ab\xff")
    with pytest.raises(UsageError, match=r"film\.txt is not UTF-8 text \(byte 2\)"):
        read_prompts("film.txt")


def test_a_failed_prompt_can_be_read_back() -> None:
    prompt = VideoPrompt.model_validate(
        {"text": "a boat", "seed": 7, "image": "gs://b/i.png", "metadata": {"scene": 2}, "id": "x"}
    )
    clip = VideoClip(prompt=prompt, status=ClipStatus.FAILED, model="m", error_message="why")
    line = json.dumps(retry_fields(clip))
    assert '"_status": "failed"' in line
    assert read_prompts(file("failed.jsonl", line)) == [prompt.model_copy(update={"model": "m"})]


def test_local_media_are_written_with_absolute_paths() -> None:
    prompt = VideoPrompt.model_validate({"text": "a", "image": "first.png", "reference_images": []})
    assert prompt_fields(prompt)["image"] == str(Path("first.png").absolute())


def test_a_manifest_line_holds_the_clip_and_its_prompt() -> None:
    clip = VideoClip(
        prompt=VideoPrompt(text="a"), status=ClipStatus.SUCCEEDED, model="m", paths=(Path("c/1.mp4"),), cost_usd=0.8
    )
    fields = json.loads(json.dumps(clip_fields(clip)))
    assert fields["text"] == "a"
    assert fields["status"] == "succeeded"
    assert fields["paths"] == ["c/1.mp4"]
    assert fields["prompt"] == {"text": "a"}
