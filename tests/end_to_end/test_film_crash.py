"""A film that is killed before any write, request or answer is made by the same command: each clip is paid once.

As `test_crash`, for a story: two scenes that begin from others, one by itself, and the assembly. A walk over
the points takes minutes; unless it is asked for (`-m whole`), some runs die at the film's own files.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import aveo3
from aveo3.mock import MockOptions, MockServer
from tests.support.victim import Kinds

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a run that dies is a fork"),
    pytest.mark.real_time,
]

STORY: dict[str, Any] = {
    "title": "Three",
    "film": {"loudness": None},
    "scenes": [
        {"id": "one", "prompt": "a boat"},
        {"id": "two", "prompt": "a kite", "from": "one"},
        {"id": "three", "prompt": "a lamp"},
    ],
}


@dataclass
class Life:
    """A run: how it ended, the points that it reached, and if it lived, its clips and files, and a second run's."""

    exit: int
    points: list[str]
    clips: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    again: list[dict[str, Any]] = field(default_factory=list)

    @property
    def own_points(self) -> list[str]:
        """The points of the first of the two runs."""
        return self.points[: self.points.index("once more")]


class Victims:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def run(self, server: MockServer, home: Path, *, die_at: int | str | None = None) -> Life:
        order = {
            "prompts": [STORY],
            "die_at": die_at,
            "fresh": False,
            "base_url": server.url,
            "storage_url": server.url,
            "output_gcs_uri": "gs://bucket/out",
            "backend": "vertex",
            "api_key": "key",
            "output_dir": str(home),
            "rate_limit": 100,
            "poll_interval": 0.01,
        }
        life = Life(**json.loads(await asyncio.to_thread(self._ask, json.dumps(order))))
        assert life.exit in (0, -signal.SIGKILL), life
        return life

    def _ask(self, order: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        print(order, file=self._process.stdin, flush=True)
        return self._process.stdout.readline()


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    program = [sys.executable, str(Path(__file__).parents[1] / "support" / "film_victim.py")]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(aveo3.__path__[0]).parent), "NO_GCE_CHECK": "true"}
    home = tmp_path_factory.mktemp("victims")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(program, text=True, cwd=home, env=env, **pipes) as process:  # type: ignore[call-overload]
        yield Victims(process)
        process.stdin.close()


async def killed_at(die_at: int | str | None, victims: Victims, home: Path) -> Life:
    """A run that dies there if it comes there, and one that takes it up; all is then as it should be."""
    home = home / hashlib.sha256(f"{die_at}".encode()).hexdigest()[:8] / "clips"
    async with MockServer(MockOptions.model_validate({"latency": "0", "films": "bundled", "rpm": None})) as server:
        first = life = await victims.run(server, home, die_at=die_at)
        if first.exit:
            life = await victims.run(server, home)
        paid = server.books.accepted_by_prompt
        assert all(times == 1 for times in paid.values())
    *clips, film = life.clips
    lost = [clip for clip in clips if clip["status"] == "uncertain"]
    if lost:  # its intent was on disk, and it was never sent: a person decides, and the film waits for that
        assert first.exit
        assert len(lost) == 1
        assert sum(paid.values()) < 3
        assert {clip["error_kind"] for clip in clips if clip["status"] == "deferred"} <= {"source"}
        assert film["film"] is None
        return first
    assert [clip["status"] for clip in clips] == ["succeeded"] * 3
    assert paid == {scene["prompt"]: 1 for scene in STORY["scenes"]}
    assert film == {"film": str(home / "film.mp4"), "missing": []}
    *again, same_film = life.again
    assert [clip["cached"] for clip in again] == [True] * 3
    assert same_film == film
    assert not [point for point in life.points[life.points.index("once more") :] if point.startswith("send")]
    visible = [name for name in life.files if not name.startswith(".")]
    assert len(visible) == 4  # three clips and the film: nothing half-made is left
    assert sorted(name for name in life.files if name.endswith((".part", ".new"))) == []
    return first


async def test_killed_while_the_film_takes_its_name_it_is_made_by_the_same_command(
    victims: Victims, tmp_path: Path
) -> None:
    """At the film's own files; `test_crash` dies at those of clips."""
    kind = Kinds()
    alive = await killed_at(None, victims, tmp_path)
    own = [each for each in dict.fromkeys(map(kind, alive.own_points)) if "film" in each]
    assert len(own) > 5
    for die_at in own[1::2]:
        assert (await killed_at(die_at, victims, tmp_path)).exit


@pytest.mark.whole
@pytest.mark.parametrize("part", range(2))
async def test_killed_at_every_third_point_a_film_is_paid_once_and_made(
    part: int, victims: Victims, tmp_path: Path
) -> None:
    """Some 300 points; `test_crash` walks every point of the clips themselves."""
    for die_at in count(1 + 3 * part, 6):
        first = await killed_at(die_at, victims, tmp_path)
        if not first.exit:
            break
    print(f"{len(first.own_points)} points")
    assert len(first.own_points) > 100
