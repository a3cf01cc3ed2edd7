"""What orders of a language model would send and cost, found out before anything is sent. Sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aveo3.dispatch.prompt_media import MediaReading, read_media
from aveo3.film import Story, record
from aveo3.film.making import facts_of
from aveo3.film.plan import FilmPlan, JournalFacts, plan_of
from aveo3.film.takes import Stage, takes_of
from aveo3.journal.claims import DryClaims
from aveo3.journal.next_step import NextStep, is_to_be_fetched, next_step, record_as_found
from aveo3.journal.rows import JobRecord
from aveo3.lanes.estimate import estimate
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import State
from aveo3.models import VideoPrompt

if TYPE_CHECKING:
    from aveo3.client import VeoClient


class Refused(Exception):
    """The order is not carried out; the message is for the model. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Quote:
    """One prompt, its job in the journal, and what a run would do for it."""

    prompt: VideoPrompt
    model: str
    digest: str
    media_hashes: tuple[str | None, ...]
    record: JobRecord | None
    """None: the journal has no job for it."""
    step: NextStep
    cost_usd: float | None = 0.0
    """What sending it costs at list price; None if that is unknown."""
    problems: tuple[str, ...] = ()
    """Why it can never be made as it is; empty if it is not to be sent."""

    @property
    def is_to_send(self) -> bool:
        """True if a run would send it."""
        return self.step is NextStep.SUBMIT


def quotes_of(
    prompts: Sequence[VideoPrompt],
    routes: Routes,
    facts: JournalFacts,
    *,
    clip_seconds: float | None = None,
    is_busy: Callable[[int], bool] = lambda _: False,
) -> list[Quote]:
    """A quote for each of `prompts`, equal ones in the order of their jobs. Blocks: reads their media.

    Jobs for which `is_busy` are under way: nothing is to be sent for them.
    """
    claims = DryClaims(record_as_found(each) for each in facts.records if each.id not in facts.requested)
    return [_quote(prompt, routes, facts, claims, clip_seconds, is_busy) for prompt in prompts]


def _quote(
    prompt: VideoPrompt,
    routes: Routes,
    facts: JournalFacts,
    claims: DryClaims,
    clip_seconds: float | None,
    is_busy: Callable[[int], bool],
) -> Quote:
    route, _ = routes.of(prompt)
    models = routes.models_of(prompt, route)
    reading = read_media(prompt) if prompt.media else MediaReading()
    known_by = [prompt.digest(model, reading.hashes) for model in models] if not reading.unusable else []
    found = claims.claim(known_by)
    digest = known_by[0] if known_by else ""

    def quote(step: NextStep, cost_usd: float | None = 0.0, problems: tuple[str, ...] = ()) -> Quote:
        return Quote(prompt, models[0], digest, reading.hashes, found, step, cost_usd, problems)

    if found is not None:
        if is_busy(found.id):
            return quote(NextStep.PICK_UP)
        there = found.files and all((facts.home / str(file["path"])).is_file() for file in found.files)
        made = found.state is State.SUCCEEDED and bool(there or found.uris)
        made = made and not is_to_be_fetched(found, fetches=facts.fetches)
        if (step := next_step(found, facts.service, made=made)) is not NextStep.SUBMIT:
            return quote(step)
    shares = estimate([prompt], routes, clip_seconds=clip_seconds)
    problems = tuple(problem for share in shares for problem in share.problems)
    return quote(NextStep.SUBMIT, _sum_of([share.cost_usd for share in shares if share.clips]), problems)


async def plan_of_film(story: Story, veo: VeoClient) -> FilmPlan:
    """What making a film by `veo`, an open client, would send. Raises `Refused` if a take can never be made."""
    output_dir = veo.settings.output_dir
    picks = await asyncio.to_thread(record.read_picks, output_dir)
    takes = takes_of(story, veo.routes, stage=Stage.FINAL, picks=picks)
    facts = facts_of(veo.journal, veo.settings, veo.service)
    plan = plan_of(story, takes, veo.routes, facts, record.read(output_dir))
    if plan.problems:
        raise Refused("nothing was sent: " + "; ".join(plan.problems[:10]))
    return plan


def known(cost_usd: float | None) -> float:
    """`cost_usd`. Raises `Refused` if it is unknown: no budget can hold it."""
    if cost_usd is None:
        raise Refused("nothing was sent: the price of a clip is unknown, and there is a budget. Tell the person.")
    return cost_usd


def _sum_of(costs: Sequence[float | None]) -> float | None:
    """The sum; None if one is unknown."""
    return None if None in costs else sum(cost or 0.0 for cost in costs)


def count_of(number: int, what: str) -> str:
    """`1 clip`, `2 clips`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
