"""Webhooks of single requests: a POST to each address that an interaction named, once it has ended.

Google signs them with a key of its own, which nobody else has: these come unsigned.
"""

import asyncio
import logging
import uuid
from typing import Any

import aiohttp

from aveo3.mock.emulator import Emulator
from aveo3.mock.omni_bodies import Interaction, iso

log = logging.getLogger(__name__)

_WAITS = (0.0, 10.0, 60.0)
"""Emulator seconds before each try. Google goes on for a day."""
_EVENTS = {"completed": "interaction.completed", "cancelled": "interaction.cancelled"}
_PATIENCE = aiohttp.ClientTimeout(total=10)  # of the real clock: a listener that answers later is not there


class Announcer:
    """Tells who wants to know. At least once: a listener that answers badly hears the same event again."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._tasks: set[asyncio.Task[None]] = set()

    def expect(self, interaction: Interaction) -> None:
        """Tell the addresses of `interaction` when it ends. Stops with the server."""
        for uri in interaction.wish.hooks:
            task = asyncio.create_task(self._tell(interaction, uri))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, interaction: Interaction, uri: str) -> None:
        emulator = self._emulator
        assert interaction.operation is not None
        await emulator.sit_out(interaction.operation)
        if not interaction.operation.done:  # the server stops
            return
        body, number = self._body(interaction), str(uuid.uuid4())
        for wait in _WAITS:
            await emulator.idle(wait)
            if emulator.closing.is_set():
                return
            headers = {"webhook-id": number, "webhook-timestamp": str(int(emulator.clock.utc().timestamp()))}
            try:
                async with (
                    aiohttp.ClientSession(timeout=_PATIENCE) as http,
                    http.post(uri, json=body, headers=headers, allow_redirects=False) as answer,
                ):
                    if answer.ok:
                        return
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.info("webhook %s: %s", uri, error)

    @staticmethod
    def _body(interaction: Interaction) -> dict[str, Any]:
        operation = interaction.operation
        assert operation is not None
        assert operation.ended is not None
        data: dict[str, Any] = {"id": interaction.id}
        event = _EVENTS.get(interaction.status, "interaction.failed")
        if event == "interaction.failed":
            _, data["error_code"], data["error_message"] = interaction.error
        body = {"type": event, "version": "v1", "timestamp": iso(operation.ended), "data": data}
        metadata = interaction.wish.metadata
        return body if metadata is None else {**body, "user_metadata": metadata}
