"""Tests of files run by the rules of Linux and, if they use `system`, by those of Windows, too."""

from __future__ import annotations

import sys

import pytest

from tests.support.windows import keep_to_windows_rules


@pytest.fixture(params=["unix", "windows"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The system whose rules for open files hold."""
    name = str(request.param)
    if name == "windows":
        if sys.platform != "linux":
            pytest.skip("the imitation needs /proc")
        keep_to_windows_rules(monkeypatch)
    return name
