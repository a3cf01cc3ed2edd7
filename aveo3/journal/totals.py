"""The journal's own count of the server's requests: how many stand where, by caller, and what they cost.

Triggers keep it, in the transaction of each step. So nobody has to read all requests for the figures of a large queue.
It takes some 6 µs a step of a request, and 1 µs a step of another job. What was counted stays counted, also when rows
are removed later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from aveo3.journal.rows import StateCount
from aveo3.lifecycle import SPENT, State

if TYPE_CHECKING:
    from aveo3.journal.reader import JournalReader


class Total(NamedTuple):
    """The requests of one caller whose jobs are in one state."""

    service: str
    caller: str
    state: State
    why: str
    """The `error_kind` of those that were stopped or not sent; else empty."""
    jobs: int
    cost_usd: float
    unpriced: int
    """How many of them have no known price."""
    sunk_usd: float
    """What attempts that were given up cost or may have cost."""
    sunk_unpriced: int

    @property
    def spent_usd(self) -> float:
        """What counts against a budget."""
        return self.sunk_usd + (self.cost_usd if self.state in SPENT else 0.0)


def totals_of(journal: JournalReader) -> list[Total]:
    """All totals, in a fixed order: at most one for each caller and state."""
    rows = journal.read("SELECT * FROM request_totals WHERE jobs > 0 ORDER BY service, caller, state, why")
    return [Total(service, caller, State(state), *rest) for service, caller, state, *rest in rows]


def tallies_of(totals: Iterable[Total]) -> list[StateCount]:
    """`totals` as `JournalReader.tallies` has them."""
    return [
        StateCount(each.service, each.state, each.jobs, *each[5:])  # the sums have the same order
        for each in totals
    ]


def tallies_of_runs(journal: JournalReader) -> list[StateCount]:
    """The jobs that are no requests, and what they cost, by service and state. Reads all of them."""
    rows = journal.read(
        "SELECT service, state, count(*), total(cost_usd), count(*) - count(cost_usd), total(sunk_usd), "
        "coalesce(sum(sunk_unpriced), 0) FROM jobs WHERE NOT EXISTS (SELECT 1 FROM requests WHERE job = jobs.id) "
        "GROUP BY service, state"
    )
    return [StateCount(service, State(state), *sums) for service, state, *sums in rows]


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
