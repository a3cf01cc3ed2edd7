"""The account that `aveo3 serve status` gives, in JSON: what waits, runs and is done, caller by caller, lanes, money.

Requests and money are read from the journal, by the server or by whoever has the directory; lanes only a server knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from aveo3.dispatch.stats import Stats
from aveo3.journal.journal import Journal
from aveo3.journal.review import Amount, money_of
from aveo3.lifecycle import SPENT, State
from aveo3.server.door.standing import waits

_RUNNING = (State.SUBMITTING, State.RUNNING, State.FETCHING)


def requests_and_money(path: Path) -> dict[str, Any]:
    """`callers` and `money` of the journal at `path`. Opens it anew, and reads all of it. Raises `JournalError`."""
    with Journal(path, writes=False, checks=False) as journal:
        money = money_of(journal.tallies(), active=journal.in_use())
        told = {"spent": money.spent, "in_flight": money.in_flight, "may_be_paid": money.may_be_paid}
        return {"callers": _callers_of(journal), "money": {name: _amount(each) for name, each in told.items()}}


def _amount(amount: Amount) -> dict[str, Any]:
    return {"usd": round(amount.usd, 4), "unpriced_clips": amount.unpriced}


def _callers_of(journal: Journal) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    rows = journal.read(_REQUESTS.format(", ".join(f"'{state}'" for state in sorted(SPENT))))
    for service, caller, state_name, why, number, oldest_utc, spent_usd in rows:
        empty: dict[str, Any] = {"caller": caller, "service": service, "waiting": 0, "oldest_utc": None, "running": 0}
        told = found.setdefault((service, caller), {**empty, "ended": {}, "spent_usd": 0.0})
        told["spent_usd"] = round(told["spent_usd"] + spent_usd, 4)
        state = State(state_name)
        if waits(state, why):
            told["waiting"] += number
            told["oldest_utc"] = min(filter(None, (told["oldest_utc"], oldest_utc)))
        elif state in _RUNNING:
            told["running"] += number
        else:
            told["ended"][state_name] = told["ended"].get(state_name, 0) + number
    return [found[key] for key in sorted(found)]


_REQUESTS = (
    "SELECT service, caller, state, CASE WHEN state IN ('cancelled', 'deferred') THEN error_kind END AS why, count(*), "
    "min(queued_utc), total(coalesce(sunk_usd, 0) + CASE WHEN state IN ({}) THEN coalesce(cost_usd, 0) ELSE 0 END) "
    "FROM requests JOIN jobs ON jobs.id = job GROUP BY service, caller, state, why"
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


def server_part(*, url: str, pid: int, since_utc: datetime, not_ready: str | None, stats: Stats) -> Mapping[str, Any]:
    """`server` and `lanes`: what only a running server knows."""
    server = {"url": url, "pid": pid, "since_utc": since_utc.isoformat(), "not_ready": not_ready}
    return {"server": {**server, "paused": stats.paused}, "lanes": lanes_of(stats)}
