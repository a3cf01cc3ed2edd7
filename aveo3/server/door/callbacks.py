"""Tells callers' addresses which requests have ended: signed as Standard Webhooks say, and again until one answers 2xx.

The journal is the queue: a callback is written with its request, and closed when it was delivered or given up. So a
kill loses none, and may repeat one; its `webhook-id` stays the same. Each caller has lanes of its own, so a dead
address delays nobody else's, and nothing here delays the queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import aiohttp

from aveo3.config.catalog import Catalog
from aveo3.errors import JournalError
from aveo3.journal.journal import Journal
from aveo3.server.door import callback_address
from aveo3.server.door.callback_bodies import body_of
from aveo3.server.door.callers import Caller
from aveo3.server.door.standing import has_ended

log = logging.getLogger(__name__)

WAITS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 36000.0)
"""Seconds from each attempt that failed to the next: eleven attempts in about a day."""

ANSWER_WITHIN = 15.0
"""Seconds that an attempt may take in all."""

AT_A_TIME = 4
"""Attempts under way for each caller."""

DELIVERED, GONE = "delivered", 410


class Undelivered(Exception):
    """An attempt that failed, and why. `final` if another would, too."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


@dataclass(slots=True)
class _Lane:
    """The callbacks of one caller whose time has come."""

    due: deque[int] = field(default_factory=deque)
    busy: int = 0


class CallbackSender:
    """Sends what is due while it is open. `caller_named` returns None for a caller without a key."""

    def __init__(
        self,
        journal: Journal,
        *,
        caller_named: Callable[[str], Caller | None],
        catalog: Catalog,
        private: bool,
        rng: random.Random,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._journal = journal
        self._caller_named = caller_named
        self._catalog = catalog
        self._private = private
        self._rng = rng
        self._now_utc = now_utc
        self._lanes: dict[str, _Lane] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._queued: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self._closed = False

    def start(self, is_busy: Callable[[int], bool]) -> None:
        """Take up what an earlier run has not delivered. Jobs that this one works on come when they have ended."""
        for job in self._journal.callbacks.open_jobs():
            if not is_busy(job):
                self.ended(job)

    def ended(self, job: int) -> None:
        """Have the callback of `job` sent in its turn, if it has one and has ended."""
        if self._closed or job in self._queued or job in self._timers:
            return
        try:
            callback = self._journal.callbacks.of_job(job)
            request = self._journal.requests.of_job(job) if callback is not None else None
            if callback is None or request is None:
                return
            [record] = self._journal.select("SELECT * FROM jobs WHERE id = ?", job)
        except JournalError as error:  # the next start finds it
            log.error("%s", error)
            return
        if not has_ended(record, busy=False):
            return
        wait = 0.0 if callback.due is None else (callback.due - self._now_utc()).total_seconds()
        self._schedule(request.caller, job, min(max(0.0, wait), WAITS[-1]))  # a clock may have been set

    async def close(self) -> None:
        """Stop at once; what was not delivered is taken up by the next start."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        for task in (tasks := [*self._tasks]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def _schedule(self, caller: str, job: int, wait: float) -> None:
        if wait > 0:
            self._timers[job] = asyncio.get_running_loop().call_later(wait, self._due, caller, job)
        else:
            self._due(caller, job)

    def _due(self, caller: str, job: int) -> None:
        self._timers.pop(job, None)
        if self._closed:
            return
        lane = self._lanes.setdefault(caller, _Lane())
        lane.due.append(job)
        self._queued.add(job)
        if lane.busy < AT_A_TIME:
            lane.busy += 1
            task = asyncio.get_running_loop().create_task(self._work(caller, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, caller: str, lane: _Lane) -> None:
        """Send what is due for a caller, one after the other."""
        try:
            while lane.due:
                job = lane.due.popleft()
                again: float | None = WAITS[-1]
                try:
                    again = await self._attempt(caller, job)
                except JournalError as error:
                    log.error("%s", error)
                    again = WAITS[2]
                except Exception:
                    log.exception("a callback failed")
                finally:
                    self._queued.discard(job)
                if again is not None:
                    self._schedule(caller, job, again)
        finally:
            lane.busy -= 1

    async def _attempt(self, caller: str, job: int) -> float | None:
        """Send one callback and note what came of it. The seconds until the next attempt; None without one."""
        callback, request = self._journal.callbacks.of_job(job), self._journal.requests.of_job(job)
        if callback is None or request is None:
            return None
        [record] = self._journal.select("SELECT * FROM jobs WHERE id = ?", job)
        if not has_ended(record, busy=False):  # somebody has had it sent again: its end comes again, too
            return None
        await self._journal.on_disk()  # an end that is told stays
        attempts = callback.attempts + 1
        try:
            if request.deleted_utc is not None:
                raise Undelivered("the caller deleted it", final=True)
            body = json.dumps(body_of(request, record, base=callback.base, catalog=self._catalog))
            await self._post(callback.url, request.door_name, body, self._caller_named(caller))
        except Undelivered as error:
            now = self._now_utc()
            if error.final or attempts > len(WAITS):
                log.warning(
                    "%s: the callback for %s was given up at attempt %d: %s", caller, request.door_name, attempts, error
                )
                closed = replace(callback, attempts=attempts, next_utc=None, closed_utc=now.isoformat())
                self._journal.callbacks.change(replace(closed, outcome=f"given up: {error}"))
                return None
            wait = WAITS[attempts - 1] * self._rng.uniform(0.9, 1.0)  # so that not all come back at the same instant
            log.info("%s: a callback failed, next attempt in %.0f s: %s", caller, wait, error)
            due = (now + timedelta(seconds=wait)).isoformat()
            self._journal.callbacks.change(replace(callback, attempts=attempts, next_utc=due, outcome=str(error)))
            return wait
        self._journal.callbacks.change(
            replace(
                callback,
                attempts=attempts,
                next_utc=None,
                closed_utc=self._now_utc().isoformat(),
                outcome=DELIVERED,
            )
        )
        return None

    async def _post(self, url: str, number: str, body: str, caller: Caller | None) -> None:
        """POST a signed `body`. Raises `Undelivered` unless the answer is a 2xx."""
        if caller is None or not caller.callback_secret:
            raise Undelivered("the caller has no key, or no secret, any more")
        if (why := callback_address.why_not(url, private=self._private)) is not None:
            raise Undelivered(why)
        try:
            from standardwebhooks import Webhook
        except ImportError:
            raise Undelivered("the package standardwebhooks is missing: pip install 'aveo3[server]'") from None
        now = self._now_utc()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "aveo3",
            "webhook-id": number,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(caller.callback_secret).sign(number, now.astimezone(UTC), body),
        }
        if self._http is None:
            self._http = self._session()
        try:
            async with self._http.post(url, data=body.encode(), headers=headers, allow_redirects=False) as answer:
                status = answer.status
                answer.close()  # nobody reads what it says
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise Undelivered(f"{type(error).__name__}: {error}"[:300]) from None
        if not 200 <= status < 300:
            raise Undelivered(f"HTTP {status}", final=status == GONE)

    def _session(self) -> aiohttp.ClientSession:
        return callback_address.session(ANSWER_WITHIN, private=self._private)
