"""Reads what a person asks of a journal: how its jobs stand and what they cost, and the life of one job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from aveo3.journal.journal import Journal
from aveo3.journal.retrying import find
from aveo3.journal.rows import Event, JobRecord, Run, StateCount
from aveo3.lifecycle import AT_STAKE, BILLED, IN_FLIGHT, State, is_emulated


class Amount(NamedTuple):
    """A sum at list price."""

    usd: float
    unpriced: int
    """Clips whose price is unknown: `usd` counts them as free."""


@dataclass(frozen=True, slots=True)
class Money:
    """What the jobs of a journal cost. Jobs of the emulator cost nothing."""

    spent: Amount
    in_flight: Amount
    """At Google now, while a run is active: how it ends is not known yet."""
    may_be_paid: Amount
    """Sent, and the outcome is unknown; with `given_up`."""
    given_up: Amount
    """What attempts that a retry gave up may have cost."""


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """How the jobs of an output directory stand: what `aveo3 status` shows."""

    path: Path
    """The journal's file."""
    jobs: tuple[JobRecord, ...]
    """Every job, in the order in which the jobs were planned. The paths of its files are absolute."""
    counts: Mapping[State, int]
    """The number of jobs in each state that occurs."""
    money: Money
    last_run: Run | None
    """The run that writes now or wrote last; None if there was none."""
    active: bool
    """Whether a run is writing to the journal now. An open client is one."""


@dataclass(frozen=True, slots=True)
class JobHistory:
    """The life of one job: what `aveo3 history` shows."""

    job: JobRecord
    """The job as it stands. The paths of its files are absolute."""
    events: tuple[Event, ...]
    """Its steps, first to last: the time, the new state, and what changed with it."""


def status_of(journal: Journal) -> JournalStatus:
    """How all jobs of `journal` stand."""
    active = journal.in_use()
    jobs = tuple(_located(record, journal) for record in journal.records())
    return JournalStatus(
        path=journal.path,
        jobs=jobs,
        counts=dict(Counter(job.state for job in jobs)),
        money=money_of(journal.tallies(), active=active),
        last_run=journal.last_run(),
        active=active,
    )


def history_of(name: str, journal: Journal, service: str | None) -> JobHistory:
    """The life of the job with the ID `name`. If each of several services has one, that of `service`, else the latest.

    Raises `UsageError` if `name` matches no job, or several; then the message lists them.
    """
    matches = find(name, journal)
    record = next((match for match in matches if match.service == service), matches[-1])
    return JobHistory(_located(record, journal), tuple(journal.history(record.id)))


def money_of(tallies: Iterable[StateCount], *, active: bool) -> Money:
    """What all jobs cost. `active` says that a run is writing: what it has sent is in flight."""
    real = [tally for tally in tallies if not is_emulated(tally.service)]

    def of(states: Set[State]) -> Amount:
        these = [tally for tally in real if tally.state in states]
        return Amount(sum(tally.cost_usd for tally in these), sum(tally.unpriced for tally in these))

    in_flight = IN_FLIGHT if active else frozenset[State]()
    given_up = Amount(sum(tally.sunk_usd for tally in real), sum(tally.sunk_unpriced for tally in real))
    at_stake = of(AT_STAKE - in_flight)
    return Money(
        spent=of(BILLED),
        in_flight=of(in_flight),
        may_be_paid=Amount(at_stake.usd + given_up.usd, at_stake.unpriced + given_up.unpriced),
        given_up=given_up,
    )


class JobMoney(NamedTuple):
    """What one job costs, in US$, None for an unknown price. Together they are what counts against a budget."""

    spent_usd: float | None
    in_flight_usd: float | None
    may_be_paid_usd: float | None


def money_of_job(record: JobRecord, *, active: bool) -> JobMoney:
    """What `record` adds to `money_of`. `active` says that a run is writing: what it has sent is in flight."""
    if is_emulated(record.service):
        return JobMoney(0.0, 0.0, 0.0)
    in_flight = active and record.state in IN_FLIGHT
    sunk = None if record.sunk_unpriced else record.sunk_usd or 0.0
    at_stake = record.cost_usd if record.state in AT_STAKE and not in_flight else 0.0
    return JobMoney(
        spent_usd=record.cost_usd if record.state in BILLED else 0.0,
        in_flight_usd=record.cost_usd if in_flight else 0.0,
        may_be_paid_usd=None if sunk is None or at_stake is None else at_stake + sunk,
    )


def _located(record: JobRecord, journal: Journal) -> JobRecord:
    if not record.files:
        return record
    files = [{**file, "path": str(journal.locate(file).absolute())} for file in record.files]
    return replace(record, files=tuple(files))
