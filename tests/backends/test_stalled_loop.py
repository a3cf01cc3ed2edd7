"""An answer that arrived while the loop stood still is read, although the time for its request is up.

The server runs in the same loop: its acts stop the time of both, so the client wakes up with the answer in its socket.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from aveo3 import VideoPrompt
from aveo3.backends.base import Backend, PollError, Running
from aveo3.backends.gemini import GeminiBackend
from aveo3.backends.vertex import VertexBackend
from aveo3.verdicts import VerdictKind
from tests.support.raw_server import Act, Wire, hang, serving
from tests.support.settings import settings
from tests.support.virtual import stall

VEO, OMNI = "veo-3.1-generate-001", "gemini-omni-1.1-flash"
OPERATION = f"projects/p/locations/us-central1/publishers/google/models/{VEO}/operations/7d1f"
ID = "v1_" + "a" * 60
TIMEOUT = 20.0

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # google-genai, of aiohttp's


class Place:
    """A backend, the operation that its server names, and the answers that say so and that it runs."""

    def __init__(self, name: str) -> None:
        self.kind: Any = VertexBackend if name == "vertex" else GeminiBackend
        self.name, self.model, self.operation = ("vertex", VEO, OPERATION) if name == "vertex" else ("gemini", OMNI, ID)
        running = {"name": OPERATION} if name == "vertex" else {"id": ID, "status": "in_progress", "model": OMNI}
        self.answer = json.dumps(running).encode()

    async def open(self, wire: Wire) -> Backend:
        return await self.kind.open(  # type: ignore[no-any-return]
            settings(base_url=wire.url, backend=self.name, api_key="key", request_timeout=TIMEOUT)
        )


@pytest.fixture(params=["vertex", "gemini"])
def place(request: pytest.FixtureRequest) -> Place:
    return Place(request.param)


def stalled(body: bytes, pieces: int = 1) -> Act:
    """The answer in so many pieces. After each the loop stands still for longer than the request may take."""

    async def act(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        data = head.encode() + body
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            stall(2 * TIMEOUT)
            await asyncio.sleep(0)

    return act


@pytest.mark.parametrize("pieces", [1, 2, 5])
async def test_the_operation_of_a_submit_is_known_though_the_loop_stood_still(place: Place, pieces: int) -> None:
    async with serving(stalled(place.answer, pieces)) as wire:
        backend = await place.open(wire)
        verdict = await backend.submit(VideoPrompt(text="a boat"), place.model)
        await backend.aclose()
    assert (verdict.kind, verdict.operation) == (VerdictKind.ACCEPTED, place.operation), verdict
    assert len(wire.requests) == 1


async def test_a_poll_has_its_answer_though_the_loop_stood_still(place: Place) -> None:
    async with serving(stalled(place.answer)) as wire:
        backend = await place.open(wire)
        assert await backend.poll(place.operation) == Running()
        await backend.aclose()
    assert len(wire.requests) == 1


async def test_a_server_that_never_answers_is_given_up_on_time(place: Place) -> None:
    loop = asyncio.get_running_loop()
    async with serving(hang) as wire:
        backend = await place.open(wire)
        began = loop.time()
        verdict = await backend.submit(VideoPrompt(text="a boat"), place.model)
        assert loop.time() - began == pytest.approx(TIMEOUT, abs=0.5)
        with pytest.raises(PollError, match="Timeout"):
            await backend.poll(place.operation)
        assert (await backend.check(place.model)).problem is not None
        assert loop.time() - began == pytest.approx(3 * TIMEOUT, abs=1.5)
        await backend.aclose()
    assert verdict.kind is VerdictKind.UNCERTAIN


async def test_google_is_told_how_long_a_request_may_take_not_when_a_library_would_end_it(place: Place) -> None:
    async with serving(stalled(place.answer)) as wire:
        backend = await place.open(wire)
        await backend.submit(VideoPrompt(text="a boat"), place.model)
        await backend.poll(place.operation)
        await backend.aclose()
    assert [request.headers.get("x-server-timeout") for request in wire.requests] == ["20", "20"]
