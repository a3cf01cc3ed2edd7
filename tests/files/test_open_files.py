"""A small limit of open files makes a batch slower, and ends none."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aveo3
from aveo3.files import open_files, part_files

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")


def in_process(code: str, soft: int, hard: int, *arguments: str, directory: Path) -> str:
    """What a process with these limits prints. Its errors must be none."""
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
    root = str(Path(aveo3.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", limits + code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert not done.stderr, done.stderr[-2000:]
    return done.stdout


SHOWN = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"


@pytest.mark.real_time
@pytest.mark.parametrize(("soft", "hard", "raised"), [(256, 256, 256), (256, 1000, 1000), (1000, 1024, 1024)])
def test_a_program_raises_the_limit_as_far_as_it_may(soft: int, hard: int, raised: int, tmp_path: Path) -> None:
    code = f"from aveo3.files import open_files; open_files.raise_limit(); {SHOWN}"
    assert in_process(code, soft, hard, directory=tmp_path).split() == [str(raised), str(hard)]


BATCH = """
import asyncio, json, sys
from aveo3 import Settings, VeoClient
from aveo3.mock import MockOptions, MockServer

async def main():
    options = MockOptions.model_validate({"rpm": None, "latency": "0.2", "films": "bundled"})
    async with MockServer(options) as server:
        chosen = {"base_url": server.url, "backend": sys.argv[1], "api_key": "key", "rate_limit": 1000}
        async with VeoClient(Settings(**chosen, poll_interval=0.2, output_dir="clips")) as veo:
            clips = await veo.generate_many([f"boat {number}" for number in range(150)])
    print(json.dumps([[clip.status, clip.error_message] for clip in clips if not clip.succeeded]))

asyncio.run(main())
"""


@pytest.mark.real_time
@pytest.mark.parametrize("backend", ["vertex", "gemini"])
def test_connections_stay_below_a_limit_that_cannot_be_raised(backend: str, tmp_path: Path) -> None:
    """Client and emulator in one process, as in mock mode: each connection takes two of the 128 files."""
    assert json.loads(in_process(BATCH, 128, 128, backend, directory=tmp_path)) == []


def test_what_is_open_leaves_room_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    for soft, most in [(256, 38), (1024, 192), (64, 4), (resource.RLIM_INFINITY, 1625)]:
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert open_files.most_connections() == most


def test_too_many_open_files_are_told_as_such_and_tried_again() -> None:
    failed = part_files.refused(Path("clips/boat.mp4"), OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    assert not failed.final
    assert str(failed) == (
        "cannot write clips/boat.mp4: Too many open files. The video is made and paid. Allow "
        "more, for example with `ulimit -n 4096`, or set VEO3_MAX_CONCURRENCY."
    )
