"""A film's plan in lines for people, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aveo3.cli.journal_view import counted

if TYPE_CHECKING:
    from aveo3.cli.film_desk import FilmDesk
    from aveo3.film.plan import FilmPlan, PlannedTake

SHOWN = 40
"""Takes that get a line each; `--json` has them all."""


def seconds_of(plan: FilmPlan, desk: FilmDesk) -> float:
    """About how long a run takes: by the quota, or by the longest chain of scenes that wait for each other."""
    from aveo3.lanes.estimate import estimate
    from aveo3.mock_mode import clip_seconds

    prompts = [each.prompt for each in plan.to_send if each.prompt is not None]
    shares = estimate(prompts, desk.routes, clip_seconds=clip_seconds(desk.settings))
    return max([plan.chain_seconds, *(share.seconds for share in shares)])


def lines_of(plan: FilmPlan, desk: FilmDesk) -> Iterator[str]:
    """The plan of one stage: what is made, and a line for each take that is not."""
    from aveo3.cli.progress import duration

    yield summary_of(plan, f", about {duration(seconds_of(plan, desk))}")
    told = [each for each in plan.takes if each.standing != "made"]
    wide = max((len(each.take.id) for each in told[:SHOWN]), default=0)
    for each in told[:SHOWN]:
        yield f"  {each.take.id:{wide}}  {_standing(each)}"
    if len(told) > SHOWN:
        yield f"  … and {counted(len(told) - SHOWN, 'more clip')} (--json lists all)"
    if plan.to_send:
        yield from plan.notes
        yield from _budget(plan, desk.settings.budget)


def _budget(plan: FilmPlan, budget: float | None) -> Iterator[str]:
    if budget is not None and plan.spent_usd + (plan.cost_usd or 0.0) > budget:
        earlier = f" (US$ {plan.spent_usd:.2f} already spent)" if plan.spent_usd else ""
        yield f"the budget of US$ {budget:g}{earlier} is too small: the clips beyond it are deferred"


def summary_of(plan: FilmPlan, time: str = "") -> str:
    """One line: `final: 2 of 6 clips are made; 4 to make, US$ 3.20 at list price, about 2 min`."""
    counts: Counter[str] = Counter(each.standing for each in plan.takes)
    parts = []
    if plan.to_send:
        cost = "at an unknown price" if plan.cost_usd is None else f"US$ {plan.cost_usd:,.2f} at list price"
        parts.append(f"{counts['to make']:,} to make, {cost}{time}")
    for standing, words in _OTHERS.items():
        if counts[standing]:
            parts.append(f"{counts[standing]:,} {words}")
    rest = f"; {', '.join(parts)}" if parts else ""
    return f"{plan.stage}: {counts['made']:,} of {counted(len(plan.takes), 'clip')} are made{rest}"


_OTHERS = {
    "under way": "under way",
    "ended": "ended without a clip (aveo3 retry sends them again)",
    "waits": "wait for those",
    "impossible": "that no model can make",
}


def _standing(planned: PlannedTake) -> str:
    if planned.is_to_send:
        cost = "price unknown" if planned.cost_usd is None else f"US$ {planned.cost_usd:.2f}"
        return f"to make, {cost}{f' ({planned.why})' if planned.why else ''}"
    return f"{planned.standing}{f': {planned.why}' if planned.why else ''}"


def facts_of(plans: list[FilmPlan], desk: FilmDesk) -> dict[str, Any]:
    """The plans of all stages as JSON. Costs are None where a price is unknown."""
    return {
        "title": desk.story.title,
        "story": str(desk.file),
        "output_dir": str(desk.settings.output_dir),
        "scenes": len(desk.story.scenes),
        "spent_usd": plans[0].spent_usd,
        "stages": [_stage(plan, desk) for plan in plans],
    }


def _stage(plan: FilmPlan, desk: FilmDesk) -> dict[str, Any]:
    counts: Counter[str] = Counter(each.standing for each in plan.takes)
    picked = {each.take.id for each in plan.picked.values()}
    return {
        "stage": plan.stage.value,
        "clips": len(plan.takes),
        "made": counts["made"],
        "to_make": counts["to make"],
        "under_way": counts["under way"],
        "ended": counts["ended"],
        "waits": counts["waits"],
        "impossible": counts["impossible"],
        "cost_usd": plan.cost_usd,
        "seconds": seconds_of(plan, desk),
        "notes": list(plan.notes),
        "takes": [
            {
                "id": each.take.id,
                "scene": each.take.scene.id,
                "stage": each.take.stage.value,
                "take": each.take.number,
                "picked": each.take.id in picked,
                "needs": each.take.needs,
                "standing": each.standing.replace(" ", "_"),
                "why": each.why or None,
                "cost_usd": each.cost_usd,
                "model": desk.routes.model_of(each.take.prompt),
                "job": None if each.record is None else each.record.name,
                "path": None if each.path is None else str(each.path),
            }
            for each in plan.takes
        ],
    }
