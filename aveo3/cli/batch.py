"""Runs a batch: compares it with the journal, tells the cost, asks, sends. Every command that pays uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aveo3.cli.after_clip import AfterClip
    from aveo3.cli.event_lines import EventLines
    from aveo3.cli.exit_codes import Exit
    from aveo3.cli.live_page import RunPage
    from aveo3.config.settings import Settings
    from aveo3.journal.fresh import Fresh
    from aveo3.models import VideoPrompt


def run_batch(
    prompts: list[VideoPrompt],
    settings: Settings,
    *,
    fields: Mapping[str, Any],
    model: str | None,
    notes: list[str],
    fresh: Fresh = False,
    offers_fresh: bool = True,
    after: AfterClip | None = None,
    events: EventLines | None = None,
    page: RunPage | None = None,
    yes: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> Exit:
    """Run `prompts`, or with `dry_run` only show what that would send and cost. Returns the exit code.

    `fields` and `model` are the command line's values for prompts, for messages. `notes` are printed before the first
    clip. `offers_fresh` says that the command has --fresh. Raises `UsageError` where nothing can be sent, `typer.Exit`
    if the person at the terminal says no.
    """
    from aveo3.cli import dry_run as dry_runs
    from aveo3.cli.confirm import confirm_cost
    from aveo3.cli.option_checks import check_options
    from aveo3.cli.preview import Known, check_prices, check_remembered, know
    from aveo3.cli.services import mixture
    from aveo3.cli.telemetry import exported
    from aveo3.client import VeoClient
    from aveo3.dispatch.clip_graph import graph_of
    from aveo3.errors import UsageError
    from aveo3.lanes.lanes import Lanes
    from aveo3.lanes.routing import Routes
    from aveo3.lifecycle import is_emulated

    client = VeoClient(settings, on_event=None if page is None else page.take)
    try:
        service, routes = client.service, client.routes
    except UsageError:  # without credentials a dry run still works: it treats the batch as all new
        why = mixture(settings, None) if settings.lanes is None else None
        if not dry_run and why is not None:
            raise UsageError(f"no credentials found, and {why}") from None
        if not dry_run or settings.lanes is not None:
            raise
        graph_of(prompts)  # raises for a circle
        notes += [why] if why is not None else []
        known, routes = Known(prompts), Routes(Lanes(settings.model_copy(update={"mock_mode": True})))
    else:
        if (why := mixture(settings, service)) is not None:
            if not dry_run:
                raise UsageError(why)
            notes.append(why)
        known = know(prompts, settings, routes, service=service, fresh=fresh)
        if fresh != "new":
            check_remembered(settings, service=service)
    known.read_notes, known.offers_fresh = notes, offers_fresh
    check_prices(prompts, settings, routes)
    check_options(known.to_send, fields, settings, routes, model=model)
    if dry_run:
        return dry_runs.dry_run(known, settings, routes, as_json=as_json)
    if not is_emulated(service):
        confirm_cost(known, settings, routes, yes=yes)
    import asyncio

    from aveo3.cli import run

    with exported(settings):
        work = run.run(
            client,
            lambda veo: veo.stream(prompts, fresh=fresh),
            total=len(prompts),
            to_send=len(known.to_send),
            at_hand=known.at_hand,
            notes=[
                *dry_runs.notes(known, settings, routes),
                *dry_runs.by_lane(known, settings, routes, service),
            ],
            as_json=as_json,
            quiet=quiet,
            fresh=fresh,
            after=after,
            events=events,
            page=page,
        )
        return asyncio.run(work)
