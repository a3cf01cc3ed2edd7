"""`aveo3.cli.signals`: whatever asks a command to stop is heard, and what was ignored before stays ignored."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from aveo3.cli.signals import on_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")

INT, TERM, HUP, BREAK = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1


@pytest.fixture(params=["unix", "windows"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a loop that handles signals, and with one that does not, as on Windows. There is SIGBREAK, too."""

    def missing(*_: object) -> None:
        raise NotImplementedError

    if request.param == "windows":
        monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", missing)
        monkeypatch.delattr(signal, "SIGHUP")
        monkeypatch.setattr(signal, "SIGBREAK", BREAK, raising=False)
    return str(request.param)


def heard(sent: list[signal.Signals]) -> list[signal.Signals]:
    """What is called back while the process sends itself these signals."""
    got: list[signal.Signals] = []

    async def main() -> None:
        with on_signals(got.append):
            for number in sent:
                signal.raise_signal(number)
                await asyncio.sleep(0.05)

    asyncio.run(main())
    return got


def test_every_signal_is_heard_as_often_as_it_comes(system: str) -> None:
    sent = [INT, INT, TERM, BREAK if system == "windows" else HUP]
    assert heard(sent) == sent


def test_a_signal_wakes_a_loop_that_waits_for_long(system: str) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        with on_signals(lambda _: stop.set()):
            asyncio.get_running_loop().run_in_executor(None, lambda: signal.raise_signal(TERM))
            await asyncio.wait_for(stop.wait(), 60)

    asyncio.run(main())


def test_afterwards_signals_do_what_they_did_before(system: str) -> None:
    known = (INT, TERM, HUP, BREAK)
    before = [signal.getsignal(number) for number in known]
    assert heard([TERM]) == [TERM]
    assert [signal.getsignal(number) for number in known] == before


@pytest.mark.parametrize("ignored", [HUP, INT, TERM])
def test_a_signal_that_is_ignored_when_we_start_stays_ignored(system: str, ignored: signal.Signals) -> None:
    before = signal.signal(ignored, signal.SIG_IGN)
    other = TERM if ignored is not TERM else INT
    try:
        assert heard([ignored, other]) == [other]
        assert signal.getsignal(ignored) is signal.SIG_IGN
    finally:
        signal.signal(ignored, before)
