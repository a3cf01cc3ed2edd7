"""`Maker`: clips and films for a language model's tools, within a budget that nothing the model says can change.

It needs no framework: `crewai` and others wrap it. Orders come in as plain data, replies go out as short JSON.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from aveo3.client import VeoClient
from aveo3.config.settings import Settings
from aveo3.errors import AveoError, UsageError
from aveo3.film import Story, make_film
from aveo3.film.cut import FilmError
from aveo3.film.making import facts_of
from aveo3.film.rehearsal import check_extra
from aveo3.input_forms import plain_reason
from aveo3.integrations import orders, replies
from aveo3.integrations.client_thread import ClientThread
from aveo3.integrations.quotes import Refused, count_of, known, plan_of_film, quotes_of
from aveo3.lifecycle import is_emulated
from aveo3.models import VideoClip, VideoPrompt


class _Broken(Exception):
    """The order ended in an error when it may have been sent; the message is for the model."""


class Maker:
    """Makes what tools order, with `budget_usd` US$ for all of them together.

    The budget is that of the settings' output directory: what earlier runs of a program spent there counts, too (on the
    emulator it does not). An order above what is left is refused as a whole: nothing is sent. `VEO3_BUDGET` holds as
    well; the smaller of the two counts. Orders name neither files, models nor money, and cannot.

    `story` has fields of a story file that hold for every film: `look`, `defaults`, `cast` with pictures, `film`. They
    outrank what a model says. `client` makes the client out of its settings: `lambda s: VeoClient(s, lanes=…)`.

    Calls may come from any thread and any event loop, several at once; they share one client, which is open while
    calls are under way. `clips` and `film` wait, `aclips` and `afilm` are the same for `await`. All return JSON.

    Raises `UsageError` for a budget that is no amount, and without a journal, which keeps what was spent.
    """

    def __init__(
        self,
        budget_usd: float,
        settings: Settings | None = None,
        *,
        story: Mapping[str, Any] | None = None,
        client: Callable[[Settings], VeoClient] = VeoClient,
    ) -> None:
        if isinstance(budget_usd, bool) or not isinstance(budget_usd, int | float) or not 0 <= budget_usd < math.inf:
            raise UsageError(f"budget_usd must be an amount of US$, 0 or more, not {budget_usd!r}")
        self._settings = settings if settings is not None else Settings()
        if self._settings.journal_path is None:
            raise UsageError("a budget for several calls needs the journal, and VEO3_JOURNAL=none: unset it")
        own = self._settings.budget
        self._budget_usd = float(budget_usd) if own is None else min(float(budget_usd), own)
        self._story = dict(story or {})
        if unknown := {"title", "scenes"} & set(self._story):
            raise UsageError(f"story: {' and '.join(sorted(unknown))} come from the model: leave them out")
        self._client = client
        self._thread = ClientThread(self._connect, opened=self._opened, closing=self._closing)
        self._films: asyncio.Lock  # of the loop in which the client is open
        self._earlier_usd = 0.0  # spent before the client opened
        self._emulated_usd = 0.0  # spent on the emulator, whose journal counts for no budget
        self._reserved_usd = 0.0  # of orders under way, for clips that have not ended
        self._left_usd: float | None = None  # as last known

    @property
    def budget_usd(self) -> float:
        """The budget in US$."""
        return self._budget_usd

    def clips(self, clips: Sequence[orders.ClipOrder | Mapping[str, Any]]) -> str:
        """Make clips. Returns JSON: each clip's status, path and cost, or why nothing was sent."""
        return self._answer(self._clips_of(clips))

    async def aclips(self, clips: Sequence[orders.ClipOrder | Mapping[str, Any]]) -> str:
        """`clips`, for `await`."""
        return await self._aanswer(self._clips_of(clips))

    def film(self, **order: Any) -> str:
        """Make a film of `title`, `scenes`, `look` and `cast`; see `orders.FilmArguments`. Returns JSON."""
        return self._answer(self._film_of(order))

    async def afilm(self, **order: Any) -> str:
        """`film`, for `await`."""
        return await self._aanswer(self._film_of(order))

    # ---- answers -----------------------------------------------------------------------------------------------

    def _answer(self, work: _Work) -> str:
        try:
            return self._thread.call(work)
        except _KNOWN as error:
            return self._reply(error)

    async def _aanswer(self, work: _Work) -> str:
        try:
            return await self._thread.acall(work)
        except _KNOWN as error:
            return self._reply(error)

    def _reply(self, error: Exception) -> str:
        """What the model is told. Errors of programs are not for it: they are raised."""
        money = self._money()
        if isinstance(error, ValidationError):
            return replies.refusal("nothing was sent: " + "; ".join(problems_of(error)), money)
        if isinstance(error, Refused | UsageError):
            return replies.refusal(str(error), money)
        return replies.broken(str(error), money)

    def _money(self) -> dict[str, float]:
        money = {"budget_usd": round(self._budget_usd, 4)}
        return money if self._left_usd is None else {**money, "left_usd": round(max(self._left_usd, 0.0), 4)}

    # ---- the client --------------------------------------------------------------------------------------------

    def _connect(self) -> VeoClient:
        return self._client(self._settings.model_copy(update={"budget": self._limit}))

    @property
    def _limit(self) -> float:
        """The client's own budget, the last guard: it submits nothing above it, whatever was estimated here."""
        return max(self._budget_usd - self._emulated_usd, 0.0)

    def _opened(self, veo: VeoClient) -> None:
        if veo.settings.budget != self._limit or veo.journal is None:
            raise UsageError("client: make the client of the settings that it is given, which hold the budget")
        self._films = asyncio.Lock()
        if is_emulated(veo.service):
            self._earlier_usd = self._emulated_usd
        else:
            self._earlier_usd = veo.journal.spent(veo.service)
        self._count(veo)

    def _closing(self, veo: VeoClient) -> None:
        if is_emulated(veo.service):
            self._emulated_usd += veo.stats().cost_usd

    def _count(self, veo: VeoClient) -> float:
        """US$ that no order under way may still spend."""
        left = self._budget_usd - self._earlier_usd - veo.stats().cost_usd - self._reserved_usd
        self._left_usd = left
        return left

    @contextmanager
    def _reserve(
        self, veo: VeoClient, prompts: Mapping[str, float], what: str
    ) -> Iterator[Callable[[VideoClip], None]]:
        """Set aside what the clips with these ids cost; call what it gives with each clip that ends.

        Raises `Refused` if that is more than what is left.
        """
        cost, left = sum(prompts.values()), self._count(veo)
        if cost > left + _ROUNDING:
            raise Refused(
                f"nothing was sent: {what} would cost US$ {cost:.2f} at list price, and US$ {max(left, 0.0):.2f} of "
                f"the budget of US$ {self._budget_usd:.2f} are left. The budget is fixed, and no order can raise it. "
                "Order fewer or shorter clips, or tell the person you work for that the budget is used up."
            )
        outstanding = dict(prompts)
        self._reserved_usd += cost

        def ended(clip: VideoClip) -> None:
            self._reserved_usd -= outstanding.pop(clip.prompt.id or "", 0.0)

        try:
            yield ended
        except (AveoError, FilmError) as error:
            raise _Broken(str(error)) from error
        finally:
            self._reserved_usd -= sum(outstanding.values())
            self._count(veo)

    # ---- orders ------------------------------------------------------------------------------------------------

    def _clips_of(self, clips: Sequence[Any]) -> _Work:
        async def work(veo: VeoClient) -> str:
            order = orders.ClipsArguments.model_validate({"clips": orders.as_plain(clips)})
            prompts = [p for number, each in enumerate(order.clips, 1) for p in each.prompts(number)]
            costs = self._costs_of(prompts, veo)
            made: dict[int, VideoClip] = {}
            with self._reserve(veo, costs, count_of(len(costs), "new clip")) as ended:
                async with veo.stream(prompts) as stream:
                    async for clip in stream:
                        made[clip.index] = clip
                        ended(clip)
            return replies.clips([made[index] for index in sorted(made)], self._money())

        return work

    def _film_of(self, order: Mapping[str, Any]) -> _Work:
        async def work(veo: VeoClient) -> str:
            check_extra()
            plain = {name: orders.as_plain(order[name]) for name in ("scenes", "cast") if name in order}
            arguments = orders.FilmArguments.model_validate({**order, **plain})
            story = Story.model_validate(arguments.fields(self._story))
            async with self._films:  # a directory's record is that of one film at a time
                plan = await plan_of_film(story, veo)
                costs = {planned.take.id: known(planned.cost_usd) for planned in plan.to_send}
                path = veo.settings.output_dir / f"film-{file_name(story.title)}.mp4"
                with self._reserve(veo, costs, f"{count_of(len(costs), 'new clip')} of the film") as ended:
                    result = await make_film(story, veo, path=path, on_clip=ended)
            made = [clip for clips in result.clips.values() for clip in clips]
            return replies.film(result, made, self._money())

        return work

    def _costs_of(self, prompts: Sequence[VideoPrompt], veo: VeoClient) -> dict[str, float]:
        """What each prompt costs that would be sent, by its id. Raises `Refused` for what can never be made."""
        facts = facts_of(veo.journal, veo.settings, veo.service)
        quotes = [each for each in quotes_of(prompts, veo.routes, facts) if each.is_to_send]
        for quote in quotes:
            if quote.problems:
                raise Refused(f"nothing was sent: clip {quote.prompt.id}: {'; '.join(quote.problems)}")
        return {quote.prompt.id or "": known(quote.cost_usd) for quote in quotes}


_Ended = Callable[[VideoClip], None]
_Work = Callable[[VeoClient], Awaitable[str]]
_KNOWN = (Refused, _Broken, ValidationError, AveoError, FilmError)
_ROUNDING = 1e-6  # a millionth of a dollar


def problems_of(error: ValidationError) -> list[str]:
    """One sentence for each mistake in an order."""
    return [
        f"{'.'.join(map(str, problem['loc'])) or 'order'}: {plain_reason(problem)}"
        for problem in error.errors(include_url=False, include_context=False)[:10]
    ]


def file_name(title: str) -> str:
    """A title as part of a file's name: letters of any script, digits and dashes, whatever the title is."""
    return re.sub(r"[\W_]+", "-", title.casefold())[:40].strip("-") or "untitled"
