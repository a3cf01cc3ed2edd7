"""The step of SQLite's schema that adds what `totals` reads: its table, and the triggers that fill it."""

from __future__ import annotations

# These texts are part of a migration: never edit them, add another.

_WHY = "CASE WHEN {0}.state IN ('cancelled', 'deferred') THEN coalesce({0}.error_kind, '') ELSE '' END"
_SUMS = (
    "{1} * coalesce({0}.cost_usd, 0), {1} * ({0}.cost_usd IS NULL), {1} * coalesce({0}.sunk_usd, 0), "
    "{1} * coalesce({0}.sunk_unpriced, 0)"
)
_ADD = (
    " ON CONFLICT (service, caller, state, why) DO UPDATE SET jobs = jobs + excluded.jobs, "
    "cost_usd = cost_usd + excluded.cost_usd, unpriced = unpriced + excluded.unpriced, "
    "sunk_usd = sunk_usd + excluded.sunk_usd, sunk_unpriced = sunk_unpriced + excluded.sunk_unpriced; "
)


def _count(row: str, caller: str, factor: str, source: str = "WHERE true") -> str:
    """The statement that counts `row` once more for `caller`, or once less."""
    sums = _SUMS.format(row, factor)
    return (
        f"INSERT INTO request_totals SELECT {row}.service, {caller}, {row}.state, {_WHY.format(row)}, {factor}, {sums} "
        f"{source}{_ADD}"
    )


_OWNER = "(SELECT caller FROM requests WHERE job = NEW.id)"

MIGRATION = (
    """CREATE TABLE request_totals (
        service TEXT NOT NULL, caller TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL,
        jobs INTEGER NOT NULL, cost_usd REAL NOT NULL, unpriced INTEGER NOT NULL,
        sunk_usd REAL NOT NULL, sunk_unpriced INTEGER NOT NULL,
        PRIMARY KEY (service, caller, state, why)
    ) WITHOUT ROWID""",
    "INSERT INTO request_totals SELECT service, caller, state, "
    + _WHY.format("jobs")
    + " AS why, count(*), total(cost_usd), count(*) - count(cost_usd), total(sunk_usd), "
    "coalesce(sum(sunk_unpriced), 0) FROM requests JOIN jobs ON job = jobs.id GROUP BY service, caller, state, why",
    f"CREATE TRIGGER request_counted AFTER INSERT ON requests BEGIN "
    f"{_count('jobs', 'NEW.caller', '1', 'FROM jobs WHERE jobs.id = NEW.job')}END",
    "CREATE TRIGGER request_moved AFTER UPDATE OF state, error_kind, cost_usd, sunk_usd, sunk_unpriced ON jobs "
    "WHEN EXISTS (SELECT 1 FROM requests WHERE job = NEW.id) BEGIN "
    f"{_count('OLD', _OWNER, '-1')}{_count('NEW', _OWNER, '1')}END",
)
