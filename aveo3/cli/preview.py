"""Compares a batch with the journal before the run: which prompts will be sent, and which will not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aveo3.cli.journal_view import listed
from aveo3.journal.reading import reading as reading
from aveo3.lifecycle import WITHOUT_FILE, State, is_emulated

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.journal.fresh import Fresh
    from aveo3.journal.rows import JobRecord
    from aveo3.lanes.routing import Routes
    from aveo3.models import VideoPrompt


@dataclass(slots=True)
class Known:
    """The comparison of a batch with the journal: the prompts to send, and counts of the others."""

    to_send: list[VideoPrompt] = field(default_factory=list)
    made: int = 0
    under_way: int = 0
    spent_usd: float = 0.0
    """What earlier runs have spent of the directory's budget."""
    goes_on_utc: datetime | None = None
    """When the fresh batch began that the run goes on with."""
    read_notes: list[str] = field(default_factory=list)
    """What reading the prompt files left out."""
    settled: Counter[State] = field(default_factory=Counter)
    """Prompts that ended without a clip. They are sent again only after `aveo3 retry`."""
    made_anew: int = 0
    """Prompts of `to_send` that have a clip here, which began from another take of a clip that they depend on."""
    blocked: int = 0
    """Prompts that are not sent, because a clip that they depend on ended without a video in an earlier run."""
    offers_fresh: bool = True
    """The command has --fresh."""
    gone: list[str] = field(default_factory=list)
    """What earlier runs heard of the models of `to_send` that Google has shut down, a sentence each."""

    @property
    def at_hand(self) -> int:
        """How many clips come back at once, unchanged."""
        return self.made + self.settled.total()

    def notes(self) -> Iterator[str]:
        """The lines to print before the run."""
        yield from self.read_notes
        if self.goes_on_utc is not None:
            from aveo3.journal.fresh import in_words

            yield (
                f"going on with the fresh batch of {in_words(self.goes_on_utc)}: {self.made:,} of these prompts have a "
                "clip in it, and are not sent again (--fresh=new begins another)"
            )
        elif self.made:
            hint = " (--fresh makes new ones)" if self.offers_fresh else ""
            yield f"{self.made:,} of these prompts already {_have(self.made)} a clip here: not sent again{hint}"
        if self.under_way:
            they = (
                "was sent by an earlier run: it is" if self.under_way == 1 else "were sent by an earlier run: they are"
            )
            yield f"{self.under_way:,} of these prompts {they} resumed, not sent again"
        if self.settled:
            which = listed(f"{count:,} {state}" for state, count in self.settled.items())
            yield f"{which} in an earlier run: not sent again (to change that: aveo3 retry)"
        if self.made_anew:
            yield (
                f"{self.made_anew:,} of these prompts already {_have(self.made_anew)} a clip here, to be made anew: "
                "a clip that it depends on is another one now, or will be"
            )
        if self.blocked:
            yield f"{self.blocked:,} of these prompts depend on a clip that ended without a video: not sent"


def know(
    prompts: list[VideoPrompt], settings: Settings, routes: Routes, *, service: str, fresh: Fresh = False
) -> Known:
    """Compare `prompts` with the journal of `settings`, as a run would.

    Reads local media if the journal has jobs to compare, but no videos: it assumes that each is where it was saved.
    Raises `JournalError` if the journal cannot be read.
    """
    from aveo3.dispatch.clip_graph import graph_of
    from aveo3.dispatch.prompt_media import Hashes, RecalledMedia, read_media
    from aveo3.journal.claims import DryClaims
    from aveo3.journal.next_step import NextStep, is_to_be_fetched, next_step, record_as_found

    path = settings.journal_path
    records, batches, requested = _jobs_and_batches(path, service) if path is not None else ([], {}, set())
    records = [*map(record_as_found, records)]
    graph = graph_of(prompts)
    sources = None
    if graph is not None:
        from aveo3.cli.preview_sources import Sources

        sources = Sources(graph, prompts, [r for r in records if r.id not in requested], settings)
    known = Known(spent_usd=sum(record.counted_usd for record in records) if not is_emulated(service) else 0.0)
    if not records:
        known.to_send = list(prompts)
        return known
    claims = DryClaims((r for r in records if r.id not in requested), fresh=fresh, batches=batches)
    recalled: RecalledMedia | None = None
    places = {record.operation: record.place or None for record in records if record.operation}
    _read_earlier_clips(path, records, {prompt.previous for prompt in prompts}, routes)
    to_send: list[int] = []
    for index in range(len(prompts)) if sources is None else sources.order:
        prompt = prompts[index] if sources is None else sources.resolved(index)
        if prompt.clips and sources is not None:  # a clip that it depends on is not made yet
            if sources.is_blocked(index):
                known.blocked += 1
            else:
                known.made_anew += sources.is_made_anew(prompts[index], routes)
                to_send.append(index)
            continue
        route, _ = routes.of(prompt, places.get(prompt.previous or ""))
        reading = read_media(prompt, cuts=sources is not None)
        contents: Iterable[Hashes] = [reading.hashes]
        if reading.unusable:
            recalled = recalled or RecalledMedia(record.prompt for record in records)
            contents = recalled.hashes_of(prompt, reading)
        found: JobRecord | None = None
        step, made = NextStep.SUBMIT, False
        for hashes in contents:
            found = claims.claim([prompt.digest(model, hashes) for model in routes.models_of(prompt, route)])
            if found is not None:
                made = found.state is State.SUCCEEDED and not is_to_be_fetched(found, fetches=not settings.keep_remote)
                step = next_step(found, service, made=made)
            if step is not NextStep.SUBMIT:
                break
        if found is not None and fresh is True and found.fresh_batch is not None:
            known.goes_on_utc = batches.get(found.fresh_batch, known.goes_on_utc)
        if sources is not None:
            sources.note(index, found, step)
        match step:
            case NextStep.SUBMIT:
                to_send.append(index)
                if sources is not None and prompt is not prompts[index]:
                    known.made_anew += found is None and sources.is_made_anew(prompts[index], routes)
            case NextStep.PICK_UP:
                known.under_way += 1
            case NextStep.HAND_OUT if found is not None and made:
                known.made += 1
            case NextStep.HAND_OUT if found is not None:
                known.settled[found.state] += 1
    known.to_send = [prompts[index] for index in sorted(to_send)]
    known.gone = gone_here(path, service, (routes.model_of(prompt) for prompt in known.to_send))
    return known


def _read_earlier_clips(
    path: Path | None, records: Iterable[JobRecord], named: Set[str | None], routes: Routes
) -> None:
    """Tell `routes` how long the clips are whose operations are `named`, for the cost of editing or upscaling them."""
    from aveo3.dispatch.earlier_clips import earlier_clip

    found = [(record.operation, record) for record in records if record.operation in named]
    if path is None or not found:
        return
    with reading(path) as journal:
        for operation, record in found:
            if operation is not None and journal is not None:
                clip = earlier_clip(record, journal, routes.lanes.settings.model_catalog)
                if clip is not None:
                    routes.earlier_clips[operation] = clip


def gone_here(path: Path | None, service: str, models: Iterable[str]) -> list[str]:
    """What earlier runs with the journal at `path` heard of `models` that are shut down, a sentence each."""
    from aveo3.dispatch.prior_runs import gone_models

    if path is None:
        return []
    with reading(path) as journal:
        told = gone_models(journal, service) if journal is not None else {}
    return [told[model] for model in dict.fromkeys(models) if model in told] if told else []


def check_remembered(settings: Settings, *, service: str) -> None:
    """Raise `UsageError` if the directory's manifest lists paid clips, but their journal is gone."""
    from aveo3.cli.manifest import MANIFEST, paid_in
    from aveo3.errors import UsageError

    path = settings.journal_path
    if path is None or is_emulated(service) or not (paid := paid_in(settings.output_dir)):
        return
    known = list(_records_of(path, None))
    # Emulated clips count, too: the manifest does not name the service, and equal prompts have equal IDs everywhere.
    at_hand = {(record.name, record.operation) for record in known}
    lost = sum(clip not in at_hand for clip in paid)
    if lost and not any(record.service == service for record in known):
        raise UsageError(
            f"{settings.output_dir / MANIFEST} lists {lost:,} clips that are made or may be paid, but their journal "
            f"{path} is empty or missing: this run would make and pay them again. Restore the directory {path.parent} "
            "(always copy it with the videos), or use --fresh=new if you want to pay again."
        )


def check_prices(prompts: Iterable[VideoPrompt], settings: Settings, routes: Routes) -> None:
    """Raise `UsageError` if there is a budget, and a prompt for a model of which nobody knows what it costs."""
    from aveo3.dispatch.budget import unpriced
    from aveo3.errors import UsageError

    if settings.budget is None:
        return
    for model in dict.fromkeys(routes.model_of(prompt) for prompt in prompts):
        if not settings.model_catalog.has_price(model):
            hint = f" (did you mean {near}?)" if (near := settings.model_catalog.nearest(model)) else ""
            raise UsageError(f"the budget of US$ {settings.budget:g} cannot hold {unpriced(model)}{hint}.")


class Today(NamedTuple):
    """What is left of a lane's daily limit."""

    requests: int
    ends_utc: datetime


def days_of(settings: Settings, routes: Routes, service: str) -> dict[str, Today]:
    """What is left today for each lane with a daily limit, by the lane's name."""
    from aveo3.dispatch.prior_runs import PriorRuns
    from aveo3.journal.journal import Journal
    from aveo3.quota.windows import next_pacific_midnight

    now, path = datetime.now(UTC), settings.journal_path
    lanes = [lane for lane in routes.lanes.listed or routes.lanes.of(settings.model) if lane.settings.daily_limit]
    left = {lane.name: Today(lane.settings.daily_limit or 0, next_pacific_midnight(now)) for lane in lanes}
    if path is None or not path.is_file() or is_emulated(service):
        return left
    with Journal(path, writes=False) as journal:
        prior_runs = PriorRuns(journal, service, now)
        for lane in lanes:
            used = (prior_runs.of_lane(lane) or {"used": {"day": {"requests": 0}}})["used"]["day"]["requests"]
            left[lane.name] = left[lane.name]._replace(requests=max(0, left[lane.name].requests - used))
    return left


def resumable(settings: Settings, *, service: str) -> int:
    """How many jobs `aveo3 resume` can finish."""
    from aveo3.journal import next_step

    path = settings.journal_path
    if path is None:
        return 0
    if is_emulated(service):
        return len(next_step.left_with_emulator(_records_of(path, service)))
    left = _records_of(path, service, *WITHOUT_FILE, State.SUBMITTING)
    return len(next_step.resumable(map(next_step.record_as_found, left), service))


def _records_of(path: Path, service: str | None, *states: State) -> Iterable[JobRecord]:
    with reading(path) as journal:
        if journal is None:
            return []
        return [record for record in journal.records(*states) if service in (record.service, None)]


def _jobs_and_batches(path: Path, service: str) -> tuple[list[JobRecord], Mapping[int, datetime], set[int]]:
    """The jobs of `service`, its fresh batches that have not ended, and which jobs came as requests."""
    with reading(path) as journal:
        if journal is None:
            return [], {}, set()
        records = [record for record in journal.records() if record.service == service]
        return records, journal.open_batches(service), journal.requested()


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
