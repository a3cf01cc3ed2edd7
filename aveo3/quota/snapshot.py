"""A gate's state for the next run on its lane: recent use and learnt limits. JSON in and out.

Without it, a restart bursts into a quota that the last run has just used up, and learns each limit by refusals again.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from aveo3.quota.lane_limits import COUNTED_ROUNDS, DOLLARS, NAMED_ROUNDS, REQUESTS, RUNNING, STRICT, Limits

log = logging.getLogger(__name__)

Memory = dict[str, Any]
"""A gate's state, ready for JSON."""

VERSION = 1

BELIEVED_FOR = timedelta(days=1)
"""A limit learnt longer ago than this is forgotten: limits change, and finding one again costs a few refusals."""


def remember(limits: Limits, now: float) -> Memory:
    """The state of `limits` for a later run: recent use, and each learnt limit with its date and its settings."""

    def utc(answers: list[tuple[float, float]]) -> list[list[object]]:
        return [[limits.utc_at(at).isoformat(), amount] for at, amount in answers]

    values = {
        REQUESTS: {"limit": limits.most_requests.proven, "counted": limits.counted},
        DOLLARS: {"limit": limits.most_dollars.proven, "step": limits.most_dollars.first_step},
        RUNNING: {"limit": limits.most_running.proven},
        STRICT: {},
    }
    return {
        "version": VERSION,
        "at": limits.utc_at(now).isoformat(),
        "used": {
            "requests": utc(limits.requests.answers(now)),
            "accepted": utc(limits.accepted.answers(now)),
            "dollars": utc(limits.dollars.answers(now)),
            "day": {"requests": limits.day.used(now), "ends": limits.day.ends_utc(now).isoformat()},
        },
        "learnt": {
            what: {**values[what], "at": at.isoformat(), "under": limits.under[what]}
            for what, at in limits.learnt_utc.items()
        },
    }


def restore(limits: Limits, memory: Memory, now: float) -> None:
    """Restore the state of an earlier run. Limits learnt long ago, or under other settings, are forgotten.

    A state that cannot be read is logged and ignored: losing it costs a few refusals, not the run.
    """
    try:
        if memory["version"] == VERSION:
            _restore(limits, memory, now)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        log.warning("the quota state of an earlier run cannot be read and is ignored: %r", error)


def _restore(limits: Limits, memory: Memory, now: float) -> None:
    now_utc = limits.utc_at(now)

    def instants(answers: list[list[Any]]) -> list[tuple[float, float]]:
        ages = [((now_utc - datetime.fromisoformat(at)).total_seconds(), float(amount)) for at, amount in answers]
        return sorted((now - max(0.0, age), amount) for age, amount in ages)

    used = memory["used"]
    limits.requests.restore(instants(used["requests"]))
    limits.accepted.restore(instants(used["accepted"]))
    limits.dollars.restore(instants(used["dollars"]))
    limits.day.restore(int(used["day"]["requests"]), datetime.fromisoformat(used["day"]["ends"]), now)
    for what, learnt in memory["learnt"].items():
        at = datetime.fromisoformat(learnt["at"])
        if not now_utc - BELIEVED_FOR <= at <= now_utc + BELIEVED_FOR or learnt["under"] != limits.under.get(what):
            continue
        limits.learnt_utc[what] = at
        if what == REQUESTS:
            limits.counted = bool(learnt["counted"])
            rounds = COUNTED_ROUNDS if limits.counted else NAMED_ROUNDS
            limits.most_requests.restore(float(learnt["limit"]), rounds=rounds)
        elif what == DOLLARS:
            limits.most_dollars.first_step = float(learnt["step"])
            limits.most_dollars.restore(float(learnt["limit"]), rounds=1)
        elif what == RUNNING:
            limits.most_running.restore(float(learnt["limit"]), rounds=1)
        else:
            limits.overflow.refused = True
    for answered_at, _ in limits.requests.answers(now):
        limits.overflow.answered(answered_at, limits.requests.limit)
    limits.apply()
