"""A server on a socket that sends the bytes that a test has written down, one by one if necessary."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wire:
    """A server that answers with `acts`, one per request, the last one for ever; and what it has seen."""

    acts: list[Act]
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    port: int = 0
    reads: bool = True
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def submits(self) -> list[Request]:
        return [request for request in self.requests if request.path.endswith(":predictLongRunning")]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        try:
            while self.reads and not writer.is_closing():
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:-2])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append(Request(method, path, headers, body))
                self.arrived.set()
                await (self.acts.pop(0) if len(self.acts) > 1 else self.acts[0])(writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(*acts: Act, reads: bool = True) -> AsyncIterator[Wire]:
    wire = Wire(list(acts), reads=reads)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in wire.tasks:
            task.cancel()
        await asyncio.gather(*wire.tasks)


def raw(data: bytes) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return act


def then_close(act: Act) -> Act:
    async def both(writer: asyncio.StreamWriter) -> None:
        await act(writer)
        writer.close()

    return both


def answer(status: int, body: Any = None, reason: str = "Whatever", **headers: str) -> Act:
    """A whole HTTP answer: JSON, or text/html if `body` is a string."""
    kind = "text/html" if isinstance(body, str) else "application/json; charset=UTF-8"
    data = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join([*lines, "", ""]).encode() + data)


def rpc(status: int, name: str, message: str = "Google's words", *details: dict[str, Any], **headers: str) -> Act:
    error = {"code": status, "status": name, "message": message, "details": list(details)}
    return answer(status, {"error": error}, **headers)


async def drop(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def dribble(data: bytes, pause: float) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(data), 8):
            writer.write(data[at : at + 8])
            await writer.drain()
            await asyncio.sleep(pause)

    return act


PAGE = "<!DOCTYPE html><title>Error</title>"
PNG = b"\x89PNG\r\n\x1a\nnot much of a picture"
MP4 = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


ENVIRONMENT = {
    "GOOGLE_API_KEY": "key-of-the-environment",
    "GEMINI_API_KEY": "other-key-of-the-environment",
    "GOOGLE_CLOUD_PROJECT": "project-of-the-environment",
    "GOOGLE_CLOUD_LOCATION": "mars-north1",
    "GOOGLE_GENAI_API_VERSION": "v9",
    "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9",
    "GOOGLE_VERTEX_BASE_URL": "http://127.0.0.1:9",
}
