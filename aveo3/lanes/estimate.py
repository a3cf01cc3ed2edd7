"""Estimates the cost and time of a batch before anything is sent. Pure: list prices, set limits, usual latencies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from aveo3.config.rates import Rate
from aveo3.lanes.chains import Chains
from aveo3.lanes.lanes import Lane, is_server
from aveo3.lanes.routing import Routes
from aveo3.models import VideoPrompt


class Estimate(NamedTuple):
    """One lane's share of a batch."""

    lane: str
    """The lane's name; without lanes, the model."""
    model: str
    rate: Rate
    daily_limit: int | None
    clips: int
    cost_usd: float | None
    """None if the model has no known price."""
    seconds: float
    """From the first submit to the last clip, if Google accepts every request."""
    bound_by: str
    """The rule that sets the time: `latency`, `rate`, `spend limit`, `running slots` or `daily limit`.

    With `server`, its queue decides, and `seconds` is the time of one clip."""
    waits: Mapping[str, float]
    """For each of these rules, the seconds by which it alone would delay the last submit."""
    problems: tuple[str, ...]
    """One sentence for each prompt that cannot work on any lane; `clips` does not count them."""


@dataclass(eq=False, slots=True)
class _Share:
    """The clips that one lane gets, while they are being counted."""

    lane: Lane
    clips: int = 0
    cost_usd: float = 0.0
    priced: bool = True
    latency: float = 0.0
    ready_at: float = 0.0
    """When the last clips that others depend on are made."""
    problems: list[str] = field(default_factory=list)

    @property
    def rate(self) -> Rate:
        return self.lane.settings.rate(self.lane.model)

    def waits(self, clips: int) -> dict[str, float]:
        """Seconds by which each rule alone would delay the last of `clips` requests: whole windows, slots or days."""
        if is_server(self.lane.place):
            return {"server": 0.0}
        settings, last = self.lane.settings, max(clips - 1, 0)
        waits = {"latency": self.ready_at, "rate": last // self.rate.limit * self.rate.period}
        if settings.spend_limit is not None and self.clips:
            before = self.cost_usd / self.clips * last
            waits["spend limit"] = before // settings.spend_limit * settings.spend_period
        if settings.max_concurrency is not None:
            waits["running slots"] = last // settings.max_concurrency * self.latency
        if settings.daily_limit is not None:
            waits["daily limit"] = last // settings.daily_limit * 86_400.0
        return waits

    def next_at(self) -> tuple[float, float]:
        """Sort key: when the lane could submit one more clip, then its clips in proportion to its weight."""
        return max(self.waits(self.clips + 1).values()), self.clips / self.lane.weight

    def result(self) -> Estimate:
        """The finished estimate of this share."""
        waits = self.waits(self.clips)
        bound_by = max(waits, key=waits.__getitem__)
        return Estimate(
            self.lane.name,
            self.lane.model,
            self.rate,
            self.lane.settings.daily_limit,
            self.clips,
            round(self.cost_usd, 4) if self.priced else None,
            waits[bound_by] + self.latency if self.clips else 0.0,
            bound_by,
            waits,
            tuple(self.problems),
        )


class StandIn(NamedTuple):
    """How many clips of a batch a fallback could make if all lanes of their own models were closed."""

    model: str
    clips: int
    cost_usd: float | None
    """None if the model has no known price."""


def stand_ins(prompts: Iterable[VideoPrompt], routes: Routes) -> list[StandIn]:
    """One `StandIn` for each model of the chain of fallbacks, in its order."""
    costs: dict[str, list[float | None]] = {model: [] for model in routes.fallback}
    for prompt in prompts:
        route, _ = routes.for_estimate(prompt)
        candidates = [candidate for candidate in route or () if candidate.instead_of is not None]
        for model, candidate in {candidate.lane.model: candidate for candidate in candidates}.items():
            costs[model].append(candidate.cost_usd)
    return [
        StandIn(model, len(each), None if None in each else round(sum(cost or 0.0 for cost in each), 4))
        for model, each in costs.items()
    ]


def estimate(prompts: Iterable[VideoPrompt], routes: Routes, *, clip_seconds: float | None = None) -> list[Estimate]:
    """One `Estimate` for each lane that gets a prompt or a problem; each prompt counts where it can be sent first.

    Reserve lanes and fallbacks get nothing, because the estimate assumes that no lane closes. `clip_seconds` is the
    time of a clip; None means that of the catalog for its model.
    """
    catalog = routes.lanes.settings.model_catalog
    shares: dict[str, _Share] = {}
    chains, dependents = Chains(), list[tuple[_Share, Sequence[str]]]()
    for prompt in prompts:
        route, problems = routes.for_estimate(prompt)
        problems += [f"cannot read {m.path}: no such file" for m in prompt.media if m.path and not m.path.is_file()]
        with suppress(OSError):  # said already
            problems += prompt.mismatches()
        if route is None or problems:
            model = routes.model_of(prompt)
            share = shares.setdefault(model, _Share(Lane(model, model, routes.lanes.settings, {})))
            share.problems.append(f"{prompt.text[:40]!r}: {'; '.join(problems)}")
            continue
        candidates = {candidate.lane.name: candidate for candidate in route.tiers[0]}
        for name, candidate in candidates.items():
            shares.setdefault(name, _Share(candidate.lane)).lane = candidate.lane
        share = (
            min((shares[name] for name in candidates), key=_Share.next_at)
            if len(candidates) > 1
            else shares[next(iter(candidates))]
        )
        cost = candidates[share.lane.name].cost_usd
        share.clips += 1
        share.cost_usd += cost or 0.0
        share.priced = share.priced and cost is not None
        usual = catalog.latency(share.lane.model, prompt.resolution) if clip_seconds is None else clip_seconds
        share.latency = max(share.latency, usual)
        chains.add(prompt, usual)
        if clips := prompt.clips:
            dependents.append((share, clips))
    for share, names in dependents:
        share.ready_at = max(share.ready_at, chains.ready_at(names))
    return [share.result() for share in shares.values() if share.clips or share.problems]
