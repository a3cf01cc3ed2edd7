"""Which lanes' locks any process holds now: it looks, and takes none."""

from __future__ import annotations

from collections.abc import Iterable

from aveo3.journal.journal import Journal


def held(journal: Journal, lanes: Iterable[str]) -> set[str]:
    """Those of `lanes` whose locks are held in a shared journal; none in one that is not shared."""
    if not journal.shared:
        return set()
    from aveo3.journal.postgres_locks import _key  # lazy: psycopg is an extra

    taken = {int(number) for [number] in journal.read(_TAKEN)}
    return {lane for lane in lanes if _key(lane) in taken}


_TAKEN = (
    "SELECT classid::bigint << 32 | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted "
    "AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
