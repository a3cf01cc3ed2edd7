"""`--events` and `VEO3_LOG_FORMAT=json`: whole lines, where they were asked for, and nothing between them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import aveo3.mock
from aveo3 import UsageError
from aveo3.cli import event_lines
from aveo3.cli.event_lines import EventLines, JsonFormatter, logged
from aveo3.cli.exit_codes import Exit
from aveo3.events import RunEnded
from aveo3.events.bus import EventBus
from aveo3.mock import MockOptions
from tests.support.terminal import run
from tests.support.virtual import START_UTC

EVENT = RunEnded(at_utc=START_UTC, batch=1, clips={"succeeded": 1}, error="\ud83d ü")


@pytest.fixture(autouse=True)
def emulate(monkeypatch: pytest.MonkeyPatch, time_jumps: None) -> None:
    def fast(**values: Any) -> MockOptions:
        return MockOptions.model_validate({**values, "latency": "0.01", "films": "bundled"})

    monkeypatch.setattr(aveo3.mock, "MockOptions", fast)
    monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")


def kinds(lines: str) -> list[str]:
    return [json.loads(line).get("event") for line in lines.splitlines()]


STORY = ["planned", "budget", "submitted", "accepted", "running", "fetching", "saved", "budget", "ended"]
WHOLE = ["run_begun", "budget", *STORY, "run_ended", "lane_closed"]


def test_events_on_standard_output_stand_alone_there() -> None:
    code, stdout, stderr = run("generate", "-", "--mock", "--events", "-", stdin="boat")
    assert (code, kinds(stdout)) == (Exit.ALL_MADE, WHOLE)
    assert "succeeded         1" in stderr


def test_a_file_gets_the_events_of_each_run_below_those_of_the_last() -> None:
    for _ in range(2):
        code, stdout, _ = run(
            "generate", "-", "--mock", "--events", "events.jsonl", "--json", "--quiet", stdin="boat ü"
        )
        assert code == Exit.ALL_MADE
    assert [json.loads(line)["status"] for line in stdout.splitlines()] == ["succeeded"]
    text = Path("events.jsonl").read_text("utf-8")
    assert kinds(text) == [*WHOLE, "run_begun", "budget", "ended", "run_ended"]
    assert "boat ü" in text


@pytest.mark.parametrize("command", ["generate", "upscale", "resume"])
def test_every_command_that_runs_has_the_option(command: str) -> None:
    assert "--events" in run(command, "--help")[1]


def test_what_could_not_be_told_apart_or_written_is_refused() -> None:
    code, _, stderr = run("generate", "-", "--mock", "--events", "-", "--json", stdin="boat")
    assert (code, stderr) == (
        Exit.USAGE,
        "aveo3: --events - and --json both write to standard output: give --events a file.\n",
    )
    code, _, stderr = run("generate", "-", "--mock", "--events", "no/such.jsonl", stdin="boat")
    assert (code, stderr) == (
        Exit.USAGE,
        "aveo3: --events no/such.jsonl: the file cannot be written: No such file or directory\n",
    )
    with pytest.raises(UsageError, match="null"):
        EventLines("a\0b")


def test_the_log_as_json_holds_the_events_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_LOG_FORMAT", "json")
    code, stdout, stderr = run("generate", "-", "--mock", stdin="boat")
    assert (code, "succeeded         1" in stdout) == (Exit.ALL_MADE, True)
    lines = [json.loads(line) for line in stderr.splitlines()]
    assert [line["event"] for line in lines if "event" in line] == WHOLE
    [said] = [line for line in lines if "[1/1]" in line.get("message", "")]
    assert {name: said[name] for name in ("level", "logger")} == {"level": "info", "logger": "aveo3"}
    assert set(said) == {"time", "level", "logger", "message"}


def test_where_standard_output_is_taken_the_last_words_are_lines_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_LOG_FORMAT", "json")
    _, stdout, stderr = run("generate", "-", "--mock", "--events", "-", stdin="boat")
    assert kinds(stdout) == WHOLE
    assert json.loads(stderr.splitlines()[-1])["message"] == "videos and manifest.jsonl are in clips"


def test_a_record_in_json_holds_its_traceback_and_no_key() -> None:
    formatter = JsonFormatter(lambda text: text.replace("AIza", "(the API key)"))
    try:
        raise ValueError("AIza is wrong")
    except ValueError:
        record = logging.LogRecord("aveo3.x", logging.ERROR, "f", 1, "no %s\n", ("AIza",), sys.exc_info())
    record.created, record.msecs = 0.25, 250.0
    values = json.loads(formatter.format(record))
    assert values.pop("traceback").endswith("ValueError: (the API key) is wrong")
    expected = {"time": "1970-01-01T00:00:00.250Z", "level": "error", "logger": "aveo3.x"}
    assert values == {**expected, "message": "no (the API key)\n"}


async def written(lines: EventLines, events: int = 3) -> list[str]:
    """Publish events to `lines` and close the bus: what was told of a closed pipe."""
    bus, told = EventBus(), list[str]()
    async with lines.written(bus.reader(), lambda: told.append("closed")):
        for _ in range(events):
            bus.publish(EVENT)
            await asyncio.sleep(1)
        bus.close()
    return told


async def test_halves_of_emojis_are_written_as_json_can_hold_them(tmp_path: Path) -> None:
    await written(EventLines(str(tmp_path / "e.jsonl")), 1)
    [line] = (tmp_path / "e.jsonl").read_text("utf-8").splitlines()
    assert "ü" in line
    assert json.loads(line)["clips"] == {"succeeded": 1}


class Broken:
    encoding = "utf-8"

    def __init__(self, error: OSError) -> None:
        self.error = error

    def write(self, _: str) -> int:
        raise self.error

    def flush(self) -> None: ...


@pytest.mark.parametrize(
    ("error", "told", "said"),
    [
        (BrokenPipeError(), ["closed"], "standard output is closed: running clips are finished, nothing more is sent"),
        (OSError(28, "No space left on device"), [], "standard output cannot be written: No space left on device; "),
    ],
)
async def test_a_closed_pipe_stops_sending_and_a_full_disk_does_not(
    error: OSError, told: list[str], said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(error))
    assert await written(EventLines("-")) == told
    [record] = caplog.records  # the first event is enough
    assert record.getMessage().startswith(said)


@pytest.mark.real_time
@pytest.mark.skipif(os.name != "posix", reason="Windows cannot ask whether a pipe has room")
async def test_a_reader_that_does_not_read_keeps_no_run_from_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_lines, "_TOLD_AFTER", 0.0)
    reader, writer = os.pipe()
    bus, lines = EventBus(), EventLines("-")
    with open(reader, "rb") as end, open(writer, "w", encoding="utf-8") as stdout:  # noqa: PTH123, ASYNC230
        monkeypatch.setattr(sys, "stdout", stdout)

        async def stop() -> None:
            while not caplog.records:  # noqa: ASYNC110 - a thread logs
                await asyncio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        async with lines.written(bus.reader(), lambda: None):
            for _ in range(1000):
                bus.publish(EVENT)
            bus.close()
            stopping = asyncio.create_task(stop())
        await stopping
        stdout.close()
        assert len(end.read().splitlines()) > 100  # what the pipe holds
    told, last = (record.getMessage() for record in caplog.records)
    assert told == "the run has ended; standard output is not read to its end (Ctrl-C: leave it)"
    assert last == "the last events were not read from standard output, and are not written"


async def test_a_handler_that_is_slow_loses_nothing() -> None:
    bus, heard = EventBus(), list[Any]()
    handler: Any = type("Handler", (), {"handle": lambda _, record: heard.append(record.event)})()
    async with logged(bus.reader(), handler):
        for _ in range(5):
            bus.publish(EVENT)
        bus.close()
    assert heard == [EVENT] * 5
