"""The account that `aveo3 serve status` gives, in JSON: what waits, runs and is done, caller by caller, lanes, money.

Requests and money are those of the journal, which counts its requests itself: a server that runs needs to read no table
for them. Lanes only a server knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from aveo3.config.settings import Settings
from aveo3.dispatch.stats import Stats
from aveo3.journal.journal import Journal
from aveo3.journal.place import Place
from aveo3.journal.review import money_of
from aveo3.journal.rows import StateCount
from aveo3.journal.stored_files import StoredBytes
from aveo3.journal.totals import Total, tallies_of, tallies_of_runs, totals_of
from aveo3.lifecycle import State
from aveo3.server.door.disk_room import DiskRoom
from aveo3.server.door.standing import waits

RUNNING = (State.SUBMITTING, State.RUNNING, State.FETCHING)


def requests_and_money(place: Place) -> dict[str, Any]:
    """`callers`, `money` and `videos` of the journal at `place`, without its server. Raises `JournalError`."""
    with Journal(place, writes=False, checks=False) as journal:
        totals = totals_of(journal)
        waiting = any(waits(each.state, each.why) for each in totals)
        oldest = {tuple(key): at for *key, at in journal.read(_OLDEST)} if waiting else {}
        told = told_of(totals, tallies_of_runs(journal), oldest, active=journal.in_use())
        return {**told, "videos": videos_of(journal.stored_files.total())}


def tallies_beside(place: Place) -> list[StateCount]:
    """What else than requests is in the journal at `place`. A server reads it once: meanwhile no run adds to it."""
    with Journal(place, writes=False, checks=False) as journal:
        return tallies_of_runs(journal)


def told_of(
    totals: Iterable[Total], of_runs: Iterable[StateCount], oldest: Mapping[tuple[str, ...], str], *, active: bool
) -> dict[str, Any]:
    """`callers` and `money`. `oldest` has the instant of the oldest waiting request, by service and caller."""
    totals = list(totals)
    money = money_of([*tallies_of(totals), *of_runs], active=active)
    told = {"spent": money.spent, "in_flight": money.in_flight, "may_be_paid": money.may_be_paid}
    return {
        "callers": _callers_of(totals, oldest),
        "money": {name: {"usd": round(each.usd, 4), "unpriced_clips": each.unpriced} for name, each in told.items()},
    }


def videos_of(size: StoredBytes) -> dict[str, int]:
    """`videos`: bytes of those on the disk, and of those that their callers have fetched."""
    return {"bytes": size.everything, "fetched_bytes": size.collected}


def _callers_of(totals: Iterable[Total], oldest: Mapping[tuple[str, ...], str]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in totals:
        key = each.service, each.caller
        empty: dict[str, Any] = {"caller": each.caller, "service": each.service, "waiting": 0, "oldest_utc": None}
        told = found.setdefault(key, {**empty, "running": 0, "ended": {}, "spent_usd": 0.0})
        told["spent_usd"] = round(told["spent_usd"] + each.spent_usd, 4)
        if waits(each.state, each.why):
            told["waiting"] += each.jobs
            told["oldest_utc"] = oldest.get(key)
        elif each.state in RUNNING:
            told["running"] += each.jobs
        else:
            told["ended"][each.state.value] = told["ended"].get(each.state.value, 0) + each.jobs
    return [found[key] for key in sorted(found)]


_OLDEST = (
    "SELECT service, caller, min(queued_utc) FROM requests JOIN jobs ON jobs.id = job "
    "WHERE state = 'planned' OR (state = 'cancelled' AND error_kind = 'stopped') "
    "OR (state = 'deferred' AND error_kind IN ('journal', 'not_sent')) GROUP BY service, caller"
)


def lanes_of(stats: Stats) -> list[dict[str, Any]]:
    """The lanes in use. Durations in seconds; null for what is unlimited or unknown."""
    return [
        {
            "lane": name,
            "breaker": gate.breaker.value,
            "opens_in": _finite(gate.opens_in),
            "next_in": _finite(gate.next_in),
            "closed": gate.closed,
            "quota_used": gate.quota_used,
            "quota_limit": _finite(gate.quota_limit),
            "quota_period": gate.quota_period,
            "running": gate.running,
            "running_limit": _finite(gate.running_limit),
            "accepted": gate.accepted,
            "refused": gate.refused,
        }
        for name, gate in stats.gates.items()
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def server_part(
    *, url: str, pid: int, since_utc: datetime, not_ready: str | None, stats: Stats, settings: Settings, disk: DiskRoom
) -> Mapping[str, Any]:
    """`server` and `lanes`: what only a running server knows. `retention` in seconds, `disk_limit` in bytes."""
    server = {"url": url, "pid": pid, "since_utc": since_utc.isoformat(), "not_ready": not_ready}
    server |= {"retention": settings.retention, "disk_limit": settings.disk_limit}
    server |= {"disk_free": disk.free, "disk_low": disk.is_low}
    return {"server": {**server, "paused": stats.paused}, "lanes": lanes_of(stats)}
