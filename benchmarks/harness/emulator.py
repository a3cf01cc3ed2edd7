"""`aveo3.mock` in a process of its own, so that no contestant shares its core with Google.

`python -m benchmarks.harness.emulator` takes orders as lines of JSON and answers in kind; `EmulatorProcess` speaks
with it. One process serves many runs, each with an emulator made anew: nothing is used up, the books are empty.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from typing import Any, Self

from benchmarks.harness.machine import ROOT


class EmulatorProcess:
    """`async with EmulatorProcess() as google`: then `start`, `align`, the run, `stop`; and again."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            __name__,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def start(self, options: Mapping[str, Any]) -> str:
        """A new emulator with these `MockOptions`; returns its address. `film_mb` makes every film so many MB long."""
        url = (await self._ask("start", **options))["url"]
        assert isinstance(url, str)
        return url

    async def align(self, edge_in: float) -> None:
        """Let fixed windows have an edge in `edge_in` seconds from now, which is when the run begins."""
        await self._ask("align", edge_in=edge_in)

    async def stop(self) -> dict[str, Any]:
        """End the emulator; returns its books, with `accepted_at`: seconds since `align` of every accepted submit."""
        return await self._ask("stop")

    async def _ask(self, verb: str, **words: Any) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([verb, words]).encode() + b"\n")
        await stdin.drain()
        answer = await stdout.readline()
        if not answer:
            raise RuntimeError(f"the emulator's process died when asked to {verb}; its last words are above")
        return dict(json.loads(answer))


async def serve() -> None:
    """The other end: read orders from stdin until it closes."""
    from aveo3.mock import MockOptions, MockServer

    server: MockServer | None = None
    accepted_at: list[float] = []
    began = 0.0
    while order := await asyncio.to_thread(sys.stdin.readline):
        verb, words = json.loads(order)
        answer: dict[str, Any] = {}
        if verb == "start":
            film_mb = words.pop("film_mb", None)
            server = await MockServer(MockOptions.model_validate(words)).__aenter__()
            if film_mb is not None:
                _make_films_long(server, film_mb)
            accepted_at = _note_acceptances(server)
            answer["url"] = server.url
        elif verb == "align" and server is not None:
            began = server.emulator.clock.now()
            server.rules = server.options.model_copy(update={"phase": began + words["edge_in"]}).rules()
        elif verb == "stop" and server is not None:
            answer = server.books.as_dict() | {"accepted_at": [round(at - began, 6) for at in accepted_at]}
            await server.__aexit__(None, None, None)
        print(json.dumps(answer), flush=True)


def _note_acceptances(server: Any) -> list[float]:
    """The instants of acceptance, filled in as they come. The books count but do not say when."""
    emulator, instants = server.emulator, list[float]()
    admit = emulator.admit

    def noted(*order: Any) -> Any:
        operation = admit(*order)
        instants.append(emulator.clock.now())
        return operation

    emulator.admit = noted
    return instants


def _make_films_long(server: Any, megabytes: float) -> None:
    """The same film each time, filled up with a box of noise (ISO/IEC 14496-12, 8.1.2): noise does not compress."""
    from aveo3.mock.state.films import bundled

    size = round(megabytes * 1e6) - len(bundled())
    film = bundled() + size.to_bytes(4, "big") + b"free" + random.Random(0).randbytes(size - 8)

    async def same(_: object) -> bytes:
        return film

    server.emulator.films.film = same


if __name__ == "__main__":
    asyncio.run(serve())
