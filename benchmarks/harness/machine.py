"""What a result is worth nothing without: the machine, the versions, the date."""

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
    """Machine, versions of `packages`, commit and date, ready for JSON."""
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
    """All of it in one line, for above a table."""
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
    """How many processes wanted a core in the last minute; None where nobody counts that."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _commit() -> str | None:
    """What git calls this tree, `-dirty` if it differs from that; None outside a repository."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()
