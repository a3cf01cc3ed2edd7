"""The options of `aveo3 generate` that fill what prompts leave open: pictures, seed, count, sound."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aveo3 import UsageError, VideoPrompt
from aveo3.cli.exit_codes import Exit
from aveo3.cli.prompt_files import prompt_fields
from aveo3.cli.prompt_options import prompts_of
from tests.support.terminal import run

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24


@pytest.fixture(autouse=True)
def pictures() -> None:
    Path("sub").mkdir()
    for name in ("a.png", "b.png", "sub/a.png"):
        Path(name).write_bytes(PNG)


def made(fields: Mapping[str, Any], *lines: Mapping[str, Any], texts: tuple[str, ...] = ()) -> list[VideoPrompt]:
    """The prompts of a file of these lines, and of `texts`, under these options."""
    Path("sub", "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return prompts_of(["sub/p.jsonl"] if lines else [], list(texts), fields, lines="ask", notes=[])


def test_each_option_gives_its_field_to_a_prompt_that_does_not_say() -> None:
    fields = {
        "image": "a.png",
        "last_frame": "b.png",
        "negative_prompt": "rain",
        "seed": 0,
        "number_of_videos": 2,
        "generate_audio": False,
        "duration_seconds": 4,
    }
    [of_file, of_text] = made(fields, {"text": "x"}, texts=("x",))
    assert of_file == of_text == VideoPrompt.model_validate({"text": "x", **fields})


def test_what_a_prompt_says_itself_stays() -> None:
    said = {"text": "x", "seed": 0, "number_of_videos": 1, "generate_audio": True, "negative_prompt": "fog"}
    fields = {"seed": 7, "number_of_videos": 4, "generate_audio": False, "negative_prompt": "rain", "image": "b.png"}
    [prompt] = made(fields, {**said, "image": "a.png"})
    assert prompt == VideoPrompt.model_validate({**said, "image": Path("sub", "a.png")})
    assert prompt_fields(prompt)["number_of_videos"] == 1  # in failed.jsonl, too


def test_paths_are_relative_to_the_working_directory_not_to_the_file() -> None:
    [prompt] = made({"reference_images": ["a.png", "b.png"]}, {"text": "x"})
    assert [medium.path for medium in prompt.media] == [Path("a.png"), Path("b.png")]


def test_null_says_nothing() -> None:
    [prompt] = made({"seed": 3}, {"text": "x", "seed": None})
    assert prompt.seed == 3


@pytest.mark.parametrize(
    ("fields", "line", "words"),
    [
        (
            {"image": "a.png"},
            {"text": "boats", "reference_images": ["a.png"]},
            "nothing was sent: --image does not go with prompt 1 of sub/p.jsonl ('boats'): reference_images cannot go",
        ),
        (
            {"reference_images": ["a.png"]},
            {"text": "boats", "image": "a.png"},
            "--reference does not go with prompt 1 of sub/p.jsonl ('boats'): reference_images cannot go with image",
        ),
        ({"image": "a.png", "seed": 3}, {"text": "x", "video": "gs://a/b.mp4"}, "--image does not go with prompt 1"),
        ({"last_frame": "a.png"}, {"text": "x"}, "--last-frame does not go with prompt 1 of sub/p.jsonl ('x'): last_"),
        ({"image": "a.png"}, {"text": "x", "previous": "v1_abc"}, "('x'): previous cannot go with image"),
    ],
)
def test_an_option_that_does_not_go_with_a_prompt_is_told(fields: Any, line: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(fields, line)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-1"], "--seed -1: must be greater than or equal to 0"),
        (["--count", "5"], "--count 5: must be less than or equal to 4"),
        (["--count", "0"], "--count 0: must be greater than or equal to 1"),
        (["--image", ""], "--image is empty: give a value, or leave the option out"),
        (["--reference", "a.png", "--reference", ""], "--reference is empty"),
        (["--negative-prompt", ""], "--negative-prompt is empty"),
        (["--image", "a.unknown"], "--image a.unknown: cannot tell the media type of a.unknown"),
        (
            ["--reference", "a.png", "--reference", "b"],
            "--reference b: cannot tell the media type of b: name a picture whose name ends in .png or .jpg",
        ),
        (
            ["--image", "http://h/a.png"],
            "--image http://h/a.png: must be a path, or an address that begins with",
        ),
        (["--image", "data:image/png;base64,@"], "--image data:image/png;base64,@: the base64 of this data URL is"),
        (["--image", "~nobody-here/a.png"], "~nobody-here/a.png: there is no such user's home"),
        (["--image", "a.png", "--reference", "b.png"], "--image and --reference cannot go together: a clip begins"),
        (["--last-frame", "a.png"], "nothing was sent: --last-frame does not go with --prompt: last_frame needs image"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("all_say", [False, True])
def test_a_wrong_option_is_told_even_if_no_prompt_takes_it(arguments: list[str], words: str, all_say: bool) -> None:
    more = []
    if all_say and "needs image" not in words:
        line = {"text": "x", "seed": 1, "number_of_videos": 1, "negative_prompt": "fog", "image": "sub/a.png"}
        Path("p.jsonl").write_text(json.dumps(line))
        more = ["p.jsonl"]
    code, stdout, stderr = run("generate", *(more or ["--prompt", "x"]), "--mock", *arguments)
    assert (code, stdout) == (Exit.USAGE, "")
    assert f"aveo3: {words}" in stderr


def test_an_option_alone_makes_no_prompt() -> None:
    code, _, stderr = run("generate", "--image", "a.png", "--mock")
    assert code == Exit.USAGE
    assert "no prompts: name a file" in stderr


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("gone.png", None, "cannot read gone.png: no such file"),
        ("web.png", b"<!DOCTYPE html><html>", "web.png holds text/html, not image/png"),
    ],
)
def test_a_picture_is_checked_as_one_of_a_file_is(name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    code, stdout, _ = run("generate", "--prompt", "x", "--image", name, "--dry-run", "--mock")
    assert code == Exit.SOME_NOT
    assert why in " ".join(stdout.split())


def test_the_count_is_in_the_price() -> None:
    usual = ("generate", "--prompt", "x", "--dry-run", "--mock", "--no-audio", "--duration", "4")
    prices = [float(run(*usual, *count)[1].partition("US$ ")[2].split()[0]) for count in ((), ("--count", "4"))]
    assert prices[1] == pytest.approx(4 * prices[0])
