"""`aveo3 mock-server`: what it prints, and how it refuses what it cannot do."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from aveo3.cli import app as program
from aveo3.cli.commands.mock_server import _flag, _for_help, mock_server
from aveo3.mock import FAULTS, MockOptions

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(mock_server)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("markup", [None, "rich"])
@pytest.mark.parametrize("width", [80, 160])
def test_the_help_documents_every_option_and_every_fault(markup: Any, width: int) -> None:
    dressed = typer.Typer(rich_markup_mode=markup)
    dressed.command()(mock_server)
    result = CliRunner().invoke(dressed, ["--help"], terminal_width=width)
    output = " ".join(re.sub("[│╭╮╰╯─]", " ", result.output).split())
    assert result.exit_code == 0
    assert "A fault is NAME, NAME:RATE, NAME@HITS or NAME:RATE@HITS: RATE a probability" in output
    assert [name for name, (_, does) in FAULTS.items() if f"{name} {_for_help(does)}" not in output] == []
    assert [name for name in MockOptions.model_fields if f"{_flag(name)} " not in output] == []
    if markup is None:  # rich puts the default and the text into columns of their own
        words = [_for_help(field.description or "") for field in MockOptions.model_fields.values()]
        assert [text for text in words if text[1:] not in output.replace("- ", "-")] == []
        assert max(map(len, result.output.splitlines())) <= width


def test_the_command_has_the_same_first_sentence_in_both_helps() -> None:
    listed = typer.main.get_command(program).commands["mock-server"]  # type: ignore[attr-defined]
    assert (mock_server.__doc__ or "").partition("\n\n")[0] == listed.help
    help_ = CliRunner().invoke(program, ["mock-server", "--help"]).output
    assert help_.startswith("Usage: aveo3 mock-server [OPTIONS]\n")


def test_a_mistake_is_reported_under_the_programs_name() -> None:
    result = CliRunner().invoke(program, ["mock-server", "--colour"])
    assert result.exit_code == 2
    assert "Try 'aveo3 mock-server --help' for help." in result.output


def test_every_example_in_the_help_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = []

    async def serve(*arguments: object) -> None:
        started.append(arguments)

    monkeypatch.setattr(import_module("aveo3.cli.commands.mock_server"), "_serve", serve)
    lines = [line.split() for line in (mock_server.__doc__ or "").splitlines()]
    examples = [" ".join(words) for words in lines if words[:2] == ["aveo3", "mock-server"]]
    assert len(examples) == 8
    for example in examples:
        command, _, file = example.removeprefix("aveo3 mock-server").partition(" > ")
        result = CliRunner().invoke(app, shlex.split(command))
        assert (result.exit_code, example if result.exit_code else "") == (0, "")
        if file:
            (tmp_path / file).write_text(result.output)  # each test runs in a directory of its own
    assert len(started) == len(examples) - 1  # all but the one that prints


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--fault", "nope"], "'--fault': there is no fault 'nope'. Known: drop-before, "),
        (
            ["--fault", "poll-5000"],
            "'--fault': there is no fault 'poll-5000'. Did you mean poll-500? Known: drop-before, ",
        ),
        (["--fault", "503:7"], "'--fault': fault '503:7': the rate '7' is not a probability from 0 to 1. Write NAME"),
        (
            ["--latency", "soon"],
            "'--latency': latency 'soon' is not a distribution of durations. Write seconds (2), a range",
        ),
        (["--rtt", "9-1"], "'--rtt': latency '9-1' is not a distribution of durations. Write seconds (2), a range"),
        (["--counting", "abacus"], "'--counting': it takes one of fixed, sliding, bucket; not 'abacus'."),
        (["--speed", "inf"], "'--speed': it takes a number, more than 0; not 'inf'."),
        (["--rpm", "ten"], "'--rpm': it takes a whole number, at least 0, or none; not 'ten'."),
        (["--rpm", "-1"], "'--rpm': it takes a whole number, at least 0, or none; not '-1'."),
        (["--spend-period", "0"], "'--spend-period': it takes a number, more than 0; not '0'."),
        (["--quota", "project=a"], "'--quota': a quota needs a limit. Write it as project=alpha,model=veo-3.1-fast-*,"),
        (["--quota", "team=a,rpm=1"], "'--quota': a quota has no 'team'. Write it as project=alpha,"),
        (["--port", "70000"], "--port"),
        (["--scenario", "none.toml"], "--scenario: cannot read none.toml: No such file or directory. Give a TOML file"),
        (["--scenario", "."], "--scenario: cannot read .: Is a directory. Give a TOML file with a scenario."),
    ],
)
def test_a_wrong_value_is_named_with_the_allowed_ones(arguments: list[str], sentence: str) -> None:
    code, output = run(*arguments)
    assert (code, sentence in output) == (2, True), output


def test_a_mistake_in_a_scenario_is_named_and_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        import_module("aveo3.cli.commands.mock_server"), "_serve", None
    )  # calling it would be a TypeError
    (tmp_path / "story.toml").write_text('[[at]]\ntime = "10m"\nfaults = ["503", "stick"]\n')
    code, output = run("--scenario", "story.toml")
    assert code == 2
    assert (
        "--scenario: story.toml, line 3: step 1 ([[at]]): faults: there is no fault 'stick'. Did you mean stuck?"
        in output
    )


def test_an_option_beats_the_scenario_and_the_rest_of_the_scenario_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    async def serve(*arguments: object) -> None:
        seen.append(arguments)

    monkeypatch.setattr(import_module("aveo3.cli.commands.mock_server"), "_serve", serve)
    (tmp_path / "story.toml").write_text(
        'rpm = 3\nrpd = 9\ncount_refused = true\nfaults = ["503"]\n[[at]]\ntime = 5\nrpm = 1\n'
    )
    assert run("--scenario", "story.toml", "--rpm", "none", "--no-count-refused", "--fault", "stuck")[0] == 0
    options, story = seen[0][:2]
    assert (options.rpm, options.rpd, options.count_refused, str(options.faults[0])) == (None, 9, False, "stuck")
    assert [step.changes for step in story.steps] == [{"rpm": 1}]


def test_drawn_films_without_pyav_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.mock.state.films.can_draw", lambda: False)
    code, output = run("--films", "drawn")
    assert code == 2
    assert "--films: drawn films need PyAV and Pillow: pip install 'aveo3[video]', or use bundled." in output


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = run("--port", str(port))
    assert code == 2
    assert f"Error: cannot listen on 127.0.0.1:{port}: " in output
    assert output.endswith("Choose another --port (1-65535), or --port 0 for a free one.")


EVERY = {
    "rpm": "none",
    "period": "30",
    "rpd": "5",
    "concurrency": "2",
    "spend": "10",
    "spend-period": "300",
    "quota": "project=alpha,rpm=2",
    "counting": "bucket",
    "phase": "3",
    "refusal-body": "text",
    "processing": "5",
    "latency": "30-90",
    "slowdown": "2",
    "rtt": "0.1",
    "speed": "60",
    "fault": "503@1",
    "hang": "20",
    "redirect-to": "/elsewhere",
    "allow-host": "mock",
    "retired": "veo-3.1-lite-generate-001",
    "seed": "7",
    "films": "bundled",
    "retention": "99",
}
FLAGS = ["--count-refused", "--retry-after", "--refuse-late", "--no-retry-info", "--no-quota-value", "--no-ranges"]


def test_every_option_reaches_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    async def serve(*arguments: object) -> None:
        seen.append(arguments)

    # Import the module by its full name: in the package, `mock_server` may be the function.
    monkeypatch.setattr(import_module("aveo3.cli.commands.mock_server"), "_serve", serve)
    valued = [word for name, value in EVERY.items() for word in (f"--{name}", value)]
    code, output = run("--host", "0.0.0.0", "--port", "0", *valued, *FLAGS, "--fault", "drop-after:0.5")
    assert (code, output) == (0, "")
    options, story, host, port = seen[0]
    assert (story, host, port) == (None, "0.0.0.0", 0)
    plain = MockOptions()
    same = [name for name in MockOptions.model_fields if getattr(options, name) == getattr(plain, name)]
    assert same == []  # every option was set, to a value that is not its default
    assert options.model_fields_set == set(MockOptions.model_fields)
    assert [str(options.latency), str(options.rtt), *map(str, options.faults)] == [
        "30-90",
        "0.1",
        "503@1",
        "drop-after:0.5",
    ]
    assert (options.rpm, options.rpd, options.speed, options.films) == (None, 5, 60, "bundled")
    assert (options.retry_info, options.quota_value, options.ranges, options.count_refused) == (
        False,
        False,
        False,
        True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C alone")
def test_it_prints_its_address_then_the_steps_and_on_ctrl_c_its_books(tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text('speed = 1000\n[[at]]\ntime = "20s"\nnote = "lunch"\n')
    code = "import typer; from aveo3.cli.commands.mock_server import mock_server; typer.run(mock_server)"
    command = [sys.executable, "-c", code, "--port", "0", "--scenario", "story.toml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        welcome = "".join(process.stdout.readline() for _ in range(8))
        found = re.search(
            r"Emulated Google at (http://127\.0\.0\.1:\d+) \(open it to watch\), books at \1/books\.json", welcome
        )
        assert found, welcome
        with urllib.request.urlopen(f"{found[1]}/books.json") as books:
            assert json.load(books)["accepted"] == 0
        lines = [process.stdout.readline() for _ in range(2)]  # flushed as it happens, also into a pipe
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "Scenario story.toml: 1 step.\n" in welcome
    assert f"export VEO3_BASE_URL={found[1]} VEO3_BACKEND=vertex GOOGLE_API_KEY=anything" in welcome
    assert f"export VEO3_BASE_URL={found[1]} VEO3_BACKEND=vertex GOOGLE_CLOUD_PROJECT=demo" in welcome
    assert "scenario, 0:20: lunch\n" in lines
    assert "0 submits: 0 accepted, 0 refused, 0 rejected" in rest
