"""Prompt files: every format is read, every mistake is named with its place, and failed prompts are written back."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from pathlib import Path
from shlex import quote

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
        ("p.jsonl", '{"text": "a", "durations": 4}', "p.jsonl:1: durations is not a field of a prompt: did you mean d"),
        ("p.jsonl", '{"text": "a", "prompt": "b"}', "p.jsonl:1: prompt and another field are both text: leave one out"),
        ("p.jsonl", '{"text": "a", "seed": -1}', "p.jsonl:1: seed: must be greater than or equal to 0 (it is"),
        ("p.csv", "scene\na\n", "p.csv:1: the first line must name the columns, `text` among them; it names scene"),
        ("p.csv", "a boat\ra fox\r", "p.csv:1: the first line must name the columns, `text` among them; it names a"),
        ("p.csv", "Prompt,text\na,b\n", "p.csv:1: two columns are the field text (Prompt and text): leave one out, or"),
        ("p.yaml", "a: &a [x]\n- b", "p.yaml:2:1: "),
        ("p.jsonl", '{"text": "a", "seed": ' + "9" * 5000 + "}", "p.jsonl:1: a number has too many digits"),
        ("p.yaml", "- text: a\n  seed: " + "9" * 5000, "p.yaml:1:3: a number has too many digits"),
        ("p.jsonl", "[" * 200_000, "it is nested too deeply"),
        ("p.yaml", "- " + "[" * 5_000, "p.yaml:1: it is nested too deeply"),
        ("p.jsonl", '{"text": "a", "metadata": {"x": NaN}}', "p.jsonl:1: NaN is not JSON: leave the field out"),
        ("p.yaml", "- &a [*a]", "p.yaml:1:3: an alias holds itself"),
        ("p.json", '[{"text": "a"},\n {"text": }]', "p.json:2:11: Expecting value"),
        ("p.jsonl", '{"text": "a", "text": "b"}', "p.jsonl:1: text is there twice: one of them would be lost"),
        ("p.yaml", "- text: a\n  text: b", "p.yaml:1:3: text is there twice: one of them would be lost"),
        ("p.json", '[{"text": "a"}', "p.json:1: the list has no end: `]` is missing"),
        ("p.json", '[{"text": "a"}, 5]', "p.json:1:17: a prompt is a text or an object of fields, not a int"),
        ("p.csv", "text\na, b\n", "p.csv:2: more cells than the 1 columns; put texts with commas in quotes"),
        ("p.csv", 'text\n"a', "p.csv:1: unexpected end of data"),
        ("p.csv", "text,seed\na,x\n", "p.csv:2: seed: must be a whole number"),
        ("p.yaml", "- text: [a\n", "p.yaml:2:1:"),
        ("p.yaml", "text: a\n", "p.yaml:1:1: a YAML file of prompts is a list (- …), not a dict"),
        ("p.yaml", "- a\n-   5\n", "p.yaml:2:5: a prompt is a text or a mapping of fields, not a int"),
        (
            "p.yaml",
            "- text: a\n- text: b\n  sed: 1\n",
            "p.yaml:2:3: sed is not a field of a prompt: did you mean seed?",
        ),
        ("p.txt", "# nothing\n", "p.txt holds no prompts: write one a line; blank lines and # comments do not count."),
        ("p.doc", "a", "p.doc: the name of a prompt file ends in .txt, .jsonl, .json, .csv, .tsv, .yaml, .yml, n"),
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


@pytest.mark.parametrize("text", ["a paper boat", "boat", "A boat. At dawn", "pay $5", "x" * 5_000])
def test_a_prompt_in_the_place_of_a_file_is_told_the_option(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_prompts(text)
    words = quote(text[:60] + "…" * (len(text) > 60))
    command = f"aveo3 generate --prompt {words}"
    assert str(caught.value).endswith(f"If it is the text of a prompt, use --prompt: {command}")


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


# ---- whatever it is called, the content counts -----------------------------------------------------------------------

TWO = ["a boat", "a fox, at dawn"]


def texts(data: bytes, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts of `data` as a file, which must be those of standard input as well."""
    Path(name).write_bytes(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    of_file = read_prompts(name)
    assert read_prompts("-") == of_file
    return [prompt.text for prompt in of_file]


@pytest.mark.parametrize("name", ["p.txt", "p.jsonl", "p.json"])
@pytest.mark.parametrize(
    "text",
    [
        '[\n {"text":"a boat"},\n {"prompt":"a fox, at dawn"}\n]',
        '["a boat", "a fox, at dawn"]',
        '{"prompts": [{"text": "a boat"}, "a fox, at dawn"]}',
        '{\n  "text": "a boat"\n}\n{\n  "text": "a fox, at dawn"\n}',
        '{"text": "a boat"}\n{"text": "a fox, at dawn"}',
        '"a boat"\n"a fox, at dawn"\n',
        '```json\n[{"text": "a boat"},\n{"text": "a fox, at dawn"}]\n```\n',
        '# by hand\n[\n"a boat",\n# two\n"a fox, at dawn"\n]',
    ],
)
def test_json_is_known_by_its_content(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert texts(text.encode(), name, monkeypatch) == TWO


@pytest.mark.parametrize("name", ["p.txt", "p.csv", "p.tsv"])
@pytest.mark.parametrize(
    "text",
    [
        'text\na boat\n"a fox, at dawn"\n',
        'text,seed\na boat,1\n"a fox, at dawn",2\n',
        '"Prompt";"Duration"\r\n"a boat";"4"\r\n"a fox, at dawn";""\r\n',
        "Prompt\tAspect Ratio\ra boat\t16:9\ra fox, at dawn\t9:16\r",
        "sep=;\r\nprompt;seed\r\na boat;\r\na fox, at dawn;7\r\n;\r\n",
        'text,,\n"a boat",,\n"a fox, at dawn",,\n',
    ],
)
def test_a_table_is_known_by_its_first_line_whatever_separates_its_columns(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert texts(text.encode(), name, monkeypatch) == TWO


@pytest.mark.parametrize(
    "text",
    [
        "- text: a boat\n- prompt: a fox, at dawn\n",
        "---\n- a boat\n- a fox, at dawn\n",
        "prompts:\n- a boat\n- a fox, at dawn\n",
    ],
)
@pytest.mark.parametrize("name", ["p.txt", "p.yaml"])
def test_yaml_is_known_by_its_content(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert texts(text.encode(), name, monkeypatch) == TWO


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_of_windows_is_read_as_it_was_meant(encoding: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert texts(f"a boat{end}a fox, at dawn{end}".encode(encoding), "p.txt", monkeypatch) == TWO


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04rest", "is a workbook or an office document: save it as CSV UTF-8"),
        (b"{\\rtf1 a boat}", "is rich text"),
        (b"%PDF-1.7", "is a PDF"),
        (b"<!DOCTYPE html><p>a boat", "is a web page"),
        (b"a boat\na f\x00ox", ":2: this is not text: it holds the control character '\\x00'"),
        (b"a boat\x1b[31m", ":1: this is not text"),
        (b"\xff\xfea\x00b", "is not whole as UTF-16 text"),
    ],
)
@pytest.mark.parametrize("name", ["p.txt", "p.csv"])
def test_what_is_not_text_is_refused(name: str, data: bytes, words: str) -> None:
    Path(name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_prompts(name)
    assert words in str(caught.value)


def test_a_table_of_old_excel_is_refused_with_what_to_save() -> None:
    Path("p.csv").write_bytes("text;seed\nein Löwe;1\n".encode("cp1252"))
    with pytest.raises(
        UsageError, match=r"p\.csv is not UTF-8 text \(byte 15\)\. Save it as UTF-8\. \(Excel: `CSV UTF-8`"
    ):
        read_prompts("p.csv")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("---\na boat\n", "1: '---' is hardly a prompt"),
        ("a boat\n***\na fox", "2: '***' is hardly a prompt"),
        ("a boat\n```\na fox", "2: '```' is hardly a prompt"),
        ("Here are two prompts:\na boat\na fox", "1: 'Here are two prompts:' is a heading"),
        ("['a boat', 'a fox']", """1: "['a boat', 'a fox']" is a piece of JSON or YAML"""),
        ("| prompt | seed |\n| a boat | 7 |", "1: '| prompt | seed |' is a row of a table"),
        ("a boat\t7\na fox\t8", "1: 'a boat\\t7' is a row of a table"),
        ("scene,description\n1,a boat", "1: 'scene,description' is a row of a table"),
        ("- a boat\n- a fox\n", "1: '- a boat' begins with a bullet or a number"),
        ("1. a boat\n2) a fox\n", "1: '1. a boat' begins with a bullet or a number"),
        ("• a boat", "1: '• a boat' begins with a bullet"),
        ('My list\n[\n{"text": "a boat"}\n]', "2: '[' is hardly a prompt"),
        ('Sure!\n{"text": "a boat"}', """2: '{"text": "a boat"}' is a piece of JSON or YAML"""),
    ],
)
def test_lines_that_nobody_pays_for_on_purpose_are_asked_about(text: str, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_prompts(file("p.txt", text))
    assert str(caught.value).startswith(f"nothing was sent: p.txt:{place}")
    assert "--lines strip removes bullets" in str(caught.value)
    kept = [prompt.text for prompt in read_prompts(file("p.txt", text), lines="keep")]
    assert kept == [line.strip() for line in text.splitlines()]


@pytest.mark.parametrize("text", ["prompt\na boat", '["a"]\n["b"]', "```\na boat\n```", '{"text": "a boat"}'])
def test_a_text_whose_lines_are_kept_is_nothing_but_lines(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [prompt.text for prompt in read_prompts(file("p.txt", text), lines="keep")] == text.splitlines()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert [prompt.text for prompt in read_prompts("-", lines="keep")] == text.splitlines()


def test_bullets_and_empty_words_can_be_stripped_and_what_was_skipped_is_told() -> None:
    notes: list[str] = []
    text = "# scenes\n1. a boat\n---\n\n  • a fox, at dawn\n"
    assert [p.text for p in read_prompts(file("p.txt", text), lines="strip", notes=notes)] == TWO
    assert notes == ["p.txt: skipped lines: 1 that begin with # and 1 without words"]


@pytest.mark.parametrize(
    "text",
    [
        "[Wide shot] a boat",
        "A boat: at dawn",
        "50mm lens, a boat",
        "3 boats",
        "a – boat\n1. a fox",
        "sunset, beach, video\na boat, sea, film",
        "日本の船",
    ],
)
def test_usual_prompts_are_not_asked_about(text: str) -> None:
    assert [prompt.text for prompt in read_prompts(file("p.txt", text))] == text.splitlines()


def test_yaml_keeps_texts_as_they_are_written() -> None:
    [prompt] = read_prompts(
        file(
            "p.yaml", "- text: No\n  aspect_ratio: 9:16\n  id: 2026-02-30\n  seed: 007\n  metadata: {due: 2026-02-30}\n"
        )
    )
    assert (prompt.text, prompt.aspect_ratio, prompt.id, prompt.seed) == ("No", "9:16", "2026-02-30", 7)
    assert prompt.metadata == {"due": "2026-02-30"}


def test_yaml_aliases_cannot_make_much_of_little() -> None:
    levels = "".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(UsageError, match=r"p\.yaml:1: aliases make 38 values into more than can be read"):
        read_prompts(
            file(
                "p.yaml",
                "- text: a\n  metadata:\n    x: 1\n- text: b\n  metadata:\n    l0: &l0 [a]\n"
                + levels.replace("  l", "    l"),
            )
        )
    [one, two] = read_prompts(file("p.yaml", "- &base {text: a, seed: 7}\n- {<<: *base, text: b}\n"))
    assert (one.seed, two.text, two.seed) == (7, "b", 7)


def test_a_data_url_is_a_picture_and_can_be_written_back() -> None:
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG" + bytes(300_000)).decode()
    for prompts in (
        read_prompts(file("p.jsonl", json.dumps({"text": "a", "image": url}))),
        read_prompts(file("p.csv", f'text,image\na,"{url}"\n')),
    ):
        image = prompts[0].image
        assert image is not None
        assert (image.mime_type, len(image.read())) == ("image/png", 300_004)
        assert prompt_fields(prompts[0])["image"] == url
    with pytest.raises(UsageError, match=r"p\.jsonl:1: image: the base64 of this data URL is broken"):
        read_prompts(file("p.jsonl", json.dumps({"text": "a", "image": url[:-3]})))


def test_a_home_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"p\.jsonl:1: ~nobody-of-this-name/a\.png: there is no such user's home"):
        read_prompts(file("p.jsonl", '{"text": "a", "image": "~nobody-of-this-name/a.png"}'))


def test_a_pipe_needs_no_name_that_ends_in_a_format(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'["a boat"]')
    os.close(writing)
    try:
        assert [prompt.text for prompt in read_prompts(f"/dev/fd/{reading}")] == ["a boat"]
    finally:
        os.close(reading)
