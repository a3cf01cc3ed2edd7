"""`aveo3 worker` works for a database until a signal stops it, and says what is missing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aveo3.cli.exit_codes import Exit
from tests.support.terminal import run


@contextmanager
def stopped_soon(callback: Callable[[signal.Signals], object]) -> Iterator[None]:
    """Stands in for `on_signals`: SIGTERM comes half a second after the command began."""
    asyncio.get_running_loop().call_later(0.5, callback, signal.SIGTERM)
    yield


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_OUTPUT_DIR", str(tmp_path / "all"))
    monkeypatch.setenv("VEO3_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("VEO3_BACKEND", "vertex")
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    monkeypatch.setattr("aveo3.cli.signals.on_signals", stopped_soon)


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # google-genai subclasses aiohttp's session
def test_it_works_until_it_is_stopped_and_then_no_one_leads(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEO3_DATABASE", postgres_url)
    code, _, err = run("worker", "--lead", "veo-3.1-generate-001")
    assert code == Exit.ALL_MADE, err
    assert f"videos go to {tmp_path / 'all'}. Ctrl-C stops it." in err
    assert "open-sesame" not in err
    code, out, _ = run("status", "--farm")
    assert (code, "nobody leads: nothing is sent" in out) == (0, True)
    monkeypatch.setenv("VEO3_OUTPUT_DIR", str(tmp_path / "another"))
    monkeypatch.setattr("aveo3.journal.shared_home.PATIENCE", 0.1)
    code, _, err = run("worker")
    assert code == Exit.USAGE
    assert "is not the directory that the processes of" in " ".join(err.split())


def test_what_is_missing_is_said(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("worker")
    assert (code, "name it with VEO3_DATABASE" in " ".join(err.split())) == (Exit.USAGE, True)
    code, _, err = run("worker", "--database", postgres_url)
    assert (code, "it holds a password" in err, "open-sesame" in err) == (Exit.USAGE, True, False)
    monkeypatch.setenv("VEO3_DATABASE", postgres_url)
    code, _, err = run("worker", "--lead", "slow")
    assert (code, "no lane is called 'slow': the lanes are" in " ".join(err.split())) == (Exit.USAGE, True)
