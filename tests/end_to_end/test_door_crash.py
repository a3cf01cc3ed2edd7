"""A server that is killed before any write, request or answer goes on: what got a 200 ends, and is paid once.

As in `test_crash`: unless the whole of it is asked for (`-m whole`), it dies at some kinds of points only.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aveo3
from aveo3.mock import MockOptions, MockServer
from tests.support.victim import Kinds

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a server that dies is a fork"),
    pytest.mark.real_time,
]

PROMPTS = ["a paper boat", "two kites"]
SOME = 12


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, str(Path(__file__).parents[1] / "support" / "door_victim.py")]
    house = str(Path(aveo3.__path__[0]).parent)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": house, "NO_GCE_CHECK": "true"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, cwd=tmp_path_factory.mktemp("victims"), env=env, **pipes) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


async def run(
    victims: subprocess.Popen[str], google: MockServer, home: Path, die_at: int | str | None, **more: Any
) -> dict[str, Any]:
    order = {
        "prompts": PROMPTS,
        "die_at": die_at,
        "base_url": google.url,
        "storage_url": google.url,
        "backend": "vertex",
        "api_key": "key",
        "output_dir": str(home),
        "rate_limit": 100,
        "poll_interval": 0.01,
        "retry_wait_base": 0.01,
        **more,
    }

    def ask() -> str:
        assert victims.stdin is not None
        assert victims.stdout is not None
        print(json.dumps(order), file=victims.stdin, flush=True)
        return victims.stdout.readline()

    life: dict[str, Any] = json.loads(await asyncio.to_thread(ask))
    assert life["exit"] in (0, -signal.SIGKILL), life["points"][-5:]
    return life


def answered(life: dict[str, Any]) -> set[str]:
    return {point.removeprefix("answered ") for point in life["points"] if point.startswith("answered ")}


async def check_death(victims: subprocess.Popen[str], home: Path, die_at: int | str, **more: Any) -> bool:
    """Kill a server at `die_at` and let the next one go on; False if the first came through."""
    options = MockOptions.model_validate({"latency": "0", "films": "bundled", "rpm": None})
    async with MockServer(options) as google:
        shutil.rmtree(home, ignore_errors=True)
        first = await run(victims, google, home, die_at, **more)
        before = dict(google.books.accepted_by_prompt)
        second = await run(victims, google, home, None, **more)
        assert second["exit"] == 0, die_at
        assert answered(first) <= second["ends"].keys(), "a name that got a 200 is lost"
        assert len(second["ends"]) == len(PROMPTS), "the same keys gave other operations"
        assert max(google.books.accepted_by_prompt.values()) == 1, "paid twice"
        for end in second["ends"].values():
            # Killed between a request and its answer: only a bucket can tell what became of it.
            lost = end["error"] is not None and end["error"]["code"] == 2
            assert end["videos"] == 1 or lost, (die_at, end)
            if lost and more:
                assert google.books.accepted_by_prompt != dict.fromkeys(PROMPTS, 1), "its video was in the bucket"
        assert before.keys() <= set(PROMPTS)
        return bool(first["exit"])


BUCKET = {"output_gcs_uri": "gs://bucket/out"}


@pytest.mark.parametrize("place", [{}, BUCKET], ids=["inline", "bucket"])
async def test_what_got_a_200_outlives_a_kill_at_some_points(
    victims: subprocess.Popen[str], place: dict[str, str], tmp_path: Path
) -> None:
    for kind in random.Random(len(place)).sample(await kinds(victims, tmp_path / "alive", place), SOME):
        await check_death(victims, tmp_path / "dead", kind, **place)


@pytest.mark.whole
@pytest.mark.parametrize("place", [{}, BUCKET], ids=["inline", "bucket"])
async def test_what_got_a_200_outlives_a_kill_at_every_point(
    victims: subprocess.Popen[str], place: dict[str, str], tmp_path: Path
) -> None:
    number = 1
    while await check_death(victims, tmp_path / "dead", number, **place):
        number += 1
    assert number > 100


async def kinds(victims: subprocess.Popen[str], home: Path, place: dict[str, str]) -> list[str]:
    """The kinds of points that a server comes to which nobody kills."""
    options = MockOptions.model_validate({"latency": "0", "films": "bundled", "rpm": None})
    async with MockServer(options) as google:
        life = await run(victims, google, home, None, **place)
    assert life["exit"] == 0
    assert [end["videos"] for end in life["ends"].values()] == [1, 1]
    kind = Kinds()
    return [*dict.fromkeys(kind(point) for point in life["points"] if not point.startswith("answered "))]
