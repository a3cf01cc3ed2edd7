"""The display of a run: bars, breaker, time left, clip lines and summary, at 80 columns and in a file."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from rich.console import Console

from aveo3 import ClipStatus, Stats, VideoClip, VideoPrompt
from aveo3.cli import journal_view, progress
from aveo3.cli.progress import clip_line, duration, render, summary, watch
from aveo3.cli.terminal import console_on, folded
from aveo3.dispatch.time_left import Pace, eta
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate_stats import GateStats
from aveo3.testing import run_virtual

GATE = GateStats(
    breaker=BreakerState.CLOSED,
    opens_in=0.0,
    quota_used=10,
    quota_limit=10,
    quota_period=60,
    running=3,
    running_limit=inf,
    accepted=10,
    refused=1,
    closed=None,
)
STATS = Stats(
    gates={"veo": GATE},
    clips={**dict.fromkeys(ClipStatus, 0), ClipStatus.SUCCEEDED: 6, ClipStatus.FILTERED: 1},
    cached=0,
    substituted={},
    submitted=10,
    refusals=1,
    retries=2,
    quota_wait=75.0,
    cost_usd=19.2,
    spent_usd=19.2,
    in_flight_usd=9.6,
    latency=70.0,
    may_be_paid=(),
)


def text(thing: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(thing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_the_bars_fit_any_width(width: int) -> None:
    lines = text(render(STATS, 40, 0.0), width).splitlines()
    assert all(len(line) <= width for line in lines)
    words = [" ".join(line.replace("━", "").replace("╸", "").replace("╺", "").split()) for line in lines]
    assert words == [
        "submitted 10/40",
        "running 3",
        "finished 7/40 (1 filtered)",
        "quota all 10 in 1 min used",
        "time left about 4 min 10 s refusals 1 retries 2",
        "spent US$ 19.20 in flight US$ 9.60 may be paid US$ 0.00",
    ]


def test_clips_that_need_no_request_do_not_count_as_unsubmitted() -> None:
    stats = replace(STATS, cached=4, clips={**STATS.clips, ClipStatus.UNFINISHED: 1})
    words = " ".join(re.sub("[━╸╺]", " ", text(render(stats, 40, 30.0, to_send=20), 120)).split())
    assert "submitted 10/20" in words
    assert "7/40 (4 cached, 1 filtered, 1 unfinished)" in words
    assert eta(stats, 20) == pytest.approx(10 * 6 + 70)
    assert "submitted" not in text(render(stats, 40, 30.0, to_send=0))


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (replace(GATE, breaker=BreakerState.OPEN, opens_in=125.0), "refused next try in 2 min 5 s"),
        (replace(GATE, breaker=BreakerState.HALF_OPEN), "refused trying one request"),
        (replace(GATE, opens_in=12.0), "paused goes on in 12 s"),
        (replace(GATE, closed="billing is off"), "stopped sends no more in this run"),
        (replace(GATE, quota_used=7), "quota 7 of 10 in 1 min"),
        (replace(GATE, quota_used=16), "quota all 10 in 1 min used"),
    ],
)
def test_what_holds_a_lane_up_is_said_in_plain_words(gate: GateStats, words: str) -> None:
    for gates in ({"veo": gate}, {"one": gate, "two": GATE}):
        shown = re.sub("[━╸╺]", " ", text(render(replace(STATS, gates=gates), 40, 30.0), 120))
        assert words in " ".join(shown.split())
        assert "breaker" not in shown


def test_a_lane_that_sends_has_no_row_for_pauses() -> None:
    assert not re.search("(?m)^(refused|paused|stopped)", text(render(STATS, 40, 30.0)))


def test_the_time_left_follows_the_quota() -> None:
    # 30 clips are unsent, the quota has no room now, ten are sent a minute, and the last clip takes 70 s.
    assert eta(STATS, 40) == pytest.approx(30 * 6 + 70)
    assert eta(replace(STATS, gates={"veo": replace(GATE, opens_in=100.0)}), 40) == pytest.approx(100 + 30 * 6 + 70)
    assert eta(replace(STATS, gates={}), 40) is None
    done = replace(STATS, submitted=40, gates={"veo": replace(GATE, running=0)})
    assert eta(done, 40) == 0.0


def test_the_time_left_shrinks_as_time_passes() -> None:
    assert [eta(STATS, 40, since) for since in (0.0, 5.0, 60.0, 500.0)] == [250.0, 245.0, 190.0, 70.0]
    sent = replace(STATS, submitted=40)
    assert [eta(sent, 40, since) for since in (0.0, 30.0, 69.5, 500.0)] == [70.0, 40.0, 0.5, 0.0]
    assert "time left a moment" in text(render(sent, 40, 500.0))
    assert eta(replace(sent, latency=None), 40, usual=2.0) == 2.0


def test_a_pause_does_not_shorten_the_time_left() -> None:
    pace = Pace(0.0)
    paused = replace(STATS, gates={"veo": replace(GATE, opens_in=100.0)})
    assert [pace.since(STATS, 1.0), pace.since(STATS, 6.0)] == [0.0, 5.0]
    assert pace.since(paused, 60.0) == 0.0
    assert [pace.since(STATS, 70.0), pace.since(replace(STATS, submitted=11), 80.0)] == [10.0, 0.0]


def test_a_run_that_a_person_has_paused_says_so_and_promises_no_end() -> None:
    shown = text(render(replace(STATS, paused=True), 20, 0.0))
    assert "paused    by you: nothing is submitted" in shown
    assert "time left unknown" in shown
    assert "paused" not in text(render(STATS, 20, 0.0))


def test_clips_that_were_not_sent_are_not_finished() -> None:
    clips = {**STATS.clips, ClipStatus.CANCELLED: 290, ClipStatus.DEFERRED: 1, ClipStatus.UNFINISHED: 2}
    assert "7/300 (1 filtered, " in re.sub("[━╸╺] *", "", text(render(replace(STATS, clips=clips), 300, 0.0), 120))


def test_no_colour_is_unreadable_on_black() -> None:
    """Of the eight plain colours, blue and black are."""
    for style in (*progress.STYLES.values(), *journal_view.STYLES.values()):
        assert style not in ("blue", "black")


@pytest.mark.parametrize(
    ("made", "elapsed", "pace"),
    [
        (6, 90.0, "1 min 30 s, 4.0 clips a minute"),
        (1, 1800.0, "30 min, 2 clips an hour"),
        (0, 90.0, "1 min 30 s"),
        (1, 90_000.0, "25 h, 0.04 clips an hour"),
    ],
)
def test_the_pace_is_never_zero(made: int, elapsed: float, pace: str) -> None:
    table = text(summary(replace(STATS, clips={**STATS.clips, ClipStatus.SUCCEEDED: made}), elapsed))
    assert re.search(rf"(?m)^took +{re.escape(pace)} *$", table), table


def test_the_summary_has_every_figure() -> None:
    table = text(summary(STATS, 90.0))
    for words in ("succeeded", "6", "filtered", "refusals", "1 min 15 s", "4.0 clips a minute"):
        assert words in table
    assert "about US$ 19.20 at list price" in table
    assert "rejected" not in table
    assert "cached" not in table


def test_the_summary_tells_what_is_spent_apart_from_what_may_be_paid() -> None:
    table = " ".join(text(summary(STATS, 90.0)).split())
    assert "in flight about US$ 9.60 may be paid about US$ 0.00" in table
    left = replace(STATS, spent_usd=0.0, in_flight_usd=0.0, may_be_paid_usd=1032.0, sunk_usd=3.2, unpriced=2)
    table = " ".join(text(summary(left, 90.0, note=" (not really)"), 120).split())
    assert "spent about US$ 0.00 at list price (and 2 clips of unknown price) (not really) may be paid" in table
    assert "may be paid about US$ 1,032.00, US$ 3.20 of it for attempts that were given up (not really)" in table
    assert "in flight" not in table


def test_a_lane_that_is_closed_for_good_is_not_told_to_wait_for_quota() -> None:
    clips = {**STATS.clips, ClipStatus.DEFERRED: 2}
    words = "never sent, not billed: see below why Google refuses all, then run it again"
    closed = replace(STATS, clips=clips, gates={"veo": replace(GATE, closed="The model is not there.")})
    assert words in text(summary(closed, 90.0), 120)
    assert "sends no more: The model is not there." in text(summary(closed, 90.0), 120)
    assert words not in text(summary(replace(STATS, clips=clips), 90.0), 120)


def test_the_summary_counts_cached_and_unfinished_clips() -> None:
    clips = {**STATS.clips, ClipStatus.UNFINISHED: 2}
    table = " ".join(text(summary(replace(STATS, cached=4, submitted=2, clips=clips), 90.0)).split())
    assert "cached 4 of these are from earlier runs: nothing was sent for them" in table
    assert "unfinished 2 accepted, not on disk yet: run it again to resume it, it is not sent twice" in table
    assert "clips a minute" not in table  # earlier runs sent some of the clips


def test_the_summary_says_how_many_clips_each_lane_took() -> None:
    table = text(summary(replace(STATS, gates={"one": GATE, "two": replace(GATE, accepted=4)}), 90.0))
    assert "one: 10 in 1 min, 10 accepted" in table
    assert "two: 10 in 1 min, 4 accepted" in table


def test_a_clip_is_one_line_with_its_file_or_the_cause() -> None:
    made = VideoClip(
        prompt=VideoPrompt(text="a"), status=ClipStatus.SUCCEEDED, model="m", paths=(Path("c/0001-a.mp4"),)
    )
    assert clip_line(made).plain == "succeeded  0001-a.mp4"
    assert clip_line(made.model_copy(update={"cached": True})).plain == "cached     0001-a.mp4"
    lost = VideoClip(
        prompt=VideoPrompt(text="a"), status=ClipStatus.UNCERTAIN, model="m", error_message="lost", operation="op/1"
    )
    assert clip_line(lost).plain == "uncertain  'a': lost (op/1)"
    assert clip_line(lost.model_copy(update={"error_message": "{\n  1\n}"})).plain == "uncertain  'a': { 1 } (op/1)"
    away = lost.model_copy(update={"status": ClipStatus.UNFINISHED, "uris": ("gs://b/1.mp4",)})
    assert clip_line(away).plain == "unfinished 'a': lost (op/1)", "the cause counts more than the address"


def test_long_lane_names_do_not_cut_the_labels() -> None:
    gates = dict.fromkeys(("project/us-central1/veo-3.1-generate-001", "another/europe-west4/veo-3.1"), GATE)
    picture = text(render(replace(STATS, gates=gates), 5, 1.0), width=80)
    assert {"submitted", "running", "finished", "quota"} <= {line.split(" ")[0] for line in picture.split("\n")}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.42 s"), (59.4, "59 s"), (200, "3 min 20 s"), (59.99, "1 min"), (7500, "2 h 5 min")]
)
def test_durations_are_written_in_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


async def one_line(console: Console) -> None:
    async with watch(console, 40, lambda: STATS):
        console.print("a clip")
        await asyncio.sleep(2)


def test_lines_printed_during_watch_stay() -> None:
    screen = Terminal()
    run_virtual(one_line(Console(file=screen, width=80, force_terminal=True)))
    assert "a clip" in screen.getvalue()
    assert "finished" in screen.getvalue()


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_a_file_gets_no_bars_even_where_it_gets_colours(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    file = io.StringIO()
    run_virtual(one_line(Console(file=file, width=80)))
    assert file.getvalue() == "a clip\n"


@pytest.mark.parametrize("writes", [0, 1, 5, 20])
def test_a_terminal_that_is_gone_ends_no_run(writes: int) -> None:
    class Lost(Terminal):
        left = writes

        def write(self, text: str) -> int:
            self.left -= 1
            if self.left < 0:
                raise OSError(5, "Input/output error")
            return super().write(text)

    async def main() -> str:
        console = console_on(Lost(), force_terminal=True, width=80)
        async with watch(console, 40, lambda: STATS):
            for _ in range(20):
                console.print("a clip")
                await asyncio.sleep(1)
        return "the end"

    assert run_virtual(main()) == "the end"


def test_bars_on_the_terminal_leave_standard_output_to_the_file_that_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    file, screen = io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stdout", file)

    async def main() -> None:
        async with watch(Console(file=screen, width=80, force_terminal=True), 40, lambda: STATS):
            print('{"a": 1}')

    run_virtual(main())
    assert file.getvalue() == '{"a": 1}\n'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("it takes about 1 min 10 s", ["it takes about", "1 min 10 s"]),
        ("costs you US$ 960.00", ["costs you", "US$ 960.00"]),
        ("in a/path/that/is/longer/than/the/line", ["in", "a/path/that/is/longer/than/the/line"]),
        ("one\ntwo", ["one", "two"]),
    ],
)
def test_lines_are_folded_between_words_and_figures_keep_their_unit(text: str, lines: list[str]) -> None:
    assert folded(text, 17).split("\n") == lines
