"""Scenarios: their format, what a step changes, and when."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from aveo3.mock import Latency, MockOptions, MockServer, Scenario, ScenarioError, Step
from aveo3.mock.config.faults import Point
from aveo3.mock.config.options import FIXED
from aveo3.mock.config.scenario import CHANGEABLE, EXAMPLE, seconds
from aveo3.mock.models import MODELS
from aveo3.mock.quota_rules import QuotaLane
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.state.operations import Operation
from aveo3.mock.veo.requests import read_order
from aveo3.testing import run_virtual

EXAMPLES = Path(__file__).parents[1] / "data" / "scenarios"
MODEL = MODELS["vertex", "veo-3.1-generate-001"]


def emulator(text: str) -> Emulator:
    scenario = Scenario.parse(text, "story.toml")
    return Emulator(scenario.start(films="bundled"), scenario=scenario)


def submit(google: Emulator, project: str = "p") -> Operation:
    order = read_order({"instances": [{"prompt": "a boat"}]}, MODEL, google.extendable)
    return google.admit(QuotaLane(project, "us-central1", MODEL.id), order, MODEL, "models/m")


# -- reading -----------------------------------------------------------------------------------------------------------


def test_the_example_of_an_outage() -> None:
    scenario = Scenario.load(EXAMPLES / "outage.toml")
    assert scenario.start() == MockOptions(rpm=10, latency=Latency.parse("30-90"), seed=7)
    assert [step.at for step in scenario.steps] == [600, 1800, 2400, 7200]
    assert [str(step).split(":")[0] for step in scenario.steps] == [
        "busy",
        "outage",
        "back, but slow, and on half the quota",
        "all is well again",
    ]


def test_the_example_of_two_teams() -> None:
    scenario = Scenario.load(EXAMPLES / "two_teams.toml")
    assert [quota.limits for quota in scenario.start().quotas] == [
        {"rpm": None},
        {"rpm": 20, "spend": 50, "concurrency": None},
    ]
    assert [sorted(step.changes) for step in scenario.steps] == [["quotas"], ["retired"]]


def test_the_example_of_the_command_is_valid() -> None:
    scenario = Scenario.parse(EXAMPLE)
    assert (scenario.start().speed, len(scenario.steps)) == (60, 4)


def test_steps_are_sorted_by_time() -> None:
    scenario = Scenario.parse(
        '[[at]]\ntime = "2m"\nnote = "b"\n[[at]]\ntime = 60\nnote = "a"\n[[at]]\ntime=120\nnote="c"'
    )
    assert [str(step) for step in scenario.steps] == ["a", "b", "c"]


def test_a_step_without_a_note_names_its_changes_but_no_key() -> None:
    assert str(Step(0, "", {"rpm": 5, "faults": [], "latency": "30-90"})) == "rpm = 5, faults = none, latency = 30-90"
    assert "geheim" not in str(Step(0, "", {"quotas": ["key=geheim,rpm=1"]}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90, 90),
        (0, 0),
        (1.5, 1.5),
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1H 5s", 3605),
    ],
)
def test_times(value: Any, expected: float) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", -5, True, "5x", "1h30", "1e5", None, [1], float("inf"), float("nan")]
)
def test_an_invalid_time_is_an_error_that_shows_the_allowed_forms(value: Any) -> None:
    with pytest.raises(
        ValueError, match=r'is not a time\. Write emulator seconds \(90\) or "90s", "10m", "2h", "1h30m"\.'
    ):
        seconds(value)


STEP = "[[at]]\ntime = 5\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rpm = ", "story.toml is not TOML: Invalid value (at end of document)."),
        (
            "rpm = 10\nrmp = 3",
            "story.toml, line 2: rmp: there is no option 'rmp'. Did you mean rpm? Known: rpm, period,",
        ),
        ("# x\nrpm = 'x'", "story.toml, line 2: rpm: it takes a whole number, at least 0, or none; not 'x'."),
        (
            "faults = ['5O3']",
            "story.toml, line 1: faults: there is no fault '5O3'. Did you mean 503? Known: drop-before,",
        ),
        ("[[quotas]]\nproject = 'a'", "story.toml, line 1: quotas: a quota needs a limit. Write it as project=alpha"),
        ("at = 3", "story.toml, line 1: write each step as a table: [[at]], then time = ..."),
        ("[at]\ntime = 3", "story.toml: write each step as a table: [[at]], then time = ..."),
        ("\n[[at]]\nnote = 'x'", 'story.toml, line 2: step 1 ([[at]]): a step needs a time, such as time = "10m".'),
        (
            f"{STEP}rpm = 3\n\n[[at]]\ntime = 'soon'\nrpm = 3",
            "story.toml, line 6: step 2 ([[at]]): time: 'soon' is not a time. Write emulator seconds (90) or",
        ),
        (
            STEP,
            "story.toml, line 1: step 1 ([[at]]): a step needs a change or a note. It can change rpm, period,",
        ),
        (f"{STEP}note = 3", "story.toml, line 3: step 1 ([[at]]): note: 3 is not a text; put it in quotes."),
        (
            f"{STEP}speed = 3",
            "story.toml, line 3: step 1 ([[at]]): speed: it cannot change while the server runs. Put it",
        ),
        (
            f"{STEP}fault = 3",
            "story.toml, line 3: step 1 ([[at]]): fault: there is no step key 'fault'. Did you mean faults?",
        ),
        (
            f"{STEP}latency = '9-1'",
            "story.toml, line 3: step 1 ([[at]]): latency: latency '9-1' is not a distribution of durations.",
        ),
        (
            f"{STEP}[[at.quotas]]\nrpm = 'x'\n{STEP}rpm = 1",
            "story.toml, line 3: step 1 ([[at]]): quotas: rpm: it takes a whole number, at least 0, or none; not 'x'.",
        ),
    ],
)
def test_the_error_of_an_invalid_scenario_names_file_line_and_key(text: str, sentence: str) -> None:
    with pytest.raises(ScenarioError) as error:
        Scenario.parse(text, "story.toml")
    assert str(error.value).startswith(sentence)


def test_the_error_of_an_unreadable_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"cannot read .*none\.toml: No such file or directory\. Give a TOML file"):
        Scenario.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xfc")
    with pytest.raises(ScenarioError, match=r"latin\.toml is not UTF-8 text \(byte 2\)\. Save it as UTF-8\."):
        Scenario.load(tmp_path / "latin.toml")


def test_a_scenario_made_in_python_is_checked_too() -> None:
    with pytest.raises(ValueError, match="rpm: it takes a whole number, at least 0, or none; not 'x'"):
        Scenario(steps=(Step(5, "", {"rpm": "x"}),))
    with pytest.raises(ValueError, match="seed: it cannot change while the server runs"):
        Scenario(steps=(Step(5, "", {"seed": 3}),))


def test_every_option_except_speed_seed_and_films_can_change() -> None:
    assert set(CHANGEABLE) | FIXED == set(MockOptions.model_fields)
    with pytest.raises(TypeError, match=r"seed, speed cannot change while the emulator runs\."):
        Emulator(MockOptions()).change(speed=2, seed=3, rpm=1)


# -- playing -----------------------------------------------------------------------------------------------------------


def test_a_step_changes_only_what_it_names_and_at_its_instant() -> None:
    async def story() -> None:
        google = emulator(
            'rpm = 3\nrpd = 9\n[[at]]\ntime = "1m"\nrpm = 1\nslowdown = 3\n[[at]]\ntime = "2m"\nrpm = "none"'
        )
        google.clock.start()
        options = []
        for instant in (59.9, 60.0, 119.9, 120.0):
            await asyncio.sleep(instant - google.clock.now())
            google.settle()
            options.append((google.options.rpm, google.options.rpd, google.options.slowdown))
        assert options == [(3, 9, 1), (1, 9, 3), (1, 9, 3), (None, 9, 3)]

    run_virtual(story())


def test_used_quota_stays_used_when_a_step_changes_the_limit() -> None:
    async def story() -> None:
        google = emulator("rpm = 3\n[[at]]\ntime = 30\nquotas = ['project=p,rpm=2']")
        google.clock.start()
        submit(google)
        submit(google)
        await asyncio.sleep(31)
        use = google.quota_use()[0]["rules"]
        assert use == [{"kind": "minute", "used": 2, "limit": 2, "period": 60}]
        await asyncio.sleep(30)
        submit(google)

    run_virtual(story())


def test_a_slowdown_applies_to_clips_accepted_during_it() -> None:
    async def story() -> None:
        google = emulator("latency = 100\n[[at]]\ntime = 50\nslowdown = 3")
        google.clock.start()
        first = submit(google)
        await asyncio.sleep(60)
        second = submit(google)
        assert (first.done_at, second.done_at) == (100, 360)

    run_virtual(story())


def test_the_faults_of_a_step_replace_earlier_ones_and_count_from_1() -> None:
    async def story() -> None:
        google = emulator("faults = ['503@1']\n[[at]]\ntime = 10\nfaults = ['503@2']\n[[at]]\ntime = 20\nrpm = 1")
        google.clock.start()
        strikes = []
        for _ in range(3):
            strikes.append([google.strike(Point.SUBMIT) for _ in range(3)])
            await asyncio.sleep(10)
        # The last step names no faults: they continue, and so do their counts.
        assert strikes == [["503", None, None], [None, "503", None], [None, None, None]]

    run_virtual(story())


async def test_steps_happen_and_are_logged_without_requests(caplog: pytest.LogCaptureFixture) -> None:
    scenario = Scenario.parse(
        'speed = 1000\n[[at]]\ntime = 20\nnote = "lunch"\nrpm = 1\n[[at]]\ntime = "1h"\nnote = "tea"'
    )
    with caplog.at_level(logging.INFO, "aveo3.mock"):
        async with MockServer(scenario=scenario) as server:
            while not caplog.messages:  # noqa: ASYNC110  a real server's step, 20 ms from now
                await asyncio.sleep(0.002)
            assert caplog.messages == ["scenario, 0:20: lunch"]
            assert server.options.rpm == 1


async def test_options_in_python_beat_the_file_and_steps_still_happen() -> None:
    scenario = Scenario.parse("rpm = 3\nrpd = 9\nspeed = 7\n[[at]]\ntime = 0\nconcurrency = 2")
    async with MockServer(MockOptions(rpm=5), scenario=scenario) as server:
        server.emulator.settle()
        options = server.options
        assert (options.rpm, options.rpd, options.speed, options.concurrency) == (5, 9, 7, 2)


async def test_code_can_change_a_server_like_a_step() -> None:
    async with MockServer(MockOptions(faults=())) as server:
        server.change(faults=("503@1",), slowdown=2, rpm=None)
        assert (server.options.slowdown, server.rules) == (2, ())
        assert server.emulator.strike(Point.SUBMIT) == "503"
        server.change(slowdown=1)  # faults are not named: their count continues
        assert server.emulator.strike(Point.SUBMIT) is None
