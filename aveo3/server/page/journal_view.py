"""Follows the run of another process from its journal, and writes nothing: only what has changed there is read again.

Between two looks no connection is open. One that stays open would be the last to close when a run is killed, and SQLite
then removes the log, without which the next run would not begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aveo3.errors import JournalError
from aveo3.events.kinds import LaneClosed, LaneOpened, LanePaused
from aveo3.journal.journal import Journal
from aveo3.journal.review import money_of
from aveo3.journal.sqlite_files import in_use, log_of
from aveo3.lifecycle import State
from aveo3.report.from_journal import Film, Frame, clip_row, films_of, frame_of, run_row
from aveo3.report.lanes import lane_rows, lane_steps
from aveo3.report.steps import steps_of_job
from aveo3.report.view import LaneRow, LaneStep, MoneyRow, RunRow, Step
from aveo3.server.page.answers import Actions
from aveo3.server.page.film_board import FilmBoard
from aveo3.server.page.listing import Listing
from aveo3.server.page.shown import Shown

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.journal.rows import JobRecord

log = logging.getLogger("aveo3.page")

SHARE = 0.1
"""Share of the time that goes into reading, at most: a large journal is read less often."""

AT_ONCE = 500
"""Rows that are read, and shown, at a time."""


@dataclass(slots=True)
class _News:
    """What one look at the journal has found."""

    frame: Frame
    records: list[JobRecord]
    steps: list[Step]
    lanes: list[LaneRow]
    lane_steps: list[LaneStep]
    money: MoneyRow
    run: RunRow | None


@dataclass(slots=True)
class _Known:
    """What was read before."""

    files: tuple[object, ...] = ()
    """Size and time of the journal and its log."""
    checked: bool = False
    """The whole file was searched for damage."""
    event: int = 0
    """Number of the last event whose job is shown."""
    sweep: int | None = 0
    """All jobs beyond this number are to be read, before what has changed since `event`; None: they were."""
    swept: tuple[State, ...] = ()
    """Only jobs in these states, if there are any."""
    active: bool = False
    first_of_lanes: dict[str, JobRecord] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)
    """Number of steps by job."""
    lane_steps: int = 0


class JournalView:
    """What a page shows of the journal that `settings` name. There may be none yet: then it waits for one.

    `quoted` makes one argument of a shell out of a text.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        quoted: Callable[[str], str] = str,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.home = settings.output_dir.absolute()
        self.shown = Shown(
            title=self.home.name or str(self.home),
            directory=str(self.home),
            service="google",
            made_utc=now_utc().isoformat(),
            live=False,
            run=None,
            money=MoneyRow(
                spent_usd=0.0, in_flight_usd=0.0, may_be_paid_usd=0.0, unpriced=0, budget_usd=settings.budget
            ),
        )
        self._settings = settings
        self._now_utc = now_utc
        self._quoted = quoted
        self._listing = Listing(self.shown)
        self._board = FilmBoard(self.shown, self.home, quoted)
        self._known = _Known()
        self._worker = ThreadPoolExecutor(1, "aveo3-page-journal")
        self._busy = False
        self._not_before = 0.0
        self._told = ""

    # ---- for the server --------------------------------------------------------------------------------------------

    def films_of(self, key: str) -> tuple[Film, ...]:
        """The videos of a clip, in the order of its row."""
        return self._listing.films_of(key) or self._board.films_of(key)

    async def pick(self, scene: str, take: str) -> str | None:
        """Pick a take of the directory's film. Returns why that cannot be; None if it is done."""
        return await self._board.pick(scene, take)

    def actions(self) -> Actions:
        """Nothing: another process makes the clips."""
        return {}

    async def refresh(self) -> None:
        """Show what has changed in the journal. Reads in a thread."""
        loop = asyncio.get_running_loop()
        if self._busy or loop.time() < self._not_before:
            return
        self._busy, began = True, loop.time()
        try:
            for _ in range(1000):  # a large journal comes in pieces, which are shown at once
                news = await loop.run_in_executor(self._worker, self._look)
                if news is None:
                    break
                await self._show(news)
            await self._board.refresh(self._worker)
            await self._listing.read_some(self._worker)
        except JournalError as error:
            if str(error) != self._told:
                self._told = str(error)
                log.warning("%s", error)
        finally:
            self._busy, self._not_before = False, loop.time() + (loop.time() - began) / SHARE

    async def _show(self, news: _News) -> None:
        shown = self.shown
        for number, record in enumerate(news.records):
            films = films_of(record, news.frame.home)
            videos = self._listing.rows(record.name, films) if films else ()
            shown.put_clip(clip_row(record, news.frame, videos=videos), ended=record.state not in _UNDER_WAY)
            if number % 50 == 49:
                await asyncio.sleep(0)
        for step in news.steps:
            shown.add_step(step)
        for lane in news.lanes:
            shown.put_lane(lane)
        for lane_step in news.lane_steps:
            shown.add_lane_step(lane_step)
        fields = {"service": news.records[-1].service} if news.records else {}
        shown.set(run=news.run, money=news.money, **fields)

    # ---- in a thread -----------------------------------------------------------------------------------------------

    def _look(self) -> _News | None:
        """What has changed since the last look, up to `AT_ONCE` clips of it; None if nothing has."""
        known = self._known
        path = self._settings.journal_path
        if path is None or not path.is_file():
            return None
        active = in_use(path)
        files = tuple(_identity(each) for each in (path, log_of(path)))
        if files == known.files and active is known.active:
            return None
        with Journal(path, writes=False, checks=not known.checked) as journal:
            known.checked = True
            if active is not known.active:
                known.active = active  # what runs, or is left, is called by another name now
                if known.sweep is None:
                    known.sweep, known.swept = 0, tuple(set(State) - {State.SUCCEEDED})
            frame = frame_of(journal, self.home, url=str, quoted=self._quoted, active=active)
            records, more = self._changed(journal)
            for record in records:
                if record.place:
                    known.first_of_lanes.setdefault(record.place.get("lane") or record.model, record)
            noted = lane_steps(journal)
            news = _News(
                frame=frame,
                records=records,
                steps=list(self._new_steps(journal, records)),
                lanes=self._lanes(journal, active=active),
                lane_steps=noted[known.lane_steps :],
                money=_money(journal, self._settings.budget, active=active),
                run=run_row(journal, active=active),
            )
            known.lane_steps = len(noted)
            if not more:
                known.files = files
        return news

    def _lanes(self, journal: Journal, *, active: bool) -> list[LaneRow]:
        """The lanes; those of an active run with what paused or closed them last."""
        rows = lane_rows(journal, self._known.first_of_lanes.values(), self._settings)
        if not active or (run := journal.last_run()) is None:
            return rows
        last = {
            each.lane: each for each in journal.lane_steps() if each.at_utc >= run.started_utc and each.kind in _STATES
        }
        now = self._now_utc()
        for row in rows:
            row["breaker"] = "closed"
            if (change := last.get(row["name"])) is None:
                continue
            if change.kind == LaneClosed.kind:
                row["closed"] = change.message
            elif change.breaker is not None:
                row["breaker"] = change.breaker
            if change.until_utc is not None and change.until_utc > now:
                row["opens_utc"], row["reason"] = change.until_utc.isoformat(), change.message
        return rows

    def _changed(self, journal: Journal) -> tuple[list[JobRecord], bool]:
        """Jobs to show, and whether there are more."""
        known = self._known
        if known.sweep is not None:
            if not known.event:
                known.event = journal.last_event()
            wanted = known.swept or tuple(State)
            marks = ", ".join("?" * len(wanted))
            query = f"SELECT * FROM jobs WHERE id > ? AND state IN ({marks}) ORDER BY id LIMIT {AT_ONCE}"
            records = journal.select(query, known.sweep, *wanted)
            known.sweep = records[-1].id if len(records) == AT_ONCE else None
            return records, True
        records, known.event = journal.changed_since(known.event, AT_ONCE)
        return records, len(records) > 0

    def _new_steps(self, journal: Journal, records: Iterable[JobRecord]) -> Iterable[Step]:
        for record in records:
            steps = steps_of_job(journal, record.id)
            yield from steps[self._known.steps.get(record.id, 0) :]
            self._known.steps[record.id] = len(steps)


def _money(journal: Journal, budget: float | None, *, active: bool) -> MoneyRow:
    money = money_of(journal.tallies(), active=active)
    return MoneyRow(
        spent_usd=round(money.spent.usd, 6),
        in_flight_usd=round(money.in_flight.usd, 6),
        may_be_paid_usd=round(money.may_be_paid.usd, 6),
        unpriced=money.spent.unpriced + money.in_flight.unpriced + money.may_be_paid.unpriced,
        budget_usd=budget,
    )


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever somebody writes to a file; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


_STATES = (LanePaused.kind, LaneOpened.kind, LaneClosed.kind)
"""What says in which state a lane is."""

_UNDER_WAY = frozenset({State.PLANNED, State.SUBMITTING, State.RUNNING, State.FETCHING})
"""Jobs that will change soon."""
