"""Checks, which create nothing and cost nothing: `models.get` of the Developer API, and the faults of any check.

A check shows whether credentials, project and model are valid. So it meets the same faults as a submit before anything
is created.
"""

from collections.abc import Iterator

from aiohttp import web

from aveo3.mock import error_bodies
from aveo3.mock.config.faults import Point
from aveo3.mock.error_bodies import Answer, RequestError
from aveo3.mock.http.auth import authorized
from aveo3.mock.http.fault_effects import perform, respond
from aveo3.mock.models import MODELS, OMNI, Model, Omni, Surface
from aveo3.mock.quota_rules import QuotaLane
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.veo.requests import find_model

_PATH = "/{version:v1|v1beta|v1beta1}/models/{model:[^/:]+}"
_METHODS = {Model: "predictLongRunning", Omni: "createInteraction"}
"""The method of Veo is known from many published listings; that of Omni is a guess."""


class ModelWire:
    """`models.get` of the Developer API only. Vertex AI's takes neither project nor region, so it proves little."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get(_PATH, self.get, allow_head=False)

    async def get(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["model"]
        struck = await check(request, self.emulator, "developer", f"models/{name}")
        if struck is not None:
            return struck
        model = _developers(name)
        assert model is not None
        return respond(Answer(200, _resource(model)))


async def check(request: web.Request, emulator: Emulator, surface: Surface, where: str) -> web.StreamResponse | None:
    """The response of a fault that strikes this call, or None. Raises RequestError for a bad credential or model.

    `where` is the full resource name of the model.
    """
    part = request.match_info
    fault = emulator.strike(Point.SUBMIT)
    if (denied := error_bodies.front_end_error(fault, surface)) is not None:
        return respond(denied)
    if fault is not None and fault != "no-access":
        return await perform(fault, request, emulator)
    caller = authorized(request, surface)
    model = _find(part["model"], surface, part["version"], emulator.options.retired, where)
    if fault == "no-access":
        owner, secret = part.get("project", caller.secret), "project" not in part
        return respond(emulator.no_access(QuotaLane(owner, part.get("location", "global"), model.id, secret), model))
    return None


def _find(name: str, surface: Surface, version: str, retired: tuple[str, ...], where: str) -> Model | Omni:
    if surface == "vertex" or name in retired:
        return find_model(name, surface, version, retired, where)
    model = _developers(name)
    if model is None:  # as recorded on 2026-10-03
        raise RequestError(error_bodies.not_found(f"Model is not found: models/{name} for api version {version}"))
    return model


def _developers(name: str) -> Model | Omni | None:
    return MODELS.get(("developer", name)) or OMNI.get(("developer", name))


def _resource(model: Model | Omni) -> dict[str, object]:
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.base,
        "supportedGenerationMethods": [_METHODS[type(model)]],
    }
