"""What report and page show is what the journal and the files beside it say."""

from __future__ import annotations

import shlex
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from aveo3._visible import unsigned
from aveo3.events.kinds import LanePaused, LimitLearnt
from aveo3.journal.journal import Journal
from aveo3.journal.review import status_of
from aveo3.journal.sqlite_schema import APPLICATION_ID, MIGRATIONS
from aveo3.lifecycle import State
from aveo3.report.from_journal import url_from
from tests.support.reports import START, Past, by_text, multiply, seen


@pytest.fixture
def past(tmp_path: Path) -> Past:
    directory = tmp_path / "my clips"
    directory.mkdir()
    return Past(directory)


def test_a_clip_that_is_made_shows_its_film(past: Past) -> None:
    fields: dict[str, Any] = {
        "id": "one",
        "project_id": "film",
        "labels": {"team": "a"},
        "resolution": "720p",
        "metadata": {"x": 1},
    }
    past.make(past.plan("a boat", **fields), "ein Boot #1 50%?.mp4")
    past.journal.close()
    [row] = seen(past.directory)["clips"]
    [video] = row["videos"]
    assert video["src"] == "ein%20Boot%20%231%2050%25%3F.mp4"
    assert (video["seconds"], video["width"], video["height"], video["missing"]) == (8.0, 320, 180, False)
    assert (row["status"], row["cost_usd"], row["next_move"], row["command"]) == ("succeeded", 3.2, None, None)
    assert (row["prompt_id"], row["project_id"], row["labels"]) == ("one", "film", {"team": "a"})
    assert row["parameters"] == {"resolution": "720p"}
    assert row["lane"] == "veo-3.1-generate-001"


def test_a_report_elsewhere_finds_the_films_by_relative_addresses(past: Past, tmp_path: Path) -> None:
    past.make(past.plan("a boat"))
    past.journal.close()
    [row] = seen(past.directory, base=tmp_path / "web" / "reports")["clips"]
    assert row["videos"][0]["src"] == "../../my%20clips/1.mp4"


@pytest.mark.parametrize("name", ["a b.mp4", "ü%20.mp4", "a:b.mp4", "日本.mp4", "\udce4.mp4", "🎬.mp4"])
def test_any_name_of_a_file_has_an_address(name: str, tmp_path: Path) -> None:
    address = url_from(tmp_path)(tmp_path / name)
    assert address.isascii()
    assert not set(address) & set(" :#?\"'<>&")
    assert unquote(address, errors="surrogateescape") == name


def test_every_end_has_its_next_move_and_command(past: Past) -> None:
    past.end(past.plan("blocked"), State.FILTERED, "safety", "no", after=State.RUNNING)
    past.end(past.plan("impossible"), State.REJECTED, "bad_request", "4k is unknown")
    past.end(past.plan("later"), State.DEFERRED, "daily_quota", "tomorrow")
    past.end(past.plan("no money"), State.DEFERRED, "billing", "closed")
    past.end(past.plan("lost"), State.UNCERTAIN, "answer_lost", "lost", after=State.RUNNING)
    past.end(past.plan("gone"), State.UNCERTAIN, "no_video", "gone", after=State.RUNNING)
    past.run(past.plan("left at Google"))
    past.submit(past.plan("killed"))
    past.make(past.plan("moved away"), film=b"")
    past.journal.close()
    (past.directory / "failed.jsonl").touch()
    rows = by_text(seen(past.directory))
    directory = shlex.quote(str(past.directory))
    again = f"aveo3 generate {shlex.quote(str(past.directory / 'failed.jsonl'))} --output-dir {directory}"
    assert {text: (row["status"], row["command"]) for text, row in rows.items()} == {
        "blocked": ("filtered", again),
        "impossible": ("rejected", again),
        "later": ("deferred", again),
        "no money": ("deferred", "aveo3 check"),
        "lost": ("uncertain", f"aveo3 history {directory} 00000005"),
        "gone": ("uncertain", f"aveo3 resume {directory}"),
        "left at Google": ("unfinished", f"aveo3 resume {directory}"),
        "killed": ("uncertain", f"aveo3 history {directory} 00000008"),
        "moved away": ("succeeded", None),
    }
    assert "Link a billing account" in (rows["no money"]["next_move"] or "")
    assert "not where it was saved" in (rows["moved away"]["next_move"] or "")
    assert rows["moved away"]["videos"][0]["missing"]


def test_while_a_run_is_active_nothing_is_to_be_done_for_what_it_works_on(past: Past) -> None:
    past.plan("next")
    past.run(past.plan("running"))
    past.submit(past.plan("sent"))
    view = seen(past.directory)
    assert view["run"] is not None
    assert view["run"]["active"]
    assert [(row["status"], row["next_move"], row["command"]) for row in view["clips"]] == [
        ("planned", None, None),
        ("running", None, None),
        ("submitting", None, None),
    ]
    assert (view["money"]["in_flight_usd"], view["money"]["spent_usd"]) == (6.4, 0.0)
    past.journal.close()


def test_money_is_that_of_status_and_the_rows_add_up_to_it(past: Past) -> None:
    past.make(past.plan("made"))
    past.make(past.plan("made, price unknown"), cost_usd=None)
    past.end(past.plan("lost"), State.UNCERTAIN, "answer_lost", "lost", after=State.RUNNING)
    past.run(past.plan("left"))
    past.make(past.plan("mock", service="mock"))
    past.journal.close()
    view = seen(past.directory, budget=20)
    with Journal(past.journal.path, writes=False) as journal:
        money = status_of(journal).money
    assert view["money"] == {
        "spent_usd": money.spent.usd,
        "in_flight_usd": 0.0,
        "may_be_paid_usd": money.may_be_paid.usd,
        "unpriced": 1,
        "budget_usd": 20,
    }
    assert sum(row["spent_usd"] or 0 for row in view["clips"]) == money.spent.usd == 3.2
    assert sum(row["may_be_paid_usd"] or 0 for row in view["clips"]) == money.may_be_paid.usd == 6.4


def test_steps_tell_a_refusal_from_a_retry_and_leave_out_what_never_left(past: Past) -> None:
    job, journal = past.plan("a boat"), past.journal
    again = {"attempts": 1, "retries": 0, "operation": None}
    past.submit(job)
    journal.move(job, State.SUBMITTING, State.PLANNED, **again, error_kind="minute_quota", error_message="429")
    past.submit(job)
    journal.move(job, State.SUBMITTING, State.PLANNED, attempts=1, submitted_utc=None)  # it never left
    past.run(job)
    changes: dict[str, Any] = {**again, "retries": 1, "error_kind": "operation_failed", "error_message": "13"}
    journal.move(job, State.RUNNING, State.PLANNED, **changes)
    past.make(job)
    journal.close()
    assert [step["kind"] for step in seen(past.directory)["steps"]] == [
        *("submitted", "refused"),
        *("submitted", "accepted", "retrying"),
        *("submitted", "accepted", "finished", "saved", "ended"),
    ]


def test_media_are_shown_by_name_and_what_gives_access_to_them_never(past: Past) -> None:
    signed = "https://me:secret@host/clip.mp4?X-Goog-Signature=secret#secret"
    fields: dict[str, Any] = {
        "image": {"path": "C:\\pictures\\boat.png", "sha256": "ab" * 32, "mime_type": "image/png"},
        "reference_images": [{"sha256": "cd" * 32, "mime_type": "image/png"}],
        "video": {"uri": signed, "mime_type": "video/mp4"},
        "webhook_metadata": {"token": "secret"},
    }
    past.plan("a boat", **fields)
    past.journal.close()
    view = seen(past.directory)
    assert view["clips"][0]["parameters"] == {
        "image": "boat.png",
        "reference_images": ["image/png cdcdcdcd"],
        "video": "https://host/clip.mp4",
    }
    assert "secret" not in str(view)
    assert unsigned("gs://bucket/a b.mp4") == "gs://bucket/a b.mp4"
    assert "secret" not in unsigned("https://[broken?secret")


def test_an_empty_journal_has_an_empty_view(past: Past) -> None:
    past.journal.close()
    view = seen(past.directory)
    assert (view["clips"], view["steps"], view["lanes"]) == ([], [], [])
    assert (view["title"], view["service"]) == ("my clips", "google")


def test_the_limit_of_a_lane_is_what_was_learnt_else_what_is_set(past: Past) -> None:
    past.make(past.plan("a boat"))
    past.make(past.plan("another"), place={"backend": "vertex", "lane": "west"})
    learnt = {"requests": {"limit": 7, "under": [None, 10, 60.0]}}
    name = "veo-3.1-generate-001 vertex p us-central1"
    past.journal.keep("google", "limits", name, {"version": 1, "learnt": learnt})
    past.journal.close()
    lanes = seen(past.directory, rate_limit=20, rate_period=30)["lanes"]
    assert [(lane["name"], lane["limit"], lane["period"], lane["learnt"]) for lane in lanes] == [
        ("veo-3.1-generate-001", 7, 60, True),
        ("west", 20, 30, False),
    ]


def test_a_journal_of_the_first_release_has_a_report_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / ".aveo3" / "journal.db"
    path.parent.mkdir()
    at = START.isoformat()
    with closing(sqlite3.connect(path)) as db, db:
        for statement in (*MIGRATIONS[0], f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 1"):
            db.execute(statement)
        db.execute(
            "INSERT INTO jobs (service, digest, ordinal, position, model, prompt, queued_utc, state, cost_usd) "
            "VALUES ('google', 'abcdef0123', 1, 0, 'veo', ?, ?, 'filtered', 0.0)",
            ('{"text": "a boat"}', at),
        )
        db.execute("INSERT INTO events (job, at_utc, state, changes) VALUES (1, ?, 'filtered', '{}')", (at,))
    before = path.read_bytes()
    view = seen(tmp_path)
    assert [(row["key"], row["status"], row["lane"]) for row in view["clips"]] == [("abcdef01", "filtered", None)]
    assert [step["kind"] for step in view["steps"]] == ["ended"]
    assert path.read_bytes() == before


def test_the_steps_of_lanes_are_those_that_the_journal_keeps(past: Past) -> None:
    until = START + timedelta(seconds=60)
    words = {"breaker": "open", "reason": "minute_quota", "message": "429"}
    past.journal.keep_lane_event("google", LanePaused(at_utc=START, lane="west", until_utc=until, **words))
    past.journal.keep_lane_event("google", LimitLearnt(at_utc=until, lane="west", limit=7, period=60, before=10))
    past.journal.close()
    blank = {"until_utc": None, "limit": None, "period": None, "reason": None}
    first = {"at_utc": START.isoformat(), "lane": "west", "kind": "lane_paused", "until_utc": until.isoformat()}
    second = {"at_utc": until.isoformat(), "lane": "west", "kind": "limit_learnt", "limit": 7, "period": 60}
    assert seen(past.directory)["lane_steps"] == [{**blank, **first, "reason": "minute_quota"}, {**blank, **second}]


def test_five_thousand_clips_are_read_well_below_two_seconds(past: Past) -> None:
    past.make(past.plan("a boat", resolution="720p"))
    past.journal.close()
    multiply(past.journal.path, 5000)
    began = time.process_time()
    view = seen(past.directory)
    assert time.process_time() - began < 2  # 0.6 s on an idle machine
    assert (len(view["clips"]), len(view["steps"])) == (5000, 25_000)
