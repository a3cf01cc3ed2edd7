"""`--exec`: a command for each clip that a run saves, which no prompt can change and which can change no clip."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import aveo3.mock
from aveo3 import ClipStatus, UsageError, VideoClip, VideoPrompt
from aveo3.cli import after_clip, exec_command
from aveo3.cli.after_clip import AfterClip
from aveo3.cli.exit_codes import Exit
from aveo3.mock import MockOptions
from aveo3.testing import run_virtual
from tests.support.terminal import run

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.skipif(os.name != "posix", reason="the commands are those of a Unix"),
]


def note(arguments: str = "{path}") -> str:
    """A command that writes its arguments and its environment down."""
    Path("note.py").write_text(
        "import json, os, sys\n"
        "own = {k: v for k, v in os.environ.items() if k.startswith('AVEO3_')}\n"
        "with open('noted.jsonl', 'a') as file: file.write(json.dumps([sys.argv[1:], own]) + '\\n')\n"
    )
    return f"{sys.executable} note.py {arguments}"


def noted() -> list[Any]:
    path = Path("noted.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def clip(text: str = "a boat", *, paths: tuple[str, ...] = ("out/a.mp4",), **values: Any) -> VideoClip:
    prompt = VideoPrompt.model_construct(text=text, **values.pop("prompt", {}))
    usual = {"status": ClipStatus.SUCCEEDED, "model": "veo", "job": "1a2b3c4d"}
    return VideoClip(prompt=prompt, paths=tuple(map(Path, paths)), **{**usual, **values})


def after(command: str, *clips: VideoClip) -> AfterClip:
    """Run the command for these clips."""

    async def main() -> AfterClip:
        async with AfterClip(command) as work:
            for each in clips:
                work.add(each)
        return work

    return run_virtual(main())


# ---- what is run ----------------------------------------------------------------------------------------------------


def test_fields_and_variables_tell_of_the_clip() -> None:
    found = clip(index=2, prompt={"seed": 7, "id": "scene 2"}, cost_usd=0.4)
    after(note("{path} '{id}: {prompt}' {seed} {job}{{}} {lane}"), found)
    [[arguments, variables]] = noted()
    path = str(Path("out/a.mp4").absolute())
    assert arguments == [path, "scene 2: a boat", "7", "1a2b3c4d{}", ""]
    assert variables.keys() == {f"AVEO3_{name.upper()}" for name in exec_command.FIELDS}
    assert variables["AVEO3_PATH"] == variables["AVEO3_PATHS"] == path
    assert (variables["AVEO3_INDEX"], variables["AVEO3_COST_USD"]) == ("3", "0.4")


def test_several_videos_of_one_clip_are_one_command() -> None:
    after(note("{paths} end"), clip(paths=("a.mp4", "b.mp4")))
    [[arguments, variables]] = noted()
    assert arguments == [str(Path("a.mp4").absolute()), str(Path("b.mp4").absolute()), "end"]
    assert variables["AVEO3_PATHS"] == "\n".join(arguments[:2])


@pytest.mark.parametrize(
    "text",
    [
        "$(touch pwned)",
        "`touch pwned`",
        "a'; touch pwned; '",
        '"; touch pwned #',
        "a\ntouch pwned\n",
        "{path} {x}",
        "%s",
    ],
)
def test_the_words_of_a_prompt_are_an_argument_and_nothing_else(text: str) -> None:
    after(note("{prompt} --title={prompt}"), clip(text))
    [[arguments, variables]] = noted()
    assert arguments == [text, f"--title={text}"]
    assert variables["AVEO3_PROMPT"] == text
    assert not Path("pwned").exists()


@pytest.mark.parametrize("text", ["null\0byte", "half \ud83d"])
def test_what_no_argument_can_hold_is_replaced(text: str) -> None:
    assert after(note("{prompt}"), clip(text)).failed == 0
    assert noted()[0][0] == [text.replace("\0", " ").replace("\ud83d", "?")]


@pytest.mark.parametrize(
    ("values", "runs"),
    [
        ({}, 1),
        ({"cached": True}, 0),
        ({"paths": (), "uris": ("gs://b/a.mp4",)}, 0),
        ({"status": ClipStatus.UNFINISHED}, 0),
        ({"status": ClipStatus.FILTERED, "paths": ()}, 0),
    ],
)
def test_only_a_clip_that_this_run_has_saved_is_told(values: dict[str, Any], runs: int) -> None:
    after(note(), clip(**values))
    assert len(noted()) == runs


# ---- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_command_that_fails_is_told_with_its_last_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aveo3")
    code = "import sys; [print(n) for n in range(100)]; print(chr(27) + '[31mred'); sys.exit(3)"
    assert after(f'{sys.executable} -c "{code}" {{path}}', clip(), clip()).failed == 2
    assert caplog.text.count("--exec failed for out/a.mp4: exit code 3") == 2
    assert caplog.text.count("  99\n") == 2
    assert "  50\n" not in caplog.text
    assert "\x1b" not in caplog.text


def test_a_command_that_takes_too_long_is_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(after_clip, "LONGEST", 0.2)
    assert after("sleep 100", clip()).failed == 1
    assert "--exec failed for out/a.mp4: it took longer than 0.2 s and was ended" in caplog.text


def test_a_child_that_is_left_behind_keeps_nobody_waiting() -> None:
    assert after("sh -c 'sleep 3600 & echo $! > left'", clip()).failed == 0
    os.kill(int(Path("left").read_text()), signal.SIGKILL)  # raises if it had ended


def test_a_program_that_vanishes_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    Path("tool").write_text("#!/bin/sh\n")
    Path("tool").chmod(0o755)

    async def main() -> None:
        async with AfterClip("./tool {path}") as work:
            os.unlink("tool")  # noqa: PTH108
            work.add(clip())

    run_virtual(main())
    assert "--exec failed for out/a.mp4: it cannot be started" in caplog.text


def test_no_more_than_a_few_run_at_once() -> None:
    Path("slow.sh").write_text("#!/bin/sh\nmkdir here.$$; ls -d here.* | wc -l >> counts; sleep 0.1; rmdir here.$$\n")
    assert after("sh slow.sh", *(clip() for _ in range(12))).failed == 0
    counts = [int(line) for line in Path("counts").read_text().split()]
    assert len(counts) == 12
    assert max(counts) <= after_clip.AT_ONCE


def test_leaving_ends_what_runs_and_names_what_is_never_run(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> AfterClip:
        async with AfterClip("sh -c 'echo $$ >> begun; exec sleep 100'") as work:
            for n in range(7):
                work.add(clip(paths=(f"{n}.mp4",)))
            while not (Path("begun").exists() and len(Path("begun").read_text().split()) == 4):  # noqa: ASYNC240
                assert not work.failed, caplog.text
                time.sleep(0.01)  # noqa: ASYNC251
            work.stop()
        return work

    assert run_virtual(main()).failed == 4
    assert "it was ended by signal 15" in caplog.text
    assert "--exec was not run for 3 saved clips, and no later run does it:" in caplog.text
    assert "  6.mp4" in caplog.text


def test_a_cancelled_run_ends_its_commands() -> None:
    async def work() -> None:
        async with AfterClip("sleep 3600") as after:
            after.add(clip())
            await asyncio.sleep(0)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_virtual(work())


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", '--exec is empty: name a program, as in --exec "cp {path} /films"'),
        ("cp '{path}", "--exec cp '{path}: a quote is open"),
        ("no-such-program {path}", "--exec: there is no program no-such-program. It is run without a shell"),
        ("{path}", "its first word is the program, which cannot be a field"),
        ("echo {file}", "--exec: {file}: {file} is not a field"),
        ("echo {promt}", "{promt} is not a field: did you mean {prompt}?"),
        ("echo {prompt!r}", "{prompt} is not a field"),
        ("echo {prompt.__class__}", "{prompt.__class__} is not a field"),
        ("echo {index:04}", "{index} is not a field"),
        ("echo {path", "{path: a brace has no partner"),
        ("echo a{paths}", "{paths} becomes several arguments: let it stand alone"),
        (
            "sh -c 'echo {prompt}'",
            "sh would run {prompt} as a part of its script. Use its variable there, AVEO3_P",
        ),
        (
            "bash -lc 'cp {path} /x'",
            "AVEO3_PATH, in quotes if it is a shell, or write a script that takes an a",
        ),
        ("/bin/sh -e -c 'echo {id}' x", "/bin/sh would run {id} as a part of its script"),
        ("sh -c{prompt}", "sh would run {prompt}"),
        ("env A=1 sh -c 'echo {prompt}'", "sh would run {prompt}"),
        ("timeout 5 bash -c 'echo {prompt}'", "bash would run {prompt}"),
        (f"{sys.executable} -c 'print({{prompt}})'", "would run {prompt} as a part of its script"),
        ("env perl -ne '{prompt}'", "perl would run {prompt}"),
        ("env ssh host cp {path} /x", "ssh would run {path}"),
        ("env cmd.exe /c echo x {id}", "cmd.exe would run {id}"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_before_anything_is_sent(command: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        AfterClip(command)
    assert why in str(caught.value)
    code, stdout, stderr = run("generate", "--prompt", "x", "--mock", "--exec", command)
    assert (code, stdout) == (Exit.USAGE, "")
    assert why in stderr
    assert not Path("clips").exists()


def test_a_shell_gets_fields_after_its_script() -> None:
    after("""sh -c 'printf "%s|%s" "$1" "$AVEO3_PROMPT" > told' sh {prompt}""", clip("$(x); y"))
    assert Path("told").read_text() == "$(x); y|$(x); y"


@pytest.mark.parametrize(
    "command",
    [
        "env python3 tell.py {path} --title={prompt}",
        "env sh tell.sh -x {prompt}",
        "env ffmpeg -c copy -i {path}",
        "cp -r {path} /x",
    ],
)
def test_arguments_of_a_script_are_no_script(command: str) -> None:
    AfterClip(command)


def test_windows_runs_no_fields_through_a_batch_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: r"C:\tools\note.CMD")
    with pytest.raises(UsageError, match="Windows would run the fields of note as commands"):
        AfterClip("note {prompt}")


# ---- in a run -------------------------------------------------------------------------------------------------------


@pytest.fixture
def emulate(monkeypatch: pytest.MonkeyPatch, time_jumps: None) -> None:
    def fast(**values: Any) -> MockOptions:
        return MockOptions.model_validate({**values, "latency": "0.01", "films": "bundled"})

    monkeypatch.setattr(aveo3.mock, "MockOptions", fast)
    monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")


@pytest.mark.usefixtures("emulate")
def test_each_clip_is_told_once_and_never_again() -> None:
    arguments = ("generate", "-", "--mock", "--exec", note("{path}"))
    assert run(*arguments, stdin="a\nb\n")[0] == Exit.ALL_MADE
    assert run(*arguments, stdin="a\nb\nc\n")[0] == Exit.ALL_MADE
    told = [Path(path) for [[path], _] in noted()]
    assert len(told) == 3
    assert {path.name for path in told} == {path.name for path in Path("clips").glob("*.mp4")}
    assert all(path.is_file() for path in told)


@pytest.mark.usefixtures("emulate")
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a_failing_command_changes_no_clip_and_no_exit_code(quiet: list[str]) -> None:
    code, stdout, stderr = run("generate", "-", "--mock", "--json", "--exec", "false", *quiet, stdin="a\nb\n")
    assert code == Exit.ALL_MADE
    assert [json.loads(line)["status"] for line in stdout.splitlines()] == ["succeeded", "succeeded"]
    assert stderr.count("--exec failed for clips/") == 2
    assert ("--exec failed for 2 clips: the videos are saved." in stderr) is (not quiet)
    assert not Path("clips", "failed.jsonl").exists()


@pytest.mark.usefixtures("emulate")
def test_what_a_command_prints_stays_off_standard_output() -> None:
    code, stdout, stderr = run("generate", "-", "--mock", "--json", "--exec", "echo told {id}", stdin="a\n")
    assert code == Exit.ALL_MADE
    [line] = stdout.splitlines()
    assert f"told {json.loads(line)['job']}" in stderr
