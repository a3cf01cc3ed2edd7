"""`aveo3 config` and `aveo3 demo` print the truth, and every example in a help text works."""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from aveo3 import Settings
from aveo3.cli import app
from aveo3.cli.commands import demo as demo_command
from aveo3.cli.exit_codes import Exit
from aveo3.config.settings import describe
from aveo3.lifecycle import State
from tests.support.desk import Desk
from tests.support.terminal import run

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Inheritance class:DeprecationWarning",
    r"ignore:\s*The load_credentials_from_file method:DeprecationWarning",  # google-auth wants the kind of the file
)

PROJECT = {"GOOGLE_CLOUD_PROJECT": "my-project", "GOOGLE_APPLICATION_CREDENTIALS": "missing.json"}


def test_show_prints_every_value_and_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("VEO3_RATE_LIMIT=9\nVEO3_MODEL=from-file\n")
    monkeypatch.setenv("VEO3_MODEL", "from-environment")
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza-secret")
    monkeypatch.setenv("VEO3_DATABASE", "postgresql://me:AIza-secret@db:5433/veo")
    code, stdout, _ = run("config", "show")
    assert code == 0
    for line in (
        "VEO3_DATABASE = postgresql://db:5433/veo   from environment",
        "VEO3_RATE_LIMIT = 9   from .env",
        "VEO3_MODEL = from-environment   from environment",
        "VEO3_MAX_RETRIES = 3   from default",
        "GOOGLE_API_KEY or GEMINI_API_KEY = **********   from environment",
        "VEO3_MOCK_MODE = false   from default",
        "VEO3_FALLBACK = unset   from default",
    ):
        assert line in stdout
    assert "AIza-secret" not in stdout
    assert all(f"{variable.name} = " in stdout for variable in describe())


def test_the_template_is_an_env_file_with_every_setting_at_its_default() -> None:
    code, stdout, _ = run("config", "template")
    assert code == 0
    Path(".env").write_text(stdout)
    assert Settings() == Settings(_env_file=None)
    Path(".env").write_text(re.sub(r"(?m)^# ([A-Z0-9_]+=)", r"\1", stdout))
    assert Settings() == Settings(_env_file=None)


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        (
            {"VEO3_MOCK_MODE": "true"},
            0,
            ["backend: mock (VEO3_MOCK_MODE is true)", "credentials: none needed", "ready"],
        ),
        (
            {"VEO3_BACKEND": "vertex", "GOOGLE_API_KEY": "k"},
            0,
            ["backend: vertex (VEO3_BACKEND=vertex)", "credentials: API key, Vertex AI express mode", "ready"],
        ),
        (
            {"GEMINI_API_KEY": "k"},
            0,
            [
                "backend: gemini (there is an API key",
                "model: gemini-omni-1.2-flash (alive",
                "API key, Gemini API",
                "ready",
            ],
        ),
        ({"VEO3_BACKEND": "gemini"}, 2, ["backend: gemini (VEO3_BACKEND=gemini)", "The Gemini API needs a key"]),
        ({}, 2, ["Choose one of three ways"]),
        (PROJECT, 2, ["backend: vertex (GOOGLE_CLOUD_PROJECT=my-project)", "No usable credentials", "missing.json"]),
        (
            {"VEO3_MOCK_MODE": "true", "VEO3_MODEL": "veo-2.0-generate-001"},
            2,
            ["VEO3_MODEL=veo-2.0-generate-001 was retired by Google on 2026-06-30: use veo-3.1-generate-001."],
        ),
        ({"VEO3_MOCK_MODE": "true", "VEO3_MODEL": "veo-9"}, 2, ["VEO3_MODEL: model veo-9 is not in the catalog"]),
        ({"VEO3_RATE_LIMIT": "-1"}, 2, ["VEO3_RATE_LIMIT=-1 (in the environment) is refused"]),
        (
            {"VEO3_BACKEND": "gemini", "GOOGLE_API_KEY": "k", "VEO3_DATABASE": "postgresql://me:hidden@db/veo"},
            0,
            ["journal: postgresql://db/veo (aveo3 check asks it)"],
        ),
    ],
)
def test_check_shows_the_choice_and_what_is_missing(
    environment: dict[str, str], code: int, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    got, stdout, stderr = run("config", "check")
    output = " ".join((stdout + stderr).split())
    assert got == code, output
    assert [word for word in words if word not in output] == []


@pytest.mark.parametrize(
    ("lanes", "code", "words"),
    [
        (
            '[[lane]]\nname = "k"\napi_key_env = "KEY"\nrate_limit = 7\n'
            '[[lane]]\nname = "v"\nbackend = "vertex"\napi_key_env = "KEY"',
            0,
            ["lane k: gemini-omni-1.2-flash (alive", "7 requests in 60 s", "API key, Vertex AI express mode", "ready"],
        ),
        ('[[lane]]\napi_key_env = "NONE"', 2, ["lane 1: api_key_env names NONE, which is set neither"]),
    ],
)
def test_check_prints_each_lane(lanes: str, code: int, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lanes.toml").write_text(lanes)
    monkeypatch.setenv("VEO3_LANES", "lanes.toml")
    monkeypatch.setenv("KEY", "secret")
    got, stdout, stderr = run("config", "check")
    output = " ".join((stdout + stderr).split())
    assert got == code, output
    assert [word for word in words if word not in output] == []
    assert "secret" not in output


@pytest.mark.usefixtures("time_jumps")
def test_in_the_demo_the_plain_loop_loses_clips_and_aveo3_makes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_command, "PERIOD", 0.2)
    monkeypatch.setattr(demo_command, "LATENCY", "0.1")
    code, stdout, _ = run("demo", "--output-dir", "films")
    assert code == 0
    lost = int(re.search(r"(\d+) of 12 clips are lost", stdout)[1])  # type: ignore[index]
    assert lost > 0
    assert "12 accepted, 0 refused, 0 paid for twice" in stdout
    assert len(list(Path("films").glob("*.mp4"))) == 12


OF_THEIR_OWN = ("mock-server", "upscale", "worker", "enqueue")


def examples() -> list[str]:
    """Every line in a help text that begins with `aveo3`. `mock-server`, `upscale`, which needs clips, and what needs a
    server or a database have tests of their own."""
    root = typer.main.get_command(app)
    commands = {**root.commands, **root.commands["config"].commands}  # type: ignore[attr-defined]
    helps = [command.help or "" for name, command in commands.items() if name not in OF_THEIR_OWN]
    lines = [line for help_ in helps for line in re.findall(r"(?m)(?:^|Example: )\s*(aveo3 .+)$", help_)]
    return [line for line in lines if "https://" not in line]


def test_these_commands_have_examples() -> None:
    named = {" ".join(example.split()[1:3]) for example in examples()}
    assert {"config show", "config template", "config check", "demo"} <= named
    journal = {"status", "history", "resume", "retry"}
    assert {name.split()[0] for name in named} >= {"generate", *journal}


UNTIL_STOPPED = {"page": Exit.INTERRUPTED, "serve": Exit.ALL_MADE}
"""Commands that run until a signal stops them, and how they end."""


@contextmanager
def stopped_later(callback: Callable[[signal.Signals], object]) -> Iterator[None]:
    """Stands in for `on_signals`: Ctrl-C comes a minute after the command began."""
    asyncio.get_running_loop().call_later(60, callback, signal.SIGINT)
    yield


@pytest.mark.usefixtures("time_jumps")
@pytest.mark.parametrize("example", examples())
def test_every_example_in_a_help_text_works(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    command = example.split()[1]
    if command in UNTIL_STOPPED:
        monkeypatch.setattr("aveo3.cli.signals.on_signals", stopped_later)
    monkeypatch.setattr(demo_command, "PERIOD", 0.2)
    monkeypatch.setattr(demo_command, "LATENCY", "0.1")
    Path("prompts.txt").write_text("a paper boat\n")
    with Desk() as desk:
        desk.job(State.FAILED, digest="1a2b3c4d", service="mock")
        desk.job(State.UNCERTAIN, digest="5e6f7a8b", service="mock")
    Path("clips/failed.jsonl").write_text('{"text": "a paper boat"}\n')
    free_port = ["--port", "0"] if command == "serve" else []  # its usual one may be in use
    arguments = shlex.split(example.partition(">")[0])[1:]
    arguments = [word.replace("127.0.0.1:8791", "127.0.0.1:0") for word in arguments]
    code, stdout, stderr = run(*arguments, *free_port)
    assert code == UNTIL_STOPPED.get(command, Exit.ALL_MADE), stderr
    assert command not in UNTIL_STOPPED or "http://127.0.0.1:" in stdout + stderr
