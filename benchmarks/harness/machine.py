"""Describes the circumstances of a result: machine, versions, commit and date."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def describe(packages: Iterable[str]) -> dict[str, Any]:
    """Return machine, versions of `packages`, commit and date, ready for JSON."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "os": platform.platform(),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "load": load(),
        },
        "versions": {package: version(package) for package in sorted(set(packages))},
        "commit": _commit(),
    }


def line(about: dict[str, Any]) -> str:
    """Format a description as one line, for the top of a table."""
    machine, versions = about["machine"], about["versions"]
    return ", ".join(
        [
            f"{machine['cpu']} ({machine['cores']} cores)",
            machine["os"],
            machine["python"],
            *(f"{package} {number}" for package, number in versions.items()),
            about["date"],
        ]
    )


def load() -> float | None:
    """Return the load average of the last minute; None on systems without one."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return git's name of this commit, with `-dirty` for uncommitted changes; None outside a repository."""
    try:
        process = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return process.stdout.strip()
