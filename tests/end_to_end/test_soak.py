"""The real command line on a bad day: faults everywhere, and killed again and again until all its clips are there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import aveo3
from aveo3.cli.exit_codes import Exit
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.mock import MockOptions, MockServer
from aveo3.mock.state.films import bundled
from aveo3.mock.state.operations import Operation

pytestmark = pytest.mark.real_time
WHOLE = pytest.mark.whole

SEED = 20
DEADLINE = 600.0
"""Seconds for all of it on a machine that has other things to do; one that has not takes a twentieth of that."""

FAULTS = ["500-before", "503", "drop-after", "truncated-after", "error-13", "poll-500", "poll-drop"]
BUCKET_FAULTS = ["download-drop", "download-503", "storage-503"]

PROGRAM = "import aveo3.engine.recovery; aveo3.engine.recovery.RECOVER_MEDIANS = 0.03; from aveo3.cli import app; app()"
"""The command line. What was lost is looked for in the bucket for two seconds, not minutes: clips are quick here."""


class House:
    """A directory with prompts and an emulator whose operations outlive the command line's processes."""

    def __init__(self, server: MockServer, home: Path, prompts: list[str], **environment: str) -> None:
        self.server = server
        self.clips = home / "clips"
        self.prompts = prompts
        self.log = home / "log.txt"
        (home / "prompts.txt").write_text("\n".join(prompts), "utf-8")
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(Path(aveo3.__path__[0]).parent),
            "VEO3_BASE_URL": server.url,
            "VEO3_STORAGE_URL": server.url,
            "VEO3_BACKEND": "vertex",
            "GOOGLE_API_KEY": "key",
            "VEO3_RATE_LIMIT": "40",
            "VEO3_MAX_CONCURRENCY": "16",  # so many, at the very most, does a kill leave in doubt
            "VEO3_RATE_PERIOD": "0.6",
            "VEO3_POLL_INTERVAL": "0.1",
            "VEO3_MAX_RETRIES": "20",  # faults must be met with patience here, or some clips fail
            "VEO3_RETRY_WAIT_BASE": "0.02",
            "VEO3_QUOTA_WAIT_TIME": "0.2",
            "VEO3_QUOTA_RESET_INTERVAL": "0.2",
            **environment,
        }

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, or go on with, `aveo3 generate`."""
        command = [sys.executable, "-c", PROGRAM, "generate", "prompts.txt", "--output-dir", str(self.clips)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.log.parent, env=self.environment)

    async def until(self, requests: float, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server has been asked as often, or the process has ended."""
        while self.requests < requests and process.poll() is None:  # noqa: ASYNC110  (neither of them has a bell)
            await asyncio.sleep(0.002)

    async def to_the_end(self) -> int:
        """Run it, and let it come to its end: the exit code."""
        process = self.start()
        try:
            await self.until(float("inf"), process)
        finally:
            process.kill()
            process.wait()
        return process.returncode

    async def killed_after(self, requests: int) -> None:
        """Run it, and kill it when that many more requests have come in."""
        wanted = self.requests + requests
        process = self.start()
        try:
            await self.until(wanted, process)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == -signal.SIGKILL, f"it ended before it was killed: {self.said()}"

    @property
    def requests(self) -> int:
        books = self.server.books
        return books.posts.total() + books.downloads + books.storage_lists

    @property
    def operations(self) -> list[Operation]:
        return list(self.server.emulator.operations._by_id.values())

    @property
    def entries(self) -> list[JobRecord]:
        with Journal(self.clips / ".aveo3/journal.db", writes=False) as journal:
            return list(journal.records())

    def said(self) -> str:
        """The last that it said."""
        return self.log.read_text("utf-8", "replace")[-3000:]


def texts(operations: Iterator[Operation]) -> Counter[str]:
    return Counter(operation.order.prompt for operation in operations)


def assert_paid_once_and_there(house: House) -> None:
    """By the books, the disk, the journal and the manifest."""
    there = {str(path.relative_to(house.clips)) for path in house.clips.rglob("*") if path.is_file()}
    books, entries, operations = house.server.books, house.entries, house.operations
    in_bucket = "VEO3_OUTPUT_GCS_URI" in house.environment
    once = Counter(house.prompts)

    # No prompt was accepted twice, but where Google itself had failed, for which it bills nothing.
    assert not books.accepted_by_prompt - once - texts(op for op in operations if op.outcome == "error-13")
    assert not texts(op for op in operations if op.delivered) - once

    # Every clip is there, or honestly in doubt; nothing that was accepted is forgotten.
    assert Counter(str(entry.prompt["text"]) for entry in entries) == once
    by_state = {state: [e for e in entries if e.state is state] for state in (State.SUCCEEDED, State.UNCERTAIN)}
    assert sum(map(len, by_state.values())) == len(entries), Counter(entry.state for entry in entries)
    lost = {str(entry.prompt["text"]) for entry in by_state[State.UNCERTAIN]}
    assert {entry.error_kind for entry in by_state[State.UNCERTAIN]} <= {"answer_lost"}
    made = texts(op for op in operations if op.delivered)
    assert made.keys() - lost == {str(entry.prompt["text"]) for entry in by_state[State.SUCCEEDED]}
    owed = [op for op in operations if op.delivered and op.order.prompt in lost]
    if in_bucket:  # whatever was made there has been found
        assert owed == []

    # Every file is whole, every one belongs to a clip, and nothing else lies about.
    film = bundled()
    files = [file for entry in by_state[State.SUCCEEDED] for file in entry.files]
    assert len({file["path"] for file in files}) == len(files) == len(by_state[State.SUCCEEDED])
    for file in files:
        assert (house.clips / file["path"]).read_bytes() == film
        assert (file["size"], file["sha256"]) == (len(film), hashlib.sha256(film).hexdigest())
    ours = {"manifest.jsonl", ".aveo3/journal.db", ".aveo3/journal.db.lock", *(str(file["path"]) for file in files)}
    assert there == ours

    # The sums agree.
    lines = [json.loads(line) for line in (house.clips / "manifest.jsonl").read_text("utf-8").splitlines()]
    last: dict[str, dict[str, Any]] = {line["job"]: line for line in lines}
    assert {job: line["status"] for job, line in last.items()} == {entry.name: entry.state for entry in entries}
    for costs in (
        [entry.cost_usd or 0.0 for entry in by_state[State.SUCCEEDED]],
        [line["cost_usd"] for line in last.values() if line["status"] == "succeeded"],
    ):
        assert sum(costs) + sum(op.billed_usd for op in owed) == pytest.approx(books.billed_usd)
    at_most = sum(line["cost_usd"] for line in last.values())  # what is in doubt counts in full
    assert books.billed_usd <= at_most + 0.001


@pytest.mark.parametrize(
    ("where", "clips", "kills"),
    [
        pytest.param("bucket", 200, 10, marks=WHOLE),
        pytest.param("inline", 100, 5, marks=WHOLE),
        pytest.param("bucket", 40, 2, marks=WHOLE),
        ("inline", 20, 1),
    ],
)
async def test_through_faults_and_kills_every_clip_is_paid_once_and_there(
    where: str, clips: int, kills: int, tmp_path: Path
) -> None:
    rng = random.Random(f"{SEED} {where}")
    in_bucket = where == "bucket"
    faults = [f"{fault}:0.05" for fault in chain(FAULTS, BUCKET_FAULTS if in_bucket else [])]
    options = {"speed": 100, "latency": "30-90", "rpm": 40, "films": "bundled", "faults": faults, "seed": SEED}
    prompts = [f"scene {number}" for number in range(1, clips + 1)]
    async with MockServer(MockOptions.model_validate(options)) as server:
        house = House(server, tmp_path, prompts, **({"VEO3_OUTPUT_GCS_URI": "gs://bucket/out"} if in_bucket else {}))
        try:
            async with asyncio.timeout(DEADLINE):
                for _ in range(kills):
                    await house.killed_after(rng.randint(1, 2 * clips // kills))  # each takes two requests at least
                code = await house.to_the_end()
                while server.books.running:  # noqa: ASYNC110  (the emulator has no bell)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"not done after {DEADLINE:g} s: {server.books.figures()}\n{house.said()}")
        assert_paid_once_and_there(house)
        uncertain = sum(entry.state is State.UNCERTAIN for entry in house.entries)
        assert code == (Exit.SOME_NOT if uncertain else Exit.ALL_MADE), house.said()
        before = server.books.posts.total(), server.books.downloads
        assert await house.to_the_end() == code
        assert (server.books.posts.total(), server.books.downloads) == before  # there is nothing left to send or fetch
        assert_paid_once_and_there(house)
    assert "Traceback" not in house.log.read_text("utf-8", "replace")
    print(f"{where}: {clips} clips, {kills} kills, {uncertain} uncertain, faults {dict(server.books.faults)}")
    struck = server.books.faults.keys()
    assert struck == {fault.partition(":")[0] for fault in faults} if clips >= 100 else struck


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=WHOLE), signal.SIGTERM])
async def test_a_run_that_is_asked_to_stop_says_where_it_stands_and_is_gone_on_with(
    number: signal.Signals, tmp_path: Path
) -> None:
    prompts = [f"scene {number}" for number in range(1, 61)]
    options = {"speed": 100, "latency": "30-90", "rpm": 40, "films": "bundled"}
    async with MockServer(MockOptions.model_validate(options)) as server, asyncio.timeout(DEADLINE):
        house = House(server, tmp_path, prompts)
        process = house.start()
        try:
            await house.until(45, process)
            process.send_signal(number)
            await house.until(float("inf"), process)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == Exit.INTERRUPTED
        sent = Counter(entry.state for entry in house.entries)
        assert sent.keys() - {State.PLANNED, State.CANCELLED} <= {State.SUCCEEDED, State.RUNNING, State.FETCHING}
        assert sent[State.CANCELLED] > 0
        assert (sent[State.RUNNING] > 0) == (number is signal.SIGTERM)  # which will not wait
        said = dict(re.findall(r"(?m)^(succeeded|unfinished|cancelled) +(\d+)", house.said()))
        left = sent[State.RUNNING] + sent[State.FETCHING]
        assert {name: int(value) for name, value in said.items() if int(value)} == {
            name: value
            for name, value in {
                "succeeded": sent[State.SUCCEEDED],
                "unfinished": left,
                "cancelled": len(prompts) - sent[State.SUCCEEDED] - left,
            }.items()
            if value
        }
        assert server.books.accepted == sent[State.SUCCEEDED] + left
        assert await house.to_the_end() == Exit.ALL_MADE
        assert server.books.accepted_by_prompt == Counter(prompts)
        assert_paid_once_and_there(house)
