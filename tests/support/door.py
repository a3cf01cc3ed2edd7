"""The door in front of the emulator, and what its tests share."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from aveo3.config.settings import Settings
from aveo3.dispatch import lane_pool
from aveo3.journal.requests import Request
from aveo3.journal.rows import prompt_record
from aveo3.lanes.lanes import Lanes
from aveo3.models import VideoPrompt
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.session import Session


def session_of(settings: Settings) -> Session:
    return Session(
        settings,
        Lanes(settings),
        backend=None,
        connect=lane_pool.connect,
        rng=random.Random(1),
        now_utc=lambda: datetime.now(UTC),
    )


def accept(
    session: Session, dispatcher: Dispatcher | None, text: str, *, caller: str = "alice", priority: int = 0, **more: Any
) -> Request:
    """Accept a prompt as the door does, and queue it if there is a dispatcher."""
    journal = session.journal
    assert journal is not None
    model = more.pop("model", session.settings.model)
    prompt = VideoPrompt.model_validate({"text": text, "model": model})
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
