"""The door in front of the emulator, and what its tests share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from httpx2 import AsyncClient

from aveo3.config.settings import Settings
from aveo3.dispatch import lane_pool
from aveo3.journal.requests import Request
from aveo3.journal.rows import prompt_record
from aveo3.lanes.lanes import Lanes
from aveo3.mock import MockServer
from aveo3.models import VideoPrompt
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.server.door.server import DoorServer
from aveo3.session import Session
from tests.support.emulated import quick

MODEL = "veo-3.1-generate-001"
TOKEN = Credentials(token="anything")  # type: ignore[no-untyped-call]


def session_of(settings: Settings, now_utc: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Session:
    return Session(
        settings,
        Lanes(settings),
        backend=None,
        connect=lane_pool.connect,
        rng=random.Random(1),
        now_utc=now_utc,
    )


def accept(
    session: Session, dispatcher: Dispatcher | None, text: str, *, caller: str = "alice", priority: int = 0, **more: Any
) -> Request:
    """Accept a prompt as the door does, and queue it if there is a dispatcher."""
    journal = session.journal
    assert journal is not None
    model = more.pop("model", session.settings.model)
    fields_of_prompt = {name: more.pop(name) for name in VideoPrompt.model_fields if name in more}
    prompt = VideoPrompt.model_validate({"text": text, "model": model, **fields_of_prompt})
    route, _ = session.routes.of(prompt)
    fields: dict[str, Any] = {"caller": caller, "priority": priority, "key": None, "storage_uri": None, **more}
    request, _ = journal.requests.accept(
        session.service,
        prompt.digest(model),
        model=model,
        prompt=prompt_record(prompt, ()),
        position=next(session.singles()),
        body="0" * 64,
        door_name=f"{random.getrandbits(128):032x}",
        resource="models/veo",
        **fields,
    )
    if dispatcher is not None:
        dispatcher.add(request, route)
    return request


SERVER_OPTIONS = ("private_callbacks", "fetch_media", "private_media")


@asynccontextmanager
async def serving(emulator: MockServer, **values: Any) -> AsyncIterator[DoorServer]:
    """A door in front of `emulator`, with a journal, and settings as of `quick`."""
    options = {name: values.pop(name) for name in SERVER_OPTIONS if name in values}
    chosen = quick(emulator, **{"journal": "auto", "poll_interval": 0.5, **values})
    async with DoorServer(chosen, port=0, **options) as door:
        yield door


def sdk(door: DoorServer, *, httpx: AsyncClient | None = None, **who: Any) -> genai.Client:
    """Google's SDK as people use it, unchanged but for the address; retries are off, so that refusals show."""
    who = who or {"project": "p", "location": "us-central1", "credentials": TOKEN}
    options: dict[str, Any] = {"base_url": door.url, "retry_options": types.HttpRetryOptions(attempts=1)}
    if httpx is not None:
        options["httpx_async_client"] = httpx
    return genai.Client(vertexai=True, **who, http_options=types.HttpOptions(**options))


async def film(client: genai.Client, text: str, *, every: float = 1.0, **config: Any) -> types.GenerateVideosOperation:
    """What a program does that knows nothing of the door: submit, poll, hand out the operation when it is done."""
    operation = await client.aio.models.generate_videos(
        model=MODEL,
        source=types.GenerateVideosSource(prompt=text),
        config=types.GenerateVideosConfig(**config),
    )
    while not operation.done:
        await asyncio.sleep(every)
        operation = await client.aio.operations.get(operation)
    return operation
