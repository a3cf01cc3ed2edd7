"""One SSL context for all tests. Packages whose tests build SDK clients import the fixture in their `conftest`."""

from __future__ import annotations

import ssl

import pytest

SSL_CONTEXT = ssl.create_default_context()


@pytest.fixture(autouse=True)
def one_ssl_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each SDK client would read the certificates of the world three times over: a tenth of a second a test."""
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)
