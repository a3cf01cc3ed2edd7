"""The charts: what they draw is what the view says, and each can be read as a sentence."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aveo3.lifecycle import State
from aveo3.report import charts, spending, timeline
from aveo3.report.view import LaneStep, Step, View
from tests.support.reports import MODEL, START, Past, seen


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def x(seconds: float) -> float:
    return timeline.ms(at(seconds))


def step(seconds: float, key: str, kind: str) -> Step:
    return Step(at_utc=at(seconds), key=key, kind=kind, lane=MODEL)


def lane_step(seconds: float, kind: str, until: float | None = None, **more: Any) -> LaneStep:
    until_utc = None if until is None else at(until)
    blank: dict[str, Any] = {"limit": None, "period": None, "reason": None}
    return LaneStep(at_utc=at(seconds), lane=MODEL, kind=kind, until_utc=until_utc, **{**blank, **more})  # type: ignore[typeddict-item]


@pytest.fixture
def view(tmp_path: Path) -> View:
    past = Past(tmp_path)
    past.make(past.plan("a", project_id="film", labels={"team": "a", "show": "b"}))
    past.make(past.plan("b", project_id="film"))
    past.end(past.plan("c"), State.UNCERTAIN, "answer_lost", "lost", after=State.RUNNING)
    past.journal.close()
    return seen(tmp_path)


def test_the_timeline_counts_requests_in_a_period_and_clips_at_google(view: View) -> None:
    view["steps"] = [
        *(step(0, "a", "submitted"), step(1, "a", "accepted"), step(2, "b", "submitted"), step(3, "b", "refused")),
        *(step(30, "a", "finished"), step(31, "a", "saved"), step(31, "a", "ended")),
        *(step(61, "b", "submitted"), step(62, "b", "accepted"), step(90, "b", "finished"), step(91, "b", "saved")),
    ]
    drawn = timeline.columns(view)
    [xs], [ys] = drawn["timeline-used"]["xs"], drawn["timeline-used"]["ys"]
    corners = list(zip(xs, ys, strict=True))
    assert corners[-1] == (x(91), 1)
    # Up at 0, 2 and 61 s, down a period after each.
    assert [corner for corner in corners if corner in {(x(0), 1), (x(2), 2), (x(60), 1), (x(61), 2), (x(62), 1)}]
    assert max(ys) == 2
    running = drawn["timeline-running"]
    assert [y for before, y in zip([None, *running["y"]], running["y"], strict=False) if y != before] == [0, 1, 0, 1, 0]
    assert drawn["timeline-made"]["y"][-1] == 2
    assert (drawn["timeline-refused"]["x"], drawn["timeline-refused"]["y"]) == ([x(3)], [2])
    assert drawn["timeline-limit"]["ys"] == [[50, 50]]  # the model's usual quota
    assert timeline.sentence(view) == (
        "3 requests from 2026-11-23 12:00:00 to 2026-11-23 12:01:01 UTC, 1 refused; on veo-3.1-generate-001 at most 2 "
        "in 60 s, where 50 are allowed; at most 1 clip at Google at once; 2 clips made."
    )


def test_a_pause_that_grows_is_one_band_and_a_limit_that_is_learnt_a_step(view: View) -> None:
    view["lane_steps"] = [
        lane_step(5, "lane_paused", 20, reason="minute_quota"),
        lane_step(6, "lane_paused", 40, reason="minute_quota"),
        lane_step(7, "limit_learnt", limit=4.0, period=60.0),
        lane_step(30, "lane_opened"),
        lane_step(31, "limit_learnt", limit=5.0, period=60.0),
        lane_step(50, "lane_closed", reason="billing"),
    ]
    drawn = timeline.columns(view)
    bands = drawn["timeline-pauses"]
    assert (bands["left"], bands["right"][0]) == ([x(5), x(50)], x(30))
    assert bands["reason"] == ["minute_quota", "billing"]
    assert bands["color"] == [timeline.PAUSED, timeline.REFUSED]
    [limit] = drawn["timeline-limit"]["ys"]
    assert limit == [4, 4, 5, 5]


def test_a_line_of_ten_thousand_steps_is_thinned_and_keeps_its_peak() -> None:
    instants = [float(n) for n in range(10_000)]
    line = timeline.in_period([*instants, *[5000.5] * 500], 100.0, 20_000.0)
    assert len(line) < 3 * timeline.MOST
    assert max(y for _, y in line) == 600
    assert line[-1] == (20_000, 0)


def test_money_by_model_day_label_and_project_adds_up_to_the_money_of_the_view(view: View) -> None:
    drawn = spending.columns(view)
    whole = view["money"]["spent_usd"] + view["money"]["may_be_paid_usd"]
    assert drawn["money-model"]["name"] == [MODEL]
    assert drawn["money-project"]["name"] == ["film", spending.NONE]
    assert sum(drawn["money-project"]["t3"]) == pytest.approx(whole)
    assert sum(drawn["money-day"]["t3"]) == pytest.approx(whole)
    assert sorted(drawn["money-label"]["name"]) == [spending.NONE, "show=b", "team=a"]
    assert spending.sentences(view)["money-project"] == ("film: US$ 6.40; (none): US$ 0.00, US$ 3.20 may be paid, too.")
    assert spending.sentences(view)["money-day"] == "2026-11-23: US$ 6.40, US$ 3.20 may be paid, too."


def test_of_many_labels_the_small_ones_are_one_bar(view: View) -> None:
    [clip, *_] = view["clips"]
    view["clips"] = [{**clip, "labels": {"shot": str(n)}, "spent_usd": float(n)} for n in range(1, 31)]
    bars = spending.columns(view)["money-label"]
    assert len(bars["name"]) == spending.MOST
    assert (bars["name"][0], bars["name"][-1]) == ("shot=30", "all others (21)")
    assert sum(bars["t3"]) == sum(range(1, 31))


def test_every_source_that_a_chart_has_is_among_the_columns_with_the_same_columns(view: View) -> None:
    found: dict[str, set[str]] = {}

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("name") == "ColumnDataSource" and value.get("type") == "object":
                attributes = value["attributes"]
                found[attributes["name"]] = {name for name, _ in attributes["data"]["entries"]}
            for each in value.values():
                look(each)
        elif isinstance(value, list | tuple):
            for each in value:
                look(each)

    whole = charts.charts(view)
    look(whole["docs"])
    columns = charts.columns(view)
    assert {name: set(source) for name, source in columns.items()} == found
    assert set(whole["docs"]) == set(whole["texts"]) == set(charts.NAMES)
    for source in columns.values():
        assert len({len(column) for column in source.values()}) == 1
    json.dumps(whole, allow_nan=False)  # JavaScript reads it


def test_a_report_begins_with_the_last_run_and_a_live_page_follows(view: View) -> None:
    assert charts._begin(view) is None  # there was one run
    assert view["run"] is not None
    view["run"]["begun_utc"] = view["steps"][4]["at_utc"]
    begin, end = charts._begin(view) or (0, 0)
    assert begin < timeline.ms(view["steps"][4]["at_utc"]) < end
    assert charts._begin({**view, "live": True}) is None


def test_charts_of_nothing_say_so(tmp_path: Path) -> None:
    Past(tmp_path).journal.close()
    whole = charts.charts(seen(tmp_path))
    assert set(whole["texts"].values()) == {"Nothing has been sent.", "Nothing was spent."}
    assert whole["docs"] == {}
    assert set(charts.documents({**seen(tmp_path), "live": True})) == set(charts.NAMES)  # they may fill yet


def test_names_that_would_be_the_same_without_their_middle_stay_whole() -> None:
    names = ["a" * 20 + "1" + "b" * 20, "a" * 20 + "2" + "b" * 20]
    assert timeline.short_names(names) == names
    assert timeline.short_names([names[0], "c"]) == ["a" * 15 + "…" + "b" * 15, "c"]
