"""The step of the journal's schema that adds what `stored_files` reads: its tables, and the triggers that fill them.

They work in the transaction in which a request's job ends, so no kill comes between.
"""

from __future__ import annotations

# These texts are part of a migration: never edit them, add another.

_ENDED = "('succeeded', 'filtered', 'rejected', 'failed', 'uncertain', 'deferred', 'cancelled')"
_FILES = "coalesce(json_array_length(jobs.files), 0)"
_BYTES = "CAST((SELECT total(json_extract(value, '$.size')) FROM json_each(jobs.files)) AS INTEGER)"


def _there(row: str) -> str:
    return f"iif({row}.removed_utc IS NULL, {row}.bytes, 0)"


def _collected(row: str) -> str:
    return f"iif({row}.removed_utc IS NULL AND {row}.collected_utc IS NOT NULL, {row}.bytes, 0)"


MIGRATION: tuple[str, ...] = (
    """CREATE TABLE stored_files (
        job INTEGER PRIMARY KEY REFERENCES requests (job), ended_utc TEXT NOT NULL,
        files INTEGER NOT NULL, bytes INTEGER NOT NULL, collected INTEGER NOT NULL DEFAULT 0,
        collected_utc TEXT, removed_utc TEXT, removed_by TEXT
    )""",
    "CREATE INDEX stored_files_by_end ON stored_files (ended_utc, job) WHERE removed_utc IS NULL",
    """CREATE INDEX stored_files_by_use ON stored_files (collected_utc, job)
        WHERE removed_utc IS NULL AND collected_utc IS NOT NULL""",
    "CREATE TABLE stored_bytes (id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, collected INTEGER NOT NULL)",
    "INSERT INTO stored_bytes VALUES (1, 0, 0)",
    """CREATE TRIGGER stored_files_added AFTER INSERT ON stored_files BEGIN
        UPDATE stored_bytes SET bytes = bytes + NEW.bytes;
    END""",
    f"""CREATE TRIGGER stored_files_changed AFTER UPDATE ON stored_files BEGIN
        UPDATE stored_bytes SET bytes = bytes + {_there("NEW")} - {_there("OLD")},
            collected = collected + {_collected("NEW")} - {_collected("OLD")};
    END""",
    # A job that a person had sent again may end with files although those of its first end were removed.
    f"""CREATE TRIGGER stored_files_noted AFTER INSERT ON events
        WHEN NEW.state IN {_ENDED} AND EXISTS (SELECT 1 FROM requests WHERE job = NEW.job)
        BEGIN
            INSERT INTO stored_files (job, ended_utc, files, bytes)
            SELECT id, NEW.at_utc, {_FILES}, {_BYTES} FROM jobs WHERE id = NEW.job
            ON CONFLICT (job) DO UPDATE SET ended_utc = excluded.ended_utc, files = excluded.files,
                bytes = excluded.bytes,
                collected = iif(json_extract(NEW.changes, '$.files') IS NULL, collected, 0),
                collected_utc = iif(json_extract(NEW.changes, '$.files') IS NULL, collected_utc, NULL),
                removed_utc = iif(json_extract(NEW.changes, '$.files') IS NULL, removed_utc, NULL);
        END""",
    f"""INSERT INTO stored_files (job, ended_utc, files, bytes)
        SELECT jobs.id, coalesce(fetched_utc, finished_utc, submitted_utc, queued_utc), {_FILES}, {_BYTES}
        FROM requests JOIN jobs ON jobs.id = job WHERE state IN {_ENDED}""",
)
"""Adds the tables, and notes what ended before."""
