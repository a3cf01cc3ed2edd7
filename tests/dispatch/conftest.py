from __future__ import annotations

import pytest

from tests.support.lanes import Places


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Places:
    """The services behind the lanes of a test; a lane may name the key that is called KEY."""
    monkeypatch.setenv("KEY", "k")
    return Places()
