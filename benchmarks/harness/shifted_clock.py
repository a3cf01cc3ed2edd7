"""A process whose calendar clock is off, as that of a machine without time synchronisation.

A shared library, compiled when it is needed, stands before the C library's clock functions. Only CLOCK_REALTIME is
shifted. libfaketime 0.9.10 would do the same, but a Python under it waits for ever in its first lock with a time-out
(`sem_clockwait`), and with FAKETIME_DONT_FAKE_MONOTONIC every `time.sleep` raises EINVAL.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long offset(void) {
    static long seconds; static int known;
    if (!known) { const char *text = getenv("SHIFTED_CLOCK"); seconds = text ? atol(text) : 0; known = 1; }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    if (!failed && at) { at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000; }
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class NoCompiler(RuntimeError):
    """There is no C compiler, so clocks cannot be shifted here."""


def can_shift() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("cc") is not None


def shifted_clock(seconds: int, directory: Path) -> dict[str, str]:
    """Return environment variables for a process whose clock is ahead by `seconds`. The library is in `directory`."""
    library = directory / "shifted_clock.so"
    if not library.exists():
        if not can_shift():
            raise NoCompiler("there is no C compiler: apt-get install gcc libc6-dev")
        source = directory / "shifted_clock.c"
        source.write_text(_SOURCE, "ascii")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(seconds)}
