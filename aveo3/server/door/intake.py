"""Accepts a request: checks it as a run would, reserves its price, and has it on disk before it is answered."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from aveo3 import _threads
from aveo3.errors import JournalError
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord, recorded_prompt
from aveo3.lanes.lanes import wire_of
from aveo3.lanes.routing import Route
from aveo3.lifecycle import State
from aveo3.models import VideoPrompt
from aveo3.server.door.budgets import CallerBudgets
from aveo3.server.door.callers import Caller
from aveo3.server.door.disk_room import DiskRoom
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.server.door.google_errors import Refused, invalid
from aveo3.server.door.media_fetcher import MediaFetcher
from aveo3.server.door.media_store import MediaStore, hashes_in
from aveo3.server.door.observer import Observer
from aveo3.server.door.standing import WITHDRAWN, is_waiting
from aveo3.server.door.veo_requests import Order
from aveo3.session import Session

log = logging.getLogger(__name__)

LONGEST_KEY = 255
"""Characters of an idempotency key."""

STOPPING = 10.0
"""Seconds after which a client may ask again while the server stops or its disk is full."""


class Intake:
    """Writes requests into the journal of `session` and hands them to `dispatcher`."""

    def __init__(
        self,
        session: Session,
        dispatcher: Dispatcher,
        media: MediaStore,
        now_utc: Callable[[], datetime],
        observer: Observer,
        *,
        disk: DiskRoom,
        fetcher: MediaFetcher | None = None,
        merge_equal: float | None = None,
        on_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`on_end` is called with the number of each job that has ended.

        `fetcher` gets the media that are named by `https://`; None to leave them to Google.

        `merge_equal`: seconds in which equal requests without a key are one; None to take each.
        """
        assert session.journal is not None
        self.closed: str | None = "the server is starting"
        """Why the server takes no new requests; None if it does."""
        self._session = session
        self._journal = session.journal
        self._dispatcher = dispatcher
        self._media = media
        self._observer = observer
        self._disk = disk
        self._fetcher = fetcher
        self._now_utc = now_utc
        self._merge_equal = None if merge_equal is None else timedelta(seconds=merge_equal)
        self._on_end = on_end
        self._budgets = CallerBudgets(session.journal, now_utc)
        self._reserved: dict[int, float] = {}  # US$ of each request that has not ended; empty without a budget
        self._reserved_usd = 0.0

    @property
    def fetches(self) -> bool:
        """True if media are fetched from where a request names them."""
        return self._fetcher is not None

    @property
    def budgets(self) -> CallerBudgets:
        """What each caller has left."""
        return self._budgets

    @property
    def held(self) -> str | None:
        """Why nothing is submitted, though requests may be taken; None if all is well."""
        return "little room is left on its disk: it sends nothing until there is" if self._disk.is_low else None

    @property
    def not_ready(self) -> str | None:
        """Why no request can be taken now; None if all is well."""
        return self.closed or self._disk.why_full() or self._journal.broken

    @property
    def why_not_ready(self) -> str:
        """The same for everybody, without paths."""
        return self.closed or self._disk.why_full() or "the journal cannot be written"

    async def accept(
        self,
        order: Order,
        caller: Caller,
        *,
        resource: str,
        body: str,
        key: str | None = None,
        priority: int = 0,
        callback: tuple[str, str] | None = None,
        traceparent: str | None = None,
    ) -> Request:
        """The new request, or the one that has this key already. It outlives a power cut by now.

        `body` is the hex SHA-256 of what was sent, `resource` the path that stands before the operation's name,
        `callback` as of `callback_of`, `traceparent` the trace context of whoever asks. Raises `Refused`.
        """
        began = asyncio.get_running_loop().time()
        key = key if key is not None else order.key
        if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
            raise invalid(f"An idempotency key has 1 to {LONGEST_KEY} printable characters.")
        self._check_open()
        try:
            merge_key = self._merge_key(body, key, callback)
            is_new, request = False, await self._find(caller, key, body, merge_key)
            if request is None:
                is_new, request = await self._take(
                    order, caller, resource, body, key, priority, callback, merge_key, traceparent
                )
            request = await self._on_disk(request, caller, body, is_new=is_new)
        except (JournalError, OSError) as error:
            log.error("a request was not taken: %s", error)
            raise Refused(503, "The request could not be written to disk.", retry_after=STOPPING) from error
        if is_new:
            self._observer.accepted(caller.account, asyncio.get_running_loop().time() - began)
        return request

    async def _take(
        self,
        order: Order,
        caller: Caller,
        resource: str,
        body: str,
        key: str | None,
        priority: int,
        callback: tuple[str, str] | None,
        merge_key: str | None,
        traceparent: str | None,
    ) -> tuple[bool, Request]:
        """Check an order, keep its media, and write it; or the request that has its key by then. True if it is new."""
        prompt, model = order.prompt, order.prompt.model or ""
        if self._fetcher is not None and self._fetcher.has_any(prompt):
            self._check_model(caller, model)
            self._check_room(caller)
            prompt = await self._fetcher.with_bytes(prompt, caller.account)
        if caller.labels:
            prompt = prompt.model_copy(update={"labels": {**prompt.labels, **caller.labels}})
        route = self._route_of(order, prompt, model, caller)
        cost = _cost_of(route)
        if not prompt.media:
            record, hashes = self._media.record(prompt)
        else:
            size = sum(len(medium.data or b"") for medium in prompt.media)
            self._check_open(size)
            self._disk.take(size)
            record, hashes = await _threads.saving.run(self._media.record, prompt)
        # From here to the row nothing awaits: of two requests with one key, one finds the other.
        try:
            if (known := self._find_now(caller, key, body, merge_key)) is None:
                self._check_open()
                if prompt.media:  # the lanes may have been reloaded meanwhile
                    route = self._route_of(order, prompt, model, caller)
                    cost = _cost_of(route)
                digest = prompt.digest(route.models[0], hashes)
                self._check_room(caller)
                self._check_budget(cost, model)
                self._budgets.check(caller, cost)
                request = self._write(
                    order,
                    caller,
                    record,
                    digest,
                    route,
                    resource,
                    body,
                    key,
                    priority,
                    callback,
                    merge_key,
                    traceparent,
                )
                self._reserve(request.job, cost)
                self._budgets.reserve(caller, request.job, cost or 0.0)
                return True, request
        except BaseException:
            self._media.release(hashes_in(record))
            raise
        self._media.release(hashes_in(record))
        return False, known

    async def _on_disk(self, request: Request, caller: Caller, body: str, *, is_new: bool) -> Request:
        """`request`, when it outlives a power cut. If that fails, a new one is not sent: its caller asks again."""
        try:
            await self._journal.on_disk()
        except JournalError:
            if is_new and self._dispatcher.cancel(request):
                self._journal.requests.take_back(request.job)
                self._note_withdrawn(request)
            raise
        return request

    async def _find(self, caller: Caller, key: str | None, body: str, merge_key: str | None) -> Request | None:
        """The request that this one repeats. Raises `Refused` if its key belongs to another."""
        return self._known(caller, key, body, merge_key)

    def _find_now(self, caller: Caller, key: str | None, body: str, merge_key: str | None) -> Request | None:
        """The same, when nothing may come between this and the new row."""
        return self._known(caller, key, body, merge_key)

    def _note_withdrawn(self, request: Request, by: str = "its caller") -> None:
        [record] = self._journal.select("SELECT * FROM jobs WHERE id = ?", request.job)
        if record.state is not State.PLANNED:  # it was stopped by the end of an earlier run
            self._journal.move(request.job, record.state, State.PLANNED)
        changes: dict[str, Any] = {"error_kind": WITHDRAWN, "error_message": f"cancelled by {by} before it was sent"}
        self._journal.move(request.job, State.PLANNED, State.CANCELLED, cost_usd=0.0, **changes)
        self.ended(request.job)

    def _check_open(self, size: int = 0) -> None:
        """Raise `Refused` if no request with media of `size` bytes can be taken now."""
        if (why := self.not_ready or self._disk.why_full(size)) is not None:
            raise Refused(503, f"No request can be taken now: {why}. Please try again later.", retry_after=STOPPING)

    def _write(
        self,
        order: Order,
        caller: Caller,
        record: Mapping[str, Any],
        digest: str,
        route: Route,
        resource: str,
        body: str,
        key: str | None,
        priority: int,
        callback: tuple[str, str] | None,
        merge_key: str | None,
        traceparent: str | None,
    ) -> Request:
        request, _ = self._journal.requests.accept(
            self._session.service,
            digest,
            model=route.models[0],
            prompt=record,
            position=next(self._session.singles()),
            caller=caller.account,
            key=key,
            body=body,
            priority=priority,
            door_name=secrets.token_hex(16),
            resource=resource,
            storage_uri=order.storage_uri,
            callback=callback,
            merge_key=merge_key,
            traceparent=traceparent,
        )
        self._dispatcher.add(request, route)
        return request

    async def withdraw(self, request: Request, *, by: str = "its caller") -> bool:
        """Cancel a request that waits; False if its turn has come. Raises `Refused` if the disk refuses.

        `by` says who cancels it, for its error message.
        """
        if not self._dispatcher.cancel(request):
            return False
        try:
            self._note_withdrawn(request, by)
            self._journal.commit()
            await self._journal.on_disk()
        except JournalError as error:
            log.error("a request was not cancelled: %s", error)
            raise Refused(503, "The cancellation could not be written to disk.", retry_after=STOPPING) from error
        return True

    def count(self, request: Request, record: JobRecord) -> None:
        """Reserve the price of a request that an earlier run accepted and that has not ended."""
        cost = record.cost_usd
        if is_waiting(record):  # else the client counts it as paid
            cost = self._session.settings.model_catalog.cost_usd(recorded_prompt(record.prompt), record.model)
            self._reserve(request.job, cost)
        self._budgets.note_open(request.caller, request.job, cost or 0.0, record.queued_utc)

    def ended(self, job: int) -> None:
        """Release what was reserved for a job: its cost is booked."""
        try:
            [record] = self._journal.select("SELECT * FROM jobs WHERE id = ?", job)
            if (request := self._journal.requests.of_job(job)) is not None:
                self._budgets.ended(request.caller, job)
                self._observer.ended(request.caller, record.state)
            if record.state is State.SUCCEEDED or record.error_kind == WITHDRAWN:
                self._media.release(hashes_in(record.prompt))
        except JournalError as error:  # then it stays reserved
            log.error("%s", error)
        self._reserved_usd -= self._reserved.pop(job, 0.0)
        if not self._reserved:
            self._reserved_usd = 0.0  # no rounding adds up
        self._on_end(job)

    def _merge_key(self, body: str, key: str | None, callback: tuple[str, str] | None) -> str | None:
        """What equal requests have in common; None if this one is not merged. Who is told otherwise is no equal."""
        if self._merge_equal is None or key is not None:
            return None
        return body if callback is None else hashlib.sha256(f"{body}\n{callback[0]}".encode()).hexdigest()

    def _known(self, caller: Caller, key: str | None, body: str, merge_key: str | None) -> Request | None:
        """The request that this one repeats. Raises `Refused` if its key belongs to another."""
        if merge_key is not None and self._merge_equal is not None:
            found = self._journal.requests.equal_to(caller.account, merge_key, self._now_utc() - self._merge_equal)
            return None if found is None or found[1].error_kind == WITHDRAWN else found[0]
        if key is None or (known := self._journal.requests.with_key(caller.account, key)) is None:
            return None
        if known.body != body:
            raise Refused(
                409,
                "This idempotency key belongs to another request, whose body differs. Use a new key for a new request.",
            )
        return known

    def _route_of(self, order: Order, prompt: VideoPrompt, model: str, caller: Caller) -> Route:
        """The lanes for a prompt. Raises `Refused` with the reasons if there are none."""
        routes = self._session.routes
        self._check_model(caller, model)
        if (why := self._unknown(model)) is not None:
            raise Refused(404, f"Publisher Model `{model}` was not found: {why}.")
        if self._session.settings.model_catalog.is_omni(model) is not order.is_interaction:
            only = "does not support" if order.is_interaction else "only supports"
            raise invalid(f"This model {only} Interactions API.")
        home = self._journal.place_of(self._session.service, prompt.previous) if prompt.previous else None
        route, problems = routes.of(prompt, home)
        if route is None:
            raise invalid("; ".join(map(order.in_wire_names, problems)))
        _check_media(prompt)
        if order.storage_uri is not None and any(wire_of(candidate.lane) != "vertex" for candidate in route):
            raise invalid("`storageUri` is not supported for this model here: the Gemini API writes to no bucket.")
        return route

    def _check_model(self, caller: Caller, model: str) -> None:
        if caller.models and model not in caller.models:
            raise Refused(403, f"Permission denied: your key may use {', '.join(caller.models)}, not {model}.")

    def _unknown(self, model: str) -> str | None:
        lanes, catalog = self._session.routes.lanes, self._session.settings.model_catalog
        if lanes.custom:
            return None
        if lanes.listed and not lanes.of(model) and not self._session.routes.fallback:
            return f"this server has {', '.join(dict.fromkeys(lane.model for lane in lanes.listed))}"
        return catalog.doubt(model)

    def _check_budget(self, cost: float | None, model: str) -> None:
        """Raise `Refused` if a request does not fit into the budget of the output directory."""
        budget = self._session.budget
        if self._session.settings.budget is None:
            return
        if cost is None:
            raise Refused(402, f"{budget.why_not(model)}.")
        if not budget.can_ever_fit(self._reserved_usd + cost):
            raise Refused(
                402,
                f"US$ {cost:.2f} would exceed {budget.summary}: US$ {self._reserved_usd:.2f} are reserved for accepted "
                "requests.",
            )

    def _check_room(self, caller: Caller) -> None:
        if caller.max_queued is None or (waiting := self._waiting_of(caller.account)) < caller.max_queued:
            return
        raise Refused(
            429,
            f"Resource has been exhausted: {waiting} of your requests wait already, and at most {caller.max_queued} "
            "may.",
            retry_after=self._dispatcher.next_turn_of(caller.account),
        )

    def _waiting_of(self, caller: str) -> int:
        return self._dispatcher.waiting_of(caller)

    def _reserve(self, job: int, cost: float | None) -> None:
        if self._session.settings.budget is not None:
            self._reserved[job] = cost or 0.0
            self._reserved_usd += cost or 0.0


def _cost_of(route: Route) -> float | None:
    """US$ to reserve: the price at the dearest lane; None if one is unknown."""
    costs = [candidate.cost_usd for candidate in route]
    return None if None in costs else max(cost or 0.0 for cost in costs)


def _check_media(prompt: VideoPrompt) -> None:
    for medium in prompt.media:
        if medium.data is not None and not medium.data:
            raise invalid("`bytesBase64Encoded` is empty.")
