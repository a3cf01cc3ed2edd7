"""What a batch will cost and how long its quota will take, before anything is sent. Pure; list prices and priors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aveo3.models import VideoPrompt
from aveo3.settings import Settings


class Estimate(NamedTuple):
    """One model's share of a batch."""

    model: str
    clips: int
    cost_usd: float | None
    """None if the model has no known price."""
    seconds: float
    """From the first submit to the last clip, if every request is accepted."""
    bound_by: str
    """What takes the time: `latency`, `rate`, `spend limit`, `running slots` or `daily limit`."""
    problems: tuple[str, ...]
    """Prompts that cannot work, one sentence each; they are not counted."""


def estimate(prompts: Iterable[VideoPrompt], settings: Settings) -> list[Estimate]:
    """One `Estimate` per model, in the order in which the models first appear."""
    by_model: dict[str, list[VideoPrompt]] = {}
    problems: dict[str, list[str]] = {}
    cards = settings.cards
    for prompt in prompts:
        model = prompt.model or settings.model
        fits = by_model.setdefault(model, [])
        found = cards.problems(prompt, model)
        found += [f"cannot read {m.path}: no such file" for m in prompt.media if m.path and not m.path.is_file()]
        if found:
            problems.setdefault(model, []).append(f"{prompt.text[:40]!r}: {'; '.join(found)}")
        else:
            fits.append(prompt)
    return [_estimate(model, fits, settings, tuple(problems.get(model, ()))) for model, fits in by_model.items()]


def _estimate(model: str, prompts: list[VideoPrompt], settings: Settings, problems: tuple[str, ...]) -> Estimate:
    cards, count = settings.cards, len(prompts)
    costs = [cards.cost_usd(prompt, model) for prompt in prompts]
    cost = None if None in costs else round(sum(c for c in costs if c is not None), 4)
    latency = max((cards.latency(model, prompt.resolution) for prompt in prompts), default=0.0)
    last = max(count - 1, 0)
    rate = settings.rate(model)
    # Each rule by itself would let the last request go after so long: whole windows, slots or days that come first.
    waits = {"latency": 0.0, "rate": last // rate.limit * rate.period}
    if settings.spend_limit is not None and cost:
        waits["spend limit"] = (cost - cost / count) // settings.spend_limit * settings.spend_period
    if settings.max_concurrency is not None:
        waits["running slots"] = last // settings.max_concurrency * latency
    if settings.daily_limit is not None:
        waits["daily limit"] = last // settings.daily_limit * 86_400.0
    bound_by = max(waits, key=waits.__getitem__)
    return Estimate(model, count, cost, (waits[bound_by] + latency) if count else 0.0, bound_by, problems)
