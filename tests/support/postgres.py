"""PostgreSQL for tests: one server for each process of a test session, started when a test asks for it first."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.harness.postgres_server import PostgresServer

_numbers = itertools.count(1)


@contextmanager
def server() -> Iterator[PostgresServer]:
    """A server that is quick and forgets everything at its end."""
    if os.name != "posix":
        pytest.skip("the tests' PostgreSQL needs Unix signals")
    with PostgresServer() as server:
        yield server


@contextmanager
def database(server: PostgresServer, template: str = "template1") -> Iterator[str]:
    """The address of a new database, which lasts as long as the `with` block: some 60 ms."""
    name = f"test_{next(_numbers)}"
    try:
        yield server.create(name, template)
    finally:
        server.drop(name)
