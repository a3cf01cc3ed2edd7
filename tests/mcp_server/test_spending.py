"""What counts against the agents' budget: every job that they ordered, by what it cost or may cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.mcp_server import spending

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 27, 13, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db", now_utc=lambda: NOW) as journal:
        yield journal


def ordered(journal: Journal, service: str = "google", *, usd: float = 3.0, at: datetime = NOW) -> int:
    """A job that an agent ordered."""
    claims = journal.claims
    batch = claims.begin_stream()
    digest = f"{batch:064x}"
    record = claims.plan(batch, service, digest, position=0, model="m", prompt={"text": "a boat"})
    spending.note(journal, service, {record.id: usd}, at, approved=False)
    return record.id


def usd(journal: Journal, service: str = "google", *busy: int) -> float:
    return spending.spent(journal, service, lambda record: record.id in busy).usd


def test_a_job_counts_from_its_order_until_it_is_known_to_cost_nothing(journal: Journal) -> None:
    job = ordered(journal)
    assert usd(journal) == 0  # nobody is about to send it
    assert usd(journal, "google", job) == 3
    journal.move(job, State.PLANNED, State.SUBMITTING, cost_usd=2.0)
    assert usd(journal) == 3  # at stake: the greater of both
    journal.move(job, State.SUBMITTING, State.RUNNING, operation="o")
    assert usd(journal) == 3
    journal.move(job, State.RUNNING, State.FETCHING, cost_usd=2.5)
    assert usd(journal) == 2.5  # known by now
    lost = ordered(journal)
    journal.move(lost, State.PLANNED, State.SUBMITTING)
    journal.move(lost, State.SUBMITTING, State.UNCERTAIN)
    assert usd(journal) == 5.5  # may be paid
    free = ordered(journal)
    journal.move(free, State.PLANNED, State.SUBMITTING, cost_usd=3.0)
    journal.move(free, State.SUBMITTING, State.FILTERED, cost_usd=0.0)
    assert usd(journal, "google", free) == 5.5


def test_all_services_that_bill_count_together_and_the_emulator_by_itself(journal: Journal) -> None:
    for service in ("google", "server", "mock"):
        job = ordered(journal, service)
        journal.move(job, State.PLANNED, State.SUBMITTING, cost_usd=3.0)
    assert usd(journal, "google") == usd(journal, "server") == usd(journal, "custom") == 6
    assert usd(journal, "mock", job) == 3
    assert usd(journal, "mock") == 0  # it ended with its session


def test_a_yes_clears_what_was_ordered_before_it(journal: Journal) -> None:
    for job in (ordered(journal), ordered(journal)):
        journal.move(job, State.PLANNED, State.SUBMITTING, cost_usd=3.0)
    assert spending.spent(journal, "google", lambda _: False).unasked_usd == 6
    spending.agree(journal, "server", NOW)
    job = ordered(journal, at=LATER)
    journal.move(job, State.PLANNED, State.SUBMITTING, cost_usd=3.0)
    assert spending.spent(journal, "google", lambda _: False) == spending.Spent(9, 3, 0)
