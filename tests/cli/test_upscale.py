"""`aveo3 upscale`: files, jobs and directories; paid once, nothing sent that cannot become larger."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aveo3.mock
from aveo3.cli.exit_codes import Exit
from aveo3.config.catalog import load
from aveo3.journal.journal import Journal
from aveo3.mock import MockOptions
from aveo3.mock.state.films import bundled
from tests.support.ssl_context import SSL_CONTEXT
from tests.support.terminal import run

OMNI = "gemini-omni-1.2-flash"

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture(autouse=True)
def one_ssl_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it takes 25 ms."""
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)


@pytest.fixture
def emulate(monkeypatch: pytest.MonkeyPatch, time_jumps: None) -> Callable[..., None]:
    """Make `--mock` run a fast emulator with these options."""

    def options(**chosen: Any) -> None:
        def fast(**values: Any) -> MockOptions:
            return MockOptions.model_validate({**values, "latency": "0.01", "films": "bundled", **chosen})

        monkeypatch.setattr(aveo3.mock, "MockOptions", fast)
        monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")

    options()
    return options


def film(width: int = 320, height: int = 180, *, seconds: bool = True) -> bytes:
    """The emulator's film of 8 seconds, with an index that says another size, or no length."""
    old = (320 << 16).to_bytes(4, "big") + (180 << 16).to_bytes(4, "big")
    data = bundled().replace(old, (width << 16).to_bytes(4, "big") + (height << 16).to_bytes(4, "big"))
    return data if seconds else data.replace(b"\0\0\3\xe8\0\0\x1f\x40\0\1\0\0", b"\0\0\3\xe8\0\0\0\0\0\1\0\0")


def saved(path: str, data: bytes | None = None) -> str:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_bytes(film() if data is None else data)
    return path


def drafts(*texts: str, directory: str = "clips") -> list[dict[str, Any]]:
    """Clips that `aveo3 generate --mock` makes."""
    prompts = [word for text in texts for word in ("--prompt", text)]
    options = ("--model", OMNI, "--resolution", "360p", "--mock", "--json", "-q", "-o", directory)
    code, stdout, _ = run("generate", *prompts, *options)
    assert code == Exit.ALL_MADE
    return [json.loads(line) for line in stdout.splitlines()]


def planned(*arguments: str) -> dict[str, Any]:
    code, stdout, stderr = run("upscale", *arguments, "--dry-run", "--json")
    assert code == Exit.ALL_MADE, stderr
    return dict(json.loads(stdout))


def upscales(directory: str = "clips") -> list[dict[str, Any]]:
    """The prompts of the journal that are upscales, in the order in which they were planned."""
    with Journal(Path(directory, ".aveo3", "journal.db"), writes=False) as journal:
        prompts = [dict(record.prompt) for record in journal.records()]
    return [prompt for prompt in prompts if prompt.get("task") == "upscale"]


def test_a_file_gets_a_larger_copy_beside_it_and_is_paid_once(emulate: Callable[..., None]) -> None:
    clip = saved("films/boat.mp4")
    code, stdout, stderr = run("upscale", clip, "--resolution", "4k", "--mock", "--json", "-q")
    assert code == Exit.ALL_MADE, stderr
    made = json.loads(stdout)
    assert made["prompt"] | {"model": None} == made["prompt"] | {
        "task": "upscale",
        "resolution": "4k",
        "duration_seconds": 8,
        "id": "boat",
        "model": None,
    }
    assert made["model"] == OMNI
    [path] = map(Path, made["paths"])
    assert (path.parent.name, path.name[:8]) == ("films", "boat-4k-")
    again = run("upscale", clip, "--resolution", "4k", "--mock", "--json", "-q")
    assert json.loads(again[1])["cached"] is True
    assert len(upscales("films")) == 1


def test_a_directory_stands_for_its_clips_without_earlier_copies(emulate: Callable[..., None]) -> None:
    drafts("a boat", "a cat")
    for _ in range(2):
        assert run("upscale", "clips", "--resolution", "1080p", "--mock", "-q")[0] == Exit.ALL_MADE
        assert len(upscales()) == 2
    shown = planned("clips", "--resolution", "4k", "--mock")
    assert shown["to_send"] == 2
    assert shown["notes"][0] == ("clips: left out 2 clips made by an upscale (name the file to make it larger still)")


@pytest.mark.parametrize("named", [("clips", "{job}"), ("{job}",), ("{job}", "clips"), ("{job}", "{path}")])
def test_a_job_stands_for_its_clip_alone(named: tuple[str, ...], emulate: Callable[..., None]) -> None:
    first, _ = drafts("a boat", "a cat")
    words = [word.format(job=first["job"], path=first["paths"][0]) for word in named]
    assert run("upscale", *words, "--resolution", "4k", "--mock", "-q")[0] == Exit.ALL_MADE
    [prompt] = upscales()
    assert Path(prompt["video"]["path"]).name == Path(first["paths"][0]).name


def test_the_cost_is_told_by_the_length_of_the_source_and_nothing_is_sent(emulate: Callable[..., None]) -> None:
    each = load().models[OMNI].upscales("4k")
    assert each is not None
    shown = planned(saved("a.mp4"), "--resolution", "4k", "--mock")
    assert shown["cost_usd"] == pytest.approx(8 * each, abs=1e-3)
    shown = planned(saved("b.mp4", film(seconds=False)), "--resolution", "4k", "--mock")
    assert shown["cost_usd"] == pytest.approx(40 * each, abs=1e-3)
    assert shown["notes"][0].startswith("b.mp4 does not say how long it is")
    assert not Path(".aveo3").exists()


def test_a_budget_that_is_too_small_sends_nothing(emulate: Callable[..., None]) -> None:
    clip = saved("a.mp4")
    arguments = ("upscale", clip, "--resolution", "4k", "--mock", "--budget", "1")
    code, _, stderr = run(*arguments)
    assert code == Exit.DEFERRED, stderr
    assert not list(Path().glob("a-4k-*"))


@pytest.mark.parametrize(
    ("width", "height", "target", "larger"),
    [
        (1920, 1080, "1080p", False),
        (1080, 1920, "1080p", False),
        (3840, 2160, "1080p", False),
        (3840, 2160, "4k", False),
        (1920, 1080, "4k", True),
        (720, 1280, "1080p", True),
    ],
)
def test_a_clip_that_is_large_enough_is_not_paid_for(
    width: int, height: int, target: str, larger: bool, emulate: Callable[..., None]
) -> None:
    clip = saved("a.mp4", film(width, height))
    code, _, stderr = run("upscale", clip, "--resolution", target, "--mock", "--dry-run")
    assert code == (Exit.ALL_MADE if larger else Exit.USAGE)
    assert (f"nothing was sent: a.mp4 is {width}x{height} already" in stderr) is not larger


def test_a_directory_leaves_out_what_is_large_enough_or_gone(emulate: Callable[..., None]) -> None:
    large, gone, _ = drafts("a boat", "a cat", "a dog")
    Path(large["paths"][0]).write_bytes(film(1920, 1080))
    Path(gone["paths"][0]).unlink()
    shown = planned("clips", "--resolution", "1080p", "--mock")
    assert shown["to_send"] == 1
    assert shown["notes"][:2] == [
        "clips: left out 1 clip as large as 1080p already",
        "clips: left out 1 clip without a file here",
    ]


def test_where_nothing_is_left_that_is_bad_usage(emulate: Callable[..., None]) -> None:
    [clip] = drafts("a boat")
    Path(clip["paths"][0]).write_bytes(film(3840, 2160))
    code, stdout, stderr = run("upscale", "clips", "--resolution", "4k", "--mock")
    assert (code, stdout) == (Exit.USAGE, "")
    assert stderr == (
        "aveo3: nothing was sent: no clip is there to upscale.\nclips: left out 1 clip as large as 4k already\n"
    )


def test_a_clip_that_is_named_twice_is_sent_once(emulate: Callable[..., None]) -> None:
    clip = saved("a.mp4")
    Path("link.mp4").symlink_to("a.mp4")
    assert planned(clip, f"./{clip}", "link.mp4", "--resolution", "4k", "--mock")["to_send"] == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.mp4"], "nowhere.mp4: there is no such file or directory, and it is no ID of a job"),
        (["gs://b/a.mp4"], "gs://b/a.mp4: name a file."),
        (["empty"], "Name the files in empty instead."),
        (["empty", "films", "1a2b"], "IDs of jobs are looked up in one directory"),
        (["films/a.mp4", "b.mp4"], "the clips are in several directories. Name the one for the copies (--output-dir)"),
        (["cut.mp4"], "cut.mp4 is not a whole video: its box"),
        (["notes.txt"], "notes.txt is not a whole video: it does not begin like one"),
        (["notes.mp4"], "notes.mp4 is not a whole video: it does not begin like one"),
        (["none.mp4"], "none.mp4 is not a whole video: it does not begin like one"),
    ],
)
def test_what_cannot_be_upscaled_is_told_before_anything_is_sent(
    words: list[str], sentence: str, emulate: Callable[..., None]
) -> None:
    for path in ("films/a.mp4", "b.mp4"):
        saved(path)
    saved("cut.mp4", film()[:-100])
    saved("notes.txt", b"a boat")
    saved("notes.mp4", b"a boat")
    saved("none.mp4", b"")
    Path("empty").mkdir()
    code, stdout, stderr = run("upscale", *words, "--resolution", "4k", "--mock")
    assert (code, stdout) == (Exit.USAGE, "")
    assert sentence in stderr
    assert not list(Path().rglob("journal.db"))


def test_clips_of_the_emulator_are_not_sent_to_google(emulate: Callable[..., None]) -> None:
    [clip] = drafts("a boat")
    for words in (["clips"], [clip["job"]]):
        code, _, stderr = run("upscale", *words, "--resolution", "4k", "-o", "big")
        assert code == Exit.USAGE
        assert "clips of the emulator" in stderr


def test_another_model_says_that_it_upscales_nothing(emulate: Callable[..., None]) -> None:
    words = ("--resolution", "4k", "--model", "gemini-omni-1.1-flash", "--mock", "--dry-run")
    code, stdout, _ = run("upscale", saved("a.mp4"), *words)
    assert code == Exit.SOME_NOT
    assert "upscales no videos" in " ".join(stdout.split())


def test_names_that_the_user_chose_stay(emulate: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    clip = saved("a.mp4")
    monkeypatch.setenv("VEO3_NAME", "big-{job}")
    assert run("upscale", clip, "--resolution", "4k", "--mock", "-q")[0] == Exit.ALL_MADE
    assert run("upscale", clip, "--resolution", "1080p", "--mock", "-q", "--name", "{id}-hd")[0] == Exit.ALL_MADE
    assert len(list(Path().glob("big-*.mp4"))) == 1
    assert Path("a-hd.mp4").is_file()
