"""A process that writes to PostgreSQL is killed before and after all that it sends and hears: the next one goes on.

What it had been told is on the disk is there; each step is there whole, once, and in its order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aveo3.journal.place import SharedJournal
from benchmarks.harness.postgres_server import PostgresServer
from tests.support import postgres
from tests.support.postgres_victim import JOBS, PATH

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that dies is a fork")

Live = Callable[[SharedJournal, int | None], dict[str, Any]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    program = [sys.executable, str(Path(__file__).parents[1] / "support" / "postgres_victim.py")]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    home = tmp_path_factory.mktemp("victims")
    with subprocess.Popen(program, text=True, cwd=home, env=env, **pipes) as process:  # type: ignore[call-overload]

        def live(place: SharedJournal, die_at: int | None) -> dict[str, Any]:
            order = json.dumps({"url": place.url.get_secret_value(), "die_at": die_at})
            print(order, file=process.stdin, flush=True)
            life: dict[str, Any] = json.loads(process.stdout.readline())
            assert life["exit"] in (0, -signal.SIGKILL), life
            return life

        yield live
        process.stdin.close()


def events(server: PostgresServer) -> dict[int, list[str]]:
    """The states of each job in their order, as soon as the server has ended the sessions of the dead."""
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = 'journal' AND backend_type = 'client backend'"
    while server.execute(others):
        pass
    found = defaultdict(list)
    for job, state in server.execute("SELECT job, state FROM aveo3.events ORDER BY id", "journal"):
        found[job].append(state)
    return found


def killed_at(die_at: int, live: Live, server: PostgresServer) -> dict[str, Any]:
    """One life that ends there, and one that goes on."""
    with postgres.journal(server) as url:
        place = postgres.place_of(url)
        life = live(place, die_at)
        found = events(server)
        for job, states in found.items():
            assert states == [*PATH[: len(states)]], (die_at, job)
        rows = dict(server.execute("SELECT id, state FROM aveo3.jobs", "journal"))
        assert rows == {job: states[-1] for job, states in found.items()}, die_at
        for job, state in (step.split() for step in life["steps"]):
            assert state in found[int(job)], (die_at, job, state)
        if life["exit"]:
            live(place, None)
        assert events(server) == {job: [*PATH] for job in JOBS}, die_at
    return life


def test_killed_here_and_there_it_loses_nothing(live: Live, postgres_server: PostgresServer) -> None:
    with postgres.journal(postgres_server) as url:
        points = live(postgres.place_of(url), None)["points"]
    assert points > 100
    for die_at in range(5, points * 3 // 4, points // 7):  # a slow server makes more waits of one
        assert killed_at(die_at, live, postgres_server)["exit"]


@pytest.mark.whole
@pytest.mark.parametrize("part", range(2))
def test_killed_at_every_point_it_loses_nothing(part: int, live: Live, postgres_server: PostgresServer) -> None:
    for die_at in count(1 + part, 2):
        if not killed_at(die_at, live, postgres_server)["exit"]:
            break
    print(f"{die_at} points")
    assert die_at > 100
