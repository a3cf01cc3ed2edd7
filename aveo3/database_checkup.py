"""Checks the database that several machines share: does it answer, does it keep what was paid, is the directory one?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from aveo3.config.database_address import shown_address
from aveo3.config.settings import Settings
from aveo3.errors import JournalError
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.journal.shared_home import home_of_others, why_not_home

SLOW = 0.02
"""Seconds of one question above which it is said: an intent is on disk before its request leaves."""

FAR_OFF = 30.0
"""Seconds that a machine's clock may be off: the database's counts, but files and logs have the machine's."""

FEW_CONNECTIONS = 20
"""Free connections below which it is said: a process has up to five."""


@dataclass(frozen=True, slots=True)
class DatabaseFinding:
    """One thing that was looked at."""

    step: Literal["database", "durability", "directory"]
    state: Literal["ok", "note", "failed"]
    words: str


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    """What a check of the database has found."""

    findings: tuple[DatabaseFinding, ...]
    facts: dict[str, Any]
    """What the server says of itself; empty if it does not answer."""

    @property
    def ok(self) -> bool:
        """True if nothing has failed."""
        return all(finding.state != "failed" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        findings = [{"step": finding.step, "state": finding.state, "words": finding.words} for finding in self.findings]
        return {"ok": self.ok, "findings": findings, **self.facts}


def check_database(settings: Settings) -> DatabaseReport:
    """Ask the database of `settings`, and look at the directory. Changes nothing, and raises nothing. Blocks."""
    from dataclasses import asdict

    assert settings.database is not None
    place = SharedJournal(settings.database, settings.output_dir.absolute())
    try:
        from aveo3.journal.postgres_probe import probe
    except ImportError:
        words = "psycopg is not installed: pip install 'aveo3[postgres]'"
        return DatabaseReport((DatabaseFinding("database", "failed", words),), {})
    try:
        facts = probe(place)
    except JournalError as error:
        return DatabaseReport((DatabaseFinding("database", "failed", str(error)),), {})
    found = [*_server(facts, shown_address(settings.database)), *_durability(facts), *_directory(facts, place)]
    return DatabaseReport(tuple(found), asdict(facts))


def _server(facts: Any, address: str) -> Iterator[DatabaseFinding]:
    clock = f"{abs(facts.clock_offset):.1f} s {'ahead of' if facts.clock_offset > 0 else 'behind'} this machine's"
    yield DatabaseFinding(
        "database",
        "ok",
        f"{address}: PostgreSQL {facts.version} answers in {1000 * facts.latency:.1f} ms; its clock, which counts days "
        f"and windows, is {clock}",
    )
    if facts.is_standby:
        yield DatabaseFinding(
            "database", "failed", "it is a standby, which takes no writes: name the primary, or all hosts, as HOST,HOST"
        )
    if facts.is_pooled:
        yield DatabaseFinding(
            "database",
            "failed",
            "a pooler in between gives each transaction another session, so locks and leases would not hold: name the "
            "server itself, or a port where the pooler keeps sessions",
        )
    if not facts.has_journal and not facts.may_create:
        yield DatabaseFinding(
            "database", "failed", "this user may not make the journal: GRANT CREATE ON DATABASE … TO its role"
        )
    if facts.latency > SLOW:
        yield DatabaseFinding(
            "database", "note", f"it is far away: each submit waits for it, at least {1000 * facts.latency:.0f} ms"
        )
    if abs(facts.clock_offset) > FAR_OFF:
        yield DatabaseFinding("database", "note", "one of both clocks is wrong: see that both machines use NTP")
    if (free := facts.max_connections - facts.connections) < FEW_CONNECTIONS:
        yield DatabaseFinding(
            "database",
            "note",
            f"{free} of its {facts.max_connections} connections are free: each process of aveo3 has up to five",
        )


def _durability(facts: Any) -> Iterator[DatabaseFinding]:
    """What a crash or a failover may cost."""
    if not facts.fsync:
        yield DatabaseFinding(
            "durability",
            "failed",
            "fsync is off: a power cut may destroy the journal, and with it what was paid. Set fsync = on",
        )
        return
    if not facts.full_page_writes:
        yield DatabaseFinding("durability", "note", "full_page_writes is off: a power cut may damage pages")
    commit, names = facts.synchronous_commit, facts.synchronous_standby_names
    if commit == "off":
        yield DatabaseFinding("durability", "ok", "synchronous_commit is off; aveo3 sets it to on for its own sessions")
        commit = "on"
    if names and commit in ("on", "remote_apply"):
        yield DatabaseFinding(
            "durability",
            "ok",
            f"each intent is on the disk of a standby, too, before it is sent (synchronous_standby_names = {names}): a "
            "failover to it loses nothing that was paid",
        )
        return
    if names:
        yield DatabaseFinding(
            "durability",
            "note",
            f"synchronous_commit = {commit} does not wait for the standby's disk, though synchronous_standby_names = "
            f"{names}: {_LOST}. Set synchronous_commit = on",
        )
        return
    if facts.standbys:
        copies = f"{facts.standbys} standby copies" if facts.standbys == 1 else f"{facts.standbys} standbys copy"
        yield DatabaseFinding(
            "durability",
            "note",
            f"{copies} from it, later than it answers: {_LOST}. Set synchronous_standby_names, with two standbys so "
            "that one may be away",
        )
        return
    yield DatabaseFinding(
        "durability",
        "ok",
        "it has no standby: a restart loses nothing; if its disk is lost, so is the journal since the last backup",
    )


_LOST = (
    "a failover may lose the last moments, and what was sent in them is sent, and paid, again, or its video is never "
    "fetched"
)


def _directory(facts: Any, place: SharedJournal) -> Iterator[DatabaseFinding]:
    if not facts.has_journal:
        yield DatabaseFinding(
            "directory", "ok", f"{place.home} becomes the directory of all machines when the first process starts"
        )
        return
    try:
        with Journal(place, writes=False) as journal:
            if (why := why_not_home(journal)) is not None:
                yield DatabaseFinding("directory", "failed", why)
                return
            others = None
            with suppress(JournalError):
                others = home_of_others(journal)
    except JournalError as error:
        yield DatabaseFinding("database", "failed", str(error))
        return
    if others is None:
        yield DatabaseFinding("directory", "ok", f"{place.home} becomes the directory of all machines")
    else:
        path, host = others
        yield DatabaseFinding("directory", "ok", f"{place.home} is the directory that {host} calls {path}")
