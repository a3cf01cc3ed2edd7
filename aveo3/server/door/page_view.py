"""What the live page shows of the door: figures of all callers, lanes, money, and a bounded part of the requests.

It does nothing until somebody looks. A look costs the same however many requests wait: figures are counters, and rows
are those of the requests that run, that go next, and that ended last, some of each caller.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aveo3.errors import JournalError
from aveo3.journal.requests import Request
from aveo3.journal.totals import Total, totals_of
from aveo3.lifecycle import BILLED, State
from aveo3.report.from_journal import Film, Frame, clip_row, films_of
from aveo3.report.view import BudgetLeft, CallerRow, ClipRow, MoneyRow, RunRow, ServerRow
from aveo3.server.door import page_rows
from aveo3.server.door.google_errors import Refused
from aveo3.server.door.queues import Queue, queues_of
from aveo3.server.door.standing import is_waiting, waits
from aveo3.server.page.listing import Listing
from aveo3.server.page.live_lane import lane_row, steady
from aveo3.server.page.shown import Shown

if TYPE_CHECKING:
    from aveo3.journal.rows import JobRecord
    from aveo3.server.door.callers import Callers
    from aveo3.server.door.dispatcher import Dispatcher
    from aveo3.server.door.intake import Intake
    from aveo3.server.page.answers import Actions
    from aveo3.session import Session

log = logging.getLogger("aveo3.page")

EVERY = 1.0
"""Seconds between two looks."""

SHARE = 0.1
"""Share of the time that goes into looking, at most."""

MOST_CALLERS = 200
"""Callers that have a row."""


class DoorView:
    """A `Source` for a page: the server whose parts these are, at the address `url`.

    `money` makes of the journal's totals what `aveo3 serve status` tells. `quoted` makes one argument of a shell.
    """

    def __init__(
        self,
        session: Session,
        dispatcher: Dispatcher,
        intake: Intake,
        callers: Callers,
        *,
        url: str,
        since_utc: datetime,
        money: Callable[[list[Total]], Awaitable[dict[str, Any]]],
        now_utc: Callable[[], datetime],
        quoted: Callable[[str], str] = str,
    ) -> None:
        self._session = session
        self._dispatcher = dispatcher
        self._journal = dispatcher.journal
        self._intake = intake
        self._callers = callers
        self._url = url
        self._since_utc = since_utc
        self._money = money
        self._now_utc = now_utc
        self.home = session.settings.output_dir.absolute()
        self.shown = Shown(
            title=self.home.name or str(self.home),
            directory=str(self.home),
            service=session.service,
            made_utc=now_utc().isoformat(),
            live=True,
            run=None,
            money=MoneyRow(
                spent_usd=0.0, in_flight_usd=0.0, may_be_paid_usd=0.0, unpriced=0, budget_usd=session.settings.budget
            ),
            server=ServerRow(url=url, not_ready=None, held=None, counts={}, callers=[], more_callers=0),
        )
        self._frame = Frame(home=self.home, url=str, directory=quoted(str(self.home)), unmade=None, active=True)
        self._listing = Listing(self.shown)
        self._known = page_rows.Known()
        self._worker = ThreadPoolExecutor(1, "aveo3-page-door")  # starts its thread with the first look
        self._busy = False
        self._not_before = 0.0

    # ---- for the server of the page ----------------------------------------------------------------------------------

    def films_of(self, key: str) -> tuple[Film, ...]:
        """The videos of a request, in the order of its row."""
        return self._listing.films_of(key)

    def actions(self) -> Actions:
        """What an operator may do now."""
        return {"pause": self._pause, "go-on": self._go_on}

    def _pause(self) -> None:
        if not self._session.stats().paused:
            self._session.pause()
            log.info("paused on the page: nothing is submitted, requests are taken")

    def _go_on(self) -> None:
        if self._session.stats().paused:
            self._session.go_on()
            log.info("gone on, on the page")

    async def cancel(self, key: str) -> str | None:
        """Cancel the request of a row, if it waits. Returns why not; None if it is cancelled."""
        if not (key.isascii() and key.isdigit() and int(key) in self._known.rows):
            return "This page lists no such request."
        try:
            request = self._journal.requests.of_job(int(key))
            if request is not None and await self._intake.withdraw(request, by="the operator"):
                log.info("request %s of %s was cancelled on the page", request.door_name, request.caller)
                self._not_before = 0.0
                return None
        except (Refused, JournalError) as error:
            return f"It was not cancelled: {error}"
        return "It has been sent, or is about to be: Google cancels no video."

    async def refresh(self) -> None:
        """Show what has changed."""
        loop = asyncio.get_running_loop()
        if self._busy or loop.time() < self._not_before:
            return
        self._busy, began = True, loop.time()
        try:
            await self._show_figures()
            await self._show_rows()
            await self._listing.read_some(self._worker)
        except JournalError as error:
            log.warning("the page cannot read the journal: %s", error)
        finally:
            self._busy, self._not_before = False, max(began + EVERY, loop.time() + (loop.time() - began) / SHARE)

    # ---- figures -----------------------------------------------------------------------------------------------------

    async def _show_figures(self) -> None:
        now, stats = self._now_utc(), self._session.stats()
        totals = totals_of(self._journal)
        queues = queues_of(self._dispatcher, self._journal, now)
        unsent = any(queue.waiting for queue in queues.values())
        models = {lane.name: lane.model for lane in self._session.lane_pool.open_lanes}
        for name, gate in stats.gates.items():
            self.shown.put_lane(
                lane_row(
                    name,
                    gate,
                    now,
                    before=self.shown.lanes.get(name),
                    model=models.get(name),
                    why=self._why(name) if gate.opens_in > 0 else None,
                    active=True,
                    unsent=unsent,
                )
            )
        before_run: RunRow | None = self.shown.fields["run"]
        next_in = min((gate.next_in for gate in stats.gates.values() if gate.next_in is not None), default=None)
        all_sent = self._dispatcher.last_turn_in() if unsent and not stats.paused else None
        self.shown.set(
            run=RunRow(
                active=True,
                begun_utc=self._since_utc.isoformat(),
                ended_utc=None,
                total=None,
                next_submit_utc=steady(before_run and before_run["next_submit_utc"], now, next_in)
                if unsent and not stats.paused
                else None,
                done_utc=steady(before_run and before_run["done_utc"], now, all_sent),
                stopping=None,
                paused=stats.paused,
            ),
            money=await self._money_row(totals),
            server=self._server_row(totals, queues, now),
        )

    async def _money_row(self, totals: list[Total]) -> MoneyRow:
        told = (await self._money(totals))["money"]
        amounts = [told[name] for name in ("spent", "in_flight", "may_be_paid")]
        spent, in_flight, may_be_paid = (amount["usd"] for amount in amounts)
        return MoneyRow(
            spent_usd=spent,
            in_flight_usd=in_flight,
            may_be_paid_usd=may_be_paid,
            unpriced=sum(amount["unpriced_clips"] for amount in amounts),
            budget_usd=self._session.settings.budget,
        )

    def _server_row(self, totals: list[Total], queues: dict[str, Queue], now: datetime) -> ServerRow:
        counts: Counter[str] = Counter()
        rows: dict[str, CallerRow] = {name: _empty(name) for name in self._callers.names if not self._is_operator(name)}
        for total in totals:
            if total.service != self._session.service:
                continue
            row = rows.setdefault(total.caller, _empty(total.caller))
            billed = total.cost_usd if total.state in BILLED else 0.0
            row["spent_usd"] = round(row["spent_usd"] + billed, 4)
            counts["waiting" if waits(total.state, total.why) else total.state.value] += total.jobs
            _count(row, total)
        for name, queue in queues.items():
            if queue.waiting and name in rows:
                rows[name]["oldest_utc"] = _whole_seconds(now, queue.oldest_seconds)
        order = sorted(rows.values(), key=lambda row: (-row["waiting"] - row["running"], row["name"]))
        for row in order[:MOST_CALLERS]:
            self._show_budget(row)
        return ServerRow(
            url=self._url,
            not_ready=self._intake.not_ready,
            held=self._intake.held,
            counts=dict(counts),
            callers=order[:MOST_CALLERS],
            more_callers=max(0, len(order) - MOST_CALLERS),
        )

    def _is_operator(self, name: str) -> bool:
        return (caller := self._callers.with_account(name)) is not None and caller.operator

    def _show_budget(self, row: CallerRow) -> None:
        if (caller := self._callers.with_account(row["name"])) is None:
            return
        row["has_key"] = True
        day, total = self._intake.budgets.left(caller)
        if day is not None and caller.day_budget is not None:
            row["left"].append(BudgetLeft(per="day", limit_usd=caller.day_budget, left_usd=round(day, 4)))
        if total is not None and caller.total_budget is not None:
            row["left"].append(BudgetLeft(per="all", limit_usd=caller.total_budget, left_usd=round(total, 4)))

    def _why(self, lane: str) -> str | None:
        """What was said when a lane paused last."""
        query = "SELECT message FROM lane_events WHERE lane = ? AND message IS NOT NULL ORDER BY id DESC LIMIT 1"
        rows = self._journal.read(query, lane)
        return None if not rows else str(rows[0][0])

    # ---- rows --------------------------------------------------------------------------------------------------------

    async def _show_rows(self) -> None:
        known, jobs = self._known, page_rows.current(self._dispatcher)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._worker, page_rows.look, self._journal.path, known, jobs)
        for job in known.rows - {*jobs, *known.ended}:
            self._hide(job)
        for number, (request, record) in enumerate(found.rows):
            known.rows.add(record.id)
            if record.service == self._session.service and request.deleted_utc is None:
                row = self._row(request, record, found.removed.get(record.id))
                self.shown.put_clip(row, ended=record.state not in page_rows.CHANGING)
            else:
                self._drop(record.id)
            if number % 50 == 49:
                await asyncio.sleep(0)

    def _hide(self, job: int) -> None:
        self._known.rows.discard(job)
        self._drop(job)

    def _drop(self, job: int) -> None:
        self._listing.rows(str(job), ())
        self.shown.drop_clip(str(job))

    def _row(self, request: Request, record: JobRecord, removed_by: str | None) -> ClipRow:
        """The row of a request; `removed_by` is the setting because of which its files were removed."""
        key = str(record.id)
        films = films_of(record, self.home) if removed_by is None else []
        row = clip_row(record, self._frame, videos=self._listing.rows(key, films))
        row["key"], row["prompt_id"], row["caller"] = key, request.door_name, request.caller
        if is_waiting(record):
            row["status"], row["next_move"], row["command"] = "waiting", None, None
        elif row["command"] != "aveo3 check":  # what a person does about a run is not what an operator does
            row["next_move"], row["command"] = _NEXT_MOVES.get(record.state), None
        if removed_by is not None and record.state is State.SUCCEEDED:
            row["error_message"] = f"Its video is not kept on this server any more: {removed_by}."
        return row


_NEXT_MOVES = {
    State.UNCERTAIN: "a video may be billed: its caller was told so, and decides whether to order it again",
    State.FILTERED: "nothing is billed; its caller was told, and may change the prompt",
    State.REJECTED: "its caller was told why",
    State.FAILED: "its caller was told, and may order it again",
}


def _empty(name: str) -> CallerRow:
    return CallerRow(
        name=name,
        has_key=False,
        waiting=0,
        oldest_utc=None,
        running=0,
        succeeded=0,
        failed=0,
        cancelled=0,
        spent_usd=0.0,
        left=[],
    )


def _count(row: CallerRow, total: Total) -> None:
    if waits(total.state, total.why):
        row["waiting"] += total.jobs
    elif total.state in page_rows.CHANGING:
        row["running"] += total.jobs
    elif total.state is State.SUCCEEDED:
        row["succeeded"] += total.jobs
    elif total.state is State.CANCELLED:
        row["cancelled"] += total.jobs
    else:
        row["failed"] += total.jobs


def _whole_seconds(now: datetime, ago: float) -> str:
    """An instant that is the same in each look."""
    return (now - timedelta(seconds=ago)).isoformat(timespec="seconds")
