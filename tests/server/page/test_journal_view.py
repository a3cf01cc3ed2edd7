"""The page of another process's run: it follows the journal, reads only what has changed, and leaves nothing behind."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aveo3 import Settings
from aveo3.events.kinds import LaneClosed, LaneOpened, LanePaused
from aveo3.journal.journal import Journal
from aveo3.journal.sqlite_files import in_use
from aveo3.lifecycle import State
from aveo3.report.view import View
from aveo3.server.page import journal_view
from aveo3.server.page.journal_view import JournalView
from tests.support.reports import MODEL, Past, by_text, seen


def follow(directory: Path) -> JournalView:
    return JournalView(Settings(output_dir=directory))


async def refreshed(view: JournalView) -> View:
    view._not_before = 0.0
    await view.refresh()
    return view.shown.view()


async def changed_by(view: JournalView) -> set[str]:
    """The keys of the clips that a look has sent to viewers."""
    cursor = view.shown.now()
    await refreshed(view)
    piece = view.shown.since(cursor)
    return set() if piece is None else {row["key"] for row in json.loads(piece[0]).get("clips", ())}


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


async def test_it_shows_what_a_report_shows(past: Past, tmp_path: Path) -> None:
    past.make(past.plan("a boat", id="one"))
    past.run(past.plan("a train"))
    past.plan("a plane")
    past.end(past.plan("a gun"), State.FILTERED, "safety", "blocked", after=State.RUNNING)
    past.make(past.plan("a ship"), film=b"")
    view = follow(tmp_path)
    for active in (True, False):
        if not active:
            past.journal.close()
        shown, reported = await refreshed(view), seen(tmp_path)
        assert shown["run"] == reported["run"]
        assert shown["run"] is not None
        assert shown["run"]["active"] is active
        assert shown["live"] is False
        assert shown["money"] == reported["money"]
        breaker = "closed" if active else None
        assert shown["lanes"] == [{**lane, "breaker": breaker} for lane in reported["lanes"]]
        assert sorted(map(str, shown["steps"])) == sorted(map(str, reported["steps"]))
        for text, row in by_text(reported).items():
            mine: Any = by_text(shown)[text]
            theirs: Any = row
            for name in theirs.keys() - {"videos"}:
                assert mine[name] == theirs[name], (active, text, name)
            for video, other in zip(mine["videos"], theirs["videos"], strict=True):
                assert video == {**other, "src": f"videos/{mine['key']}/0", "poster": f"posters/{mine['key']}/0"}


async def test_it_reads_only_what_has_changed(past: Past, tmp_path: Path) -> None:
    jobs = [past.plan(f"clip {number}") for number in range(20)]
    past.run(jobs[0])  # planned jobs alone wait for the next commit
    view = follow(tmp_path)
    await refreshed(view)
    assert await changed_by(view) == set()
    past.run(jobs[3])
    assert await changed_by(view) == {f"{4:08x}"}
    assert by_text(view.shown.view())["clip 3"]["status"] == "running"
    past.journal.move(jobs[3], State.RUNNING, State.FAILED, error_kind="internal", error_message="code 13")
    past.run(jobs[5])
    assert await changed_by(view) == {f"{4:08x}", f"{6:08x}"}
    new = past.plan("another")
    assert new
    past.run(jobs[6])
    assert await changed_by(view) == {f"{21:08x}", f"{7:08x}"}
    kinds = [step["kind"] for step in view.shown.view()["steps"]][2:]
    assert kinds == ["submitted", "accepted", "finished", "ended", "submitted", "accepted", "submitted", "accepted"]
    past.journal.close()


async def test_without_a_change_it_opens_nothing(past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past.run(past.plan("a boat"))
    view = follow(tmp_path)
    await refreshed(view)
    opened: list[bool] = []

    def opening(*args: Any, **values: Any) -> Journal:
        opened.append(values["checks"])
        return Journal(*args, **values)

    monkeypatch.setattr(journal_view, "Journal", opening)
    for _ in range(5):
        await refreshed(view)
    assert opened == []
    past.run(past.plan("a train"))
    await refreshed(view)
    assert opened
    assert not any(opened)  # the whole file is checked for damage once
    past.journal.close()


async def test_what_a_run_leaves_when_it_ends_gets_its_other_name(past: Past, tmp_path: Path) -> None:
    past.run(past.plan("a boat"))
    past.make(past.plan("a train"))
    view = follow(tmp_path)
    assert by_text(await refreshed(view))["a boat"]["status"] == "running"
    past.journal.close()
    assert await changed_by(view) == {f"{1:08x}"}
    row = by_text(view.shown.view())["a boat"]
    assert (row["status"], row["command"]) == ("unfinished", f"aveo3 resume {tmp_path}")


async def test_a_lane_that_pauses_says_why_and_until_when(past: Past, tmp_path: Path) -> None:
    past.run(past.plan("a boat"))
    view = JournalView(Settings(output_dir=tmp_path), now_utc=lambda: past.clock.now)
    until = past.clock() + timedelta(seconds=600)
    told = {"at_utc": past.clock(), "lane": MODEL}
    told_why = {"reason": "minute", "message": "Quota exceeded"}
    paused = LanePaused(**told, **told_why, until_utc=until, breaker="open")  # type: ignore[arg-type]
    for event, breaker, opens, closed in (
        (paused, "open", until.isoformat(), None),
        (LaneOpened(**told, breaker="half_open"), "half_open", None, None),  # type: ignore[arg-type]
        (LaneClosed(**told, **told_why), "closed", None, "Quota exceeded"),  # type: ignore[arg-type]
    ):
        past.journal.keep_lane_event("google", event)
        past.run(past.plan(breaker))
        [lane] = (await refreshed(view))["lanes"]
        assert (lane["breaker"], lane["opens_utc"], lane["closed"]) == (breaker, opens, closed)
        assert lane["reason"] == (None if opens is None else "Quota exceeded")
    past.journal.close()
    [lane] = (await refreshed(view))["lanes"]
    assert (lane["breaker"], lane["opens_utc"], lane["closed"]) == (None, None, None)


async def test_it_waits_for_a_run_that_begins_later(tmp_path: Path) -> None:
    directory = tmp_path / "clips"
    view = follow(directory)
    shown = await refreshed(view)
    assert (shown["run"], shown["clips"]) == (None, [])
    assert not directory.exists()
    directory.mkdir()
    past = Past(directory)
    past.run(past.plan("a boat"))
    shown = await refreshed(view)
    assert shown["run"] is not None
    assert shown["run"]["active"]
    assert [row["text"] for row in shown["clips"]] == ["a boat"]
    past.journal.close()


async def test_many_clips_come_in_pieces(past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_view, "AT_ONCE", 7)
    for number in range(30):
        past.run(past.plan(f"clip {number}"))
    view = follow(tmp_path)
    await refreshed(view)
    assert len(view.shown) == 30
    assert await changed_by(view) == set()
    past.journal.close()


async def test_a_run_that_is_killed_while_it_is_watched_can_go_on(past: Past, tmp_path: Path) -> None:
    """A connection of the page that closed last would remove the log, and the next run would refuse to begin."""
    past.run(past.plan("a boat"))
    view = follow(tmp_path)
    await refreshed(view)
    log_file = tmp_path / ".aveo3" / "journal.db-wal"
    assert log_file.stat().st_size > 0
    before = {file.name: file.read_bytes() for file in log_file.parent.iterdir() if file.suffix in (".db", ".db-wal")}
    past.run(past.plan("a train"))
    await refreshed(view)
    assert log_file.stat().st_size > 0
    assert before
    past.journal.close()
    left = {file.name for file in log_file.parent.iterdir()}
    await refreshed(view)
    assert {file.name for file in log_file.parent.iterdir()} == left  # reading has left nothing, and removed nothing
    with Journal(tmp_path / ".aveo3" / "journal.db"):
        assert in_use(tmp_path / ".aveo3" / "journal.db")


async def test_a_journal_that_cannot_be_read_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / ".aveo3" / "journal.db"
    path.parent.mkdir()
    path.write_bytes(os.urandom(8192))
    view = follow(tmp_path)
    for _ in range(3):
        await refreshed(view)
    [record] = caplog.records
    assert str(path) in record.getMessage()


async def test_only_its_own_clips_have_videos(past: Past, tmp_path: Path) -> None:
    path = past.make(past.plan("a boat"))
    past.journal.close()
    view = follow(tmp_path)
    await refreshed(view)
    [film] = view.films_of(f"{1:08x}")
    assert (film.path, film.size) == (path, path.stat().st_size)
    assert view.films_of("../secret") == ()
    assert view.actions() == {}
