"""The journal's own count of the server's requests: how many stand where, by caller, and what they cost.

Triggers keep it, in the transaction of each step. So nobody has to read all requests for the figures of a large queue.
It takes some 6 µs a step of a request, and 1 µs a step of another job. What was counted stays counted, also when rows
are removed later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from aveo3.journal.reader import SUMS
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
        f"SELECT service, state, {SUMS} FROM jobs WHERE NOT EXISTS (SELECT 1 FROM requests WHERE job = jobs.id) "
        "GROUP BY service, state"
    )
    return [StateCount(service, State(state), *sums) for service, state, *sums in rows]
