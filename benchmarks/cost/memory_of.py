"""How much memory a process takes, and the most that it took since somebody last asked. Linux; elsewhere, nothing."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident_mb() -> float:
    """Megabytes (10^6 bytes) of memory that this process holds now; nan where that cannot be told."""
    return _read("VmRSS:")


def peak_mb() -> float:
    """The most it has held since `forget_peak`; nan where that cannot be told."""
    return _read("VmHWM:")


def forget_peak() -> None:
    """Let `peak_mb` begin anew with what is held after a collection."""
    gc.collect()
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # proc(5): resets the peak


def _read(name: str) -> float:
    try:
        lines = _STATUS.read_text("ascii").splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name)), float("nan"))
