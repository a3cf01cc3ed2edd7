"""The display of a run: bars, breaker, time left, clip lines and summary, at 80 columns and in a file."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from rich.console import Console

from aveo3 import ClipStatus, Stats, VideoClip, VideoPrompt
from aveo3.cli.progress import clip_line, duration, eta, render, summary, watch
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate import GateStats
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
    lines = text(render(STATS, 40, 30.0), width).splitlines()
    assert all(len(line) <= width for line in lines)
    words = [" ".join(line.replace("━", "").replace("╸", "").replace("╺", "").split()) for line in lines]
    assert words == [
        "submitted 10/40",
        "running 3",
        "finished 7/40 (1 filtered)",
        "quota 10 of 10 in 1 min",
        "breaker closed",
        "time left about 4 min 10 s spent US$ 19.20 refusals 1 retries 2",
    ]


def test_clips_that_need_no_request_do_not_count_as_unsubmitted() -> None:
    stats = replace(STATS, cached=4, clips={**STATS.clips, ClipStatus.UNFINISHED: 1})
    words = " ".join(re.sub("[━╸╺]", " ", text(render(stats, 40, 30.0, to_send=20), 120)).split())
    assert "submitted 10/20" in words
    assert "8/40 (4 cached, 1 filtered, 1 unfinished)" in words
    assert eta(stats, 20) == pytest.approx(10 * 6 + 70)
    assert "submitted" not in text(render(stats, 40, 30.0, to_send=0))


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (replace(GATE, breaker=BreakerState.OPEN, opens_in=125.0), "open, a probe in 2 min 5 s"),
        (replace(GATE, breaker=BreakerState.HALF_OPEN), "half open, probing"),
        (replace(GATE, opens_in=12.0), "pausing, 12 s to go"),
        (replace(GATE, closed="billing is off"), "closed for good"),
    ],
)
def test_the_breaker_row_says_what_it_waits_for(gate: GateStats, words: str) -> None:
    assert words in text(render(replace(STATS, gates={"veo": gate}), 40, 30.0))


def test_the_time_left_follows_the_quota() -> None:
    # 30 clips are unsent, the quota has no room now, ten are sent a minute, and the last clip takes 70 s.
    assert eta(STATS, 40) == pytest.approx(30 * 6 + 70)
    assert eta(replace(STATS, gates={"veo": replace(GATE, opens_in=100.0)}), 40) == pytest.approx(100 + 30 * 6 + 70)
    assert eta(replace(STATS, gates={}), 40) is None
    done = replace(STATS, submitted=40, gates={"veo": replace(GATE, running=0)})
    assert eta(done, 40) == 0.0


def test_the_summary_has_every_figure() -> None:
    table = text(summary(STATS, 90.0))
    for words in ("succeeded", "6", "filtered", "refusals", "1 min 15 s", "4.0 clips a minute"):
        assert words in table
    assert "about US$ 19.20 at list price" in table
    assert "rejected" not in table
    assert "cached" not in table


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
    assert {"submitted", "running", "finished", "quota", "breaker"} <= {
        line.split(" ")[0] for line in picture.split("\n")
    }


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.42 s"), (59.4, "59 s"), (200, "3 min 20 s"), (59.99, "1 min"), (7500, "2 h 5 min")]
)
def test_durations_are_written_in_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_lines_printed_during_watch_stay() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)

    async def main() -> None:
        async with watch(console, 40, lambda: STATS):
            console.print("a clip")

    run_virtual(main())
    assert isinstance(console.file, io.StringIO)
    assert "a clip" in console.file.getvalue()
