"""What Google is made of, whatever wire one speaks to it: clock, quotas, faults, operations, films and books.

A wire turns requests into `Order`s and operations into bodies; between the two it calls `admit`. Nothing here has a
timer: whatever time has brought, the end of an operation or a step of the scenario, is caught up on by `settle`.
"""

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from aveo3.mock.config.faults import Fault, Faults, Point
from aveo3.mock.config.options import FIXED, MockOptions
from aveo3.mock.config.scenario import Scenario, Step
from aveo3.mock.error_bodies import Answer, RefusalWriter, Refused, misleading_delay, said
from aveo3.mock.models import Sold
from aveo3.mock.quotas import Lane, Moment, QuotaRule, Quotas, Violation
from aveo3.mock.state.clock import Clock, system_utc
from aveo3.mock.state.films import Films, FilmSpec
from aveo3.mock.state.gcs_buckets import Buckets
from aveo3.mock.state.ledger import Books
from aveo3.mock.state.operations import SUCCESS, File, Operation, Operations, Order
from aveo3.mock.state.request_log import Masks, Recent, Request, shortened

log = logging.getLogger(__name__)


class Emulator:
    """One emulated Google. Every method that is not `async` is one uninterrupted step."""

    def __init__(
        self,
        options: MockOptions,
        *,
        scenario: Scenario | None = None,
        now_utc: Callable[[], datetime] = system_utc,
        rng: random.Random | None = None,
    ) -> None:
        self.options = options
        self.scenario = scenario if scenario is not None else Scenario()
        self.to_come = deque(self.scenario.steps)
        """The steps of the scenario that have not happened yet."""
        self.rng = rng if rng is not None else random.Random(options.seed)
        self.clock = Clock(options.speed, now_utc)
        self.quotas = Quotas(options.rules())
        self.faults = Faults(options.faults, options.seed)
        self.books = Books(refresh=self.settle, quotas=self.quota_use)
        self.masks = Masks()
        self.recent = Recent()
        self.operations = Operations(self._ended)
        self.buckets = Buckets()
        self.films = Films(options.films)
        self.closing = asyncio.Event()
        self._bells: dict[str, asyncio.Event] = {}
        """For each operation that somebody sits out; rung when it ends."""

    def settle(self) -> float:
        """End the operations and take the scenario's steps that are due by now; returns the emulator's seconds."""
        now = self.clock.now()
        while self.to_come and self.to_come[0].at <= now:
            self._take(self.to_come.popleft())
        self.operations.settle(now)
        return now

    def _ended(self, operation: Operation) -> None:
        self.books.finish(operation)
        operation.ended = self.clock.utc_at(operation.done_at)
        if (bell := self._bells.pop(operation.id, None)) is not None:
            bell.set()
        self.buckets.put(operation, operation.ended)

    def _take(self, step: Step) -> None:
        self.change(**step.changes)
        log.info("scenario, %s: %s", clock_face(step.at), step)

    async def live_through_the_scenario(self) -> None:
        """Take each step when it is due, also while nobody asks for anything."""
        while self.to_come:
            # Never nothing: on a loop whose time stands still, what roundings leave over would be waited for for ever.
            await self.clock.sleep(max(self.to_come[0].at - self.clock.now(), 0.001))
            self.settle()

    def change(self, **changes: Any) -> None:
        """Change options while it runs, as in `MockOptions`; what was used of a quota stays used.

        `faults` count their hits from 1 again, if they are among the changes. Raises TypeError for what is fixed.
        """
        if fixed := FIXED & changes.keys():
            raise TypeError(f"{', '.join(sorted(fixed))} cannot change while the emulator runs.")
        before, self.options = self.options, MockOptions.model_validate(dict(self.options) | changes)
        if self.options.rules() != before.rules():
            self.quotas.rules = self.options.rules()
        if "faults" in changes:
            self.set_faults(self.options.faults)

    def strike(self, *points: Point) -> str | None:
        """The fault that hits what is happening, entered in the books."""
        self.settle()
        fault = self.faults.strike(*points)
        if fault is not None:
            self.books.faults[fault] += 1
        return fault

    def admit(self, lane: Lane, order: Order, model: Sold, parent: str, *more: Point) -> Operation:
        """Accept an order, from now on owed for, or raise Refused with the 429 of the rules that have no room.

        How it ends is a matter of the faults of `Point.OUTCOME`, and of `more` points of the wire's own.
        """
        now = self.settle()
        moment = Moment(now, self.clock.utc())
        options = self.options
        violations = self.quotas.judge(lane, moment, usd=order.usd, running=self.operations.running(lane))
        if violations:
            labels = [violation.rule.label for violation in violations]
            self.books.refuse(labels)
            raise Refused(self.refusal(violations, lane, model), ", ".join(labels))
        outcome = self.strike(Point.OUTCOME, *more) or SUCCESS
        latency = options.latency.draw(self.rng) * options.slowdown
        if outcome in ("slow", "stuck"):
            outcome, latency = SUCCESS, latency * 10 if outcome == "slow" else math.inf
        operation = self.operations.accept(lane, order, model.surface, parent, outcome, now + latency)
        operation.processing = options.processing.draw(self.rng)
        self.books.accept(order.prompt)
        return operation

    def cancel(self, operation: Operation) -> None:
        """Stop an operation that runs; it leaves nothing, and is not billed."""
        self.operations.cancel(operation, self.settle())

    def refusal(self, violations: Iterable[Violation], lane: Lane, model: Sold) -> Answer:
        """The 429 for `violations`, with its delay on the client's clock."""
        violations = tuple(violations)
        delay = misleading_delay(violations, self.clock.now(), self.rng)
        wait = None if delay is None else self.clock.client_seconds(delay)
        options = self.options
        writer = RefusalWriter(options.refusal_body, options.retry_info, options.quota_value)
        answer = writer.write(violations, lane, model.base, model.surface, wait)
        header = {"Retry-After": str(math.ceil(wait))} if options.retry_after and wait is not None else {}
        kinds = {violation.rule.kind for violation in violations}
        word = "quota_exceeded" if "day" in kinds else "rate_limit_exceeded" if kinds & {"minute", "spend"} else ""
        return replace(answer, headers=header, word=word)

    def no_access(self, lane: Lane, model: Sold) -> Answer:
        """The 429 of a project that has been given no quota for this model; always shows its limit of 0."""
        zero = Violation(QuotaRule(kind="day", limit=0), math.inf)
        return RefusalWriter().write((zero,), lane, model.base, model.surface, None)

    def quota_use(self, newest: int | None = None) -> list[dict[str, Any]]:
        """What each lane (or the `newest` of them) uses of its quotas now, and how often it was let in."""
        moment = Moment(self.settle(), self.clock.utc())
        return [
            {
                "owner": self.owner(lane),
                "location": lane.location,
                "model": lane.model,
                "accepted": visits.accepted,
                "refused": visits.refused,
                "rules": [
                    {
                        "kind": use.rule.kind,
                        "used": round(use.used, 2),
                        "limit": use.rule.limit,
                        "period": use.rule.period if use.rule.kind in ("minute", "spend") else None,
                    }
                    for use in self.quotas.usage(lane, moment, running=self.operations.running(lane))
                ],
            }
            for lane, visits in list(self.quotas.lanes.items())[-newest if newest else None :]
        ]

    def owner(self, lane: Lane) -> str:
        """Who that is, as it may be shown: a project's name, a masked key."""
        return self.masks.mask(lane.owner) if lane.secret else f"project {lane.owner}"

    def arrived(self, owner: str, model: str) -> Request:
        """Write a submit down; its story is completed by whoever answers it."""
        return self.recent.note(self.settle(), owner, model)

    @contextmanager
    def on_record(self, entry: Request) -> Iterator[None]:
        """Writes down why the submit of `entry` is turned away, if it is."""
        try:
            yield
        except Refused as refused:
            entry.answer, entry.why = "refused", refused.why
            if refused.answer.status != 429:
                self.books.rejected[refused.answer.status] += 1
                entry.answer, entry.why = "rejected", f"{refused.answer.status}: {shortened(said(refused.answer))}"
            raise

    def file(self, file_id: str) -> File | None:
        """A film on the shelf; None if it never was there. Whether it has expired is for the caller to ask."""
        self.settle()
        return self.operations.files.get(file_id)

    def expired(self, file: File) -> bool:
        return self.clock.now() >= file.operation.done_at + self.options.retention

    def extendable(self, file_id: str) -> float | None:
        """How long a file lasts that may be extended: on the shelf, not expired, 720p."""
        file = self.file(file_id)
        if file is None or self.expired(file) or file.operation.order.resolution != "720p":
            return None
        return file.operation.order.film_seconds

    async def film(self, operation: Operation, sample: int) -> bytes:
        order = operation.order
        return await self.films.film(FilmSpec(order.prompt, order.film_seconds, order.aspect, order.resolution, sample))

    async def travel(self) -> None:
        """Half a round trip."""
        self.settle()
        await self.clock.sleep(self.options.rtt.draw(self.rng) / 2)

    async def hang(self) -> None:
        """Say nothing for `hang` seconds, or until the server stops."""
        await self.idle(self.options.hang)

    async def idle(self, duration: float) -> None:
        """Let so many emulator seconds pass, or wait until the server stops."""
        await self._listen(self.closing, duration)

    async def sit_out(self, operation: Operation) -> None:
        """Until `operation` has ended, or the server stops."""
        while not (operation.done or self.closing.is_set()):
            bell = self._bells.setdefault(operation.id, asyncio.Event())
            # Never nothing: see `live_through_the_scenario`.
            await self._listen(bell, max(operation.done_at - self.clock.now(), 0.001))
            self.settle()

    async def _listen(self, bell: asyncio.Event, duration: float) -> None:
        """Until `bell` rings, for so many emulator seconds at most; they may be infinite."""
        with suppress(TimeoutError):
            async with asyncio.timeout(duration / self.clock.speed if math.isfinite(duration) else None):
                await bell.wait()

    def close(self) -> None:
        """Let go whoever waits here."""
        self.closing.set()
        for bell in self._bells.values():
            bell.set()

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Replace the faults; their counts start again."""
        faults = tuple(faults)
        self.options = self.options.model_copy(update={"faults": faults})
        self.faults = Faults(faults, self.options.seed)


def clock_face(seconds: float) -> str:
    """An emulator instant as a person reads it: 0:00, 12:30, 2:05:00."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
