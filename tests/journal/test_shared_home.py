"""Processes of one shared journal that see different directories are told before anything is sent."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr

from aveo3.errors import UsageError
from aveo3.journal import shared_home
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.journal.shared_home import FILE, check_home, home_of_others


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_home, "PATIENCE", 0.3)


def check(url: str, home: Path) -> None:
    with Journal(SharedJournal(SecretStr(url), home)) as journal:
        check_home(journal)


def test_what_the_first_process_writes_all_others_must_read(postgres_url: str, tmp_path: Path) -> None:
    check(postgres_url, tmp_path / "all")
    check(postgres_url, tmp_path / "all")
    (tmp_path / "mounted").symlink_to(tmp_path / "all")
    check(postgres_url, tmp_path / "mounted")
    with pytest.raises(UsageError, match=r"own on this machine is not the directory that the processes of .* share"):
        check(postgres_url, tmp_path / "own")
    assert not (tmp_path / "own" / FILE).exists()
    with Journal(SharedJournal(SecretStr(postgres_url), tmp_path), writes=False) as journal:
        assert (home_of_others(journal) or ("",))[0] == str(tmp_path / "all")


def test_a_directory_that_was_moved_whole_is_the_same_and_that_of_another_database_is_not(
    postgres_url: str, postgres_server: object, tmp_path: Path
) -> None:
    check(postgres_url, tmp_path / "all")
    shutil.move(tmp_path / "all", tmp_path / "moved")
    check(postgres_url, tmp_path / "moved")
    (tmp_path / "other" / FILE).parent.mkdir(parents=True)
    (tmp_path / "other" / FILE).write_text('{"token": "another"}')
    with pytest.raises(UsageError, match="other is the directory of another database"):
        check(postgres_url, tmp_path / "other")
    (tmp_path / "other" / FILE).write_text("{")
    with pytest.raises(UsageError, match=re.escape(f"{FILE} cannot be read: it is not what aveo3 wrote")):
        check(postgres_url, tmp_path / "other")


def test_a_kill_between_file_and_database_does_no_harm(postgres_url: str, tmp_path: Path) -> None:
    shared_home._write(tmp_path / "all")
    check(postgres_url, tmp_path / "all")
    check(postgres_url, tmp_path / "all")
