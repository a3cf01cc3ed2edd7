"""Brings a journal in PostgreSQL to the schema of this version, and refuses what is none."""

from __future__ import annotations

from datetime import datetime

import psycopg

from aveo3.errors import JournalError
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_schema import MIGRATIONS, SCHEMA
from aveo3.journal.postgres_session import Session, refused

MIGRATION_LOCK = 0x6176_656F_0000_0003
"""Held by who changes the schema: others who open the journal wait."""


def prepare(session: Session, place: SharedJournal, *, writes: bool) -> tuple[str, datetime]:
    """Check the journal, and make or migrate it if `writes`. Returns its nonce, and the server's time.

    All steps of a migration are one transaction: interrupted, it has not begun. Raises `JournalError` naming the place
    if it holds something else, a newer version, or, to be read only, nothing or an older one.
    """
    try:
        version = _version(session, place)
        if writes and version < len(MIGRATIONS):
            with session.transaction():
                session.execute("SET LOCAL statement_timeout = '10min'")
                session.execute("SELECT pg_advisory_xact_lock($1)", (MIGRATION_LOCK,))
                _migrate(session, place)
            version = len(MIGRATIONS)
        if version > len(MIGRATIONS):
            raise JournalError(
                f"{place} was written by a newer aveo3 (schema {version}, this one knows {len(MIGRATIONS)}). Update "
                "aveo3 (pip install -U aveo3). Nothing was changed or sent."
            )
        if version == 0:
            raise JournalError(f"{place}: there is no journal. Nothing was generated with this database yet.")
        if version < len(MIGRATIONS):
            raise JournalError(
                f"{place} is of an older version (schema {version}, this one has {len(MIGRATIONS)}). A run or a server "
                "of this version brings it up to date; start one first."
            )
        [[nonce, now]] = session.execute("SELECT nonce, clock_timestamp() FROM journal").fetchall()
    except psycopg.Error as error:
        raise refused(place, error) from None
    return nonce, now


def _version(session: Session, place: SharedJournal) -> int:
    """The version of the journal's schema; 0 if there is none yet."""
    [[tables, marked, encoding]] = session.execute(
        "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = $1), to_regclass($2) IS NOT NULL, "
        "current_setting('server_encoding')",
        (SCHEMA, f"{SCHEMA}.journal"),
    ).fetchall()
    if encoding != "UTF8":
        raise JournalError(f"{place} keeps texts as {encoding}. aveo3 needs a database with ENCODING 'UTF8'.")
    if marked:
        columns = (
            "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname IN ('version', 'nonce')"
        )
        [[found]] = session.execute(columns, (f"{SCHEMA}.journal",)).fetchall()
        rows = session.execute("SELECT version FROM journal").fetchall() if found == 2 else []
        if len(rows) == 1:
            return int(rows[0][0])
    if tables:
        raise JournalError(f"{place} has a schema {SCHEMA} that is no journal of aveo3. Name another database.")
    return 0


def _migrate(session: Session, place: SharedJournal) -> None:
    session.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
    version = _version(session, place)  # somebody else may have done it meanwhile
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            session.execute(statement.encode())
    if version < len(MIGRATIONS):
        session.execute("UPDATE journal SET version = $1", (len(MIGRATIONS),))
