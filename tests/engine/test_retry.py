"""Waits between tries, and calls that are repeated."""

from __future__ import annotations

import asyncio
import random
from itertools import islice, pairwise
from typing import Any

import backoff
import pytest

from aveo3.engine.retry import incremental, jitter, repeating, wait_before
from aveo3.testing import run_virtual


class Blip(Exception):
    """A temporary error."""

    final = False


class Never(random.Random):
    """The smallest jitter."""

    def uniform(self, a: float, b: float) -> float:
        return a


def test_each_wait_is_one_base_longer_than_the_last() -> None:
    waits = incremental(30)
    waits.send(None)  # backoff primes its generators so
    assert list(islice(waits, 5)) == [30, 60, 90, 120, 150]


def test_no_wait_is_longer_than_its_bound() -> None:
    waits = incremental(30, max_value=70)
    waits.send(None)
    assert list(islice(waits, 4)) == [30, 60, 70, 70]


def test_jitter_makes_a_wait_up_to_a_fifth_longer_and_never_shorter() -> None:
    spread = jitter(random.Random(1))
    waits = [spread(100) for _ in range(1_000)]
    assert 100 <= min(waits) < 101
    assert 119 < max(waits) <= 120


@pytest.mark.parametrize(("retry", "wait"), [(1, 30), (2, 60), (3, 90), (10, 300)])
def test_the_wait_before_try_n_plus_one_is_base_times_n(retry: int, wait: float) -> None:
    assert wait_before(retry, 30, Never()) == wait
    assert wait <= wait_before(retry, 30, random.Random(7)) <= 1.2 * wait


def test_no_base_means_no_wait() -> None:
    assert wait_before(3, 0, random.Random(1)) == 0


def test_the_same_seed_draws_the_same_waits() -> None:
    assert wait_before(2, 30, random.Random(5)) == wait_before(2, 30, random.Random(5))


class Flaky:
    """Raises the given errors in order, then returns "fine". Records the time of each call."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.called_at: list[float] = []

    async def __call__(self) -> str:
        self.called_at.append(asyncio.get_running_loop().time())
        if self._errors:
            raise self._errors.pop(0)
        return "fine"


def patiently(call: Flaky, *, rng: random.Random | None = None, max_tries: int | None = None) -> str:
    async def once() -> str:
        return await call()

    return run_virtual(repeating(Blip, base=2, max_value=5, rng=rng or Never(), max_tries=max_tries)(once)())


def test_a_call_that_works_is_made_once() -> None:
    call = Flaky()
    assert patiently(call) == "fine"
    assert call.called_at == [0]


def test_a_call_is_repeated_with_growing_waits_until_it_works() -> None:
    call = Flaky(*[Blip()] * 4)
    assert patiently(call) == "fine"
    assert call.called_at == [0, 2, 6, 11, 16]  # 2, 4, then 5 and 5: the bound


def test_the_waits_are_spread() -> None:
    call = Flaky(*[Blip()] * 3)
    patiently(call, rng=random.Random(3))
    waits = [later - sooner for sooner, later in pairwise(call.called_at)]
    assert all(least < wait < 1.2 * least for wait, least in zip(waits, (2, 4, 5), strict=True))


def test_when_its_tries_are_used_up_it_raises_the_last_error() -> None:
    call = Flaky(Blip("first"), Blip("second"), Blip("third"))
    with pytest.raises(Blip, match=r"^third$"):
        patiently(call, max_tries=3)
    assert len(call.called_at) == 3


def test_it_gives_up_at_once_on_a_final_error() -> None:
    last = Blip("final")
    last.final = True
    call = Flaky(Blip("passing"), last, Blip("passing"))
    with pytest.raises(Blip, match=r"^final$"):
        patiently(call)
    assert call.called_at == [0, 2]


def test_other_errors_are_not_its_business() -> None:
    call = Flaky(Blip(), KeyError("a bug"))
    with pytest.raises(KeyError, match="a bug"):
        patiently(call)
    assert call.called_at == [0, 2]


def test_a_wait_can_be_cancelled() -> None:
    call = Flaky(*[Blip()] * 100)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7):
                await repeating(Blip, base=2, max_value=5, rng=Never())(call.__call__)()
        await asyncio.sleep(100)

    run_virtual(main())
    assert call.called_at == [0, 2, 6]


def test_it_is_backoff_that_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    genuine = backoff.on_exception

    def noting(*args: Any, **more: Any) -> Any:
        made.append(args[0])
        return genuine(*args, **more)

    monkeypatch.setattr(backoff, "on_exception", noting)
    patiently(Flaky(Blip()))
    assert made == [incremental]
