"""Fixtures of the tests of this package: they run over every database that a journal may stand on."""

from __future__ import annotations

import pytest

from aveo3.journal.place import Place, SharedJournal
from tests.support.journals import FILE
from tests.support.journals import journal as journal

DATABASES = ("sqlite", "postgres")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    """The name of the database under `journal_place` and `journal`."""
    return str(request.param)


@pytest.fixture
def journal_place(database: str, request: pytest.FixtureRequest) -> Place:
    """An empty place for a journal in that database."""
    if database == "sqlite":
        return FILE
    place: SharedJournal = request.getfixturevalue("postgres_place")
    return place
