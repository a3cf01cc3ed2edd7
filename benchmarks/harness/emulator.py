"""`aveo3.mock` in its own process, so that the emulator and a contestant use different cores.

`python -m benchmarks.harness.emulator` reads commands as lines of JSON and answers in JSON; `EmulatorProcess` is its
client. One process serves many runs. Each run gets a new emulator with unused quotas and empty books.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from typing import Any, Self

from benchmarks.harness.machine import ROOT

_LONGEST_LINE = 2**28
"""Bytes of an answer: the log of an hour has tens of thousands of requests."""


class EmulatorProcess:
    """`async with EmulatorProcess() as google`, then for each run: `start`, `align`, the run itself, `stop`."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            __name__,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def start(self, options: Mapping[str, Any]) -> str:
        """Start an emulator with these `MockOptions` and return its URL. `film_mb` sets the size of each film in MB.

        With `log=True`, `counts` works, and the books have `requests`: see `RequestLog`.
        """
        url = (await self._ask("start", **options))["url"]
        assert isinstance(url, str)
        return url

    async def align(self, edge_in: float) -> None:
        """Place an edge of the fixed windows `edge_in` seconds from now. Call this at the start of the run."""
        await self._ask("align", edge_in=edge_in)

    async def counts(self) -> dict[str, int]:
        """Return what the log has counted so far: `requests`, prompts `accepted`, prompts whose film was
        `fetched`, and `last`: the id of the process that has sent the last request."""
        return await self._ask("counts")

    async def change(self, **options: Any) -> None:
        """Change `MockOptions` of the running emulator."""
        await self._ask("change", **options)

    async def stop(self) -> dict[str, Any]:
        """Stop the emulator and return its books, with `accepted_at`: seconds from `align` to each accepted submit."""
        return await self._ask("stop")

    async def _ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        # Who is cancelled leaves no answer behind that the next one would take for its own.
        return await asyncio.shield(self._exchange(verb, arguments))

    async def _exchange(self, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._turn:
            stdin.write(json.dumps([verb, arguments]).encode() + b"\n")
            await stdin.drain()
            answer = await stdout.readline()
        if not answer:
            raise RuntimeError(f"the emulator's process ended during {verb!r}; its output is above")
        return dict(json.loads(answer))


async def serve() -> None:
    """The server side: read commands from stdin until it closes."""
    from aveo3.mock import MockOptions, MockServer
    from benchmarks.harness.request_log import RequestLog

    server: MockServer | None = None
    log: RequestLog | None = None
    accepted_at: list[float] = []
    started_at = 0.0
    while line := await asyncio.to_thread(sys.stdin.readline):
        verb, arguments = json.loads(line)
        answer: dict[str, Any] = {}
        if verb == "start":
            film_mb, logged = arguments.pop("film_mb", None), arguments.pop("log", False)
            server = await MockServer(MockOptions.model_validate(arguments)).__aenter__()
            if film_mb is not None:
                _make_films_long(server, film_mb)
            accepted_at = _record_acceptances(server)
            log = RequestLog(server) if logged else None
            answer["url"] = server.url
        elif verb == "align" and server is not None:
            started_at = server.emulator.clock.now()
            server.rules = server.options.model_copy(update={"phase": started_at + arguments["edge_in"]}).rules()
        elif verb == "counts" and log is not None:
            answer = log.counts()
        elif verb == "change" and server is not None:
            server.change(**arguments)
        elif verb == "stop" and server is not None:
            answer = server.books.as_dict() | {"accepted_at": [round(at - started_at, 6) for at in accepted_at]}
            if log is not None:
                await log.stop()
                answer["requests"] = log.as_list()
            await server.__aexit__(None, None, None)
        print(json.dumps(answer), flush=True)


def _record_acceptances(server: Any) -> list[float]:
    """Return a list that receives the instant of every acceptance. The books only count them."""
    emulator, instants = server.emulator, list[float]()
    admit = emulator.admit

    def recording_admit(*order: Any) -> Any:
        operation = admit(*order)
        instants.append(emulator.clock.now())
        return operation

    emulator.admit = recording_admit
    return instants


def _make_films_long(server: Any, megabytes: float) -> None:
    """Serve one film, padded with a box of noise (ISO/IEC 14496-12, 8.1.2), because noise does not compress."""
    from aveo3.mock.state.films import bundled

    size = round(megabytes * 1e6) - len(bundled())
    film = bundled() + size.to_bytes(4, "big") + b"free" + random.Random(0).randbytes(size - 8)

    async def same(_: object) -> bytes:
        return film

    server.emulator.films.film = same


if __name__ == "__main__":
    asyncio.run(serve())
