"""What the requests of each caller may cost: per day, and in all. Prices are reserved when a request is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aveo3.journal.journal import Journal
from aveo3.lifecycle import SPENT
from aveo3.quota.windows import next_pacific_midnight
from aveo3.server.door.callers import Caller
from aveo3.server.door.google_errors import Refused

_ROUNDING = 1e-6


@dataclass(slots=True)
class _Account:
    ends: datetime
    """The end of the day that `day_usd` is of."""
    total_usd: float = 0.0
    day_usd: float = 0.0
    """What ended requests cost that were accepted on this day."""
    reserved: dict[int, tuple[float, datetime]] = field(default_factory=dict)
    """Of each request that has not ended: US$, and the end of the day on which it was accepted."""


class CallerBudgets:
    """The accounts of the callers that have a budget, opened when they are first needed, from the journal.

    `prices_of` reads the jobs of a caller that wait, what they may cost and when they were accepted, each time anew:
    where other processes accept requests, too. None: all are accepted and ended here.
    """

    def __init__(
        self,
        journal: Journal,
        now_utc: Callable[[], datetime],
        prices_of: Callable[[str], Iterable[tuple[int, float, datetime]]] | None = None,
    ) -> None:
        self._journal = journal
        self._prices_of = prices_of
        self._now_utc = now_utc
        self._accounts: dict[str, _Account] = {}
        self._early: dict[str, dict[int, tuple[float, datetime]]] = {}

    def note_open(self, caller: str, job: int, usd: float, accepted_utc: datetime) -> None:
        """Reserve the price of a request that an earlier run accepted and that has not ended."""
        self._early.setdefault(caller, {})[job] = usd, next_pacific_midnight(accepted_utc)

    def check(self, caller: Caller, usd: float | None) -> None:
        """Raise `Refused` if a request of `usd` (None: of unknown price) does not fit."""
        if caller.day_budget is None and caller.total_budget is None:
            return
        if usd is None:
            raise Refused(402, "The price of this model is unknown, and your key has a budget.")
        account = self._account(caller.account)
        reserved = sum(each for each, _ in account.reserved.values())
        total = account.total_usd + reserved
        if caller.total_budget is not None and total + usd > caller.total_budget + _ROUNDING:
            raise Refused(
                402,
                f"US$ {usd:.2f} would exceed the budget of your key, US$ {caller.total_budget:g}: US$ {total:.2f} are "
                "spent or reserved.",
            )
        day = account.day_usd + sum(each for each, ends in account.reserved.values() if ends == account.ends)
        if caller.day_budget is not None and day + usd > caller.day_budget + _ROUNDING:
            message = (
                f"US$ {usd:.2f} would exceed the budget of your key, US$ {caller.day_budget:g} a day: US$ {day:.2f} "
                f"are spent or reserved. The next day begins at {account.ends:%Y-%m-%d %H:%M} UTC."
            )
            if usd > caller.day_budget + _ROUNDING:
                raise Refused(402, message)
            raise Refused(429, message, retry_after=(account.ends - self._now_utc()).total_seconds())

    def left(self, caller: Caller) -> tuple[float | None, float | None]:
        """US$ that `caller` has left today, and in all; None where it has no budget."""
        if caller.day_budget is None and caller.total_budget is None:
            return None, None
        account = self._account(caller.account)
        day = account.day_usd + sum(usd for usd, ends in account.reserved.values() if ends == account.ends)
        total = account.total_usd + sum(usd for usd, _ in account.reserved.values())
        return (
            None if caller.day_budget is None else caller.day_budget - day,
            None if caller.total_budget is None else caller.total_budget - total,
        )

    def reserve(self, caller: Caller, job: int, usd: float) -> None:
        """Reserve the price of a request that was just accepted, if its caller has a budget."""
        if self._prices_of is not None:
            return
        if caller.account in self._accounts:
            account = self._account(caller.account)
            account.reserved[job] = usd, account.ends
        else:
            self.note_open(caller.account, job, usd, self._now_utc())

    def ended(self, caller: str, job: int) -> None:
        """Replace what was reserved for a job by what it cost."""
        self._early.get(caller, {}).pop(job, None)
        if (account := self._accounts.get(caller)) is None or (kept := account.reserved.pop(job, None)) is None:
            return
        _, ends = kept
        spent = self._spent("job = ?", job)
        account.total_usd += spent
        account.day_usd += spent if ends == account.ends else 0.0

    def _account(self, caller: str) -> _Account:
        ends = next_pacific_midnight(self._now_utc())
        if self._prices_of is not None:
            self._accounts.pop(caller, None)
            self._early[caller] = {
                job: (usd, next_pacific_midnight(accepted)) for job, usd, accepted in self._prices_of(caller)
            }
        if caller not in self._accounts:
            reserved = self._early.pop(caller, {})
            open_jobs = ", ".join(map(str, reserved)) or "0"
            ended = f"caller = ? AND job NOT IN ({open_jobs})"
            begin = next_pacific_midnight(ends - timedelta(hours=26))  # the midnight before
            total = self._spent(ended, caller)
            day = self._spent(f"{ended} AND queued_utc >= ?", caller, begin.isoformat())
            self._accounts[caller] = _Account(ends, total, day, reserved)
        account = self._accounts[caller]
        if account.ends != ends:
            account.ends, account.day_usd = ends, 0.0
        return account

    def _spent(self, which: str, *values: object) -> float:
        marks = ", ".join("?" * len(SPENT))
        query = (
            f"SELECT coalesce(sum(coalesce(sunk_usd, 0) + CASE WHEN state IN ({marks}) THEN coalesce(cost_usd, 0) "
            f"ELSE 0 END), 0) FROM requests JOIN jobs ON jobs.id = job WHERE {which}"
        )
        return float(self._journal.read(query, *SPENT, *values)[0][0])
