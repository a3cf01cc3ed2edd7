"""A batch in virtual time: the real gate against quotas that count as the strictest of servers would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aveo3 import Settings, VideoPrompt
from aveo3.cli.commands.simulate import _chart
from aveo3.simulation import simulate
from tests.support.terminal import run

FAST = "veo-3.1-fast-generate-001"


def boats(number: int) -> list[VideoPrompt]:
    return [VideoPrompt(text=f"boat {n}") for n in range(number)]


def there(**settings: Any) -> tuple[int, float, float, int]:
    forecast = simulate(boats(60), Settings(**{"backend": "vertex", "project": "p", **settings}), latency=60.0)
    return len(forecast.done_at), forecast.submitted_at[-1], forecast.done_at[-1], forecast.stats.refusals


@pytest.mark.parametrize(
    ("settings", "last_submit"),
    [
        ({"rate_limit": 10}, 5 * 60),
        ({"rate_limit": 60}, 0),
        ({"rate_limit": 60, "spend_limit": 32, "spend_period": 600}, 5 * 600),  # ten clips of $3.20 each time
        ({"rate_limit": 2, "rate_period": 1, "max_concurrency": 60}, 29),
    ],
)
def test_the_slowest_rule_says_when_the_last_one_goes(settings: dict[str, object], last_submit: float) -> None:
    made, submitted, done, refusals = there(**settings)
    assert (made, refusals) == (60, 0)
    assert last_submit <= submitted <= last_submit * 1.03 + 40  # half a second on the wire, slow starts
    assert done > submitted + 20


def test_a_daily_limit_is_waited_for_over_midnight_in_los_angeles() -> None:
    made, submitted, _, refusals = there(rate_limit=60, daily_limit=25)
    assert (made, refusals) == (60, 0)
    assert 24 * 3600 < submitted < 49 * 3600 + 60


def test_running_slots_hold_up_what_the_rate_would_let_through() -> None:
    made, submitted, _, refusals = there(rate_limit=60, max_concurrency=10)
    assert (made, refusals) == (60, 0)
    assert 4 * 60 < submitted < 8 * 60


def test_lanes_share_the_clips_by_their_quotas() -> None:
    lanes = '[[lane]]\nproject = "a"\nrate_limit = 4\n[[lane]]\nproject = "b"\nrate_limit = 6\n'
    Path("lanes.toml").write_text(lanes)
    forecast = simulate(boats(60), Settings(lanes="lanes.toml", backend="vertex"), latency=60.0)
    assert [(share.lane.partition("/")[0], share.clips) for share in forecast.shares] == [("a", 24), ("b", 36)]
    assert {name.partition("/")[0]: gate.accepted for name, gate in forecast.stats.gates.items()} == {"a": 24, "b": 36}
    assert forecast.submitted_at[-1] < 5.2 * 60


def test_people_get_a_chart_without_credentials() -> None:
    code, stdout, _ = run("simulate", "--clips", "20", "--rpm", "5", "--latency", "90s", "--cost-limit", "100/10m")
    assert code == 0
    assert stdout.startswith("veo-3.1-generate-001: 20 clips, US$ 64.00 at list price\n20 of 20 clips finished after ")
    assert (
        "limited by the quota; time to the last submit under each limit alone: rate 3 min, spend limit 0 s\n" in stdout
    )
    assert stdout.endswith(f"{'█' * 40} 20\nnothing was sent\n")


@pytest.mark.parametrize("last", [31.559393050519983, 26.42041513246734, 60.0])
def test_the_chart_ends_with_the_last_clip(last: float) -> None:
    assert _chart((1.0, last), last)[-1].endswith(f"{'█' * 40} 2"), "although 10 tenths of the time may be less than it"


def test_programs_get_json() -> None:
    code, stdout, _ = run("simulate", "--clips", "4", "--rate", "2/min", "--model", FAST, "--duration", "4", "--json")
    told = json.loads(stdout)
    assert (code, told["clips"], told["refusals"]) == (0, 4, 0)
    assert 60 < told["last_submit_seconds"] < 63
    assert (told["lanes"][0]["cost_usd"], told["lanes"][0]["bound_by"]) == (1.6, "rate")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rpm", "5", "--rate", "5/60s"], "--rpm and --rate set the same limit: use one of them"),
        (["--latency", "soon"], "--latency soon: write a time, such as 90s, 2m or 1h"),
        (["--cost-limit", "10"], "--cost-limit 10: write US$ per time, such as 10/600s or 50/10m"),
        (["--cost-limit", "ten/600s"], "--cost-limit ten/600s: write US$ per time, such as 10/600s or 50/10m"),
        (["--duration", "5"], "duration_seconds=5 is not offered by veo-3.1-generate-001: choose 4 or 6 or 8"),
        (["--rate", "often"], "--rate often: write requests per time, such as 10/60s, 50/min or 200/h"),
    ],
)
def test_what_cannot_be_simulated_is_told(words: list[str], told: str) -> None:
    assert run("simulate", *words) == (2, "", f"aveo3: {told}\n")
