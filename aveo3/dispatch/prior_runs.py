"""What a run inherits from earlier runs, through the journal: learnt limits and latencies, and recently used quota."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aveo3.journal.journal import Journal
from aveo3.journal.reader import JournalReader
from aveo3.lanes.lanes import Lane, same_place
from aveo3.lifecycle import NOTHING_CREATED, State
from aveo3.quota import snapshot
from aveo3.quota.windows import next_pacific_midnight

LIMITS, LATENCIES, GONE = "limits", "latencies", "gone"

_IS_GONE = re.compile(
    r"no longer available|\bretire[sd]? on\b|\b(been|was|is) (shut down|retired|discontinued)\b", re.IGNORECASE
)
"""Google's words for a model that it has shut down, or will: the catalog of this release may not know it yet."""


class Submit(NamedTuple):
    """One request of an earlier run, as read from the journal."""

    place: Mapping[str, str | None]
    model: str
    sent_utc: datetime
    answered_utc: datetime
    """When its answer came; without an answer, when the run gave it up."""
    cost_usd: float
    accepted: bool
    refused: bool


class PriorRuns:
    """Limits, latencies and used quota of earlier runs with `journal`; also stores what this run learns.

    A run may be killed on any line, so used quota is computed from the events of its jobs. Learnt values are stored
    when they change.
    """

    def __init__(self, journal: Journal, service: str, now_utc: datetime) -> None:
        self._journal = journal
        self._service = service
        self._now_utc = now_utc
        self._limits = journal.kept(service, LIMITS)
        self._gone = journal.kept(service, GONE)
        self._submits: list[Submit] = []
        self._since = now_utc

    def of_lane(self, lane: Lane) -> dict[str, Any] | None:
        """The stored `remember()` of the gate of `lane`, with the quota used since then; None if there is none."""
        settings, rate = lane.settings, lane.settings.rate(lane.model)
        longest = max(rate.period, settings.spend_period if settings.spend_limit is not None else 0.0)
        learnt = self._limits.get(lane_key(lane))
        begins = self._now_utc - timedelta(seconds=2 * longest)
        if settings.daily_limit is not None:
            begins = min(begins, next_pacific_midnight(self._now_utc) - timedelta(hours=25))
        self._read(begins)
        submits = [s for s in self._submits if s.model == lane.model and same_place(s.place, lane.place)]
        if not submits and learnt is None:
            return None
        return {**(learnt or {"version": snapshot.VERSION, "learnt": {}}), "used": self._used(submits)}

    def _used(self, submits: list[Submit]) -> dict[str, Any]:
        """The quota used by `submits`, in the format of a gate's `remember()`."""
        today = next_pacific_midnight(self._now_utc)
        same_day = [s for s in submits if next_pacific_midnight(s.answered_utc) == today]
        return {
            "requests": [[s.answered_utc.isoformat(), 1.0] for s in submits],
            "accepted": [[s.answered_utc.isoformat(), 1.0] for s in submits if s.accepted],
            "dollars": [[s.answered_utc.isoformat(), s.cost_usd] for s in submits if not s.refused and s.cost_usd],
            "day": {"requests": len(same_day), "ends": today.isoformat()},
        }

    def _read(self, since: datetime) -> None:
        """Load every submit since `since` into `_submits`."""
        if since < self._since:
            self._since = since
            self._submits = sorted(_submits(self._journal, self._service, since), key=lambda s: s.answered_utc)

    def keep_lane(self, lane: Lane, limits: Mapping[str, Any]) -> None:
        """Store the `remember()` of the gate of `lane`, if it holds something new."""
        name = lane_key(lane)
        if limits["learnt"] != self._limits.get(name, {}).get("learnt", {}):
            kept = {key: value for key, value in limits.items() if key != "used"}
            self._limits[name] = kept
            self._journal.keep(self._service, LIMITS, name, kept)

    def gone(self, model: str) -> str | None:
        """What an earlier run heard of `model`, if Google has shut it down."""
        return gone_models(self._journal, self._service).get(model)

    def keep_answer(self, model: str, *, closed: str | None, accepted: int) -> None:
        """Store that Google has shut `model` down, if a gate was `closed` with these words; forget it if it answers."""
        known = self._gone.get(model)
        if closed is not None and _IS_GONE.search(closed):
            said = " ".join(closed.partition(" What to do: ")[0].split())[:300]
            if not known or known.get("said") != said:
                self._keep_gone(model, {"said": said, "on": self._now_utc.date().isoformat()})
        elif accepted and known:
            self._keep_gone(model, {})

    def _keep_gone(self, model: str, answer: dict[str, Any]) -> None:
        self._gone[model] = answer
        self._journal.keep(self._service, GONE, model, answer)

    def latencies(self) -> dict[tuple[str, str | None, float | None], dict[str, Any]]:
        """The learnt latencies, by model, resolution and duration."""
        kept = self._journal.kept(self._service, LATENCIES)
        return {tuple(json.loads(name)): value for name, value in kept.items()}

    def keep_latencies(self, learnt: Mapping[tuple[str, str | None, float | None], Mapping[str, Any]]) -> None:
        """Store the learnt latencies."""
        for kind, value in learnt.items():
            self._journal.keep(self._service, LATENCIES, json.dumps(kind), value)


def gone_models(journal: JournalReader, service: str = "google") -> dict[str, str]:
    """What Google's answers taught about models that are shut down, a sentence for each."""
    return {
        model: (
            f"on {answer.get('on')} Google said of model {model}: {answer['said']} (`aveo3 models` lists all models; "
            "`pip install -U aveo3` brings a newer list)"
        )
        for model, answer in journal.kept(service, GONE).items()
        if answer.get("said")
    }


def _submits(journal: Journal, service: str, since: datetime) -> Iterator[Submit]:
    """Every submit answered from `since` on, latest first."""
    later: dict[int, tuple[datetime, State]] = {}
    for job, event in journal.events_since(service, since):
        if event.state is State.SUBMITTING:
            answered, became = later.get(job, (event.at_utc, State.UNCERTAIN))
            yield Submit(
                event.changes.get("place") or {},
                event.changes.get("model", ""),
                event.at_utc,
                answered,
                event.changes.get("cost_usd") or 0.0,
                accepted=became is State.RUNNING,
                refused=became in NOTHING_CREATED,
            )
        later[job] = event.at_utc, event.state


def lane_key(lane: Lane) -> str:
    """The key of a lane from run to run. Its name is not enough: people may change it."""
    place = lane.place
    parts = [lane.model, *(place.get(name) for name in ("backend", "credentials", "project", "location"))]
    return " ".join(part for part in parts if part)
