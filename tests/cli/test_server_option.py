"""`--server` and VEO3_SERVER on the command line: what is refused, dry runs, the display, the check."""

from __future__ import annotations

import asyncio
import io
import json
import signal
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aveo3 import ClipStatus, Settings, Stats
from aveo3.checkup import check
from aveo3.cli.progress import render, summary
from aveo3.cli.run import Interrupts
from aveo3.dispatch.time_left import eta
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate_stats import AtServer, GateStats
from aveo3.server.door.callers import Caller, CallerFile
from aveo3.verdicts.problems import CheckStep, Problem
from tests.support.between import Between, before, between, ours
from tests.support.emulated import emulator
from tests.support.terminal import run

SERVER = "http://127.0.0.1:9"


def text(thing: object) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(thing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--mock"], "VEO3_MOCK_MODE cannot go with it, because the emulator makes clips in this process"),
        (["--rate", "5/60s"], "VEO3_RATE_LIMIT cannot go with it, because the server has the quota"),
        (["--lanes", "lanes.toml"], "VEO3_LANES cannot go with it, because the server has the lanes"),
        (["--fallback", "veo-3.1-fast-generate-001"], "VEO3_FALLBACK cannot go with it"),
    ],
)
def test_options_that_only_the_server_can_obey_are_refused(arguments: list[str], why: str) -> None:
    code, stdout, stderr = run("generate", "--prompt", "a boat", "--server", SERVER, *arguments)
    assert (code, stdout) == (2, "")
    assert why in stderr


def test_a_server_that_is_not_there_is_told_at_once_and_nothing_is_recorded_as_sent() -> None:
    code, _, stderr = run("generate", "--prompt", "a boat", "--server", SERVER)
    assert code == 2
    assert "no server answers there" in stderr
    assert "start the server: aveo3 serve" in stderr
    assert "planned" not in run("status", "clips")[1]


def test_a_dry_run_needs_no_server_and_promises_no_time() -> None:
    code, stdout, _ = run("generate", "--prompt", "a boat", "--server", SERVER, "--dry-run")
    assert code == 0
    assert "1 clip, US$ " in stdout
    assert "as soon as the server's queue allows" in stdout
    assert "quota:" not in stdout
    _, stdout, _ = run("generate", "--prompt", "a boat", "--server", SERVER, "--dry-run", "--json")
    [lane] = json.loads(stdout)["lanes"]
    assert (lane["limited_by"], lane["requests"]) == ("server", None)


def test_config_check_says_that_a_server_makes_the_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_SERVER", SERVER)
    monkeypatch.setenv("VEO3_SERVER_KEY", "aveo3_s3cr3t")
    _, stdout, _ = run("config", "check")
    assert f"backend: server (VEO3_SERVER={SERVER})" in stdout
    assert "quota: that of the server" in stdout
    assert "credentials: VEO3_SERVER_KEY" in stdout
    assert "s3cr3t" not in stdout + run("config", "show")[1]


# ---- the display -----------------------------------------------------------------------------------------------------

GATE = GateStats(
    breaker=BreakerState.CLOSED,
    opens_in=0.0,
    quota_used=0,
    quota_limit=inf,
    quota_period=60,
    running=12,
    running_limit=10_000,
    accepted=12,
    refused=0,
    closed=None,
    at_server=AtServer(waiting=9, running=3, place=7, starts_in=140.0),
)


def stats(gate: GateStats) -> Stats:
    return Stats(
        gates={"veo": gate},
        clips=dict.fromkeys(ClipStatus, 0),
        cached=0,
        substituted={},
        submitted=12,
        refusals=0,
        retries=0,
        quota_wait=0.0,
        cost_usd=0.0,
        latency=None,
        may_be_paid=(),
    )


def test_the_bars_show_the_place_in_the_servers_queue() -> None:
    shown = text(render(stats(GATE), 12, 0.0))
    assert "at server" in shown
    assert "9 wait, place 7, in 2 min 20 s" in shown
    assert "12/12" in shown
    assert "quota" not in shown
    assert "unknown" in shown  # the time left: the server tells when the first is sent, not the last
    assert eta(stats(replace(GATE, at_server=AtServer(running=2))), 12, 10.0, usual=70.0) == 60.0


def test_the_bars_say_that_the_server_does_not_answer() -> None:
    away = replace(GATE, at_server=AtServer(waiting=2, silent_for=75.0))
    assert "silent for 1 min 15 s: waiting" in text(render(stats(away), 12, 0.0))


def test_the_summary_names_what_the_server_refused() -> None:
    gone = replace(GATE, closed="Permission denied: your key may use x. What to do: use another model.")
    shown = " ".join(text(summary(stats(gone), 10.0)).split())
    assert "server veo: 12 ordered; takes no more: Permission denied: your key may use x." in shown
    assert "in 1 min" not in shown


# ---- stopping --------------------------------------------------------------------------------------------------------


class Clips:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def stop(self) -> None:
        self.calls.append("stop")

    async def leave(self) -> None:
        self.calls.append("leave")


async def test_the_first_interrupt_leaves_a_server_alone_with_its_work(caplog: pytest.LogCaptureFixture) -> None:
    clips = Clips()
    interrupts = Interrupts(clips, keeps=True, server=SERVER)  # type: ignore[arg-type]
    interrupts(signal.SIGINT)
    await asyncio.sleep(0)
    assert clips.calls == ["leave"]
    assert "what was ordered goes on at the server, and the next run resumes them" in caplog.text


# ---- check -----------------------------------------------------------------------------------------------------------


async def checked(proxy: Between, home: Path, **values: Any) -> Any:
    return await check(ours(proxy, home, **values))


async def test_a_check_tells_whether_the_server_answers_takes_the_key_and_has_the_model(tmp_path: Path) -> None:
    key = CallerFile(tmp_path / "server").add(Caller(name="team", models=("veo-3.1-generate-001",), max_queued=9))
    async with emulator() as google, between() as proxy, before(google, proxy, tmp_path):
        good = await checked(proxy, tmp_path, server_key=key)
        assert good.ok
        assert "you are team; 0 of your requests wait, at most 9 may" in good.well[CheckStep.CREDENTIALS]
        assert good.as_dict()["steps"]["model"] == "ok"
        for problem, way_out, values in (
            (Problem.BAD_KEY, "aveo3 serve keys add NAME", {"server_key": "aveo3_s3cr3t"}),
            (Problem.BAD_KEY, "aveo3 serve keys add NAME", {}),
            (Problem.NO_MODEL, "veo-3.1-generate-001", {"server_key": key, "model": "veo-3.1-fast-generate-001"}),
        ):
            [finding] = (await checked(proxy, tmp_path, **values)).wrong
            assert finding.problem is problem
            assert way_out in finding.way_out
            assert "s3cr3t" not in repr(finding)
        proxy.door = None
        [finding] = (await checked(proxy, tmp_path, server_key=key)).wrong
        assert finding.problem is Problem.AWAY
    assert proxy.bodies == []


async def test_a_check_tells_a_wrong_address_and_another_kind_of_server(tmp_path: Path) -> None:
    [finding] = (await check(Settings(server=SERVER, output_dir=tmp_path))).wrong
    assert (finding.problem, finding.step) == (Problem.REFUSED, CheckStep.ADDRESS)
    assert "start the server: aveo3 serve" in finding.way_out
    async with emulator() as google:
        [finding] = (await check(Settings(server=google.url, output_dir=tmp_path))).wrong
    assert "no `aveo3 serve`" in finding.what
