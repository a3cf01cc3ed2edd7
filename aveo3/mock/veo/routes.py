"""Veo's wire protocol on Vertex AI and the Developer API: paths, credentials and bodies of submit and poll."""

import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from aveo3.mock import error_bodies
from aveo3.mock.config.faults import Point
from aveo3.mock.error_bodies import Answer, RequestError
from aveo3.mock.http.auth import authorized, port_of, read_json, shown_as
from aveo3.mock.http.fault_effects import perform, respond
from aveo3.mock.models import Surface
from aveo3.mock.quota_rules import QuotaLane
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.state.operations import SUCCESS, Operation
from aveo3.mock.state.request_log import shortened
from aveo3.mock.veo.model_routes import check
from aveo3.mock.veo.requests import find_model, read_order

_VERSION = "/{version:v1|v1beta|v1beta1}"
_MODEL = "{model:[^/:]+}"
_PUBLISHER = f"publishers/google/models/{_MODEL}"
_PROJECT = f"projects/{{project}}/locations/{{location}}/{_PUBLISHER}"

_Body = Callable[[Operation, web.Request], Awaitable[dict[str, Any]]]

_AUDIO = "We encountered an issue with the audio for your prompt. You have not been charged for this attempt."
_SAFETY = (
    "Sorry, we can't create videos with real people's likeness of children. Please try another prompt. "
    "Support codes: 17301594"
)
_ERRORS = {
    "filtered-input": (
        3,
        "Veo could not generate videos because the input violates Google's usage guidelines. Try rephrasing the "
        "prompt. If you think this was an error, send feedback. Support codes: 15236754",
    ),
    "error-8": (
        8,
        "The service is currently experiencing high load and cannot process your request. Please try again later.",
    ),
    "error-13": (
        13,
        "Video generation failed due to an internal server issue. Please try again in a few minutes.",
    ),
    "error-14": (14, "The service is currently unavailable."),
}


class VeoWire:
    """Handlers for one emulator. All three kinds of paths share `_submit` and `_poll`."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def routes(self) -> Iterator[web.RouteDef]:
        for path in (_PROJECT, _PUBLISHER):
            yield web.post(f"{_VERSION}/{path}:predictLongRunning", self.submit_vertex)
            yield web.post(f"{_VERSION}/{path}:fetchPredictOperation", self.poll_vertex)
        yield web.post(f"{_VERSION}/models/{_MODEL}:predictLongRunning", self.submit_developer)
        yield web.get(f"{_VERSION}/models/{_MODEL}/operations/{{operation}}", self.poll_developer, allow_head=False)

    # -- submit ----------------------------------------------------------------------------------------------------

    async def submit_vertex(self, request: web.Request) -> web.StreamResponse:
        return await self._submit(request, "vertex")

    async def submit_developer(self, request: web.Request) -> web.StreamResponse:
        return await self._submit(request, "developer")

    async def _submit(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        """Accept, refuse or reject. Between the body's last byte and the verdict nothing waits: submits never mix."""
        emulator = self.emulator
        raw = await request.read()
        emulator.books.submits += 1
        part, resource = request.match_info, _resource(request)
        entry = emulator.arrived(shown_as(request, emulator.masks), part["model"], port_of(request))
        entry.prompt = _prompt_of(raw)
        fault = emulator.strike(Point.SUBMIT)
        if fault is not None:
            entry.answer, entry.fault = "failed", fault
        if (denied := error_bodies.front_end_error(fault, surface)) is not None:
            return respond(denied)
        if fault is not None and fault != "no-access":
            return await perform(fault, request, emulator)
        with emulator.on_record(entry):
            caller = authorized(request, surface)
            model = find_model(part["model"], surface, part["version"], emulator.options.retired, resource)
            owner, secret = part.get("project", caller.secret), "project" not in part
            lane = QuotaLane(owner, part.get("location", "global"), model.id, secret)
            if fault == "no-access":
                return respond(emulator.no_access(lane, model))
            order = read_order(read_json(raw), model, emulator.extendable)
            operation = emulator.admit(lane, order, model, resource)
        entry.answer, entry.operation, entry.prompt = "accepted", operation, shortened(order.prompt)
        honest = Answer(200, {"name": operation.name})
        fault = emulator.strike(Point.ACCEPTED)
        entry.fault = fault or ""
        return await perform(fault, request, emulator, honest) if fault else respond(honest)

    # -- poll ------------------------------------------------------------------------------------------------------

    async def poll_vertex(self, request: web.Request) -> web.StreamResponse:
        authorized(request, "vertex")
        body = read_json(await request.read())
        name = body.get("operationName") if isinstance(body, dict) else None
        if not isinstance(name, str):
            raise RequestError(error_bodies.invalid("`operationName` is required."))
        if name.rpartition("/operations/")[0] != _resource(request):
            message = f"The operation name {name} does not belong to {_resource(request)}."
            raise RequestError(error_bodies.invalid(message))
        # Google's answer for an operation that never existed is documented nowhere. The emulator answers as for a
        # submit, including the 404 for an unknown model, and otherwise with a 404 for the operation.
        self.emulator.settle()
        if self.emulator.operations.find(name) is None:
            struck = await check(request, self.emulator, "vertex", _resource(request))
            if struck is not None:
                return struck
        return await self._poll(request, name, self._vertex_body)

    async def poll_developer(self, request: web.Request) -> web.StreamResponse:
        authorized(request, "developer")
        return await self._poll(request, _resource(request), self._developer_body)

    async def _poll(self, request: web.Request, name: str, body: _Body) -> web.StreamResponse:
        emulator = self.emulator
        emulator.books.polls += 1
        emulator.settle()
        operation = emulator.operations.find(name)
        if operation is None:
            raise RequestError(error_bodies.not_found(f"Operation {name} was not found."))
        operation.polls += 1
        fault = emulator.strike(Point.POLL)
        if fault is not None and fault != "poll-pending":
            return await perform(fault, request, emulator)
        # A running operation has no `done`, not even `false`: clients have to handle the missing key.
        if fault == "poll-pending" or not operation.done:
            return respond(Answer(200, {"name": name}))
        return respond(Answer(200, {"name": name, "done": True, **await body(operation, request)}))

    async def _developer_body(self, operation: Operation, request: web.Request) -> dict[str, Any]:
        if (early := _without_response(operation)) is not None:
            return early
        # https, although the server may use http: the SDK extracts the file id only from https URIs. The host is this
        # server, so that no client sends its key to the real Google by mistake.
        base = f"https://{request.host}/{request.match_info['version']}/files"
        samples = [{"video": {"uri": f"{base}/{file}:download?alt=media"}} for file in operation.files]
        inner = {**({"generatedSamples": samples} if samples else {}), **_filtered(operation)}
        kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
        return {"response": {"@type": kind, "generateVideoResponse": inner}}

    async def _vertex_body(self, operation: Operation, request: web.Request) -> dict[str, Any]:
        if (early := _without_response(operation)) is not None:
            return early
        videos = [await self._vertex_video(operation, sample) for sample in range(operation.delivered)]
        response = {"@type": "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"}
        return {"response": {**response, **({"videos": videos} if videos else {}), **_filtered(operation)}}

    async def _vertex_video(self, operation: Operation, sample: int) -> dict[str, str]:
        uri = operation.gcs_uri(sample)
        if uri is not None:
            return {"gcsUri": uri, "mimeType": "video/mp4"}
        film = await self.emulator.film(operation, sample)
        operation.fetched = True
        return {"bytesBase64Encoded": base64.b64encode(film).decode(), "mimeType": "video/mp4"}


def _without_response(operation: Operation) -> dict[str, Any] | None:
    """Return the end of the body of a done operation without a usable response; None for all others."""
    if operation.outcome in _ERRORS:
        code, message = _ERRORS[operation.outcome]
        return {"error": {"code": code, "message": message}}
    return {"empty": {"response": {}}, "empty-done": {}}.get(operation.outcome)


def _filtered(operation: Operation) -> dict[str, Any]:
    if operation.outcome == SUCCESS:
        return {}
    count = operation.order.samples - operation.delivered
    reason = _AUDIO if operation.outcome == "filtered-audio" else _SAFETY
    return {"raiMediaFilteredCount": count, "raiMediaFilteredReasons": [reason] * count}


def _resource(request: web.Request) -> str:
    """Return the resource name in the path: everything between the version and the verb."""
    return request.path.split("/", 2)[2].partition(":")[0]


def _prompt_of(raw: bytes) -> str:
    """Return the prompt for the log, even of an invalid request. Skips large bodies, to parse them only once."""
    try:
        return shortened(json.loads(raw)["instances"][0]["prompt"]) if len(raw) < 50_000 else ""
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
