"""Waits between tries, by the library backoff: for jobs (which wait in a heap, not in a sleeping task) and for calls
that are free to repeat (polls, downloads). Nothing here repeats a submit."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Generator
from itertools import count
from typing import Any, TypeVar

import backoff

log = logging.getLogger(__name__)

Call = TypeVar("Call", bound=Callable[..., Awaitable[Any]])


def incremental(base: float, max_value: float = float("inf")) -> Generator[float, Any, None]:
    """A wait generator for backoff: base, 2·base, 3·base, … seconds, at most `max_value`."""
    yield 0.0  # backoff starts its generators with one send() and drops the value
    for n in count(1):
        yield min(base * n, max_value)


def jitter(rng: random.Random) -> Callable[[float], float]:
    """Spread a wait over 100 to 120 % of itself, so that jobs that failed together do not come back together."""
    return lambda wait: wait * rng.uniform(1.0, 1.2)


def wait_before(retry: int, base: float, rng: random.Random) -> float:
    """Seconds to wait before retry number `retry` (from 1): base × retry, with jitter."""
    waits = incremental(base)
    waits.send(None)
    for _ in range(retry - 1):
        next(waits)
    return jitter(rng)(next(waits))


def repeating(
    error: type[Exception],
    *,
    base: float,
    max_value: float,
    rng: random.Random,
    max_tries: int | None = None,
) -> Callable[[Call], Call]:
    """A decorator for coroutine functions that are free and safe to repeat: calls them again while they raise `error`.

    It raises an error whose `final` is true, and the last of `max_tries`. It waits `base`, 2·`base`, … up to
    `max_value` seconds between tries.
    """
    decorator: Callable[[Call], Call] = backoff.on_exception(
        incremental,
        error,
        max_tries=max_tries,
        giveup=lambda raised: bool(getattr(raised, "final", False)),
        jitter=jitter(rng),
        logger=None,
        on_backoff=lambda details: log.debug("%s; again in %.1f s", details["exception"], details["wait"]),
        base=base,
        max_value=max_value,
    )
    return decorator
