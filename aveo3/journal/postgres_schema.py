"""The schema of a journal in PostgreSQL, as the steps that make each version out of the one before.

It has the tables, columns and triggers of SQLite's (`sqlite_schema`), in the schema `aveo3` of its database. Texts
compare by their bytes, as in SQLite: `COLLATE "C"`.
"""

from __future__ import annotations

SCHEMA = "aveo3"

_TEXT = 'TEXT COLLATE "C"'
_ENDED = "('succeeded', 'filtered', 'rejected', 'failed', 'uncertain', 'deferred', 'cancelled')"
_WHY = "CASE WHEN {0}.state IN ('cancelled', 'deferred') THEN coalesce({0}.error_kind, '') ELSE '' END"


def _count(row: str, caller: str, factor: int) -> str:
    """The statement of PL/pgSQL that counts `row` once more for `caller`, or once less."""
    return f"""
        INSERT INTO aveo3.request_totals AS t VALUES ({row}.service, {caller}, {row}.state, {_WHY.format(row)},
            {factor}, {factor} * coalesce({row}.cost_usd, 0), {factor} * ({row}.cost_usd IS NULL)::integer,
            {factor} * coalesce({row}.sunk_usd, 0), {factor} * coalesce({row}.sunk_unpriced, 0))
        ON CONFLICT (service, caller, state, why) DO UPDATE SET jobs = t.jobs + excluded.jobs,
            cost_usd = t.cost_usd + excluded.cost_usd, unpriced = t.unpriced + excluded.unpriced,
            sunk_usd = t.sunk_usd + excluded.sunk_usd, sunk_unpriced = t.sunk_unpriced + excluded.sunk_unpriced;"""


def _there(row: str) -> str:
    return f"CASE WHEN {row}.removed_utc IS NULL THEN {row}.bytes ELSE 0 END"


def _collected(row: str) -> str:
    return f"CASE WHEN {row}.removed_utc IS NULL AND {row}.collected_utc IS NOT NULL THEN {row}.bytes ELSE 0 END"


def _trigger(name: str, event: str, body: str, declare: str = "") -> tuple[str, str]:
    """A function and the trigger that calls it for each row."""
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {declare} BEGIN {body} RETURN NULL; END $$",
        f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW EXECUTE FUNCTION {name}()",
    )


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # What is PostgreSQL's alone.
        f"""CREATE TABLE journal (
            version INTEGER NOT NULL, nonce {_TEXT} NOT NULL DEFAULT gen_random_uuid()::text
        )""",
        "INSERT INTO journal VALUES (0)",
        # How far each open journal has written: after a lost connection it says whether the last flush was committed.
        "CREATE TABLE writers (id BIGINT PRIMARY KEY, flush BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL DEFAULT now())",
        "CREATE SEQUENCE writer_ids",
        "CREATE SEQUENCE job_ids INCREMENT BY 100",  # a block for each question
        """CREATE FUNCTION journal_row_changed() RETURNS integer VOLATILE LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'a row is not as the step expects it' USING ERRCODE = 'AV001';
        END $$""",
        # A field of a JSON object as text. ->> refuses documents that spell out NUL or half a surrogate pair anywhere.
        """CREATE FUNCTION journal_field(document TEXT, field TEXT) RETURNS TEXT
            IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN
                RETURN document::json ->> field;
            EXCEPTION WHEN data_exception THEN
                document := regexp_replace(
                    document, '(?<!\\\\)((\\\\\\\\)*)\\\\u(0000|d[89a-f][0-9a-f]{2})', '\\1?', 'gi'
                );
                RETURN document::json ->> field;
            END $$""",
        # What both databases have.
        f"""CREATE TABLE jobs (
            id BIGINT PRIMARY KEY,
            service {_TEXT} NOT NULL, digest {_TEXT} NOT NULL, ordinal BIGINT NOT NULL,
            position BIGINT NOT NULL, model {_TEXT} NOT NULL, prompt {_TEXT} NOT NULL, queued_utc {_TEXT} NOT NULL,
            state {_TEXT} NOT NULL,
            attempts BIGINT NOT NULL DEFAULT 0, retries BIGINT NOT NULL DEFAULT 0,
            operation {_TEXT}, place {_TEXT}, output_uri {_TEXT}, cost_usd DOUBLE PRECISION, error_kind {_TEXT},
            error_message {_TEXT}, uris {_TEXT}, files {_TEXT},
            submitted_utc {_TEXT}, finished_utc {_TEXT}, fetched_utc {_TEXT},
            sent_as {_TEXT}, instead_of {_TEXT}, translated {_TEXT}, sunk_usd DOUBLE PRECISION, fresh_batch BIGINT,
            sunk_unpriced BIGINT, usage {_TEXT},
            UNIQUE (service, digest, ordinal)
        ) WITH (fillfactor = 70)""",  # a row changes five times: room for its next version beside it
        # Two processes may plan equal prompts at once. Writers take turns, so what is counted here is whole.
        """CREATE FUNCTION jobs_numbered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM aveo3.jobs
                WHERE service = NEW.service AND digest = NEW.digest AND ordinal = NEW.ordinal) THEN
                SELECT max(ordinal) + 1 INTO NEW.ordinal FROM aveo3.jobs
                WHERE service = NEW.service AND digest = NEW.digest;
            END IF;
            RETURN NEW;
        END $$""",
        "CREATE TRIGGER jobs_numbered BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION jobs_numbered()",
        "CREATE INDEX jobs_by_sent_as ON jobs (service, sent_as) WHERE sent_as IS NOT NULL",
        "CREATE INDEX jobs_by_fresh_batch ON jobs (fresh_batch) WHERE fresh_batch IS NOT NULL",
        "CREATE INDEX jobs_by_operation ON jobs (operation) WHERE operation IS NOT NULL",
        "CREATE INDEX jobs_unended ON jobs (state, id) WHERE state IN ('planned', 'submitting', 'running', 'fetching')",
        f"""CREATE TABLE events (
            id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, job BIGINT NOT NULL REFERENCES jobs (id),
            at_utc {_TEXT} NOT NULL, state {_TEXT} NOT NULL, changes {_TEXT} NOT NULL
        )""",
        "CREATE INDEX events_by_job ON events (job)",
        f"""CREATE TABLE runs (
            id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, pid BIGINT NOT NULL, host {_TEXT} NOT NULL,
            started_utc {_TEXT} NOT NULL, ended_utc {_TEXT}
        )""",
        f"""CREATE TABLE memory (
            service {_TEXT} NOT NULL, kind {_TEXT} NOT NULL, name {_TEXT} NOT NULL, value {_TEXT} NOT NULL,
            PRIMARY KEY (service, kind, name)
        )""",
        f"""CREATE TABLE batches (
            id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, service {_TEXT} NOT NULL,
            begun_utc {_TEXT} NOT NULL, ended_utc {_TEXT}
        )""",
        f"""CREATE TABLE requests (
            job BIGINT PRIMARY KEY REFERENCES jobs (id),
            caller {_TEXT} NOT NULL, request_key {_TEXT}, body {_TEXT} NOT NULL, priority BIGINT NOT NULL,
            door_name {_TEXT} NOT NULL UNIQUE, resource {_TEXT} NOT NULL, storage_uri {_TEXT},
            deleted_utc {_TEXT}, merge_key {_TEXT}, traceparent {_TEXT},
            UNIQUE (caller, request_key)
        )""",
        "CREATE INDEX requests_by_merge_key ON requests (caller, merge_key) WHERE merge_key IS NOT NULL",
        f"""CREATE TABLE lane_events (
            id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, service {_TEXT} NOT NULL, lane {_TEXT} NOT NULL,
            at_utc {_TEXT} NOT NULL, kind {_TEXT} NOT NULL, breaker {_TEXT}, until_utc {_TEXT},
            quota_limit DOUBLE PRECISION, quota_period DOUBLE PRECISION, quota_before DOUBLE PRECISION,
            reason {_TEXT}, message {_TEXT}
        )""",
        *_trigger(
            "lane_events_kept",
            "INSERT ON lane_events",
            # In this form it reads the index, whatever is known of the table.
            "DELETE FROM aveo3.lane_events WHERE id IN "
            "(SELECT id FROM aveo3.lane_events WHERE id <= NEW.id - 10000 ORDER BY id LIMIT 100);",
        ),
        f"""CREATE TABLE callbacks (
            job BIGINT PRIMARY KEY REFERENCES requests (job),
            url {_TEXT} NOT NULL, base {_TEXT} NOT NULL,
            attempts BIGINT NOT NULL, next_utc {_TEXT}, closed_utc {_TEXT}, outcome {_TEXT}
        )""",
        "CREATE INDEX callbacks_open ON callbacks (job) WHERE closed_utc IS NULL",
        f"""CREATE TABLE request_totals (
            service {_TEXT} NOT NULL, caller {_TEXT} NOT NULL, state {_TEXT} NOT NULL, why {_TEXT} NOT NULL,
            jobs BIGINT NOT NULL, cost_usd DOUBLE PRECISION NOT NULL, unpriced BIGINT NOT NULL,
            sunk_usd DOUBLE PRECISION NOT NULL, sunk_unpriced BIGINT NOT NULL,
            PRIMARY KEY (service, caller, state, why)
        ) WITH (fillfactor = 50)""",
        *_trigger(
            "request_counted",
            "INSERT ON requests",
            f"SELECT * INTO job FROM aveo3.jobs WHERE id = NEW.job; {_count('job', 'NEW.caller', 1)}",
            declare="DECLARE job aveo3.jobs%ROWTYPE;",
        ),
        *_trigger(
            "request_moved",
            "UPDATE OF state, error_kind, cost_usd, sunk_usd, sunk_unpriced ON jobs",
            f"""SELECT caller INTO owner FROM aveo3.requests WHERE job = NEW.id;
            IF FOUND THEN {_count("OLD", "owner", -1)} {_count("NEW", "owner", 1)} END IF;""",
            declare="DECLARE owner text;",
        ),
        f"""CREATE TABLE stored_files (
            job BIGINT PRIMARY KEY REFERENCES requests (job), ended_utc {_TEXT} NOT NULL,
            files INTEGER NOT NULL, bytes BIGINT NOT NULL, collected BIGINT NOT NULL DEFAULT 0,
            collected_utc {_TEXT}, removed_utc {_TEXT}, removed_by {_TEXT}
        )""",
        "CREATE INDEX stored_files_by_end ON stored_files (ended_utc, job) WHERE removed_utc IS NULL",
        """CREATE INDEX stored_files_by_use ON stored_files (collected_utc, job)
            WHERE removed_utc IS NULL AND collected_utc IS NOT NULL""",
        "CREATE TABLE stored_bytes (id BIGINT PRIMARY KEY, bytes BIGINT NOT NULL, collected BIGINT NOT NULL)",
        "INSERT INTO stored_bytes VALUES (1, 0, 0)",
        *_trigger(
            "stored_files_added",
            "INSERT ON stored_files",
            "UPDATE aveo3.stored_bytes SET bytes = bytes + NEW.bytes;",
        ),
        *_trigger(
            "stored_files_changed",
            "UPDATE ON stored_files",
            f"""UPDATE aveo3.stored_bytes SET bytes = bytes + {_there("NEW")} - {_there("OLD")},
                collected = collected + {_collected("NEW")} - {_collected("OLD")};""",
        ),
        # A job that a person had sent again may end with files although those of its first end were removed.
        *_trigger(
            "stored_files_noted",
            "INSERT ON events",
            f"""IF NEW.state IN {_ENDED} AND EXISTS (SELECT 1 FROM aveo3.requests WHERE job = NEW.job) THEN
                anew := (NEW.changes::json -> 'files') IS NOT NULL AND (NEW.changes::json -> 'files')::text <> 'null';
                INSERT INTO aveo3.stored_files AS s (job, ended_utc, files, bytes)
                SELECT id, NEW.at_utc, coalesce(json_array_length(jobs.files::json), 0),
                    coalesce((SELECT sum((value ->> 'size')::bigint) FROM json_array_elements(jobs.files::json)), 0)
                FROM aveo3.jobs WHERE id = NEW.job
                ON CONFLICT (job) DO UPDATE SET ended_utc = excluded.ended_utc, files = excluded.files,
                    bytes = excluded.bytes,
                    collected = CASE WHEN anew THEN 0 ELSE s.collected END,
                    collected_utc = CASE WHEN anew THEN NULL ELSE s.collected_utc END,
                    removed_utc = CASE WHEN anew THEN NULL ELSE s.removed_utc END;
            END IF;""",
            declare="DECLARE anew boolean;",
        ),
    ),
)
"""Item n makes version n+1 of the schema out of version n. Never edit one after its release: add one."""

IDENTITIES = ("events", "runs", "batches", "lane_events")
"""The tables whose `id`s PostgreSQL gives."""


def renumbered() -> tuple[str, ...]:
    """The statements after which new rows get numbers above all that were copied into an empty journal."""
    return (
        "SELECT setval('job_ids', (SELECT 1 + 100 * ((coalesce(max(id), 0) + 99) / 100) FROM jobs), false)",
        *(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false) FROM {table}"
            for table in IDENTITIES
        ),
    )
