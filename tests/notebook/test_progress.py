"""`progress` shows a run where it is awaited: in place, not too often, and with a summary at the end."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from math import inf, nan
from types import SimpleNamespace
from typing import Any

import pytest

from aveo3 import UsageError, VeoClient
from aveo3.display.films import Shelf
from aveo3.notebook import progress, screens, store_films
from aveo3.notebook.screens import CellOutput, LastWords, Line
from aveo3.testing import ScriptedBackend
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.virtual import client, now, virtual

TAG = re.compile(r"<style>.*?</style>|<[^>]+>", re.DOTALL)


class Seen:
    """A screen that remembers what it showed, and when."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, str, str]] = []
        self.last: tuple[str, str] = ("", "")
        self.lasts: list[str] = []

    def show(self, html: str, words: str) -> None:
        self.frames.append((now(), html, words))

    def end(self, html: str, words: str) -> None:
        self.last = (TAG.sub("", html), words)
        self.lasts.append(words)

    @property
    def words(self) -> list[str]:
        """What it showed in words, each once."""
        return list(dict.fromkeys(words for _, _, words in self.frames))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen = Seen()
    monkeypatch.setattr("aveo3.notebook.live.screen", lambda: seen)
    return seen


def test_a_run_is_shown_twice_a_second_and_ends_with_a_summary(seen: Seen) -> None:
    async def main() -> None:
        async with client(ScriptedBackend(latency=20), rate_limit=2, rate_period=60, burst=2) as veo, progress(veo):
            await veo.generate_many([f"boat {n}" for n in range(4)])
        shown = len(seen.frames)
        await asyncio.sleep(100)
        assert len(seen.frames) == shown  # it ends with its block

    virtual(main)
    instants = [at for at, _, _ in seen.frames]
    assert {round(b - a, 6) for a, b in pairwise(instants)} == {0.5}
    assert seen.words[0] == "0 clips: none yet · 0 s so far · spent US$ 0.00 at list price"
    in_flight = "spent US$ 0.00 at list price · in flight US$ 6.40"
    assert any(
        re.fullmatch(rf"0 of 4 clips: 2 running · about .* left · {re.escape(in_flight)}", each) for each in seen.words
    )
    assert any(each.startswith("2 of 4 clips: 2 succeeded · about ") for each in seen.words)
    assert re.fullmatch(
        r"4 clips: 4 succeeded · took 1 min 21 s · waited 1 min 1 s for quota · spent US\$ 12.80 at list price",
        seen.last[1],
    )
    assert "all 2 requests in 1 min used" in TAG.sub("", seen.frames[20][1])
    assert 'aria-valuemax="4" aria-valuenow="0"' in seen.frames[20][1]


def test_what_was_not_made_is_told_with_what_to_do(seen: Seen) -> None:
    closed = Verdict(VerdictKind.REFUSED, "<script>alert(1)</script> is off", refusal=Refusal.BILLING)

    async def main() -> None:
        async with client(ScriptedBackend([closed])) as veo, progress(veo):
            await veo.generate_many(["a boat", {"text": "b", "duration_seconds": 99}])

    virtual(main)
    html, words = seen.last
    *others, lane = words.splitlines()[1:]
    assert others == [
        "rejected: 1, the request can never work: fix what the message names",
        "deferred: 1, never sent, not billed: run it again when quota or budget allows",
    ]
    assert "deferred 1: never sent, not billed: run it again" in html
    assert lane.startswith("veo-3.1-generate-001: sends no more in this run: <script>")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; is off" in html


def test_only_what_happens_inside_the_block_counts(seen: Seen) -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            await veo.generate_many(["a boat", "a buoy"])
            shown = progress(veo)
            with shown:
                await veo.generate_many(["a third"])
                await veo.generate("a fourth")
            with shown, pytest.raises(UsageError, match=r"^this progress is shown already: make another"):
                shown.__enter__()

    virtual(main)
    assert seen.words[0] == "0 clips: none yet · 0 s so far · spent US$ 0.00 at list price"
    assert {each.partition(" · ")[0] for each in seen.words[1:]} == {
        "0 of 1 clip: 1 running",
        "1 of 2 clips: 1 succeeded, 1 running",
    }
    assert seen.lasts[0] == "2 clips: 2 succeeded · took 2 s · spent US$ 6.40 at list price"


def test_prompts_that_are_read_one_by_one_have_no_total(seen: Seen) -> None:
    def prompts() -> Iterator[str]:
        yield from ("a boat", "a buoy")

    async def main() -> None:
        async with client(ScriptedBackend(latency=10)) as veo, progress(veo):
            await veo.generate_many(prompts())

    virtual(main)
    assert any(re.match(r"0 clips: 2 running · \d(\.\d)? s so far · ", each) for each in seen.words)
    assert "progressbar" not in seen.frames[-1][1]
    assert seen.last[1].startswith("2 clips: 2 succeeded · took 1")


def test_a_run_that_is_interrupted_says_so_and_what_may_be_paid(seen: Seen) -> None:
    async def main() -> None:
        async with client(ScriptedBackend(latency=1000)) as veo:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30), progress(veo):
                    await veo.generate_many(["a boat"])

    virtual(main)
    assert re.match(r"[01] (of 1 )?clips?: .* · stopped after 30 s", seen.last[1])


def test_a_notebook_changes_one_output_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    class Handle:
        def update(self, bundle: dict[str, str], *, raw: bool) -> None:
            assert raw
            sent.append(f"update {bundle['text/html']} {bundle['text/plain']}")

    def display(bundle: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        sent.append(f"new {bundle['text/html']}")
        return Handle()

    fake: Any = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    output = screens.screen()
    assert isinstance(output, CellOutput)
    for html in ("a", "a", "b"):
        output.show(html, html)
    output.end("c", "the end")
    assert sent == ["new a", "update b b", "update c the end"]


def test_an_output_that_breaks_does_not_end_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def display(*_: Any, **__: Any) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    output = CellOutput()
    output.show("a", "a")
    output.show("b", "b")
    assert [record.message for record in caplog.records] == ["the progress cannot be shown: RuntimeError: no kernel"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_kernel_it_is_a_line_of_a_terminal_or_the_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace())  # IPython on a terminal
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setenv("COLUMNS", "8")
    for stream, kind, written in (
        (Terminal(), Line, "\rhalf of\x1b[K\r\x1b[Kthe end \\x1b\n"),
        (io.StringIO(), LastWords, "the end \\x1b\n"),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        screen = screens.screen()
        assert type(screen) is kind
        screen.show("<b>half</b>", "half of them")
        screen.end("<b>end</b>", "the end \x1b")
        assert stream.getvalue() == written
        stream.close()
        screen.end("", "and nothing breaks")


def test_outside_of_an_event_loop_it_says_where_it_belongs() -> None:
    with pytest.raises(UsageError, match=r"^progress needs a running event loop: use it in a coroutine"):
        progress(VeoClient(backend=ScriptedBackend())).__enter__()


def test_how_many_films_a_notebook_holds_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    monkeypatch.setattr("aveo3.notebook.storing.SHELF", shelf)
    store_films(0)
    assert (shelf.output, shelf.notebook) == (0, 60_000_000)
    store_films(5, inf)
    assert (shelf.output, shelf.notebook) == (5_000_000, inf)
    store_films()
    assert shelf == Shelf()
    for wrong in (-1, nan, True, "20"):
        with pytest.raises(UsageError, match=r"^output_mb must be a number of MB, 0 or more, not"):
            store_films(wrong)  # type: ignore[arg-type]
