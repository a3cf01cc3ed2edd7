"""`aveo3 generate`: exit codes, messages instead of tracebacks, results on stdout, progress on stderr, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

import aveo3.mock
from aveo3 import ClipStatus
from aveo3.cli import app
from aveo3.cli.exit_codes import Exit
from aveo3.mock import MockOptions, MockServer
from tests.support.children import until
from tests.support.emulator_clock import let_pass
from tests.support.ssl_context import SSL_CONTEXT
from tests.support.terminal import run

BOATS = "boat 1\nboat 2\nboat 3\nboat 4\n"
KEY = "AIzaSy-secret-key-0123456789"

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Inheritance class:DeprecationWarning",
    r"ignore:\s*The load_credentials_from_file method:DeprecationWarning",  # google-auth wants the kind of the file
)


@pytest.fixture(autouse=True)
def one_ssl_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it takes 25 ms."""
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)


def counts(stdout: str) -> dict[str, int]:
    """The number of clips by status, read from the summary."""
    rows = re.findall(rf"(?m)^({'|'.join(ClipStatus)}) +(\d+)", stdout)
    return {status: int(count) for status, count in rows if int(count)}


def manifest(directory: str = "clips") -> list[dict[str, Any]]:
    """The clips that the run wrote to its manifest."""
    lines = Path(directory, "manifest.jsonl").read_text("utf-8").removesuffix("\n").split("\n")
    return [json.loads(line) for line in lines]


@pytest.fixture
def emulate(monkeypatch: pytest.MonkeyPatch, time_jumps: None) -> Callable[..., None]:
    """Make `--mock` run a fast emulator with these options."""

    def options(**chosen: Any) -> None:
        def fast(**values: Any) -> MockOptions:
            return MockOptions.model_validate({**values, "latency": "0.01", "films": "bundled", **chosen})

        monkeypatch.setattr(aveo3.mock, "MockOptions", fast)
        monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")

    return options


# ---- help ------------------------------------------------------------------------------------------------------------


def every_command(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The program, its commands and their subcommands, each with the words that call it."""
    yield path, command.whole() if hasattr(command, "whole") else command
    for name, below in getattr(command, "commands", {}).items():
        yield from every_command(below, *path, name)


COMMANDS = dict(every_command(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(["aveo3", *path]))
def test_every_help_runs_and_explains_every_command_and_option(path: tuple[str, ...]) -> None:
    code, stdout, stderr = run(*path, "--help")
    assert (code, stderr) == (0, "")
    command = COMMANDS[path]
    assert command.help
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []
    assert [o for p in command.params for o in p.opts if o.startswith("--") and o not in stdout] == []
    assert [name for name in getattr(command, "commands", {}) if name not in stdout] == []


@pytest.mark.parametrize("path", [(), ("config",)], ids=lambda path: " ".join(["aveo3", *path]))
def test_no_first_sentence_is_cut_in_a_list_of_commands(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, stdout, _ = run(*path, "--help")
    assert "..." not in stdout.partition("\nCommands:\n")[2]


def test_help_of_generate_names_every_exit_code() -> None:
    _, stdout, _ = run("generate", "--help")
    assert [code for code in Exit if not re.search(rf"\b{code:d}\b", stdout)] == []


def test_the_version_is_shown() -> None:
    assert run("--version") == (0, f"aveo3 {aveo3.__version__}\n", "")


@pytest.mark.parametrize("path", [(), ("generate",), ("config",), ("config", "show"), ("mock-server",)])
def test_h_is_short_for_help(path: tuple[str, ...]) -> None:
    assert run(*path, "-h") == run(*path, "--help")


def test_python_runs_the_package_as_the_command_line() -> None:
    process = subprocess.run([sys.executable, "-m", "aveo3", "--version"], capture_output=True, text=True, check=True)
    assert process.stdout == f"aveo3 {aveo3.__version__}\n"


def test_without_a_command_the_help_is_shown() -> None:
    code, stdout, stderr = run()
    assert code == Exit.USAGE
    assert "generate" in stdout + stderr
    assert "mock-server" in stdout + stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["generat"],
        ["generate"],
        ["generate", "prompts.txt", "--colour"],
        ["generate", "--prompt", " ", "--mock"],
        ["generate", "--prompt", "boat", "--rate", "often", "--mock"],
        ["generate", "--prompt", "boat", "--resolution", "8k", "--mock"],
        ["generate", "--prompt", "boat", "--duration", "0", "--mock"],
        ["generate", "--prompt", "boat", "--max-concurrency", "0", "--mock"],
        ["generate", "prompts.docx", "--mock"],
    ],
)
def test_a_wrong_command_or_value_is_bad_usage(arguments: list[str]) -> None:
    code, stdout, stderr = run(*arguments)
    assert (code, stdout) == (Exit.USAGE, "")
    assert stderr


def test_a_prompt_that_is_too_long_is_bad_usage() -> None:
    sentence = "aveo3: --prompt: String should have at most 20000 characters\n"
    assert run("generate", "--prompt", "x" * 20_001, "--mock") == (Exit.USAGE, "", sentence)


# ---- bad usage: one sentence, exit code 2 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot read prompts.txt: No such file or directory. Give a text file with one prompt a line."),
        (b"", "prompts.txt holds no prompts: write one a line; blank lines and # comments do not count."),
        (b"\n  \n# boat\n\t# more\n", "prompts.txt holds no prompts: write one a line; blank lines and # comments do"),
        (b"boat\nb\xf6at\n", "prompts.txt is not UTF-8 text (byte 6). Save it as UTF-8."),
        (b"\xff\xfeb", "prompts.txt is not whole as UTF-16 text (byte 2). Save it as UTF-8."),
    ],
)
def test_an_unreadable_prompt_file_is_explained(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "prompts.txt").write_bytes(content)
    code, stdout, stderr = run("generate", "prompts.txt", "--mock")
    assert (code, stdout) == (Exit.USAGE, "")
    assert stderr.startswith(f"aveo3: {sentence}")


def test_a_directory_is_no_prompt_file(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").mkdir()
    code, _, stderr = run("generate", "prompts.txt", "--mock")
    assert code == Exit.USAGE
    assert stderr.startswith("aveo3: cannot read prompts.txt: ")
    assert stderr.endswith(". It holds no prompt files. Give a text file with one prompt a line.\n")


def test_a_directory_of_prompt_files_is_told_with_the_files_in_it(tmp_path: Path) -> None:
    for name in ("b two.csv", "a.txt", "film.mp4", "manifest.jsonl", ".env"):
        (tmp_path / name).write_text("x", "utf-8")
    for directory in (".", str(tmp_path)):
        code, _, stderr = run("generate", directory, "--mock")
        files = f"{Path(directory, 'a.txt')} '{Path(directory, 'b two.csv')}'"
        assert code == Exit.USAGE
        assert stderr.endswith(f". Name its prompt files: aveo3 generate {files}\n")


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("promts.txt", "Did you mean prompts.txt?"),
        ("prompts", "Did you mean prompts.txt?"),
        ("others.csv", "Give a text file with one prompt a line."),
        ("nowhere/prompts.txt", "Give a text file with one prompt a line."),
        ("a boat", "If it is the text of a prompt, use --prompt: aveo3 generate --prompt 'a boat'"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_one_that_is(name: str, way_out: str) -> None:
    Path("prompts.txt").write_text("x", "utf-8")
    code, _, stderr = run("generate", name, "--mock")
    assert (code, stderr) == (Exit.USAGE, f"aveo3: cannot read {name}: No such file or directory. {way_out}\n")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"VEO3_RATE_LIMTI": "3"},
            "VEO3_RATE_LIMTI (in the environment) is not a setting of aveo3: did you mean VEO3_RATE_LIMIT?",
        ),
        (
            {"VEO3_RATE_LIMIT": "many"},
            "VEO3_RATE_LIMIT=many (in the environment) is refused: must be a whole number; allowed: a whole "
            "number, at least 1",
        ),
        (
            {"VEO3_BACKEND": "gemini"},
            "The Gemini API needs a key: set GEMINI_API_KEY (from https://aistudio.google.com/apikey, of a project "
            "with billing). Without one, set GOOGLE_CLOUD_PROJECT for Vertex AI, or VEO3_MOCK_MODE=true.",
        ),
        (
            {"VEO3_BACKEND": "gemini", "GEMINI_API_KEY": "k", "VEO3_MODEL": "veo-3.1-generate-001"},
            "VEO3_MODEL: model veo-3.1-generate-001 is not available with VEO3_BACKEND=gemini: set "
            "VEO3_BACKEND=vertex, or use gemini-omni-1.1-flash or gemini-omni-1.2-flash.",
        ),
        (
            {"VEO3_BACKEND": "vertex"},
            "Vertex AI needs to know who pays: set GOOGLE_CLOUD_PROJECT (and run `gcloud auth application-default "
            "login`), or set GOOGLE_API_KEY for express mode.",
        ),
        (
            {},
            "No credentials found, so there is nowhere to make clips. Choose one of three ways: (1) Vertex AI: set "
            "GOOGLE_CLOUD_PROJECT and run `gcloud auth application-default login`; (2) an API key: set "
            "GEMINI_API_KEY for the Gemini API, or GOOGLE_API_KEY and VEO3_BACKEND=vertex for Vertex AI express mode; "
            "(3) no account at all: set VEO3_MOCK_MODE=true for the built-in emulator. `aveo3 login` shows the steps.",
        ),
    ],
)
def test_wrong_settings_are_explained(
    variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run("generate", "-", stdin=BOATS) == (Exit.USAGE, "", f"aveo3: {sentence}\n")


def test_missing_credentials_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "nowhere.json")
    code, _, stderr = run("generate", "-", stdin=BOATS)
    assert code == Exit.USAGE
    assert stderr.startswith("aveo3: No usable credentials for project 'p' (nowhere.json): ")


def test_an_env_file_that_is_not_utf8_is_explained(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"VEO3_MODEL=v\xf6o\n")
    code, _, stderr = run("generate", "-", stdin=BOATS)
    assert code == Exit.USAGE
    assert stderr == "aveo3: .env is not UTF-8 text (byte 12). Save it as UTF-8.\n"


def test_a_misspelt_variable_in_the_env_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("VEO3_BUDGTE=3\n")
    code, _, stderr = run("generate", "-", stdin=BOATS)
    assert (code, stderr) == (
        Exit.USAGE,
        "aveo3: VEO3_BUDGTE (in .env) is not a setting of aveo3: did you mean VEO3_BUDGET?\n",
    )


def test_an_output_directory_that_cannot_be_created_is_explained(tmp_path: Path) -> None:
    (tmp_path / "film").write_text("")
    assert run("generate", "-", "--mock", "--output-dir", "film/clips", stdin=BOATS) == (
        Exit.USAGE,
        "",
        "aveo3: VEO3_OUTPUT_DIR=film/clips cannot be made: Not a directory. Name another one.\n",
    )


def test_an_output_directory_that_cannot_be_written_to_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who can write anywhere
    code, _, stderr = run("generate", "-", "--mock", stdin=BOATS)
    assert (code, stderr) == (
        Exit.USAGE,
        "aveo3: VEO3_OUTPUT_DIR=clips cannot be written to. Change its permissions or name another.\n",
    )


# ---- runs ------------------------------------------------------------------------------------------------------------


def test_the_forecast_in_mock_mode_is_that_of_the_emulator(emulate: Callable[..., None]) -> None:
    emulate()
    arguments = ("generate", "-", "--mock", "--rate", "2/10s")
    _, stdout, _ = run(*arguments, "--dry-run", stdin=BOATS)
    assert "about 12 s (limited by the quota; quota: 2 requests in 10 s)" in " ".join(stdout.split())
    _, _, stderr = run(*arguments, stdin=BOATS)
    assert "about 12 s (limited by the quota; quota: 2 requests in 10 s)" in stderr
    _, _, stderr = run("generate", "-", "--mock", "--fresh", stdin=BOATS)
    assert "about 2 s (as long as one clip takes; quota: 50 requests in 1 min)" in stderr


def test_the_summary_is_on_stdout_and_the_progress_on_stderr(emulate: Callable[..., None], tmp_path: Path) -> None:
    emulate()
    (tmp_path / "prompts.txt").write_text("# boats\n\n  boat 1  \n\t# not this one\nboat 2 # but this\n")
    code, stdout, stderr = run("generate", "prompts.txt", "--mock", "--output-dir", "films")
    assert (code, counts(stdout)) == (Exit.ALL_MADE, {"succeeded": 2})
    assert "US$ 6.40" in stdout
    films = sorted(Path("films").glob("*.mp4"))
    assert all(film.read_bytes()[4:8] == b"ftyp" for film in films)
    assert len(films) == stderr.count(" succeeded ") == stderr.count(" accepted: ") == 2
    assert all(film.name in stderr and film.name not in stdout for film in films)
    assert sorted(clip["text"] for clip in manifest("films")) == ["boat 1", "boat 2 # but this"]


def test_json_is_one_object_a_clip_on_stdout_and_nothing_else(emulate: Callable[..., None]) -> None:
    emulate(faults=["filtered-safety@2"])
    code, stdout, stderr = run("generate", "-", "--mock", "--json", stdin=BOATS)
    clips = [json.loads(line) for line in stdout.splitlines()]
    assert code == Exit.SOME_NOT
    assert sorted(clip["index"] for clip in clips) == [0, 1, 2, 3]
    assert sorted(clip["status"] for clip in clips) == ["filtered", "succeeded", "succeeded", "succeeded"]
    assert clips == manifest()
    assert counts(stderr) == {"succeeded": 3, "filtered": 1}


def test_quiet_prints_nothing_if_every_clip_is_made(emulate: Callable[..., None]) -> None:
    emulate()
    assert run("generate", "-", "--mock", "--quiet", stdin="boat") == (Exit.ALL_MADE, "", "")


def test_a_dry_run_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    code, stdout, _ = run("generate", "-", "--dry-run", stdin=BOATS)
    assert code == Exit.ALL_MADE
    assert "4 clips, US$ 12.80" in stdout
    assert "nothing was sent" in stdout
    assert not Path("clips").exists()


def test_prompts_that_are_too_long_get_one_warning_and_are_sent(emulate: Callable[..., None]) -> None:
    emulate()
    text = f"a boat\n{'a boat at sea ' * 300}\n{'a bird at sea ' * 300}\n"
    words = "the prompt 'a boat at sea a boat at sea a boat at se' has about 1,050 tokens, and veo-3.1-"
    _, stdout, _ = run("generate", "-", "--mock", "--dry-run", stdin=text)
    assert words in stdout
    assert "(1 more prompt too long)" in stdout
    code, stdout, stderr = run("generate", "-", "--mock", stdin=text)
    assert (code, counts(stdout)) == (Exit.ALL_MADE, {"succeeded": 3})
    assert stderr.count("tokens") == 1


def test_a_dry_run_as_json_is_one_object_with_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    lines = '{"text": "a"}\n{"text": "b"}\n{"text": "c", "image": "gone.png"}\n{"text": "d", "model": "odd"}\n'
    arguments = ["generate", "-", "--dry-run", "--json"]
    code, stdout, stderr = run(*arguments, stdin=lines)
    [line] = stdout.splitlines()
    facts = json.loads(line)
    assert (code, stderr) == (Exit.SOME_NOT, "")
    known = {name: facts[name] for name in ("clips", "to_send", "would_be_rejected", "already_made", "under_way")}
    assert known == {"clips": 4, "to_send": 2, "would_be_rejected": 2, "already_made": 0, "under_way": 0}
    assert (facts["dry_run"], facts["cost_usd"], facts["over_budget"]) == (True, 6.4, False)
    veo, odd = facts["lanes"]
    assert (veo["model"], veo["clips"], veo["cost_usd"], veo["limited_by"]) == (
        "veo-3.1-generate-001",
        2,
        6.4,
        "latency",
    )
    assert veo["problems"] == ["'c': cannot read gone.png: no such file"]
    assert (odd["model"], odd["clips"]) == ("odd", 0)
    assert "model odd is not in the catalog" in odd["problems"][0]
    code, stdout, _ = run(*arguments, "--budget", "5", stdin="a\nb\n")
    facts = json.loads(stdout)
    assert (code, facts["cost_usd"], facts["budget_usd"], facts["over_budget"]) == (Exit.ALL_MADE, 6.4, 5.0, True)
    assert not Path("clips").exists()


def test_a_dry_run_as_json_counts_what_is_there_already(emulate: Callable[..., None]) -> None:
    emulate()
    assert run("generate", "-", "--mock", stdin="a\nb\n")[0] == Exit.ALL_MADE
    code, stdout, stderr = run("generate", "-", "--mock", "--dry-run", "--json", stdin="a\nb\nc\n")
    facts = json.loads(stdout)
    assert (code, stderr) == (Exit.ALL_MADE, "")
    assert (facts["clips"], facts["to_send"], facts["already_made"], facts["cost_usd"]) == (3, 1, 2, 3.2)
    _, stdout, _ = run("generate", "-", "--mock", "--dry-run", "--json", stdin="a\n")
    facts = json.loads(stdout)
    assert (facts["to_send"], facts["cost_usd"], facts["seconds"], facts["lanes"]) == (0, 0, 0, [])


def test_a_dry_run_lists_fallbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    fast, lite = "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001"
    prompt = ["--prompt", "boat", "--resolution", "4k", "--dry-run"]
    code, stdout, _ = run("generate", *prompt, "--fallback", f"{fast} -> {lite}")
    assert code == Exit.ALL_MADE
    assert f"fallback {fast}: could make 1 of these for US$ 2.40 if all lanes of their own model closed\n" in stdout
    assert f"fallback {lite}: can make none of these\n" in stdout


@pytest.mark.parametrize("project", ["p", None])
def test_an_unknown_fallback_is_refused(project: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if project is not None:
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", project)
    code, stdout, stderr = run("generate", "--prompt", "a", "--dry-run", "--fallback", "veo-3.1-fst-generate-001")
    assert (code, stdout) == (Exit.USAGE, "")
    assert "VEO3_FALLBACK: 'veo-3.1-fst-generate-001' is not in the catalog of" in stderr
    assert "did you mean veo-3.1-fast-generate-001? `aveo3 models` lists all models" in stderr


def test_keep_remote_without_a_bucket_gets_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    warning = "VEO3_KEEP_REMOTE (--keep-remote) has no effect: without VEO3_OUTPUT_GCS_URI no video goes to a bucket"
    dry = ["generate", "--prompt", "a", "--dry-run", "--keep-remote"]
    assert warning in " ".join(run(*dry)[1].split())
    monkeypatch.setenv("VEO3_OUTPUT_GCS_URI", "gs://b/o")
    assert warning not in " ".join(run(*dry)[1].split())


def test_without_an_output_directory_the_clips_go_to_clips(emulate: Callable[..., None], tmp_path: Path) -> None:
    emulate()
    assert run("generate", "-", "--mock", stdin="boat")[0] == Exit.ALL_MADE
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == 1


@pytest.mark.parametrize(
    ("stdin", "prompts"),
    [
        ("boat 1\r\n\r\nboat 2", 2),
        ("\ufeff# a comment after a byte order mark\nboat", 1),
        ("one prompt\u2028that an office program broke\x0band broke\u0085again", 1),
        ("Löwenzahn 🌼\n日本\n".encode(), 2),
    ],
)
def test_standard_input_is_read_like_a_file(
    stdin: str | bytes, prompts: int, emulate: Callable[..., None], tmp_path: Path
) -> None:
    emulate()
    code, stdout, _ = run("generate", "-", "--mock", stdin=stdin)
    assert (code, counts(stdout)) == (Exit.ALL_MADE, {"succeeded": prompts})
    (tmp_path / "prompts.txt").write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
    code, stdout, _ = run("generate", "prompts.txt", "--mock")
    assert (code, counts(stdout)) == (Exit.ALL_MADE, {"succeeded": prompts})


def test_standard_input_that_is_not_utf8_is_explained() -> None:
    sentence = "aveo3: standard input is not UTF-8 text (byte 6). Save it as UTF-8.\n"
    assert run("generate", "-", "--mock", stdin=b"boat\nb\xf6at\n") == (Exit.USAGE, "", sentence)


def test_the_model_can_be_chosen(emulate: Callable[..., None]) -> None:
    emulate()
    code, stdout, _ = run("generate", "-", "--mock", "--model", "veo-3.1-lite-generate-001", stdin="boat")
    assert (code, "about US$ 0.40" in stdout) == (Exit.ALL_MADE, True)


def test_a_retired_model_is_refused_before_anything_is_sent_and_its_successor_is_named() -> None:
    code, _, stderr = run("generate", "-", "--mock", "--model", "veo-3.0-generate-001", stdin="boat")
    assert code == Exit.USAGE
    assert stderr == (
        "aveo3: VEO3_MODEL=veo-3.0-generate-001 was retired by Google on 2026-06-30: use veo-3.1-generate-001.\n"
    )


def test_a_prompt_for_a_retired_model_is_rejected_and_its_neighbours_are_made(emulate: Callable[..., None]) -> None:
    emulate()
    Path("p.jsonl").write_text('{"text": "old", "model": "veo-3.0-generate-001"}\n{"text": "new"}\n', "utf-8")
    code, stdout, stderr = run("generate", "p.jsonl", "--mock")
    assert (code, counts(stdout)) == (Exit.SOME_NOT, {"succeeded": 1, "rejected": 1})
    assert "use veo-3.1-generate-001" in stderr


def test_a_clip_that_is_not_made_is_exit_code_1_with_advice(emulate: Callable[..., None]) -> None:
    emulate(faults=["filtered-safety@2"])
    code, stdout, stderr = run("generate", "-", "--mock", stdin=BOATS)
    assert (code, counts(stdout)) == (Exit.SOME_NOT, {"succeeded": 3, "filtered": 1})
    assert "change the prompt" in " ".join(stdout.split())
    assert "Support codes: 17301594 (publishers/" in stderr


def test_clips_that_the_budget_defers_are_exit_code_3(
    emulate: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate()
    monkeypatch.setenv("VEO3_BUDGET", "6.50")
    code, stdout, _ = run("generate", "-", "--mock", stdin=BOATS)
    assert (code, counts(stdout)) == (Exit.DEFERRED, {"succeeded": 2, "deferred": 2})
    assert "The budget of US$ 6.5 leaves no room for 2 clips. Raise it (--budget, VEO3_BUDGET) to continue" in stdout
    assert "Run the same command again" not in stdout


def test_a_budget_refuses_a_model_whose_price_is_unknown_before_anything_is_sent() -> None:
    """The model of the settings, and that of one prompt."""
    Path("p.jsonl").write_text('{"text": "a"}\n{"text": "b", "model": "veo-3.1-generate-01"}\n', "utf-8")
    sentence = "aveo3: the budget of US$ 7 cannot hold veo-3.1-generate-01, whose price is unknown: name another model"
    for more in (["p.jsonl"], ["p.jsonl", "--dry-run"], ["-", "--model", "veo-3.1-generate-01"]):
        code, stdout, stderr = run("generate", *more, "--mock", "--budget", "7", stdin="boat")
        assert (code, stdout) == (Exit.USAGE, "")
        assert stderr.startswith(sentence)
        assert "did you mean veo-3.1-generate-001?" in stderr
    assert not Path("clips", "manifest.jsonl").exists()


def test_googles_own_name_of_a_model_is_paid_once_and_counted(emulate: Callable[..., None]) -> None:
    emulate()
    name = "publishers/google/models/veo-3.1-generate-001"
    code, stdout, _ = run("generate", "-", "--mock", "--budget", "7", "--model", name, stdin=BOATS)
    assert (code, counts(stdout)) == (Exit.DEFERRED, {"succeeded": 2, "deferred": 2})


def test_a_billing_problem_defers_all_clips_and_says_why(emulate: Callable[..., None]) -> None:
    emulate(faults=["billing"])
    code, stdout, stderr = run("generate", "-", "--mock", stdin=BOATS)
    assert (code, counts(stdout)) == (Exit.SOME_NOT, {"deferred": 4})  # running it again is not enough
    assert stderr.count(": Your prepayment credits are depleted.") == 5  # the lane, three clips, and "1 more"
    assert "1 more: Your prepayment credits are depleted." in stderr
    words = " ".join(stdout.split())
    assert "see below why Google refuses all, then run it again" in words
    assert "Do what the line `quota` says, then run the same command again to continue" in words


def test_deferred_and_uncertain_clips_together_are_exit_code_1(emulate: Callable[..., None]) -> None:
    emulate(faults=["drop-after@1", "billing@2"])
    code, stdout, _ = run("generate", "-", "--mock", stdin=BOATS)
    assert code == Exit.SOME_NOT
    assert counts(stdout).items() >= {"uncertain": 1}.items()
    assert counts(stdout)["deferred"] > 0


@pytest.mark.parametrize("fault", ["drop-after", "empty"])
def test_a_clip_that_may_be_paid_is_not_in_failed(fault: str, emulate: Callable[..., None]) -> None:
    emulate(faults=[f"{fault}@1"])
    _, stdout, _ = run("generate", "-", "--mock", stdin=BOATS)
    assert counts(stdout) == {"succeeded": 3, "uncertain": 1}
    failed = Path("clips/failed.jsonl")
    assert not failed.exists() or "uncertain" not in failed.read_text("utf-8")


def test_deferred_prompts_are_in_failed_and_can_be_made_from_it(
    emulate: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate()
    monkeypatch.setenv("VEO3_BUDGET", "6.50")
    run("generate", "-", "--mock", stdin="a\u2028boat\n" + BOATS)
    monkeypatch.delenv("VEO3_BUDGET")
    code, stdout, _ = run("generate", "clips/failed.jsonl", "--mock")
    assert (code, counts(stdout)) == (Exit.ALL_MADE, {"succeeded": 3})
    made = [clip["text"] for clip in manifest() if clip["status"] == "succeeded"]
    assert sorted(made) == sorted(["a\u2028boat", *BOATS.splitlines()])
    assert not Path("clips/failed.jsonl").exists()


def test_debug_mode_logs_more(emulate: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    emulate(faults=["poll-500@1"])
    monkeypatch.setenv("VEO3_DEBUG_MODE", "true")
    code, _, stderr = run("generate", "-", "--mock", stdin="boat")
    assert code == Exit.ALL_MADE
    assert "HTTP 500" in stderr


# ---- a real process: Ctrl-C ------------------------------------------------------------------------------------------


class Run:
    """One `aveo3 generate -` in its own process, against an emulator in this process."""

    def __init__(self, server: MockServer, process: asyncio.subprocess.Process) -> None:
        self.server = server
        self.process = process

    async def accepted(self, number: int) -> None:
        await until(lambda: self.server.books.accepted >= number, self.process)

    async def says(self, words: str) -> str:
        """Read progress until it contains `words`."""
        assert self.process.stderr is not None
        output = ""
        while words not in output:
            line = await self.process.stderr.readline()
            assert line, output
            output += line.decode()
        return output

    async def ended(self) -> tuple[int | None, str, str]:
        stdout, stderr = await self.process.communicate()
        assert b"Traceback" not in stderr, stderr.decode()
        return self.process.returncode, stdout.decode(), stderr.decode()


@asynccontextmanager
async def running(
    stdin: bytes = BOATS.encode(), environment: dict[str, str] | None = None, before: str = "", **options: Any
) -> AsyncIterator[Run]:
    chosen = {"films": "bundled", "rpm": None, **options}
    async with MockServer(MockOptions.model_validate(chosen)) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            f"{before}\nfrom aveo3.cli import app; app()",
            *("generate", "-"),
            env={
                **os.environ,
                "VEO3_BASE_URL": server.url,
                "VEO3_BACKEND": "vertex",
                "VEO3_POLL_INTERVAL": "0.02",
                "GOOGLE_API_KEY": KEY,
                **(environment or {}),
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(stdin)
            process.stdin.close()
            yield Run(server, process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.real_time
async def test_the_first_interrupt_finishes_running_clips_and_submits_nothing_more() -> None:
    async with running(environment={"VEO3_MAX_CONCURRENCY": "2"}, latency="1000") as command:
        await command.accepted(2)
        command.process.send_signal(signal.SIGINT)
        said = await command.says("stopping: ")
        let_pass(command.server, 1000)
        code, stdout, stderr = await command.ended()
    assert code == Exit.INTERRUPTED
    assert counts(stdout) == {"succeeded": 2, "cancelled": 2}
    assert "stopping: nothing more is submitted, running clips are finished (Ctrl-C again: leave now)" in said
    assert command.server.books.accepted == 2
    assert stderr.count(".mp4") == 2


WINDOWS = """
import asyncio, signal
def missing(*_): raise NotImplementedError
asyncio.SelectorEventLoop.add_signal_handler = missing
del signal.SIGHUP
"""


@pytest.mark.parametrize("before", ["", WINDOWS], ids=["unix", "windows"])
@pytest.mark.real_time
async def test_the_second_signal_leaves_at_once_and_names_the_running_operations(before: str) -> None:
    async with running(before=before, latency="1000") as command:
        await command.accepted(4)
        command.process.send_signal(signal.SIGINT)
        await command.says("stopping: ")
        command.process.send_signal(signal.SIGINT)
        code, stdout, stderr = await command.ended()
        names = [operation.name for operation in command.server.emulator.operations._by_id.values()]
    assert code == Exit.INTERRUPTED
    assert counts(stdout) == {"unfinished": 4}
    assert re.search(r"(?m)^spent +about US\$ 0.00 at list price", stdout)
    assert re.search(r"(?m)^may be paid +about US\$ 12.80", stdout)
    assert "leaving within 10 s: running clips go on at Google, and the next run resumes them" in stderr
    left = "still running at Google when this program stopped ("
    assert [name for name in names if left + name not in stderr] == []


@pytest.mark.real_time
async def test_without_a_journal_the_second_signal_promises_no_more_than_names() -> None:
    async with running(latency="1000", environment={"VEO3_JOURNAL": "none"}) as command:
        await command.accepted(4)
        command.process.send_signal(signal.SIGTERM)
        _, stdout, stderr = await command.ended()
    assert counts(stdout) == {"uncertain": 4}
    assert "no journal is kept (VEO3_JOURNAL=none): if this run is killed, its running clips are lost" in stderr
    assert "leaving within 10 s: running clips go on at Google; their names follow" in stderr
    assert "Run the same command again" not in stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.real_time
async def test_another_signal_leaves_at_once_and_names_the_running_operations(number: signal.Signals) -> None:
    """A kill usually follows these signals, so there is no time to finish."""
    async with running(latency="1000") as command:
        await command.accepted(4)
        command.process.send_signal(number)
        code, stdout, stderr = await command.ended()
    assert (code, counts(stdout)) == (Exit.INTERRUPTED, {"unfinished": 4})
    assert stderr.count("still running at Google when this program stopped (publishers/") == 4


@pytest.mark.real_time
async def test_a_real_process_makes_every_clip_and_shows_no_key() -> None:
    async with running(latency="0.01", environment={"VEO3_DEBUG_MODE": "true"}) as command:
        code, stdout, stderr = await command.ended()
    assert (code, counts(stdout)) == (Exit.ALL_MADE, {"succeeded": 4})
    assert KEY not in stdout + stderr


@pytest.mark.real_time
async def test_invalid_utf8_is_explained_in_the_c_locale_too() -> None:
    """In this locale Python reads undecodable bytes of standard input as surrogates, which cause errors later."""
    async with running(b"b\xf6at\n", {"LC_ALL": "C", "LANG": "C"}) as command:
        code, stdout, stderr = await command.ended()
    assert (code, stdout, stderr) == (
        Exit.USAGE,
        "",
        "aveo3: standard input is not UTF-8 text (byte 1). Save it as UTF-8.\n",
    )
    assert command.server.books.submits == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["-o", "~nobody-of-this-name/x"], {}, "there is no such user's home directory: write the whole path"),
        ([], {"VEO3_CATALOG": "~nobody-of-this-name/x"}, "there is no such user's home directory: write the whole"),
        ([], {"SSL_CERT_FILE": "gone.pem"}, "SSL_CERT_FILE=gone.pem cannot be read: No such file or directory. Name"),
        ([], {"SSL_CERT_FILE": "."}, "SSL_CERT_FILE=. cannot be read: Is a directory. Name a file with certificates"),
        ([], {"SSL_CERT_FILE": "/dev/null"}, "SSL_CERT_FILE=/dev/null holds no certificate. Name a file with"),
    ],
)
def test_what_the_environment_breaks_is_one_sentence(
    arguments: list[str], variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, _, stderr = run("generate", "-", "--mock", *arguments, stdin="boat")
    assert code == Exit.USAGE
    assert words in stderr


@pytest.mark.parametrize("variable", ["all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"])
def test_a_socks_proxy_is_one_sentence_without_its_password(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv(variable, "socks5://me:secret@127.0.0.1:1080")
    for command in (["generate", "-"], ["check"]):
        code, stdout, stderr = run(*command, stdin="boat")
        assert code in (Exit.USAGE, Exit.SOME_NOT)
        told = " ".join((stdout + stderr).split())
        assert f"{variable.upper()} names a proxy of kind socks5, and aveo3 can only use proxies of kind http" in told
        assert "secret" not in told


# ---- after earlier runs ----------------------------------------------------------------------------------------------


def test_a_prompt_stays_in_failed_until_it_is_made(
    emulate: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate()
    monkeypatch.setenv("VEO3_BUDGET", "0")
    run("generate", "-", "--mock", stdin="boat\nfox\n")
    monkeypatch.delenv("VEO3_BUDGET")
    run("generate", "-", "--mock", stdin="another\n")
    left = [json.loads(line)["text"] for line in Path("clips/failed.jsonl").read_text("utf-8").splitlines()]
    assert left == ["boat", "fox"]
    run("generate", "-", "--mock", stdin="fox\n")
    left = [json.loads(line)["text"] for line in Path("clips/failed.jsonl").read_text("utf-8").splitlines()]
    assert left == ["boat"]


@pytest.mark.parametrize("name", ["[/b] films", "[red]films", "a [b] \\"])
def test_a_directory_may_have_square_brackets_in_its_name(name: str, emulate: Callable[..., None]) -> None:
    emulate(faults=["filtered-safety@1"])
    code, stdout, _ = run("generate", "-", "--mock", "-o", name, stdin=BOATS)
    assert (code, counts(stdout)) == (Exit.SOME_NOT, {"succeeded": 3, "filtered": 1})
    assert f"manifest.jsonl are in {name}; prompts without a video are in {name}/failed.jsonl" in stdout


def test_a_manifest_that_cannot_be_written_costs_no_clip(emulate: Callable[..., None]) -> None:
    emulate()
    Path("clips/manifest.jsonl").mkdir(parents=True)
    code, stdout, stderr = run("generate", "-", "--mock", stdin=BOATS)
    assert (code, counts(stdout)) == (Exit.ALL_MADE, {"succeeded": 4})
    assert stderr.count("cannot write clips/manifest.jsonl: Is a directory") == 1


def test_quiet_still_prints_clips_that_are_not_made(
    emulate: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate()
    monkeypatch.setenv("VEO3_BUDGET", "0")
    code, stdout, stderr = run("generate", "-", "--mock", "--quiet", stdin="boat\n")
    assert (code, stdout) == (Exit.DEFERRED, "")
    assert "deferred   'boat': US$ 3.20 would exceed the budget of US$ 0" in stderr


def test_a_dry_run_finds_missing_media_files() -> None:
    Path("p.jsonl").write_text('{"text": "a", "image": "nope.png"}\n', "utf-8")
    code, stdout, _ = run("generate", "p.jsonl", "--dry-run")
    assert code == Exit.SOME_NOT
    assert "cannot read nope.png: no such file" in " ".join(stdout.split())


@pytest.mark.usefixtures("time_jumps")
def test_a_batch_beyond_the_daily_quota_gets_a_note_on_how_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_DAILY_LIMIT", "2")
    monkeypatch.setenv("VEO3_QUOTA_PATIENCE", "0")  # else it waits in the hour before midnight in Los Angeles
    code, _, stderr = run("generate", "-", "--mock", "--output-dir", "a", stdin=BOATS + "one more boat\n")
    assert code == Exit.DEFERRED
    assert "veo-3.1-generate-001: 2 today, the other 3 after " in stderr
    assert " UTC, at 2 a day (--wait waits for that)\n" in stderr


def test_with_wait_the_note_says_that_the_run_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    async def no_run(client: Any, *_: Any, notes: list[str], **__: Any) -> Exit:
        calls.append((client.settings.quota_patience, notes[-1]))
        return Exit.ALL_MADE

    monkeypatch.setattr("aveo3.cli.run.run", no_run)
    monkeypatch.setenv("VEO3_DAILY_LIMIT", "1")
    assert run("generate", "-", "--mock", "--wait", stdin="one\ntwo\n")[0] == 0
    assert calls[0][0] is None
    assert calls[0][1].endswith("at 1 a day (this run waits for that)")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "nan"], "--budget nan is refused: must be a finite number; allowed: at least 0"),
        (
            ["--max-concurrency", "0"],
            "--max-concurrency 0 is refused: must be greater than or equal to 1; allowed",
        ),
        (["--rate", "0/60s"], "--rate 0/60s: write requests per time, such as 10/60s, 50/min or 200/h"),
        (["--rate", "3/0s"], "--rate 3/0s: write requests per time"),
        (["--name", "{titel}"], "--name {titel} is refused: {titel} is not a field of a name: did you mean {time}?"),
        (["--model", ""], "--model '' is refused: string should have at least 1 character"),
        (["--fallback", "->"], "--fallback -> is refused: must name a model, or several as in `a -> b`"),
        (["--aspect-ratio", "wide"], "--aspect-ratio wide: must look like 16:9 or 9:16"),
        (["--webhook", "http://me:pw@host"], "--webhook (hidden) is refused: must hold no user name"),
        (
            ["--output-dir", "boats.txt", "--mock"],
            "VEO3_OUTPUT_DIR=boats.txt cannot be made: it is a file. Name another",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_named_as_it_was_typed(arguments: list[str], words: str) -> None:
    Path("boats.txt").write_text(BOATS)
    code, stdout, stderr = run("generate", "boats.txt", *arguments)
    assert (code, stdout) == (Exit.USAGE, "")
    assert f"aveo3: {words}" in stderr
    assert "as an argument" not in stderr
    assert "pw@" not in stderr


def test_the_demo_checks_its_directory_before_it_begins() -> None:
    Path("file").touch()
    assert run("demo", "-o", "file") == (
        Exit.USAGE,
        "",
        "aveo3: VEO3_OUTPUT_DIR=file cannot be made: it is a file. Name another one.\n",
    )
