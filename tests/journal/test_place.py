"""Where a journal is: a shared one is named without what is secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from aveo3.journal.place import SharedJournal, home_of


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql://ann:hunter2@db.example:5433/veo?sslmode=require", "PostgreSQL at db.example:5433, database veo"),
        ("postgresql://ann:hunter2@one:1,two:2/veo", "PostgreSQL at one:1,two:2, database veo"),
        ("postgresql://localhost", "PostgreSQL at localhost"),
        ("host=db.example user=ann password=hunter2 dbname=veo", "PostgreSQL"),
        (
            "postgresql:///veo?host=/run/pg&port=5433&user=ann&password=hunter2",
            "PostgreSQL at /run/pg:5433, database veo",
        ),
        ("postgresql://ann:hunter2@[::1]:5432/v%20o", "PostgreSQL at [::1]:5432, database v o"),
        ("postgresql://ann:hun/ter2@db/veo", "PostgreSQL"),
        ("postgresql://ann:hun?ter2@db/veo", "PostgreSQL"),
        ("postgresql://ann:hun#ter2@db/veo", "PostgreSQL"),
        ("postgresql://ann:[ter2@db/veo", "PostgreSQL"),
    ],
)
def test_a_shared_journal_is_named_by_its_server_and_database_alone(url: str, named: str) -> None:
    shared = SharedJournal(SecretStr(url), Path("clips"))
    assert str(shared) == named
    assert "ter2" not in repr(shared)
    assert "ann" not in repr(shared)


def test_files_are_counted_from_the_directory_of_the_videos() -> None:
    assert home_of(Path("clips", ".aveo3", "journal.db")) == Path("clips")
    assert home_of(Path("books", "mine.db")) == Path("books")
    assert home_of(SharedJournal(SecretStr("postgresql://db/veo"), Path("clips"))) == Path("clips")
