"""What `progress` shows, as figures: a client's totals since it began. Pure: takes `Stats`, events, instants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aveo3.dispatch.stats import Stats
from aveo3.dispatch.time_left import NEVER_SENT, USUAL, Pace, eta
from aveo3.events.kinds import Event, Planned, RunBegun
from aveo3.lifecycle import is_emulated
from aveo3.models import ClipStatus
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate_stats import GateStats
from aveo3.wording import duration


@dataclass(frozen=True, slots=True)
class Figures:
    """One picture of a run. Times in seconds, money in US$."""

    total: int | None
    """Prompts; None if they are read one by one."""
    clips: Mapping[ClipStatus, int]
    """Clips by status, those without any left out."""
    cached: int
    running: int
    elapsed: float
    left: float | None
    """Estimated seconds until the end; None if unknown."""
    lanes: tuple[str, ...]
    """How each lane stands, a line each."""
    closed: tuple[str, ...]
    """Those of them that send nothing more, and why."""
    refusals: int
    retries: int
    quota_wait: float
    spent_usd: float
    in_flight_usd: float
    may_be_paid_usd: float
    unpriced: int
    emulated: bool

    @property
    def done(self) -> int:
        """Clips that have come out, whatever their status."""
        return sum(self.clips.values())


class Run:
    """What a client does from now on."""

    def __init__(self, before: Stats, now: float, *, usual: float = USUAL) -> None:
        """`before` are its totals now; `usual` is the time of a clip until the run has measured it."""
        self._before = before
        self._began_at = now
        self._usual = usual
        self._pace = Pace(now)
        self._totals: list[int | None] = []
        self._resumed = 0
        self._emulated = False

    def take(self, events: Iterable[Event]) -> None:
        """Note how many prompts there are, and how many need no submit."""
        for event in events:
            if isinstance(event, RunBegun):
                self._totals.append(event.total)
                self._emulated = self._emulated or is_emulated(event.service)
            elif isinstance(event, Planned):
                self._resumed += event.state != "planned"

    def figures(self, stats: Stats, now: float) -> Figures:
        """The picture at the instant `now`, of the client's totals at that instant."""
        before = self._before
        clips = {status: count - before.clips[status] for status, count in stats.clips.items()}
        done, cached = sum(clips.values()), stats.cached - before.cached
        known = [total for total in self._totals if total is not None]
        total = max(sum(known), done) if known and len(known) == len(self._totals) else None
        since, left = self._pace.since(stats, now), None
        if total is not None:
            sent = before.submitted + sum(before.clips[status] for status in NEVER_SENT)
            left = eta(stats, sent + total - cached - self._resumed, since, usual=self._usual)
        gates = stats.gates.values()
        lanes = {name: f"{name}: {standing(gate)}" for name, gate in stats.gates.items()}
        return Figures(
            total=total,
            clips={status: count for status, count in clips.items() if count},
            cached=cached,
            running=sum(gate.at_server.running if gate.at_server else gate.running for gate in gates),
            elapsed=now - self._began_at,
            left=left,
            lanes=(*(["submits are paused by you"] if stats.paused else []), *lanes.values()),
            closed=tuple(lanes[name] for name, gate in stats.gates.items() if gate.closed is not None),
            refusals=stats.refusals - before.refusals,
            retries=stats.retries - before.retries,
            quota_wait=stats.quota_wait - before.quota_wait,
            spent_usd=stats.spent_usd - before.spent_usd,
            in_flight_usd=stats.in_flight_usd,
            may_be_paid_usd=stats.may_be_paid_usd - before.may_be_paid_usd,
            unpriced=stats.unpriced - before.unpriced,
            emulated=self._emulated,
        )


def standing(gate: GateStats) -> str:
    """How a lane stands, in a few words."""
    if gate.closed is not None:
        return f"sends no more in this run: {gate.closed}"
    if gate.at_server is not None:
        place = f", the first at place {gate.at_server.place}" if gate.at_server.place else ""
        return f"{gate.at_server.waiting:,} wait at the server{place}"
    if gate.breaker is BreakerState.OPEN:
        return f"refused, next try in {duration(gate.opens_in)}"
    if gate.breaker is BreakerState.HALF_OPEN:
        return "refused, trying one request"
    if gate.opens_in > 0:
        return f"paused, goes on in {duration(gate.opens_in)}"
    period = duration(gate.quota_period)
    if gate.quota_used >= gate.quota_limit:  # a limit that a refusal has just taught may be below what was used
        return f"all {gate.quota_limit:g} requests in {period} used"
    return f"{gate.quota_used:g} of {gate.quota_limit:g} requests in {period} used"
