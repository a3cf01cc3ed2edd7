"""Resident memory of this process, now and at its peak. Linux only; nan on other systems."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident_mb() -> float:
    """Return the resident memory in megabytes (10^6 bytes); nan if the system does not report it."""
    return _read("VmRSS:")


def peak_mb() -> float:
    """Return the peak since `forget_peak` in megabytes; nan if the system does not report it."""
    return _read("VmHWM:")


def forget_peak() -> None:
    """Collect garbage, then reset the peak to the current memory."""
    gc.collect()
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # proc(5): resets the peak


def _read(name: str) -> float:
    try:
        lines = _STATUS.read_text("ascii").splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name)), float("nan"))
