"""A journal as a run leaves it, with clips in every state, for the tests of the report."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aveo3 import Settings
from aveo3.cli.shells import quoted
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.mock.state.films import bundled
from aveo3.report.from_journal import frame_of, url_from, view_of
from aveo3.report.view import ClipRow, View

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MODEL = "veo-3.1-generate-001"
PLACE = {"backend": "vertex", "project": "p", "location": "us-central1", "api_version": "v1"}


class Clock:
    """A calendar that goes on by a second with each look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class Past:
    """Writes the past of an output directory into its journal, a job at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.journal = Journal(directory / ".aveo3" / "journal.db", now_utc=self.clock)
        self._stream = self.journal.claims.begin_stream()
        self._count = 0

    def plan(self, text: str, *, service: str = "google", **fields: Any) -> int:
        """The number of a new job."""
        self._count += 1
        digest = f"{self._count:08x}" + "0" * 56
        prompt = {"text": text, **fields}
        claims, position = self.journal.claims, self._count - 1
        return claims.plan(self._stream, service, digest, position=position, model=MODEL, prompt=prompt).id

    def submit(self, job: int, *, cost_usd: float | None = 3.2, place: dict[str, str] | None = None) -> None:
        changes: dict[str, Any] = {"attempts": 1, "model": MODEL, "cost_usd": cost_usd, "place": place or PLACE}
        self.journal.move(job, State.PLANNED, State.SUBMITTING, **changes, submitted_utc=self.clock())

    def run(self, job: int, **more: Any) -> None:
        self.submit(job, **more)
        self.journal.move(job, State.SUBMITTING, State.RUNNING, operation=f"operations/{job}")

    def make(self, job: int, name: str | None = None, *, film: bytes | None = None, **more: Any) -> Path:
        """A job that succeeds; its file is there unless `film` is empty."""
        self.run(job, **more)
        film = bundled() if film is None else film
        path = self.directory / (name or f"{job}.mp4")
        if film:
            path.write_bytes(film)
        self.journal.move(job, State.RUNNING, State.FETCHING, finished_utc=self.clock(), uris=())
        files = [{"path": path.name, "size": len(film), "sha256": f"{job:064x}"}]
        self.journal.move(job, State.FETCHING, State.SUCCEEDED, files=files, fetched_utc=self.clock())
        return path

    def end(self, job: int, state: State, kind: str, message: str, *, after: State = State.PLANNED) -> None:
        """A job that ends without a video."""
        if after is not State.PLANNED:
            self.run(job)
        self.journal.move(job, after, state, error_kind=kind, error_message=message, cost_usd=_cost(state))


def multiply(path: Path, jobs: int) -> None:
    """Make so many jobs of the one in the journal at `path`, each with its events; they share its files."""
    with closing(sqlite3.connect(path)) as db, db:
        for table, own in (("jobs", {"id": "n", "digest": "printf('%08x%056x', n, n)"}), ("events", {"job": "n"})):
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if (table, row[1]) != ("events", "id")]
            values = ", ".join(own.get(name, name) for name in names)
            db.execute(
                f"WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < {jobs}) "
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM numbers CROSS JOIN {table} AS one "
                f"WHERE one.{'id' if table == 'jobs' else 'job'} = 1"
            )


def _cost(state: State) -> float:
    return 3.2 if state is State.UNCERTAIN else 0.0


def seen(directory: Path, *, base: Path | None = None, **settings: Any) -> View:
    """What a report about `directory` shows, after its run."""
    own = Settings(output_dir=directory, **settings)
    assert own.journal_path is not None
    with Journal(own.journal_path, writes=False) as journal:
        url = url_from(base or directory)
        frame = frame_of(journal, directory, url=url, quoted=quoted, active=journal.in_use())
        return view_of(journal, own, frame, now_utc=START)


def by_text(view: View) -> dict[str, ClipRow]:
    return {row["text"]: row for row in view["clips"]}
