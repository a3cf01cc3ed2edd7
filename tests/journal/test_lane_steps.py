"""The changes of lanes in the journal: kept, bounded, read back, and never a reason to fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aveo3.dispatch.lane_news import LaneNews
from aveo3.errors import JournalError
from aveo3.events import Event, LaneClosed, LaneEvent, LaneOpened, LanePaused, LimitLearnt
from aveo3.events.bus import EventBus
from aveo3.journal import reader
from aveo3.journal.journal import Journal
from aveo3.journal.lane_steps import LaneStep
from tests.support.journals import behind_its_back
from tests.support.virtual import START_UTC

LATER = START_UTC + timedelta(seconds=20)
PAUSED = LanePaused(
    at_utc=START_UTC, lane="one", until_utc=LATER, breaker="open", reason="rate_limit", message="quota \ud800"
)
OPENED = LaneOpened(at_utc=LATER, lane="one", breaker="closed")
LEARNT = LimitLearnt(at_utc=START_UTC, lane="one", limit=4.0, period=60.0, before=10.0)
CLOSED = LaneClosed(at_utc=LATER, lane="two", reason="billing", message="enable billing")


def test_each_change_comes_back_as_it_was_kept(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAGE", 2)
    for event in (LEARNT, PAUSED, OPENED, CLOSED):
        journal.keep_lane_event("google", event)
    journal.keep_lane_event("mock", OPENED)
    assert [*journal.lane_steps("google")] == [
        LaneStep(START_UTC, "one", "limit_learnt", limit=4.0, period=60.0, before=10.0, service="google"),
        LaneStep(START_UTC, "one", "lane_paused", LATER, reason="rate_limit", message="quota \\ud800", breaker="open",
                 service="google"),
        LaneStep(LATER, "one", "lane_opened", breaker="closed", service="google"),
        LaneStep(LATER, "two", "lane_closed", reason="billing", message="enable billing", service="google"),
    ]  # fmt: skip
    assert len([*journal.lane_steps()]) == 5


def test_the_newest_ten_thousand_are_kept(journal: Journal) -> None:
    for number in range(10_007):
        journal.keep_lane_event("google", replace(LEARNT, limit=number))
    limits = [step.limit for step in journal.lane_steps()]
    assert limits == [*range(7, 10_007)]


def test_a_pause_is_seen_at_once_by_a_reader_in_another_process(journal: Journal) -> None:
    journal.keep_lane_event("google", LEARNT)
    with Journal(journal.place, writes=False) as other:
        assert [*other.lane_steps()] == []
        journal.keep_lane_event("google", PAUSED)
        assert [step.kind for step in other.lane_steps()] == ["limit_learnt", "lane_paused"]


def test_a_row_that_makes_no_sense_is_named(journal: Journal) -> None:
    journal.keep_lane_event("google", CLOSED)
    behind_its_back(journal, "UPDATE lane_events SET at_utc = 'noon'")
    with pytest.raises(JournalError, match="change 1 of a lane"):
        [*journal.lane_steps()]


def test_news_of_a_lane_hold_no_key_and_no_control_character_and_survive_a_journal_that_fails(
    journal: Journal,
) -> None:
    heard: list[Event] = []
    news = LaneNews(EventBus(heard.append), lambda text: text.replace("AIza", "(the API key)"))
    news.keep_in(journal, "google")
    news.tell(replace(CLOSED, message="key AIza\x1b[2J is wrong"))
    [event], [step] = heard, journal.lane_steps()
    assert isinstance(event, LaneClosed)
    assert event.message == step.message == "key (the API key)\\x1b[2J is wrong"

    def fail(*_: object) -> None:
        raise JournalError("no")

    journal.keep_lane_event = fail  # type: ignore[method-assign, assignment]
    wrong: LaneEvent = OPENED
    news.tell(wrong)
    assert heard[1:] == [OPENED]
