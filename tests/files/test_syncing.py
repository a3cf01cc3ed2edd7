"""What was synced is on the disk itself, and not in a cache that a power cut empties."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from aveo3.files import part_files, syncing

FULL_SYNC = 51
"""The number of F_FULLFSYNC on macOS."""


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How files were synced on what calls itself macOS."""
    calls: list[str] = []
    monkeypatch.setattr(syncing, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", FULL_SYNC, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _, command: calls.append(f"fcntl {command}"))
    monkeypatch.setattr(os, "fsync", lambda _: calls.append("fsync"))
    return calls


def test_on_macos_a_sync_goes_past_the_cache_of_the_drive(synced: list[str], tmp_path: Path) -> None:
    with part_files.loose(tmp_path) as part:
        part.sync()
        syncing.sync_data(part.file.fileno())
    syncing.sync_directory(tmp_path)
    assert synced == [f"fcntl {FULL_SYNC}"] * 3


def test_a_file_system_that_cannot_do_that_is_synced_as_it_can(
    synced: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "fcntl", cannot)
    with part_files.loose(tmp_path) as part:
        part.sync()
    assert synced == ["fsync"]


def test_where_directories_cannot_be_opened_none_is_synced(synced: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "os", SimpleNamespace(name="nt"))
    syncing.sync_directory(Path("nowhere"))
    assert synced == []
