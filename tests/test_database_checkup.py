"""`aveo3 check` says what a database's settings mean for money, and whether all machines see one directory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from aveo3.config.settings import Settings
from aveo3.database_checkup import _durability, _server, check_database
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_probe import PostgresFacts
from aveo3.journal.shared_home import check_home
from tests.support.terminal import run

GOOD = PostgresFacts(
    version="18.1",
    latency=0.001,
    clock_offset=0.2,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    synchronous_standby_names="",
    standbys=0,
    is_standby=False,
    is_pooled=False,
    connections=10,
    max_connections=97,
    has_journal=True,
    may_create=True,
)


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "ok", "it has no standby: a restart loses nothing"),
        ({"standbys": 1}, "note", "1 standby copies from it, later than it answers: a failover may lose"),
        ({"standbys": 2}, "note", "paid, again"),
        ({"synchronous_standby_names": "ANY 1 (a, b)", "standbys": 2}, "ok", "a failover to it loses nothing"),
        ({"synchronous_standby_names": "a", "synchronous_commit": "local"}, "note", "does not wait for the standby"),
        ({"synchronous_standby_names": "a", "synchronous_commit": "remote_write"}, "note", "Set synchronous_commit"),
        ({"synchronous_standby_names": "a", "synchronous_commit": "off"}, "ok", "aveo3 sets it to on"),
        ({"fsync": False, "synchronous_standby_names": "a"}, "failed", "fsync is off: a power cut may destroy"),
        ({"full_page_writes": False}, "note", "full_page_writes is off"),
    ],
)
def test_what_a_crash_or_a_failover_may_cost_is_said(changes: dict[str, object], state: str, words: str) -> None:
    findings = [*_durability(replace(GOOD, **changes))]  # type: ignore[arg-type]
    assert (findings[0].state, words in " ".join(each.words for each in findings)) == (state, True)


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "ok", "PostgreSQL 18.1 answers in 1.0 ms; its clock, which counts days and windows, is 0.2 s ahead of"),
        ({"is_standby": True}, "failed", "it is a standby, which takes no writes"),
        ({"is_pooled": True}, "failed", "locks and leases would not hold"),
        ({"has_journal": False, "may_create": False}, "failed", "GRANT CREATE ON DATABASE"),
        ({"latency": 0.05}, "note", "each submit waits for it, at least 50 ms"),
        ({"clock_offset": -45.0}, "note", "one of both clocks is wrong"),
        ({"connections": 90}, "note", "7 of its 97 connections are free"),
    ],
)
def test_what_keeps_a_server_from_being_used_is_said(changes: dict[str, object], state: str, words: str) -> None:
    findings = [*_server(replace(GOOD, **changes), "postgresql://db/veo")]  # type: ignore[arg-type]
    assert (findings[-1].state, words in findings[-1].words) == (state, True)


def test_a_real_server_is_asked_and_the_directory_compared(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Settings(database=postgres_url, output_dir=tmp_path / "all")
    report = check_database(here)
    assert [(each.step, each.state) for each in report.findings][:2] == [("database", "ok"), ("durability", "failed")]
    assert report.facts["latency"] > 0
    with Journal(SharedJournal(SecretStr(postgres_url), tmp_path / "all")) as journal:
        check_home(journal)
    assert "is the directory that" in check_database(here).findings[-1].words
    other = check_database(Settings(database=postgres_url, output_dir=tmp_path / "own")).findings[-1]
    assert (other.state, "is not the directory" in other.words) == ("failed", True)
    monkeypatch.setenv("VEO3_DATABASE", postgres_url.replace("open-sesame", "s3cr3t"))
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    monkeypatch.setenv("VEO3_BACKEND", "gemini")
    monkeypatch.setenv("VEO3_BASE_URL", "http://127.0.0.1:9")
    code, out, err = run("check", "--json")
    assert code == 1
    assert "password authentication failed" in json.loads(out)["database"]["findings"][0]["words"]
    assert "s3cr3t" not in out + err
