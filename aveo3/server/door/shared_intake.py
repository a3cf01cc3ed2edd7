"""Accepts requests into a journal that other doors write to, too: they may accept, and withdraw, the same ones.

What decides is the database: a caller's key is taken once, and a request is cancelled or sent, never both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aveo3 import _threads
from aveo3.errors import JournalError
from aveo3.journal.database import KeyTaken, RowChanged
from aveo3.journal.requests import Request
from aveo3.journal.rows import recorded_prompt
from aveo3.journal.totals import totals_of
from aveo3.lifecycle import UNSENT, State
from aveo3.server.door.budgets import CallerBudgets
from aveo3.server.door.callers import Caller
from aveo3.server.door.google_errors import Refused
from aveo3.server.door.intake import STOPPING, Intake
from aveo3.server.door.standing import WITHDRAWN, is_waiting, waits

log = logging.getLogger(__name__)

_ROUNDING = 1e-6


class SharedIntake(Intake):
    """See `Intake`. The journal is read off the event loop where that can be waited for."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._budgets = CallerBudgets(self._journal, self._now_utc, self._prices_of)

    async def _find(self, caller: Caller, key: str | None, body: str, merge_key: str | None) -> Request | None:
        if key is None and merge_key is None:
            return None
        return await _threads.reading.run(self._known, caller, key, body, merge_key)

    def _find_now(self, caller: Caller, key: str | None, body: str, merge_key: str | None) -> Request | None:
        return None  # another door may have it even now: `_on_disk` hears of that

    async def _on_disk(self, request: Request, caller: Caller, body: str, *, is_new: bool) -> Request:
        try:
            await self._journal.on_disk()
        except KeyTaken:
            self._forget(request)
            if (known := await self._find(caller, request.key, body, None)) is None:
                raise
            return known
        except JournalError:
            if is_new:
                self._forget(request)
                self._undo(request)
            raise
        return request

    def _forget(self, request: Request) -> None:
        """Release what was reserved for a request that was not written."""
        self._dispatcher.cancel(request)

    def _undo(self, request: Request) -> None:
        """Nobody knows whether it will be written: if so, it is taken back in the same breath."""
        self._journal.requests.take_back(request.job, told=False)  # its callback is given up later
        self._cancel(request, "its caller, who was told that it was not taken")

    def _cancel(self, request: Request, by: str) -> None:
        changes: dict[str, Any] = {"error_kind": WITHDRAWN, "error_message": f"cancelled by {by} before it was sent"}
        self._journal.move(request.job, State.PLANNED, State.CANCELLED, cost_usd=0.0, **changes)

    async def withdraw(self, request: Request, *, by: str = "its caller") -> bool:
        """See `Intake`. The leader may have its turn at this instant: the database decides."""
        self._dispatcher.cancel(request)
        try:
            [record] = await _threads.reading.run(self._journal.select, "SELECT * FROM jobs WHERE id = ?", request.job)
            if not is_waiting(record):
                return False
            if record.state is not State.PLANNED:
                self._journal.move(request.job, record.state, State.PLANNED)
            self._cancel(request, by)
            self._journal.commit()
            await self._journal.on_disk()
        except RowChanged:
            return False
        except JournalError as error:
            log.error("a request was not cancelled: %s", error)
            raise Refused(503, "The cancellation could not be written to disk.", retry_after=STOPPING) from error
        return True

    def _waiting_of(self, caller: str) -> int:
        service = self._session.service
        return sum(
            each.jobs
            for each in totals_of(self._journal)
            if (each.service, each.caller) == (service, caller) and waits(each.state, each.why)
        )

    def _check_budget(self, cost: float | None, model: str) -> None:
        """See `Intake`: what other doors have taken counts, too."""
        if (limit := self._session.settings.budget) is None:
            return
        if cost is None:
            raise Refused(402, f"{self._session.budget.why_not(model)}.")
        spent = self._journal.spent(self._session.service)
        reserved = sum(usd for _, usd, _ in self._prices_of(None))
        if spent + reserved + cost > limit + _ROUNDING:
            raise Refused(
                402,
                f"US$ {cost:.2f} would exceed the budget of US$ {limit:g} (US$ {spent:.2f} spent): US$ {reserved:.2f} "
                "are reserved for accepted requests.",
            )

    def _reserve(self, job: int, cost: float | None) -> None:
        """Nothing is to be noted: the journal has it."""

    def _prices_of(self, caller: str | None) -> Iterator[tuple[int, float, datetime]]:
        """What each waiting request of `caller` may cost; None for all callers."""
        catalog = self._session.settings.model_catalog
        for record in self._journal.select(
            "SELECT jobs.* FROM requests JOIN jobs ON jobs.id = job WHERE caller = coalesce(?, caller) "
            "AND service = ? AND state IN (?, ?, ?)",
            *(caller, self._session.service, *UNSENT),
        ):
            if is_waiting(record):
                usd = catalog.cost_usd(recorded_prompt(record.prompt), record.model)
                yield record.id, usd or 0.0, record.queued_utc
