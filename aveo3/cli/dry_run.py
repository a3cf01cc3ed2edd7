"""Prints what a batch will send, cost and take: all of `--dry-run`, and the first lines of a run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from aveo3.cli.catalog_age import what_is_old
from aveo3.cli.exit_codes import Exit
from aveo3.cli.journal_view import counted
from aveo3.cli.json_lines import in_json

if TYPE_CHECKING:
    from aveo3.cli.preview import Known
    from aveo3.config.settings import Settings
    from aveo3.lanes.estimate import Estimate, StandIn
    from aveo3.lanes.routing import Routes


def dry_run(known: Known, settings: Settings, routes: Routes, *, as_json: bool = False) -> Exit:
    """Print what a run would send, cost and take, and which prompts cannot work. Sends nothing.

    With `as_json` it prints one JSON object.
    """
    from rich.console import Console

    from aveo3.cli.terminal import print_folded
    from aveo3.config.settings import check_alive
    from aveo3.lanes.estimate import estimate, stand_ins
    from aveo3.mock_mode import clip_seconds

    if not routes.lanes.listed:
        check_alive(settings)
    shares = estimate(known.to_send, routes, clip_seconds=clip_seconds(settings))
    stands_in = stand_ins(known.to_send, routes) if any(share.clips for share in shares) else []
    if as_json:
        print(in_json(_facts(known, settings, routes, shares, stands_in)))
        return _code(shares)
    console = Console(highlight=False)
    say = partial(print_folded, console)
    for note in [*notes(known, settings, routes), *known.gone]:
        say(note)
    total = known.spent_usd + sum(share.cost_usd or 0.0 for share in shares)
    for share in shares:
        if share.clips or not share.problems:
            say(_what_it_takes(share))
        for problem in share.problems:
            say(f"  would be rejected: {problem}", style="yellow")
    if len([share for share in shares if share.clips]) > 1:
        say(_all_together(shares))
    sends = any(share.clips for share in shares)
    for one in stands_in:
        offer = "can make none of these"
        if one.clips:
            cost = "at an unknown price" if one.cost_usd is None else f"for US$ {one.cost_usd:.2f}"
            offer = f"could make {one.clips} of these {cost} if all lanes of their own model closed"
        say(f"fallback {one.model}: {offer}")
    if settings.budget is not None and total > settings.budget and sends:
        earlier = f" (US$ {known.spent_usd:.2f} already spent)" if known.spent_usd else ""
        say(
            f"the budget of US$ {settings.budget:g}{earlier} is too small: the clips beyond it are deferred",
            style="yellow",
        )
    say("nothing was sent")
    return _code(shares)


def _code(shares: list[Estimate]) -> Exit:
    return Exit.SOME_NOT if any(share.problems for share in shares) else Exit.ALL_MADE


def notes(known: Known, settings: Settings, routes: Routes) -> list[str]:
    """What a person should know before the run, a sentence each."""
    return [
        *known.notes(),
        *(what_is_old(settings) if known.to_send else ()),
        *what_is_kept(settings, routes),
        *what_is_too_long(known, settings, routes),
    ]


def _facts(
    known: Known, settings: Settings, routes: Routes, shares: list[Estimate], stands_in: list[StandIn]
) -> dict[str, Any]:
    """The dry run as JSON. Costs are None where a price is unknown."""
    costs = [share.cost_usd for share in shares if share.clips]
    cost = None if None in costs else round(sum(cost or 0.0 for cost in costs), 4)
    return {
        "dry_run": True,
        "clips": len(known.to_send) + known.at_hand + known.under_way + known.blocked,
        "to_send": sum(share.clips for share in shares),
        "would_be_rejected": sum(len(share.problems) for share in shares),
        "already_made": known.made,
        "under_way": known.under_way,
        "made_anew": known.made_anew,
        "not_sendable": known.blocked,
        "settled": {state.value: count for state, count in known.settled.items()},
        "cost_usd": cost,
        "spent_usd": known.spent_usd,
        "budget_usd": settings.budget,
        "over_budget": settings.budget is not None and known.spent_usd + (cost or 0.0) > settings.budget and bool(cost),
        "seconds": max((share.seconds for share in shares), default=0.0),
        "output_dir": str(settings.output_dir),
        "lanes": [
            {
                "lane": share.lane,
                "model": share.model,
                "clips": share.clips,
                "cost_usd": share.cost_usd,
                "seconds": share.seconds,
                "limited_by": share.bound_by,
                "requests": None if share.bound_by == "server" else share.rate.limit,
                "period_seconds": None if share.bound_by == "server" else share.rate.period,
                "daily_limit": share.daily_limit,
                "problems": list(share.problems),
            }
            for share in shares
        ],
        "fallbacks": [stand_in._asdict() for stand_in in stands_in],
        "notes": [*notes(known, settings, routes), *known.gone],
    }


def what_is_kept(settings: Settings, routes: Routes) -> Iterator[str]:
    """A warning if videos should stay in a bucket, but no bucket is set."""
    buckets = [lane.settings.output_gcs_uri for lane in routes.lanes.listed] or [settings.output_gcs_uri]
    if settings.keep_remote and not any(buckets):
        yield (
            "VEO3_KEEP_REMOTE (--keep-remote) has no effect: without VEO3_OUTPUT_GCS_URI no video goes to a bucket, "
            f"and all are downloaded to {settings.output_dir}"
        )


def what_is_too_long(known: Known, settings: Settings, routes: Routes) -> Iterator[str]:
    """A warning about prompts that are longer than their model reads: for the first one, with the number of others."""
    catalog = settings.model_catalog
    excesses = [
        f"the prompt {prompt.text[:40]!r} {why}"
        for prompt in known.to_send
        if (why := catalog.excess(prompt, routes.model_of(prompt))) is not None
    ]
    if excesses:
        others = f" ({counted(len(excesses) - 1, 'more prompt')} too long)" if len(excesses) > 1 else ""
        yield f"{excesses[0]}{others}"


def _all_together(shares: list[Estimate]) -> str:
    from aveo3.cli.progress import duration

    clips, cost = sum(share.clips for share in shares), sum(share.cost_usd or 0.0 for share in shares)
    together = f"together: {clips} clips, US$ {cost:.2f} at list price"
    if any(share.bound_by == "server" for share in shares):
        return together
    return f"{together}, about {duration(max(share.seconds for share in shares))}"


def by_lane(known: Known, settings: Settings, routes: Routes, service: str) -> Iterator[str]:
    """The lines before a run: each lane's share, and how much of it exceeds today's quota."""
    from aveo3.cli.preview import days_of
    from aveo3.lanes.estimate import estimate
    from aveo3.mock_mode import clip_seconds

    shares = estimate(known.to_send, routes, clip_seconds=clip_seconds(settings))
    yield from map(_what_it_takes, shares)
    left = days_of(settings, routes, service) if any(share.daily_limit is not None for share in shares) else {}
    for share in shares:
        if share.lane in left and share.clips > left[share.lane].requests:
            today, later = left[share.lane].requests, share.clips - left[share.lane].requests
            patient = "this run waits for that" if settings.quota_patience is None else "--wait waits for that"
            yield (
                f"{share.lane}: {today:,} today, the other {later:,} after {left[share.lane].ends_utc:%H:%M} UTC, "
                f"at {share.daily_limit:,} a day ({patient})"
            )


def _what_it_takes(share: Estimate) -> str:
    """One lane's share of the batch in a line: clips, cost, time, and the rule that sets the time."""
    from aveo3.cli.progress import duration

    rate = share.rate
    cost = "at an unknown price" if share.cost_usd is None else f"US$ {share.cost_usd:.2f} at list price"
    clips = f"{share.clips} clip{'s' * (share.clips != 1)}"
    if share.bound_by == "server":
        return f"{share.lane}: {clips}, {cost}, as soon as the server's queue allows"
    quota = f"{rate.limit} requests in {duration(rate.period)}"
    bound = f"limited by {limit_in_words(share.bound_by)}"
    if share.bound_by == "latency":
        chained = share.waits["latency"] > 0
        bound = f"as long as {'the longest chain of clips' if chained else 'one clip'} takes"
    return f"{share.lane}: {clips}, {cost}, about {duration(share.seconds)} ({bound}; quota: {quota})"


def limit_in_words(rule: str) -> str:
    """A rule of `Estimate.bound_by` in words, with the setting that changes it."""
    return _LIMITS.get(rule, f"the {rule}")


_LIMITS = {
    "latency": "the time that one clip takes",
    "rate": "the quota",
    "spend limit": "the spend limit, VEO3_SPEND_LIMIT",
    "running slots": "the clips that may run at once, VEO3_MAX_CONCURRENCY",
    "daily limit": "the requests of a day, VEO3_DAILY_LIMIT",
}
