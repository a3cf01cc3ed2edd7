"""The journal's own count of its requests is what a look at all of them would find, whatever happens to them."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aveo3.journal import sqlite_schema
from aveo3.journal.sqlite_connect import connect
from aveo3.journal.sqlite_schema import MIGRATIONS
from aveo3.journal.totals_schema import MIGRATION

STATES = ("planned", "submitting", "running", "fetching", "succeeded", "cancelled", "deferred", "failed")
BEFORE = MIGRATIONS.index(MIGRATION)


def add_job(db: sqlite3.Connection, job: int, caller: str | None) -> None:
    values = (job, "google", f"{job:x}", 1, job, "veo", "{}", "2026-11-27", "planned")
    db.execute(
        "INSERT INTO jobs (id, service, digest, ordinal, position, model, prompt, queued_utc, state) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    if caller is not None:
        db.execute(
            "INSERT INTO requests (job, caller, body, priority, door_name, resource) VALUES (?, ?, '', 0, ?, 'models')",
            (job, caller, f"{job:032x}"),
        )


def move(db: sqlite3.Connection, rng: random.Random, jobs: int) -> None:
    values = (
        rng.choice(STATES),
        rng.choice((None, "stopped", "withdrawn")),
        rng.choice((None, 0.5, 3.2)),
        rng.choice((None, 0.25)),
        rng.choice((None, 1)),
        rng.randint(1, jobs),
    )
    db.execute(
        "UPDATE jobs SET state = ?, error_kind = ?, cost_usd = ?, sunk_usd = ?, sunk_unpriced = ? WHERE id = ?", values
    )


def counted(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    rows = db.execute("SELECT * FROM request_totals WHERE jobs > 0 ORDER BY caller, state, why")
    return [tuple(round(each, 6) if isinstance(each, float) else each for each in row) for row in rows]


def looked_at(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    """What each row says, summed up here."""
    found: dict[tuple[str, ...], list[float]] = {}
    rows = db.execute(
        "SELECT service, caller, state, error_kind, cost_usd, sunk_usd, sunk_unpriced FROM jobs JOIN requests ON "
        "job = jobs.id"
    )
    for service, caller, state, kind, cost, sunk, sunk_unpriced in rows:
        why = (kind or "") if state in ("cancelled", "deferred") else ""
        values = 1, cost or 0.0, cost is None, sunk or 0.0, sunk_unpriced or 0
        key = service, caller, state, why
        found[key] = [mine + one for mine, one in zip(found.get(key, [0] * 5), values, strict=True)]
    return [(*key, *(round(each, 6) for each in sums)) for key, sums in sorted(found.items())]


@pytest.mark.parametrize("seed", range(5))
def test_the_totals_are_those_of_all_requests_after_any_steps(seed: int) -> None:
    rng = random.Random(seed)
    with closing(connect(Path("journal.db"), writes=True)) as db:
        for job in range(1, 31):
            add_job(db, job, rng.choice(("alice", "bob", None)))
        for _ in range(300):
            move(db, rng, 30)
        assert counted(db) == looked_at(db) != []


def test_an_older_journal_is_counted_when_it_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", MIGRATIONS[:BEFORE])
    with closing(connect(Path("journal.db"), writes=True)) as db:
        for job in range(1, 31):
            add_job(db, job, rng.choice(("alice", "bob", None)))
            move(db, rng, job)
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", MIGRATIONS)
    with closing(connect(Path("journal.db"), writes=False)) as db:  # a copy in memory
        assert counted(db) == looked_at(db) != []
    with closing(connect(Path("journal.db"), writes=True)) as db:
        move(db, rng, 30)
        assert counted(db) == looked_at(db) != []


def test_jobs_of_runs_are_not_counted() -> None:
    with closing(connect(Path("journal.db"), writes=True)) as db:
        add_job(db, 1, None)
        move(db, random.Random(1), 1)
        assert counted(db) == []


def test_what_was_counted_stays_when_its_row_is_removed() -> None:
    with closing(connect(Path("journal.db"), writes=True)) as db:
        add_job(db, 1, "alice")
        before = counted(db)
        db.execute("PRAGMA foreign_keys = OFF")
        for statement in ("DELETE FROM requests", "DELETE FROM jobs"):
            db.execute(statement)
        assert counted(db) == before != []
