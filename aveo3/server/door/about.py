"""`GET /v1/server`: what a caller may know of the server, so that clients find mistakes before they order anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from aveo3.server.door.dispatcher import Dispatcher
from aveo3.session import Session

if TYPE_CHECKING:
    from aveo3.server.door.app import Door


class About:
    """The handler. `door` knows callers."""

    def __init__(self, door: Door, session: Session, dispatcher: Dispatcher) -> None:
        self._door = door
        self._session = session
        self._dispatcher = dispatcher

    async def get(self, http: web.Request) -> web.StreamResponse:
        """Tell the models that the caller may use, and how many of its requests wait."""
        caller, routes = self._door.caller(http), self._session.routes
        # Without lanes of its own, the server has every model that its credentials have.
        models = [*(lane.model for lane in routes.lanes.listed), *routes.fallback] if routes.lanes.listed else []
        if caller.models:
            models = [model for model in caller.models if not models or model in models]
        return web.json_response(
            {
                "service": self._session.service,
                "caller": caller.name,
                "models": [*dict.fromkeys(models)],
                "anyModel": not (routes.lanes.listed or caller.models),
                "defaultModel": self._session.settings.model,
                "waiting": self._dispatcher.waiting_of(caller.name),
                "maxQueued": caller.max_queued,
            }
        )
