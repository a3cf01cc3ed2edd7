"""Draws the README's pictures from real runs: `python -m benchmarks.harness.pictures`.

`quota.svg` shows thirty submits with a quota of ten per minute, in virtual time: a token bucket alone, and aveo3.
`demo.svg` shows the terminal in the middle of `aveo3 demo`.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiolimiter import AsyncLimiter
from rich.console import Console

from aveo3 import Settings, VeoClient, VideoPrompt
from aveo3.cli.commands import demo
from aveo3.cli.progress import clip_line, render
from aveo3.mock import Latency, MockOptions, MockServer
from aveo3.testing import ScriptedBackend, run_virtual
from aveo3.verdicts import Verdict, VerdictKind, accepted, from_answer

HOME = Path(__file__).parents[1] / "pictures"
CLIPS, LIMIT, PERIOD, ROUND_TRIP = 30, 10, 60.0, 0.3

Dot = tuple[float, bool]
"""The time of a response in seconds, and whether the submit was accepted."""


class SlidingServer:
    """Accepts `LIMIT` submits in any `PERIOD` seconds, and records every submit."""

    def __init__(self) -> None:
        self.dots: list[Dot] = []
        self._recent: deque[float] = deque()

    def answer(self, _: VideoPrompt) -> Verdict:
        now = asyncio.get_running_loop().time()
        while self._recent and self._recent[0] <= now - PERIOD:
            self._recent.popleft()
        fits = len(self._recent) < LIMIT
        self.dots.append((now, fits))
        if not fits:
            return from_answer(429, {"error": {"code": 429, "message": "Quota exceeded: requests per minute"}})
        self._recent.append(now)
        return accepted(f"operations/{len(self.dots)}")


async def _bucket_alone(server: SlidingServer) -> None:
    """The usual code: AsyncLimiter(10, 60), and a refused submit is retried after 1, 2, 4, … seconds."""
    limiter = AsyncLimiter(LIMIT, PERIOD)

    async def make(number: int) -> None:
        wait = 1.0
        while True:
            async with limiter:
                await asyncio.sleep(ROUND_TRIP)
                if server.answer(VideoPrompt(text=f"{number}")).kind is VerdictKind.ACCEPTED:
                    return
            await asyncio.sleep(wait)
            wait *= 2

    await asyncio.gather(*(make(number) for number in range(CLIPS)))


async def _aveo3(server: SlidingServer) -> None:
    backend = ScriptedBackend(answer=server.answer, round_trip=ROUND_TRIP)
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(_env_file=None, rate_limit=LIMIT, rate_period=PERIOD, output_dir=directory)
        async with VeoClient(settings, backend=backend) as veo:
            await veo.generate_many(f"{number}" for number in range(CLIPS))


def quota() -> str:
    """Return an SVG with one row per contestant, a dot for each accepted submit and a cross for each refused one."""
    rows: list[tuple[str, list[Dot]]] = []
    ways: list[tuple[str, Callable[[SlidingServer], Awaitable[None]]]] = [
        ("token bucket alone, and retries", _bucket_alone),
        ("aveo3", _aveo3),
    ]
    for name, way in ways:
        server = SlidingServer()

        async def run(way: Callable[[SlidingServer], Awaitable[None]] = way, to: SlidingServer = server) -> None:
            await way(to)

        run_virtual(run())
        rows.append((name, server.dots))
    last = max(at for _, dots in rows for at, _ in dots)
    return _timeline(rows, last)


def _timeline(rows: list[tuple[str, list[Dot]]], last: float) -> str:
    left, width, height = 24, 800, 84

    def x(at: float) -> float:
        return round(left + at / last * (width - 2 * left), 1)

    out = io.StringIO()
    total = height * len(rows) + 44
    out.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" font-family="sans-serif" '
        f'font-size="14"><rect width="{width}" height="{total}" rx="8" fill="#fff"/>\n'
    )
    for number, (name, dots) in enumerate(rows):
        y = 30 + number * height
        refused = sum(not fits for _, fits in dots)
        made = max(at for at, fits in dots if fits)
        title = f"{name}: {len(dots) - refused} accepted by {made:.0f} s, {refused} refused"
        out.write(f'<text x="{left}" y="{y}" fill="#222">{title}</text>\n')
        out.write(f'<line x1="{left}" x2="{width - left}" y1="{y + 30}" y2="{y + 30}" stroke="#ddd"/>\n')
        height_at: dict[float, int] = {}
        for at, fits in dots:
            stacked = height_at[x(at)] = height_at.get(x(at), -1) + 1
            cx, cy = x(at), y + 30 + (stacked % 5 - 2) * 5
            if fits:
                out.write(f'<circle cx="{cx}" cy="{cy}" r="3.5" fill="#1a7f37" fill-opacity="0.7"/>\n')
            else:
                cross = f"M{cx - 4} {cy - 4}l8 8m0 -8l-8 8"
                out.write(f'<path d="{cross}" stroke="#cf222e" stroke-width="2" fill="none"/>\n')
    for minute in range(int(last // PERIOD) + 1):
        at, anchor = minute * PERIOD, "start" if minute == 0 else "end" if x(minute * PERIOD) > width - 60 else "middle"
        out.write(f'<text x="{x(at)}" y="{total - 14}" fill="#666" text-anchor="{anchor}">{at:.0f} s</text>\n')
    out.write("</svg>\n")
    return out.getvalue()


async def demonstration() -> str:
    """Return an SVG of the terminal at the moment when the demo has made its seventh film."""
    console = Console(record=True, width=88, file=io.StringIO(), force_terminal=True, highlight=False)
    options = MockOptions(rpm=demo.LIMIT, period=demo.PERIOD, latency=Latency.parse(demo.LATENCY))
    console.print("$ aveo3 demo\n", style="bold")
    console.print("1. A plain loop, with Google's SDK as its documentation shows it:", style="bold")
    async with MockServer(options) as server:
        lost = await demo.plain_loop(server, console)
    console.print(f"   [red]{lost} of {demo.CLIPS} clips are lost.[/red]\n")
    console.print("[b]2. aveo3[/b], the same prompts, the same quota: await veo.generate_many(prompts)")
    with tempfile.TemporaryDirectory() as directory:
        async with (
            MockServer(options) as server,
            VeoClient(demo.settings(server.url, Path(directory))) as veo,
            veo.stream(demo.PROMPTS) as clips,
        ):
            async for clip in clips:
                console.print(clip_line(clip), overflow="ellipsis", no_wrap=True)
                if sum(veo.stats().clips.values()) == 7:
                    break
            console.print(render(veo.stats(), demo.CLIPS, 12.0))
    return console.export_svg(title="aveo3 demo")


def main() -> None:
    """Write both pictures."""
    HOME.mkdir(exist_ok=True)
    (HOME / "quota.svg").write_text(quota(), "utf-8")
    (HOME / "demo.svg").write_text(asyncio.run(demonstration()), "utf-8")


if __name__ == "__main__":
    main()
