"""The age of the catalog, as `aveo3 check`, a dry run and a run tell it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from aveo3.cli import catalog_age
from aveo3.cli import run as runs
from aveo3.cli.exit_codes import Exit
from aveo3.config import catalog
from tests.support.terminal import run

SHIPPED = date.fromisoformat(catalog.load().as_of)
OLD = f"the catalog of {SHIPPED} is 91 days old"


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the day of the commands, in days after the catalog's."""

    def days(number: int) -> None:
        monkeypatch.setattr(catalog_age, "today_utc", lambda: SHIPPED + timedelta(days=number))

    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("VEO3_BASE_URL", "http://127.0.0.1:1")
    return days


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines before the first clip of a run that is not begun."""
    said: list[str] = []

    async def note(*_: Any, notes: list[str], **__: Any) -> Exit:
        said.extend(notes)
        return Exit.ALL_MADE

    monkeypatch.setattr(runs, "run", note)
    return said


def test_a_run_and_a_dry_run_say_once_that_the_catalog_is_old(after: Any, said: list[str]) -> None:
    after(91)
    assert run("generate", "--prompt", "a boat", "--yes")[0] == 0
    assert [line.startswith(OLD) for line in said] == [True, False]
    _, stdout, _ = run("generate", "--prompt", "a boat", "--dry-run")
    assert stdout.count(OLD) == 1
    _, stdout, _ = run("generate", "--prompt", "a boat", "--dry-run", "--json")
    [note] = json.loads(stdout)["notes"]
    assert note.startswith(OLD)


def test_nothing_is_said_of_a_young_catalog_nor_in_mock_mode(after: Any, said: list[str]) -> None:
    after(90)
    run("generate", "--prompt", "a boat", "--yes")
    after(91)
    run("generate", "--prompt", "a boat", "--mock")
    assert len(said) == 2
    assert not any("days old" in line for line in said)
    assert "days old" not in run("generate", "--prompt", "a boat", "--mock", "--dry-run")[1]


def test_a_check_says_that_the_catalog_is_old_and_stays_as_well_as_it_was(
    after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(91)
    code, stdout, _ = run("check")
    assert stdout.startswith(f"catalog      NOTE    {OLD}")
    _, as_json, _ = run("check", "--json")
    [note] = json.loads(as_json)["notes"]
    assert note.startswith(OLD)
    after(90)
    assert (code, stdout.partition("\n")[2]) == run("check")[:2]
    assert json.loads(run("check", "--json")[1])["notes"] == []
    after(91)
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    assert "days old" not in run("check")[1]


def test_a_broken_date_in_the_users_catalog_is_told_and_refuses_nothing(after: Any) -> None:
    after(0)
    Path("own.toml").write_text('as_of = "soon"\n')
    Path(".env").write_text("VEO3_CATALOG=own.toml\n")
    code, stdout, _ = run("generate", "--prompt", "a boat", "--dry-run")
    assert code == 0
    assert "as_of = 'soon' in own.toml (VEO3_CATALOG) is no date" in stdout.replace("\n", " ")
