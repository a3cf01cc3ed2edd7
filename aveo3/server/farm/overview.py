"""What all processes of a shared journal do together: who leads which lane, since when, and what waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aveo3.journal.follows import CLAIM_LASTS, FOLLOWERS
from aveo3.journal.held_locks import held
from aveo3.journal.journal import Journal
from aveo3.server.farm.leading import ALL, LEADERS


def farm_of(journal: Journal) -> dict[str, Any]:
    """`leaders`, `followers` and `waiting`, as `aveo3 status --json` has them with a database. Raises `JournalError`.

    A leader `leads` as long as its lane's lock is held. Followers are those that live; each is `following` some jobs.
    """
    followers = [*_followers(journal)] if journal.shared else []
    return {"leaders": [*_leaders(journal)], "followers": followers, "waiting": [*_waiting(journal)]}


def _leaders(journal: Journal) -> Iterator[dict[str, Any]]:
    rows = journal.read("SELECT service, name, value FROM memory WHERE kind = ? ORDER BY service, name", LEADERS)
    services = {service for service, *_ in rows}
    every = [f"{service} {name}" for service, name, _ in rows] + [f"{service} {ALL}" for service in services]
    taken = held(journal, every)
    for service, name, value in rows:
        about = json.loads(value)
        yield {
            "lane": about["lane"],
            "service": service,
            "leads": not taken.isdisjoint((f"{service} {name}", f"{service} {ALL}")),
            "host": about["host"],
            "pid": about["pid"],
            "since_utc": about["since_utc"],
        }


def _followers(journal: Journal) -> Iterator[dict[str, Any]]:
    for host, pid, since, jobs in journal.read(FOLLOWERS, CLAIM_LASTS):
        yield {"host": host, "pid": pid, "since_utc": since.isoformat(), "following": jobs}


def _waiting(journal: Journal) -> Iterator[dict[str, Any]]:
    for service, model, caller, number, oldest in journal.read(_WAITING):
        yield {
            "model": model,
            "service": service,
            "caller": caller,
            "requests": number,
            "oldest_utc": datetime.fromisoformat(oldest).isoformat(),
        }


_WAITING = (
    "SELECT service, model, caller, count(*), min(queued_utc) FROM requests JOIN jobs ON jobs.id = job "
    "WHERE state = 'planned' OR (state = 'cancelled' AND error_kind = 'stopped') "
    "OR (state = 'deferred' AND error_kind IN ('journal', 'not_sent')) "
    "GROUP BY service, model, caller ORDER BY service, model, caller"
)
