"""The emulated Google behind every wire protocol: clock, quotas, faults, operations, films and books.

A wire turns requests into `Order`s, calls `admit`, and turns operations into response bodies. Nothing here has a timer:
`settle` catches up on all events that are due, such as the ends of operations and the steps of the scenario.
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
from aveo3.mock.error_bodies import Answer, RequestError, message_of
from aveo3.mock.models import Sold
from aveo3.mock.quota_rules import Moment, QuotaLane, QuotaRule
from aveo3.mock.quotas import Quotas, Violation
from aveo3.mock.refusals import RefusalWriter, misleading_delay
from aveo3.mock.state.clock import Clock, system_utc
from aveo3.mock.state.films import Films, FilmSpec
from aveo3.mock.state.gcs_buckets import Buckets
from aveo3.mock.state.ledger import Books
from aveo3.mock.state.operations import SUCCESS, File, Operation, Operations, Order
from aveo3.mock.state.request_log import Masks, Recent, Request, shortened

log = logging.getLogger(__name__)


class Emulator:
    """The state of one emulated Google. Every method that is not `async` runs without interruption."""

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
        self.pending_steps = deque(self.scenario.steps)
        """The steps of the scenario that are still to come."""
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
        self._end_events: dict[str, asyncio.Event] = {}
        """One for each operation that a request waits for; set when the operation ends."""

    def settle(self) -> float:
        """End operations and apply scenario steps that are due. Returns the current time in emulator seconds."""
        now = self.clock.now()
        while self.pending_steps and self.pending_steps[0].at <= now:
            self._apply(self.pending_steps.popleft())
        self.operations.settle(now)
        return now

    def _ended(self, operation: Operation) -> None:
        self.books.finish(operation)
        operation.ended = self.clock.utc_at(operation.done_at)
        if (end_event := self._end_events.pop(operation.id, None)) is not None:
            end_event.set()
        self.buckets.put(operation, operation.ended)

    def _apply(self, step: Step) -> None:
        self.change(**step.changes)
        log.info("scenario, %s: %s", clock_face(step.at), step)

    async def run_scenario(self) -> None:
        """Apply each step when it is due, also while no requests come in."""
        while self.pending_steps:
            # Sleep at least a little: in virtual time a delay that rounding turns into zero would never pass.
            await self.clock.sleep(max(self.pending_steps[0].at - self.clock.now(), 0.001))
            self.settle()

    def change(self, **changes: Any) -> None:
        """Change options of the running emulator, as in `MockOptions`. Used quota stays used.

        If `faults` are among the changes, they count their hits from 1 again. Raises TypeError for the options in
        `FIXED`.
        """
        if fixed := FIXED & changes.keys():
            raise TypeError(f"{', '.join(sorted(fixed))} cannot change while the emulator runs.")
        before, self.options = self.options, MockOptions.model_validate(dict(self.options) | changes)
        if self.options.rules() != before.rules():
            self.quotas.rules = self.options.rules()
        if "faults" in changes:
            self.set_faults(self.options.faults)

    def strike(self, *points: Point) -> str | None:
        """Return the fault that strikes the current request at one of `points`, or None. The books count it."""
        self.settle()
        fault = self.faults.strike(*points)
        if fault is not None:
            self.books.faults[fault] += 1
        return fault

    def admit(self, lane: QuotaLane, order: Order, model: Sold, parent: str, *more: Point) -> Operation:
        """Accept an order, which is owed from now on, or raise RequestError with the 429 of the rules without room.

        Faults at `Point.OUTCOME`, and at the `more` points of the wire, decide how the operation ends.
        """
        now = self.settle()
        moment = Moment(now, self.clock.utc())
        options = self.options
        violations = self.quotas.judge(lane, moment, usd=order.usd, running=self.operations.running(lane))
        if violations:
            labels = [violation.rule.label for violation in violations]
            self.books.refuse(labels)
            raise RequestError(self.refusal(violations, lane, model), ", ".join(labels))
        outcome = self.strike(Point.OUTCOME, *more) or SUCCESS
        latency = options.latency.draw(self.rng) * options.slowdown
        if outcome in ("slow", "stuck"):
            outcome, latency = SUCCESS, latency * 10 if outcome == "slow" else math.inf
        operation = self.operations.accept(lane, order, model.surface, parent, outcome, now + latency)
        operation.processing = options.processing.draw(self.rng)
        self.books.accept(order.prompt)
        return operation

    def cancel(self, operation: Operation) -> None:
        """Stop a running operation. It leaves no film and is not billed."""
        self.operations.cancel(operation, self.settle())

    def refusal(self, violations: Iterable[Violation], lane: QuotaLane, model: Sold) -> Answer:
        """Build the 429 for `violations`, with the delay in seconds of the client's clock."""
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

    def no_access(self, lane: QuotaLane, model: Sold) -> Answer:
        """Build the 429 of a project without any quota for this model. It always shows the limit of 0."""
        zero = Violation(QuotaRule(kind="day", limit=0), math.inf)
        return RefusalWriter().write((zero,), lane, model.base, model.surface, None)

    def quota_use(self, newest: int | None = None) -> list[dict[str, Any]]:
        """Return, for each lane or the `newest` ones, the used quota and the counts of accepted and refused submits."""
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

    def owner(self, lane: QuotaLane) -> str:
        """The owner of a lane as it may be shown: the name of the project, or a masked key."""
        return self.masks.mask(lane.owner) if lane.secret else f"project {lane.owner}"

    def arrived(self, owner: str, model: str, port: int | None) -> Request:
        """Log a submit from a client's `port`. The handler completes the entry when it answers."""
        return self.recent.note(self.settle(), owner, model, port)

    @contextmanager
    def on_record(self, entry: Request) -> Iterator[None]:
        """Log the reason in `entry` if the code inside the `with` raises RequestError."""
        try:
            yield
        except RequestError as refused:
            entry.answer, entry.why = "refused", refused.why
            if refused.answer.status != 429:
                self.books.rejected[refused.answer.status] += 1
                why = shortened(message_of(refused.answer))
                entry.answer, entry.why = "rejected", f"{refused.answer.status}: {why}"
            raise

    def file(self, file_id: str) -> File | None:
        """Return a file of the Developer API, or None if it never existed. The caller has to check `expired`."""
        self.settle()
        return self.operations.files.get(file_id)

    def expired(self, file: File) -> bool:
        return self.clock.now() >= file.operation.done_at + self.options.retention

    def extendable(self, file_id: str) -> float | None:
        """Return the length of a file in seconds. None if it cannot be extended: unknown, expired or not 720p."""
        file = self.file(file_id)
        if file is None or self.expired(file) or file.operation.order.resolution != "720p":
            return None
        return file.operation.order.film_seconds

    async def film(self, operation: Operation, sample: int) -> bytes:
        order = operation.order
        spec = FilmSpec(order.prompt, order.film_seconds, order.aspect, order.resolution, sample, order.sound)
        return await self.films.film(spec)

    async def travel(self) -> None:
        """Wait for half a round trip."""
        self.settle()
        await self.clock.sleep(self.options.rtt.draw(self.rng) / 2)

    async def hang(self) -> None:
        """Wait for `hang` emulator seconds, or until the server stops."""
        await self.idle(self.options.hang)

    async def idle(self, duration: float) -> None:
        """Wait for `duration` emulator seconds, or until the server stops."""
        await self._wait(self.closing, duration)

    async def wait_for_end(self, operation: Operation) -> None:
        """Wait until `operation` has ended, or the server stops."""
        while not (operation.done or self.closing.is_set()):
            end_event = self._end_events.setdefault(operation.id, asyncio.Event())
            # At least a little, for the reason in `run_scenario`.
            await self._wait(end_event, max(operation.done_at - self.clock.now(), 0.001))
            self.settle()

    async def _wait(self, event: asyncio.Event, duration: float) -> None:
        """Wait for `event`, at most `duration` emulator seconds, which may be infinite."""
        with suppress(TimeoutError):
            async with asyncio.timeout(duration / self.clock.speed if math.isfinite(duration) else None):
                await event.wait()

    def close(self) -> None:
        """Release all requests that wait in this class."""
        self.closing.set()
        for event in self._end_events.values():
            event.set()

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Replace the faults. Their counts start again."""
        faults = tuple(faults)
        self.options = self.options.model_copy(update={"faults": faults})
        self.faults = Faults(faults, self.options.seed)


def clock_face(seconds: float) -> str:
    """Format an emulator instant for people: 0:00, 12:30, 2:05:00."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
