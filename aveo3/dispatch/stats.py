"""Counts a client's clips, and returns the totals as a frozen snapshot."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aveo3.dispatch.budget import Budget
from aveo3.models import ClipStatus, VideoClip
from aveo3.quota.gate_stats import GateStats

clips_log = logging.getLogger("aveo3.clips")
"""Logs each clip that may be paid but has no video, for programs that do not read the clips."""


@dataclass(frozen=True, slots=True)
class Stats:
    """A client's totals so far. Times are in seconds, costs in US$."""

    gates: Mapping[str, GateStats]
    """One gate per lane in use, by the lane's name. Without lanes of your own, each model has one, named after it."""
    clips: Mapping[ClipStatus, int]
    """Number of prompts by the status of their clip; every status is a key."""
    cached: int
    """Number of these clips that earlier runs made or ended: this client sent nothing for them."""
    substituted: Mapping[tuple[str, str], int]
    """Number of videos made by a fallback model, by (requested model, fallback model)."""
    submitted: int
    """Submits that were accepted."""
    refusals: int
    retries: int
    quota_wait: float
    """Total seconds that finished clips waited for quota while they were next in line."""
    cost_usd: float
    """Estimated from list prices; clips whose outcome is uncertain count in full."""
    latency: float | None
    """Mean seconds from submit to end, of the clips with a video; None before the first."""
    may_be_paid: tuple[str, ...]
    """Clips that may be billed but have no video: the operation's name, or the prompt's text if that is unknown."""
    spent_usd: float = 0.0
    """What clips cost whose outcome this client learnt, those that an earlier run sent included."""
    in_flight_usd: float = 0.0
    """What the clips in flight will cost."""
    may_be_paid_usd: float = 0.0
    """What clips without a known outcome may cost, and `sunk_usd`."""
    sunk_usd: float = 0.0
    """What attempts may have cost that a person gave up with `aveo3 retry`, for the clips so far."""
    unpriced: int = 0
    """Number of clips that these sums count as free, because their price is unknown."""
    paused: bool = False
    """`VeoClient.pause` was called: nothing is submitted until `go_on`."""


class Tally:
    """Counts the clips that go to readers."""

    def __init__(self) -> None:
        self._clips = dict.fromkeys(ClipStatus, 0)
        self._cached = 0
        self._substituted: Counter[tuple[str, str]] = Counter()
        self._retries = 0
        self._quota_wait = 0.0
        self._latency = 0.0  # sum over `_timed` clips
        self._timed = 0
        self._spent_usd = 0.0
        self._unpriced = 0
        # By job: several batches may come upon the same one.
        self._owed: dict[int, tuple[str, float | None]] = {}
        self._sunk_usd: dict[int, float] = {}

    def count(self, clip: VideoClip, job: int, *, billed: bool, known: bool = False) -> None:
        """Count `clip`, which is about to go to its reader. `job` is its job's number, 0 without a journal.

        `billed` says that its cost is certain, `known` that this was so before this run.
        """
        self._clips[clip.status] += 1
        self._cached += clip.cached
        self.launched(job)
        if clip.sunk_usd:
            self._sunk_usd[job] = clip.sunk_usd
        if billed and not known:
            self._spent_usd += clip.cost_usd or 0.0
            self._unpriced += clip.cost_usd is None
        if clip.succeeded and clip.instead_of is not None:
            self._substituted[clip.instead_of, clip.model] += 1
        self._retries += clip.retry_count
        self._quota_wait += clip.quota_wait
        if clip.succeeded and not clip.cached and clip.submitted_utc and clip.finished_utc:
            self._latency += (clip.finished_utc - clip.submitted_utc).total_seconds()
            self._timed += 1
        if clip.may_be_paid:
            name = clip.operation or repr(clip.prompt.text[:60])
            # What is billed already is spent: without a video, its name is told, but no money counted.
            self._owed[job or -1 - len(self._owed)] = name, 0.0 if billed else clip.cost_usd
            if clip.status is ClipStatus.UNFINISHED:
                clips_log.warning("unfinished (%s), the next run resumes it: %s", clip.error_kind, name)
            else:
                clips_log.warning("may be paid, and there is no video (%s): %s", clip.error_kind, name)

    def launched(self, job: int) -> None:
        """Forget what was counted as owed for a job: it is in flight again, or has ended."""
        self._owed.pop(job, None)

    def stats(self, gates: Mapping[str, GateStats], budget: Budget, *, paused: bool = False) -> Stats:
        """Everything so far, with the state of the `gates` and the money in the `budget`."""
        sunk, stakes = sum(self._sunk_usd.values()), [stake for _, stake in self._owed.values()]
        return Stats(
            gates=gates,
            clips=dict(self._clips),
            cached=self._cached,
            substituted=dict(self._substituted),
            submitted=sum(gate.accepted for gate in gates.values()),
            refusals=sum(gate.refused for gate in gates.values()),
            retries=self._retries,
            quota_wait=self._quota_wait,
            cost_usd=round(budget.spent, 4),
            latency=self._latency / self._timed if self._timed else None,
            may_be_paid=tuple(name for name, _ in self._owed.values()),
            spent_usd=round(self._spent_usd, 4),
            in_flight_usd=round(budget.in_flight, 4) + 0.0,
            may_be_paid_usd=round(sum(stake or 0.0 for stake in stakes) + sunk, 4),
            sunk_usd=round(sunk, 4),
            unpriced=self._unpriced + stakes.count(None) + budget.in_flight_unpriced,
            paused=paused,
        )
