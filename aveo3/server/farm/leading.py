"""Leads lanes while it can: waits for their locks, takes up what the last leader left, and lets go when they are lost.

A standby is warm: its backends are connected. What it knows of the quota it reads from the journal when it begins to
lead, for the leader before it used the quota until then. Who loses the locks submits nothing from that instant on. If
nobody else has led when they are back, it goes on as if nothing had happened; else it leaves all jobs to the others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, nullcontext, suppress
from datetime import datetime
from typing import Any

from aveo3 import _threads
from aveo3.dispatch.prior_runs import PriorRuns, lane_key
from aveo3.errors import JournalError, UsageError
from aveo3.journal.journal import Journal
from aveo3.journal.lane_locks import LaneLocks
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.journal.tail import tail
from aveo3.lanes.lanes import Lane
from aveo3.server.door.shared_dispatcher import SharedDispatcher
from aveo3.session import Session

log = logging.getLogger(__name__)

AGAIN = 0.5
"""Seconds until a database that is away is tried again."""

MORE = 1.0
"""Seconds between two looks for lanes that nobody leads any more."""

LEADERS = "leaders"
"""The kind of what the journal keeps of each lane: who has led it last, and since when."""

ALL = "(all lanes)"
"""The lock that stands for all lanes where there is a budget: one process books what they spend."""


class Leading:
    """Leads lanes of `session` by `dispatcher` as long as it is open and holds their `locks`.

    `names`: the lanes to lead, by their names; None for all. `duties` is entered while this process leads any lane.
    `count` is called with each request that has not ended, and its job, when its lane is led.
    """

    def __init__(
        self,
        session: Session,
        dispatcher: SharedDispatcher,
        locks: LaneLocks,
        *,
        names: Collection[str] | None = None,
        duties: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
        count: Callable[[Request, JobRecord], object] = lambda *_: None,
    ) -> None:
        assert session.journal is not None
        self.since_utc: datetime | None = None
        """When it began to lead; None while it does not."""
        self._session = session
        self._journal: Journal = session.journal
        self._dispatcher = dispatcher
        self._locks = locks
        self._duties = duties
        self._count = count
        self._token = secrets.token_hex(8)
        self._task: asyncio.Task[None] | None = None
        self._heard = 0  # the last event of the journal that was heard of
        self._on_duty = AsyncExitStack()
        self._names = names
        self._lanes = self._chosen(names)

    def _chosen(self, names: Collection[str] | None) -> dict[str, Lane]:
        """The lanes to lead, by their keys. Raises `UsageError` if one of `names` is unknown."""
        lanes = self._session.lane_pool.lanes
        settings = self._session.settings
        models = dict.fromkeys((settings.model, *settings.fallback))
        known = lanes.listed or [lane for model in models for lane in lanes.of(model)]
        if unknown := [name for name in names or () if name not in {lane.name for lane in known}]:
            have = ", ".join(lane.name for lane in known)
            raise UsageError(f"no lane is called {', '.join(map(repr, unknown))}: the lanes are {have}.")
        if names is not None and settings.budget is not None and len(set(names)) < len(known):
            raise UsageError(
                f"VEO3_BUDGET={settings.budget:g} is one for all lanes, so one process leads them all: leave the "
                "choice of lanes out, or the budget."
            )
        return {self._lock_of(lane): lane for lane in known if names is None or lane.name in names}

    def _lock_of(self, lane: Lane) -> str:
        return f"{self._session.service} {lane_key(lane)}"

    @property
    def led(self) -> tuple[str, ...]:
        """The names of the lanes that this process leads now."""
        return tuple(lane.name for lane in self._dispatcher.led)

    def start(self) -> None:
        """Begin to wait for the lanes. Nothing is submitted before they are led."""
        self._session.lane_pool.leave()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Leave, and give the locks back. Cancelling it ends the time that submits and downloads under way get."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self._on_duty.aclose()
            await self._dispatcher.close()
        finally:
            self.since_utc = None
            with suppress(JournalError):
                await self._locks.release()

    # ---- waiting, leading, losing ------------------------------------------------------------------------------------

    @property
    def _wanted(self) -> Collection[str]:
        return (self._all,) if self._session.settings.budget is not None else self._lanes

    @property
    def _all(self) -> str:
        return f"{self._session.service} {ALL}"

    def _of(self, held: Collection[str]) -> set[Lane]:
        """The lanes that these locks are of."""
        return {lane for key, lane in self._lanes.items() if self._all in held or key in held}

    async def _run(self) -> None:
        told = None
        while True:
            try:
                if not (held := await self._locks.take_free(self._wanted)):
                    await self._leave()  # another process leads
                    held = await self._locks.wait(self._wanted)
                told = None
                await self._lead(held)
            except JournalError as error:
                if str(error) != told:
                    log.warning("%s", told := str(error))
                await asyncio.sleep(AGAIN)
            except Exception:
                log.exception("leading lanes was interrupted; it goes on in %g s", AGAIN)
                await asyncio.sleep(AGAIN)

    async def _lead(self, held: frozenset[str]) -> None:
        """Lead until the locks are lost."""
        lost = asyncio.ensure_future(self._locks.until_lost())
        lost.add_done_callback(self._hold)
        hearing: list[asyncio.Future[None]] = []
        try:
            lanes = self._of(held)
            newest = await _threads.reading.run(self._journal.last_event)
            if self.since_utc is not None and lanes == self._dispatcher.led and await self._is_unbroken(lanes):
                self._session.lane_pool.lead_on()
            else:
                await self._leave()
                self._heard = newest  # what comes later may not be among what is taken up
                await self._begin(lanes)
            hearing.append(asyncio.ensure_future(self._hear()))
            while not lost.done():
                await asyncio.wait([lost], timeout=MORE)
                self._add_wanted()
                if not lost.done() and len(self._dispatcher.led) < len(self._lanes):
                    more = self._of(await self._locks.take_free(self._wanted)) - self._dispatcher.led
                    if more:
                        await self._begin(more)
        finally:
            self._session.lane_pool.stand_by()
            lost.cancel()
            for task in hearing:
                task.cancel()

    async def _hear(self) -> None:
        """Go on with what other processes change."""
        async with aclosing(tail(self._journal, self._heard)) as changes:
            async for jobs, last in changes:
                while self._dispatcher.led:
                    try:
                        await self._dispatcher.heard(jobs)
                        self._heard = last
                        break
                    except JournalError as error:
                        log.debug("%s", error)
                        await asyncio.sleep(AGAIN)

    def _add_wanted(self) -> None:
        """Without configured lanes each model has one, which is known from its first request on."""
        if self._names is None and not self._session.lane_pool.lanes.listed:
            self._lanes |= {self._lock_of(lane): lane for lane in self._dispatcher.wanted}

    def _hold(self, _: object) -> None:
        """The locks are lost: submit nothing from this instant on."""
        self._session.lane_pool.stand_by()

    async def _begin(self, lanes: Collection[Lane]) -> None:
        """Lead `lanes`, beside those that are led already. If that fails, lead none: half of it would be forgotten."""
        try:
            await self._take_over(lanes)
        except BaseException:
            await self._leave()
            raise

    async def _take_over(self, lanes: Collection[Lane]) -> None:
        pool, session, now = self._session.lane_pool, self._session, self._session.now_utc()
        for lane in lanes:
            await pool.open_lane(lane, for_use=False)
        leads_already, self.since_utc = self.since_utc is not None, self.since_utc or now
        pool.lead(lanes, await _threads.reading.run(_used, self._journal, session.service, now, lanes))
        if session.settings.budget is not None:
            # What this run has in flight from an earlier time counts twice: rather too much than too little.
            spent = await _threads.reading.run(self._journal.spent, session.service)
            session.budget.before = max(0.0, spent - session.budget.spent)
        for lane in lanes:
            self._journal.keep(session.service, LEADERS, lane_key(lane), self._entry(lane, now), fenced=True)
            log.info("this process leads lane %s", lane.name)
        await self._dispatcher.lead(lanes, self._count)
        if not leads_already:
            await self._on_duty.enter_async_context(self._duties())

    def _entry(self, lane: Lane, now: datetime) -> dict[str, Any]:
        return {
            "lane": lane.name,
            "worker": self._token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since_utc": now.isoformat(),
        }

    async def _is_unbroken(self, lanes: Collection[Lane]) -> bool:
        """True if nobody else has led `lanes` since this process lost them."""
        kept = await _threads.reading.run(leaders, self._journal, self._session.service)
        return all(kept.get(lane_key(lane), {}).get("worker") == self._token for lane in lanes)

    async def _leave(self) -> None:
        """Lead no lane any more. What waits and runs is left to the next leader."""
        if self.since_utc is None:
            return
        self.since_utc = None
        await self._on_duty.aclose()
        await self._dispatcher.leave()


def leaders(journal: Journal, service: str) -> Mapping[str, Mapping[str, Any]]:
    """Who has led each lane last, by the lane's key: `lane`, `worker`, `host`, `pid`, `since_utc`.

    Raises `JournalError`.
    """
    return journal.kept(service, LEADERS)


def _used(journal: Journal, service: str, now: datetime, lanes: Collection[Lane]) -> PriorRuns:
    """What is known of the quota of `lanes` by now. Blocks."""
    prior_runs = PriorRuns(journal, service, now)
    for lane in lanes:
        prior_runs.of_lane(lane)  # reads, once for all
    return prior_runs
