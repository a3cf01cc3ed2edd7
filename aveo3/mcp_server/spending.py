"""What agents have spent: every job that they ordered is noted in the journal before it is sent, and counts for good.

So a restart gives no new budget, and neither does a kill. What a person makes in the same directory does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import AT_STAKE, PAID, SPENT, TO_SEND, is_emulated

JOBS = "mcp_job"
"""What the journal keeps of a job that agents ordered: `usd`, its price; `at_utc`; `approved` if a person said yes."""

APPROVALS = "mcp_approval"
"""What the journal keeps of the last yes of a person: `at_utc`."""

ROUNDING = 1e-6
"""A millionth of a dollar."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What the jobs of agents cost, or may cost, in US$."""

    usd: float = 0.0
    unasked_usd: float = 0.0
    """What they ordered since a person last said yes."""
    billed_usd: float = 0.0
    """The part of `usd` whose jobs have ended."""


def note(journal: Journal, service: str, jobs: Mapping[int, float], at_utc: datetime, *, approved: bool) -> None:
    """Note jobs that agents have ordered, with their prices. It is on disk with the next commit."""
    at = at_utc.isoformat()
    for job, usd in jobs.items():
        journal.keep(service, JOBS, str(job), {"usd": usd, "at_utc": at, "approved": approved})


def agree(journal: Journal, service: str, at_utc: datetime) -> None:
    """Note that a person has agreed to an order: what agents ordered until now is no longer `unasked`."""
    journal.keep(service, APPROVALS, f"last at {service}", {"at_utc": at_utc.isoformat()})


def spent(journal: Journal, service: str, is_busy: Callable[[JobRecord], bool]) -> Spent:
    """What agents have spent at `service`, and at every other but the emulator: it is the same money.

    `is_busy`: whether a job that is not sent yet is about to be.
    """
    noted, agreed = _kept(journal, service, JOBS), _kept(journal, service, APPROVALS)
    last = max((str(each["at_utc"]) for each in agreed.values()), default="")
    usd = unasked = billed = 0.0
    for record in read(journal, map(int, noted)):
        entry = noted[str(record.id)]
        cost = _cost_of(record, entry, is_busy)
        usd += cost
        billed += cost if record.state in SPENT - AT_STAKE else 0.0
        unasked += 0.0 if entry.get("approved") or str(entry["at_utc"]) <= last else cost
    return Spent(usd, unasked, billed)


def records(journal: Journal, service: str) -> list[JobRecord]:
    """Every job that agents ordered, oldest first."""
    return read(journal, map(int, journal.kept(service, JOBS)))


def _kept(journal: Journal, service: str, kind: str) -> dict[str, dict[str, Any]]:
    """What was kept under `kind` for a service that bills, and for the others; for the emulator, its own."""
    services = [service]
    if not is_emulated(service):
        found = journal.read("SELECT DISTINCT service FROM memory WHERE kind = ?", kind)
        services = [each for [each] in found if not is_emulated(each)]
    return {name: value for each in services for name, value in journal.kept(each, kind).items()}


def read(journal: Journal, jobs: Iterable[int]) -> list[JobRecord]:
    """The jobs with these numbers as they stand now, oldest first."""
    return journal.select_among("SELECT * FROM jobs WHERE id IN ({}) ORDER BY id", sorted({*jobs}))


def _cost_of(record: JobRecord, entry: Mapping[str, Any], is_busy: Callable[[JobRecord], bool]) -> float:
    price = float(entry["usd"])
    if record.state in AT_STAKE and is_emulated(record.service) and not is_busy(record):
        return record.sunk_usd or 0.0  # it ended with its session: nothing comes of it any more
    if record.state in AT_STAKE:
        return max(record.counted_usd, price)
    if record.state in PAID and record.cost_usd is None:
        return record.counted_usd + price
    if record.state in TO_SEND and is_busy(record):
        return record.counted_usd + price
    return record.counted_usd
