"""The schema of the journal's SQLite file, as the steps that make each version out of the one before."""

from __future__ import annotations

import sqlite3

from aveo3.journal import stored_files_schema, totals_schema

APPLICATION_ID = 0x6176_656F  # "aveo", in the file's header: aveo3 touches no other database

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE jobs (
            id INTEGER PRIMARY KEY,
            service TEXT NOT NULL, digest TEXT NOT NULL, ordinal INTEGER NOT NULL,
            position INTEGER NOT NULL, model TEXT NOT NULL, prompt TEXT NOT NULL, queued_utc TEXT NOT NULL,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0,
            operation TEXT, place TEXT, output_uri TEXT, cost_usd REAL, error_kind TEXT, error_message TEXT,
            uris TEXT, files TEXT, submitted_utc TEXT, finished_utc TEXT, fetched_utc TEXT,
            UNIQUE (service, digest, ordinal)
        )""",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id),
            at_utc TEXT NOT NULL, state TEXT NOT NULL, changes TEXT NOT NULL
        )""",
        "CREATE INDEX events_by_job ON events (job)",
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL,
            started_utc TEXT NOT NULL, ended_utc TEXT
        )""",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN sent_as TEXT",
        "ALTER TABLE jobs ADD COLUMN instead_of TEXT",
        "ALTER TABLE jobs ADD COLUMN translated TEXT",
        "ALTER TABLE jobs ADD COLUMN sunk_usd REAL",
        "CREATE INDEX jobs_by_sent_as ON jobs (service, sent_as) WHERE sent_as IS NOT NULL",
    ),
    (
        """CREATE TABLE memory (
            service TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (service, kind, name)
        ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE batches (
            id INTEGER PRIMARY KEY, service TEXT NOT NULL, begun_utc TEXT NOT NULL, ended_utc TEXT
        )""",
        "ALTER TABLE jobs ADD COLUMN fresh_batch INTEGER",
        "CREATE INDEX jobs_by_fresh_batch ON jobs (fresh_batch) WHERE fresh_batch IS NOT NULL",
    ),
    ("ALTER TABLE jobs ADD COLUMN sunk_unpriced INTEGER",),
    ("CREATE INDEX jobs_by_operation ON jobs (operation) WHERE operation IS NOT NULL",),
    (
        """CREATE TABLE requests (
            job INTEGER PRIMARY KEY REFERENCES jobs (id),
            caller TEXT NOT NULL, request_key TEXT, body TEXT NOT NULL, priority INTEGER NOT NULL,
            door_name TEXT NOT NULL UNIQUE, resource TEXT NOT NULL, storage_uri TEXT,
            UNIQUE (caller, request_key)
        )""",
    ),
    ("ALTER TABLE requests ADD COLUMN deleted_utc TEXT",),
    (
        """CREATE TABLE lane_events (
            id INTEGER PRIMARY KEY, service TEXT NOT NULL, lane TEXT NOT NULL, at_utc TEXT NOT NULL, kind TEXT NOT NULL,
            breaker TEXT, until_utc TEXT, quota_limit REAL, quota_period REAL, quota_before REAL,
            reason TEXT, message TEXT
        )""",
        """CREATE TRIGGER lane_events_kept AFTER INSERT ON lane_events BEGIN
            DELETE FROM lane_events WHERE id <= NEW.id - 10000;
        END""",
    ),
    (
        """CREATE TABLE callbacks (
            job INTEGER PRIMARY KEY REFERENCES requests (job),
            url TEXT NOT NULL, base TEXT NOT NULL,
            attempts INTEGER NOT NULL, next_utc TEXT, closed_utc TEXT, outcome TEXT
        )""",
        "CREATE INDEX callbacks_open ON callbacks (job) WHERE closed_utc IS NULL",
    ),
    totals_schema.MIGRATION,
    stored_files_schema.MIGRATION,
    (
        "ALTER TABLE requests ADD COLUMN merge_key TEXT",
        "CREATE INDEX requests_by_merge_key ON requests (caller, merge_key) WHERE merge_key IS NOT NULL",
    ),
    ("ALTER TABLE jobs ADD COLUMN usage TEXT",),
    ("ALTER TABLE requests ADD COLUMN traceparent TEXT",),
)
"""Item n makes version n+1 of the schema out of version n, in a transaction of its own. Never edit one: add one."""


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the schema up to date; each step and its version number go into one transaction."""
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # SQLite may have ended it already
                db.execute("ROLLBACK")
            raise
