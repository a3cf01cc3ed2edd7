"""`Desk`: takes orders of agents, keeps one client open while they are under way, and reads the journal for all else.

An order is planned in the journal, with its price, before the answer; one stream a job then submits it. What is under
way is left to the next start when the desk closes, and equal prompts always mean the same jobs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from aveo3.client import VeoClient
from aveo3.config.settings import Settings
from aveo3.errors import AveoError, JournalError, UsageError
from aveo3.film.making import facts_of
from aveo3.film.plan import JournalFacts
from aveo3.integrations.quotes import Quote, Refused, count_of, known, quotes_of
from aveo3.journal.journal import Journal
from aveo3.journal.mixture import paid_elsewhere
from aveo3.journal.next_step import NextStep, resumable
from aveo3.journal.reading import reading
from aveo3.journal.rows import JobRecord, prompt_record
from aveo3.lanes.estimate import estimate
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import UNDER_WAY, State
from aveo3.mcp_server import spending
from aveo3.mcp_server.films import Films
from aveo3.mcp_server.media import AllowedMedia
from aveo3.mcp_server.one_client import OneClient
from aveo3.mcp_server.till import Till
from aveo3.mock_mode import clip_seconds
from aveo3.models import VideoPrompt

if TYPE_CHECKING:
    from aveo3.dispatch.stream import ClipStream

log = logging.getLogger(__name__)


class Desk:
    """Orders of agents, with the budget of `settings`: `async with Desk(settings) as desk`.

    `client` makes the client of its settings and `on_event`, for tests. Raises `UsageError` without a journal, which
    keeps what was spent, and without credentials.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        client: Callable[..., VeoClient] = VeoClient,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if settings.journal_path is None:
            raise UsageError("agents' budget needs the journal, and VEO3_JOURNAL=none: unset it")
        self.settings = settings
        self.media = AllowedMedia(settings)
        self.now_utc = now_utc
        self._shut = client(settings)  # for what needs no open one
        self.service = self._shut.service
        if (why := self._mixture()) is not None:
            raise UsageError(why)
        self._streams: dict[int, ClipStream | None] = {}
        """Jobs under way here; None until the stream is open."""
        self._resumed: set[int] = set()
        """Those that an earlier run has sent: another stream with their prompts waits for them."""
        self._withdrawn: set[int] = set()
        """Those that were cancelled before their stream was open."""
        self._prices: dict[int, float] = {}
        self._news = asyncio.Event()
        self.leaving = False
        """The program is about to end: nobody waits any more."""
        self.till = Till(settings, self.service, self.journal, self.busy)
        self.films = Films(self)
        budgeted = settings.model_copy(update={"budget": settings.mcp_budget or 0.0})
        self.client = OneClient(lambda: client(budgeted, on_event=self.films.heard), self.till.limit, changed=self.ring)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Submit nothing more, and leave what is under way to the next start."""
        await self.client.close()

    # ---- reading ---------------------------------------------------------------------------------------------------

    @contextmanager
    def journal(self) -> Iterator[Journal | None]:
        """The journal, to be read; None if there is none yet."""
        path = self.settings.journal_path
        assert path is not None
        if self.client.veo is not None:
            yield self.client.journal
            return
        found = None
        if path.is_file():
            with suppress(JournalError):
                found = Journal(path, writes=False, checks=False)
        with reading(path) if found is None else found as journal:  # of an older version, or damaged: then it says so
            yield journal

    def is_busy(self, job: int) -> bool:
        """Whether this process works on a job."""
        journal = self.client.journal
        return job in self._streams or (journal is not None and journal.claims.holds(job))

    def is_sending(self, job: int) -> bool:
        """Whether this process sends a job, or has sent it: a stream with the same prompt would pay again."""
        return self.is_busy(job) and job not in self._resumed

    def busy(self, journal: Journal) -> Callable[[JobRecord], bool]:
        """Whether a process works on a job, as far as can be known: of another process, its state tells."""
        if self.client.veo is None and journal.in_use():
            return lambda record: record.state in _GOES_ON
        return lambda record: self.is_busy(record.id)

    def price_of(self, job: int) -> float | None:
        """What a job that this process works on was to cost, in US$."""
        return self._prices.get(job)

    @property
    def routes(self) -> Routes:
        """The lanes that each prompt may go to."""
        return (self.client.veo or self._shut).routes

    @property
    def clip_seconds(self) -> float | None:
        """How long a clip takes; None: as the catalog says."""
        return clip_seconds(self.settings)

    async def quotes(self, prompts: Sequence[VideoPrompt]) -> list[Quote]:
        """What starting `prompts` would send."""
        with self.journal() as journal:
            facts = JournalFacts(self.service) if journal is None else facts_of(journal, self.settings, self.service)
            is_busy = self.busy(journal) if journal is not None else lambda _: False
            under_way = {record.id for record in facts.records if is_busy(record)}
        return await asyncio.to_thread(
            quotes_of, prompts, self.routes, facts, clip_seconds=self.clip_seconds, is_busy=under_way.__contains__
        )

    def seconds_for(self, quotes: Iterable[Quote]) -> float:
        """How long the clips of `quotes` take that are to be sent, or are under way; 0 if all have ended."""
        todo = [quote.prompt for quote in quotes if quote.step is not NextStep.HAND_OUT]
        shares = estimate(todo, self.routes, clip_seconds=self.clip_seconds)
        return max((share.seconds for share in shares), default=0.0)

    # ---- clips -----------------------------------------------------------------------------------------------------

    async def start(
        self, prompts: Sequence[VideoPrompt], agreed_usd: float | None = None
    ) -> tuple[list[JobRecord], float, datetime | None]:
        """Order clips. Returns their jobs in the order of `prompts`, what is new in US$, and when the last is made.

        Prompts that were ordered before give the same jobs, at no cost. Raises `Refused`: then nothing was sent.
        """
        return await self.client.apart(self._start(prompts, agreed_usd))

    async def _start(
        self, prompts: Sequence[VideoPrompt], agreed_usd: float | None
    ) -> tuple[list[JobRecord], float, datetime | None]:
        self.till.check_budget()
        async with self.client.open() as veo:
            quotes = await self.quotes(prompts)
            if problems := [problem for quote in quotes for problem in quote.problems]:
                raise Refused(f"nothing was sent: {'; '.join(problems[:10])}")
            new = [quote for quote in quotes if quote.is_to_send]
            cost = sum(known(quote.cost_usd) for quote in new)
            self.till.check(cost, count_of(len(new), "new clip"), agreed_usd)
            seconds = self.seconds_for(quotes)
            agreed = agreed_usd is not None and self.till.needs_person(cost)
            records = await self._planned(veo, quotes, agreed=agreed)
            for quote, record in zip(quotes, records, strict=True):
                if quote.step is not NextStep.HAND_OUT and not self.is_busy(record.id):
                    self._launch(veo, record, is_to_send=quote.is_to_send)
        return records, cost, self.now_utc() + timedelta(seconds=seconds) if seconds else None

    async def _planned(self, veo: VeoClient, quotes: Sequence[Quote], *, agreed: bool) -> list[JobRecord]:
        """The job of each quote, new ones planned. They and their prices are on disk when it returns."""
        journal, session = veo.journal, veo._session
        assert journal is not None
        claims, numbers = journal.claims, session.singles()
        batch = claims.begin_stream()
        records = []
        for quote in quotes:
            record = quote.record
            if record is None:
                prompt = prompt_record(quote.prompt, quote.media_hashes)
                record = claims.plan(
                    batch, self.service, quote.digest, position=next(numbers), model=quote.model, prompt=prompt
                )
                claims.release(record.id)
            records.append(record)
        claims.end_stream(batch, all_made=False)
        prices = {
            record.id: known(quote.cost_usd) for quote, record in zip(quotes, records, strict=True) if quote.is_to_send
        }
        if agreed:
            spending.agree(journal, self.service, self.now_utc())
        if prices:
            spending.note(journal, self.service, prices, self.now_utc(), approved=agreed)
            self._prices |= prices
        journal.commit()
        await journal.on_disk()
        return records

    def _launch(self, veo: VeoClient, record: JobRecord, *, is_to_send: bool) -> None:
        session = veo._session
        self._streams[record.id] = None
        if is_to_send:
            stream = session.stream_requests([record])
        else:  # under way, by an earlier run: nothing is to be sent
            stream = session.stream([record], fresh=False, resumes=True)
            self._resumed.add(record.id)
        self.client.run(self._follow(record.id, stream))

    async def _follow(self, job: int, stream: ClipStream) -> None:
        try:
            async with stream as clips:
                self._streams[job] = stream
                if job in self._withdrawn:
                    stream.stop()
                async for _ in clips:
                    self._streams.pop(job, None)
                    self.ring()
        finally:
            self._streams.pop(job, None)
            self._resumed.discard(job)
            self._withdrawn.discard(job)

    async def cancel(self, records: Sequence[JobRecord]) -> None:
        """Stop those of `records` that wait to be sent. What was sent goes on: it is paid."""
        for record in records:
            if (stream := self._streams.get(record.id)) is not None:
                stream.stop()
            elif record.id in self._streams:
                self._withdrawn.add(record.id)
        async with asyncio.timeout(10):
            while any(record.id in self._streams for record in self._waiting(records)):
                await self.news(1.0)

    def _waiting(self, records: Sequence[JobRecord]) -> list[JobRecord]:
        """Those of `records` that are planned, as they stand now."""
        with self.journal() as journal:
            now = [] if journal is None else spending.read(journal, [record.id for record in records])
        return [record for record in now if record.state is State.PLANNED]

    async def take_up(self, records: Iterable[JobRecord]) -> None:
        """Follow to their end those of `records` that an earlier run has sent. Sends nothing, and raises nothing."""
        await self.client.apart(self._take_up(records))

    async def _take_up(self, records: Iterable[JobRecord]) -> None:
        left = [each for each in resumable(records, self.service) if not self.is_busy(each.id)]
        if not left:
            return
        try:
            async with self.client.open() as veo:
                assert veo.journal is not None
                for record in resumable(spending.read(veo.journal, [each.id for each in left]), self.service):
                    if not self.is_busy(record.id):
                        self._launch(veo, record, is_to_send=False)
        except (Refused, AveoError) as error:
            log.warning("clips of an earlier run are not taken up: %s", error)

    def ring(self) -> None:
        """Something has changed: wake all who wait."""
        self._news.set()
        self._news = asyncio.Event()

    def leave(self) -> None:
        """Let all who wait go: the program is about to end."""
        self.leaving = True
        self.ring()

    async def news(self, seconds: float) -> None:
        """Return when something has changed, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _mixture(self) -> str | None:
        path = self.settings.journal_path
        assert path is not None
        with reading(path) as journal:
            return None if journal is None else paid_elsewhere(journal.tallies(), self.service, path)


_GOES_ON = UNDER_WAY | {State.PLANNED, State.SUBMITTING}
