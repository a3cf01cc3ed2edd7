"""A journal that a test fills by hand, as runs would have left it."""

from __future__ import annotations

import atexit
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord
from aveo3.journal.sqlite_files import log_of
from aveo3.lifecycle import State
from tests.support.journals import sqlite_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PATH = Path("clips/.aveo3/journal.db")
OPERATION = "projects/p/locations/us-central1/publishers/google/models/veo/operations/"


class Desk:
    """A journal that a test fills by hand. Its clock moves only by `wait`."""

    def __init__(self, path: Path = PATH) -> None:
        self.now = NOON
        self.journal = Journal(path, now_utc=lambda: self.now)
        self.stream = self.journal.claims.begin_stream()
        self.jobs = 0

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def job(
        self, state: State, text: str = "a boat", *, service: str = "google", digest: str = "", backend: str = "vertex"
    ) -> JobRecord:
        """A job that has reached `state` by the shortest way."""
        self.jobs += 1
        digest = digest.ljust(64, "0") if digest else hashlib.sha256(f"{self.jobs}".encode()).hexdigest()
        prompt = {"text": text, "duration_seconds": 8}
        entry = self.journal.claims.plan(
            self.stream, service, digest, position=self.jobs - 1, model="veo", prompt=prompt
        )
        at = State.PLANNED
        for new in WAYS[state]:
            self.journal.move(entry.id, at, new, **self.changes(entry, new, backend))
            at = new
        return entry

    def changes(self, entry: JobRecord, state: State, backend: str) -> dict[str, Any]:
        match state:
            case State.SUBMITTING:
                place = {"backend": backend, "project": "p", "location": "us-central1", "api_version": "v1"}
                return {"attempts": 1, "submitted_utc": self.now, "cost_usd": 3.2, "place": place}
            case State.RUNNING:
                return {"operation": OPERATION + entry.digest[:12]}
            case State.FETCHING:
                return {"finished_utc": self.now, "uris": ["https://files/1"], "cost_usd": 3.2}
            case State.SUCCEEDED:
                file = {"path": f"{entry.name}.mp4", "size": 2_345_678, "sha256": "f" * 64}
                return {"files": [file], "fetched_utc": self.now}
            case State.UNCERTAIN:
                return {"error_kind": "answer_lost", "error_message": "no answer\nin time"}
            case _:
                return {"error_kind": "why", "error_message": f"{state} for a reason", "cost_usd": 0.0}

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()

    def killed(self) -> None:
        """End like a killed process, without closing the journal."""
        atexit.unregister(self.journal.close)
        sqlite_of(self.journal).writer.wal_sync.close()
        log_file = log_of(self.journal.path)
        log = log_file.read_bytes()
        sqlite_of(self.journal).connection.close()
        log_file.write_bytes(log)  # a kill leaves this file; closing removes it
        sqlite_of(self.journal)._lock.release()


SENT = (State.SUBMITTING, State.RUNNING)
WAYS: dict[State, tuple[State, ...]] = {
    State.PLANNED: (),
    State.SUBMITTING: SENT[:1],
    State.RUNNING: SENT,
    State.FETCHING: (*SENT, State.FETCHING),
    State.SUCCEEDED: (*SENT, State.FETCHING, State.SUCCEEDED),
    State.FILTERED: (*SENT, State.FILTERED),
    State.REJECTED: (State.SUBMITTING, State.REJECTED),
    State.FAILED: (*SENT, State.FAILED),
    State.UNCERTAIN: (State.SUBMITTING, State.UNCERTAIN),
    State.DEFERRED: (State.DEFERRED,),
    State.CANCELLED: (State.CANCELLED,),
}
