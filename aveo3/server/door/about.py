"""What a caller may know of the server: `GET /v1/server`, so that clients find mistakes before they order anything, and
the models that it may use, in one answer for Google's clients and OpenAI's."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aveo3.errors import UsageError
from aveo3.server.door.callers import Caller
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.server.door.google_errors import Refused
from aveo3.session import Session

if TYPE_CHECKING:
    from aveo3.server.door.app import Door


class About:
    """The handlers. `door` knows callers."""

    def __init__(self, door: Door, session: Session, dispatcher: Dispatcher) -> None:
        self._door = door
        self._session = session
        self._dispatcher = dispatcher

    def add_to(self, router: web.UrlDispatcher, version: str) -> None:
        """Add the routes; `version` is the beginning of Google's paths."""
        router.add_get("/v1/server", self.server, allow_head=False)
        router.add_get(f"{version}/models", self.models, allow_head=False)
        router.add_get(f"{version}/models/{{model:[A-Za-z0-9._-]+}}", self.model, allow_head=False)

    async def server(self, http: web.Request) -> web.StreamResponse:
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
                "waiting": self._dispatcher.waiting_of(caller.account),
                "maxQueued": caller.max_queued,
            }
        )

    async def models(self, http: web.Request) -> web.StreamResponse:
        """List the models: as OpenAI does below `data`, as the Gemini API does below `models`."""
        described = [self._described(model) for model in self._models(self._door.caller(http))]
        openais = [{name: each[name] for name in _OPENAIS} for each in described]
        googles = [{name: value for name, value in each.items() if name not in _OPENAIS} for each in described]
        return web.json_response({"object": "list", "data": openais, "models": googles})

    async def model(self, http: web.Request) -> web.StreamResponse:
        """Tell of one model."""
        caller, name = self._door.caller(http), http.match_info["model"]
        if name not in self._models(caller):
            raise Refused(404, f"models/{name[:80]} is not found here, or your key may not use it.")
        return web.json_response(self._described(name))

    def _models(self, caller: Caller) -> list[str]:
        """The models that a caller may use, those of the catalog where the server has no lanes of its own."""
        routes, catalog = self._session.routes, self._session.settings.model_catalog
        if routes.lanes.listed:
            models = [*(lane.model for lane in routes.lanes.listed), *routes.fallback]
        else:
            models = [model for model in catalog.models if self._has(model)]
        return [model for model in dict.fromkeys(models) if not caller.models or model in caller.models]

    def _has(self, model: str) -> bool:
        with suppress(UsageError):
            return bool(self._session.routes.lanes.of(model))
        return False

    def _described(self, model: str) -> dict[str, Any]:
        """A model with the fields of both APIs. The catalog knows no day of its release, only its own."""
        catalog, since = self._session.settings.model_catalog, 0
        with suppress(ValueError):
            since = int(datetime.fromisoformat(catalog.as_of).replace(tzinfo=UTC).timestamp())
        method = "createInteraction" if catalog.is_omni(model) else "predictLongRunning"
        return {
            "id": model,
            "object": "model",
            "created": since,
            "owned_by": "google",
            "name": f"models/{model}",
            "displayName": model,
            "supportedGenerationMethods": [method],
        }


_OPENAIS = ("id", "object", "created", "owned_by")
