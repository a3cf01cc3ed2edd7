"""Answers of the tools that change nothing: how jobs stand, what was made, what models cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aveo3.errors import UsageError
from aveo3.integrations.quotes import Refused
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord, is_job_id
from aveo3.lifecycle import State
from aveo3.mcp_server import spending, views
from aveo3.mcp_server.desk import Desk
from aveo3.mcp_server.films import PREFIX
from aveo3.mcp_server.orders import Film as FilmOrder
from aveo3.mcp_server.views import Estimated, Jobs, JobView, Models, ModelView, Result
from aveo3.models import VideoPrompt
from aveo3.report.from_journal import Film as Video

MOST_JOBS = 50
"""Jobs that one answer lists."""

LONGEST_WAIT = 300.0
"""Seconds that one call of `wait` lasts at most."""

HEARTBEAT = 5.0
"""Seconds between two notices of progress: clients give up calls from which they hear nothing."""

Tell = Callable[[float, float, str], Awaitable[Any]]


def found(desk: Desk, journal: Journal, names: Sequence[str]) -> list[JobRecord]:
    """The jobs with these names, in order. Raises `Refused` for a name that no job has."""
    records = []
    for name in names:
        matches = [each for each in journal.match(name) if each.service == desk.service] if is_job_id(name) else []
        if len({each.id for each in matches}) != 1:
            raise Refused(f"no job has the name {name[:80]!r}: use the names that start and status give")
        records += matches
    return records


def _of_agents(desk: Desk, journal: Journal) -> list[JobRecord]:
    """Every job that agents ordered, newest first."""
    return [*reversed(spending.records(journal, desk.service))]


def views_of(desk: Desk, journal: Journal, records: Sequence[JobRecord]) -> list[JobView]:
    """What agents read of `records`."""
    busy = desk.busy(journal)
    seen = []
    for record in records:
        here = [journal.locate(file) for file in record.files] if record.state is State.SUCCEEDED else []
        seen.append(
            views.job_view(
                record,
                busy=busy(record),
                catalog=desk.settings.model_catalog,
                paths=[path for path in here if path.is_file()],
                price_usd=desk.price_of(record.id),
                clip_seconds=desk.clip_seconds,
            )
        )
    return seen


def status(desk: Desk, names: Sequence[str] | None) -> Jobs:
    """How the jobs and films with these names stand; None: those that agents ordered, newest first."""
    jobs, films = _apart(names)
    with desk.journal() as journal:
        if journal is None:
            if names:
                raise Refused(f"no job has the name {names[0][:80]!r}: nothing was ordered yet")
            return Jobs(jobs=[], all_ended=True)
        records = _of_agents(desk, journal) if names is None else found(desk, journal, jobs)
        seen = views_of(desk, journal, records[:MOST_JOBS] if names is None else records)
        shown = desk.films.views(journal)
    if unknown := [name for name in films if name not in shown]:
        raise Refused(f"no film has the name {unknown[0][:80]!r}: use the names that start and status give")
    chosen = [*shown.values()] if names is None else [shown[name] for name in films]
    return Jobs(
        jobs=seen,
        films=chosen,
        all_ended=all(each.ended for each in seen) and all(each.ended for each in chosen),
        more=max(0, len(records) - MOST_JOBS) if names is None else 0,
    )


def _apart(names: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The names of jobs, and those of films."""
    given = names or ()
    return [name for name in given if not name.startswith(PREFIX)], [name for name in given if name.startswith(PREFIX)]


async def wait(desk: Desk, names: Sequence[str] | None, seconds: float, tell: Tell) -> Jobs:
    """`status` when all have ended, or after `seconds`. `tell` gets how many have ended, of how many, in words too."""
    loop = asyncio.get_running_loop()
    until = loop.time() + min(max(seconds, 0.0), LONGEST_WAIT)
    while True:
        now = status(desk, names)
        every = [*(job.ended for job in now.jobs), *(film.ended for film in now.films)]
        ended, left = sum(every), until - loop.time()
        if now.all_ended or left <= 0 or desk.leaving:
            return now
        await tell(ended, len(every), f"{ended} of {len(every)} have ended")
        await desk.news(min(HEARTBEAT, left))


def models(desk: Desk) -> Models:
    """The models that clips may be made with, and what they cost."""
    settings = desk.settings
    catalog, lanes = settings.model_catalog, desk.routes.lanes.listed
    backend: str | None = None
    with suppress(UsageError):  # without credentials, too, people ask what clips cost
        backend = None if lanes or settings.server is not None else settings.backend_name()
    names = list(dict.fromkeys(lane.model for lane in lanes)) or [
        name for name, card in catalog.models.items() if backend not in ("vertex", "gemini") or backend in card.backends
    ]
    shown = []
    for name in names:
        if name in catalog.retired or (card := catalog.models.get(name)) is None:
            continue
        shown.append(
            ModelView(
                model=name,
                is_default=name == settings.model,
                usd_per_clip=catalog.cost_usd(VideoPrompt(text="a clip"), name),
                durations=list(card.durations),
                resolutions=list(card.resolutions),
                aspect_ratios=list(card.aspect_ratios),
                image=bool(card.image),
                last_frame=bool(card.last_frame),
                reference_images=card.reference_images,
                audio=bool(card.generate_audio),
                median_seconds=desk.clip_seconds or catalog.latency(name, None),
            )
        )
    return Models(models=shown)


async def estimate(desk: Desk, prompts: Sequence[VideoPrompt]) -> Estimated:
    """What starting `prompts` would send and cost. Sends nothing."""
    quotes = await desk.quotes(prompts)
    new = [quote for quote in quotes if quote.is_to_send and not quote.problems]
    costs = [quote.cost_usd for quote in new]
    cost = None if None in costs else round(sum(each or 0.0 for each in costs), 4)
    return Estimated(
        clips=len(quotes),
        new_clips=len(new),
        cost_usd=cost,
        seconds=round(desk.seconds_for(quotes), 1),
        problems=[problem for quote in quotes for problem in quote.problems],
        needs_person=cost is not None and desk.till.needs_person(cost),
        money=desk.till.money(),
    )


async def estimate_film(desk: Desk, order: FilmOrder) -> Estimated:
    """What making a film would send and cost. Sends nothing."""
    plan = await desk.films.plan(order)
    new, cost = len(plan.to_send), plan.cost_usd
    if desk.films.is_making(order):
        new, cost = 0, 0.0
    return Estimated(
        clips=len(plan.takes),
        new_clips=new,
        cost_usd=cost,
        seconds=round(plan.chain_seconds, 1),
        needs_person=cost is not None and desk.till.needs_person(cost),
        money=desk.till.money(),
    )


async def take_up(desk: Desk, names: Sequence[str] | None) -> None:
    """Follow to their end the jobs with these names that an earlier run has sent. Sends nothing."""
    with desk.journal() as journal:
        if journal is None:
            return
        records = _of_agents(desk, journal) if names is None else found(desk, journal, _apart(names)[0])
    await desk.take_up(records)


async def cancel(desk: Desk, names: Sequence[str]) -> None:
    """Stop the jobs with these names that are not sent yet."""
    jobs, films = _apart(names)
    with desk.journal() as journal:
        records = [] if journal is None else found(desk, journal, jobs)
    await desk.cancel(records)
    for name in films:
        await desk.films.cancel(name)
    if films:
        await take_up(desk, None)  # what the film has sent


def result(desk: Desk, name: str) -> tuple[Result, Video | None]:
    """The job or film with this name, and its video, if it is here."""
    now = status(desk, [name])
    if now.films:
        [film] = now.films
        here = film.path is not None and Path(film.path).is_file()
        return Result(film=film), Video(Path(film.path), 0, "") if film.path is not None and here else None
    [job] = now.jobs
    with desk.journal() as journal:
        for file in [] if journal is None else found(desk, journal, [name])[0].files:
            path = Path() if journal is None else journal.locate(file)
            if path.is_file():
                return Result(job=job), Video(path, int(file["size"]), str(file["sha256"]))
    return Result(job=job), None
