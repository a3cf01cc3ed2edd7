"""The Interactions API's wire protocol on the Developer API and Vertex AI: create, get, cancel, delete."""

import base64
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

from aiohttp import web

from aveo3.mock import error_bodies, refusals
from aveo3.mock.config.faults import Point
from aveo3.mock.error_bodies import Answer, RequestError
from aveo3.mock.http.auth import authorized, port_of, read_json, shown_as
from aveo3.mock.http.fault_effects import cut, perform, respond
from aveo3.mock.models import Surface
from aveo3.mock.omni.errors import from_the_front_end, no_interaction, no_model, worded
from aveo3.mock.omni.requests import find_omni, read_wish
from aveo3.mock.omni.responses import Interaction, accepted, ended, new_id, running
from aveo3.mock.omni.webhooks import Announcer
from aveo3.mock.quota_rules import QuotaLane
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.state.operations import Order
from aveo3.mock.state.request_log import Request, shortened

_VERSION = "/{version:v1|v1beta|v1beta1}"
_PROJECT = f"{_VERSION}/projects/{{project}}/locations/{{location}}"
_ID = "{id:[^/:]+}"
_LATE_DELAY = 23.397  # seconds, as in the only recorded refusal of this kind

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OmniWire:
    """Handlers for one emulator, and its interactions. Every caller with an id may get, cancel and delete."""

    def __init__(self, emulator: Emulator, check_hook: Callable[[str], None]) -> None:
        """`check_hook` raises RequestError for an address to which no webhook may go."""
        self.emulator = emulator
        self._check_hook = check_hook
        self._announcer = Announcer(emulator)
        self._interactions: dict[str, Interaction] = {}
        self._rng = random.SystemRandom()  # the seed does not decide ids, for the reason in `Operations`

    def routes(self) -> Iterator[web.RouteDef]:
        for scope in (_VERSION, _PROJECT):
            yield web.post(f"{scope}/interactions", self._in_format(self.create))
            yield web.get(f"{scope}/interactions/{_ID}", self._in_format(self.get), allow_head=False)
            yield web.post(f"{scope}/interactions/{_ID}/cancel", self._in_format(self.cancel))
            yield web.delete(f"{scope}/interactions/{_ID}", self._in_format(self.delete))
        verbs = "{verb:generateContent|streamGenerateContent}"
        yield web.get("/.well-known/jwks.json", self._announcer.keys)
        yield web.post(f"{_VERSION}/models/{{model:gemini-omni[^/:]*}}:{verbs}", self.reject_generate)

    def _in_format(self, handler: _Handler) -> _Handler:
        """Convert the errors of `handler` to the format of this API."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except RequestError as refused:
                raise RequestError(_converter(request)(refused.answer), refused.why) from None

        return handle

    # -- create ----------------------------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Accept, refuse or reject. Between the body's last byte and the verdict nothing waits: creates never mix."""
        emulator = self.emulator
        raw = await request.read()
        emulator.books.submits += 1
        model_name, prompt = _model_and_prompt(raw)
        entry = emulator.arrived(shown_as(request, emulator.masks), model_name, port_of(request))
        entry.prompt = shortened(prompt)
        fault = emulator.strike(Point.SUBMIT, Point.CREATE)
        if fault is not None:
            entry.answer, entry.fault = "failed", fault
        if (denied := error_bodies.front_end_error(fault, _surface(request))) is not None:
            return respond(_from_front_end(request, denied))
        if fault is not None and fault not in ("no-access", "late-429"):
            return await perform(fault, request, emulator, word=_converter(request))
        with emulator.on_record(entry):
            interaction = self._accept(request, raw, fault, entry)
        return await self._answer(request, interaction, entry)

    def _accept(self, request: web.Request, raw: bytes, fault: str | None, entry: Request) -> Interaction:
        emulator, part, surface = self.emulator, request.match_info, _surface(request)
        caller = _authorized(request)
        body = read_json(raw)
        if not isinstance(body, dict):
            raise RequestError(error_bodies.invalid("Invalid JSON payload received. Expected an object."))  # guessed
        where = _models(request)
        model = find_omni(body.get("model"), surface, part["version"], emulator.options.retired, where)
        if part.get("location", "global") != "global":
            place = f"`{where}/{model.id}` was not found or your project does not have access to it."
            raise RequestError(no_model(f"Publisher Model {place}"))  # live, for Veo
        lane = QuotaLane(part.get("project", caller.secret), "global", model.id, "project" not in part)
        if fault == "no-access":
            raise RequestError(emulator.no_access(lane, model))
        wish = read_wish(body, model, self._parent(body.get("previous_interaction_id"), surface), self._stored)
        for uri in wish.hooks:
            self._check_hook(uri)
        interaction = Interaction(new_id(self._rng), model, wish, emulator.clock.utc())
        if fault == "late-429":
            wait = emulator.clock.client_seconds(_LATE_DELAY)
            interaction.refusal = error_bodies.error(  # live, once
                429, "RESOURCE_EXHAUSTED", f"{refusals.BARE} Please retry in {wait:g}s."
            )
        else:
            self._admit(interaction, lane, where, entry)
        if wish.store:
            self._interactions[interaction.id] = interaction
        return interaction

    def _admit(self, interaction: Interaction, lane: QuotaLane, where: str, entry: Request) -> None:
        """Start its operation, or, with `refuse_late`, keep the refusal for its polls."""
        model, order = interaction.model, interaction.wish.order
        try:
            interaction.operation = self.emulator.admit(lane, order, model, f"{where}/{model.id}", Point.ENDING)
        except RequestError as refused:
            if not self.emulator.options.refuse_late or not interaction.wish.background:
                raise
            entry.answer, entry.why = "refused", f"{refused.why}, sent late"
            # As recorded: the general code and no header, for every rule.
            interaction.refusal = replace(refused.answer, headers={}, word="")
            return
        entry.answer, entry.operation, entry.prompt = "accepted", interaction.operation, shortened(order.prompt)

    async def _answer(self, request: web.Request, interaction: Interaction, entry: Request) -> web.StreamResponse:
        emulator, operation, wish = self.emulator, interaction.operation, interaction.wish
        if operation is None:
            return respond(Answer(200, accepted(interaction)))
        if wish.hooks:
            self._announcer.expect(interaction)
        fault = emulator.strike(Point.ACCEPTED)
        entry.fault = fault or ""
        body = accepted(interaction)
        if not wish.background and fault is None:
            await emulator.wait_for_end(operation)
            if not operation.done:
                return cut(request)
            body = await self._body(request, interaction)
        if fault == "nameless-after":
            return respond(Answer(200, {name: value for name, value in body.items() if name != "id"}))
        honest = Answer(200, body)
        return await perform(fault, request, emulator, honest, word=_converter(request)) if fault else respond(honest)

    def _parent(self, previous: Any, surface: Surface) -> Order | None:
        """Return the order of the previous interaction, or None. Raises RequestError if it has no video."""
        if previous is None:
            return None
        if surface == "vertex":  # reports differ on whether it works there; no client relies on it
            message = "'previous_interaction_id' is not supported. Send the video as input."
            raise RequestError(error_bodies.invalid(message))  # guessed
        interaction = self._interactions.get(previous) if isinstance(previous, str) else None
        if interaction is None:
            raise RequestError(no_interaction(str(previous)))
        self.emulator.settle()
        operation = interaction.operation
        if operation is None or not operation.done or not operation.delivered:
            raise RequestError(error_bodies.invalid(f"Interaction {previous} has no video to go on with."))  # guessed
        return operation.order

    def _stored(self, file_id: str) -> Order | None:
        file = self.emulator.file(file_id)
        return None if file is None else file.operation.order

    # -- get, cancel, delete ---------------------------------------------------------------------------------------

    async def get(self, request: web.Request) -> web.StreamResponse:
        _authorized(request)
        emulator = self.emulator
        emulator.books.polls += 1
        interaction = self._find(request)
        if request.query.get("stream", "").lower() == "true":
            # our own
            raise RequestError(error_bodies.invalid("The mock server does not stream; poll with stream=false."))
        if interaction.operation is None:
            assert interaction.refusal is not None
            raise RequestError(interaction.refusal)
        interaction.operation.polls += 1
        fault = emulator.strike(Point.POLL, Point.INTERACTION_POLL)
        if fault in ("poll-pending", "poll-queued"):
            return respond(Answer(200, running(interaction, "queued" if fault == "poll-queued" else "in_progress")))
        if fault == "poll-404":
            raise RequestError(no_interaction(interaction.id))
        if fault is not None and fault != "poll-inline":
            return await perform(fault, request, emulator, word=_converter(request))
        body = await self._body(request, interaction, inline=fault == "poll-inline")
        if request.query.get("include_input", "").lower() == "true":
            body["input"] = list(interaction.wish.input.blocks)
        return respond(Answer(200, body))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        _authorized(request)
        interaction = self._find(request)
        operation = interaction.operation
        if operation is None or operation.done or not interaction.wish.background:
            reason = "Only background interactions that are still in progress can be cancelled."
            # guessed
            raise RequestError(error_bodies.invalid(f"{reason} interactions/{interaction.id} is {interaction.status}."))
        self.emulator.cancel(operation)
        return respond(Answer(200, await self._body(request, interaction)))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Forget an interaction. Its operation goes on and is billed."""
        _authorized(request)
        del self._interactions[self._find(request).id]
        return respond(Answer(200, {}))

    async def reject_generate(self, request: web.Request) -> web.StreamResponse:
        raise RequestError(error_bodies.invalid("This model only supports Interactions API."))  # live

    def _find(self, request: web.Request) -> Interaction:
        self.emulator.settle()
        interaction = self._interactions.get(request.match_info["id"])
        if interaction is None or (interaction.model.surface == "vertex") != ("project" in request.match_info):
            raise RequestError(no_interaction(request.match_info["id"]))
        return interaction

    async def _body(self, request: web.Request, interaction: Interaction, *, inline: bool = False) -> dict[str, Any]:
        operation = interaction.operation
        assert operation is not None
        if not operation.done:
            return running(interaction)
        video = await self._video(request, interaction, inline=inline) if operation.shows_films else None
        return ended(interaction, video)

    async def _video(self, request: web.Request, interaction: Interaction, *, inline: bool) -> dict[str, Any]:
        operation = interaction.operation
        assert operation is not None
        block = {"type": "video", "mime_type": "video/mp4"}
        if operation.outcome == "unread":
            return {**block, "type": "moving_picture"}
        if interaction.wish.delivery == "inline" or inline:
            film = await self.emulator.film(operation, 0)
            operation.fetched = True
            return {**block, "data": base64.b64encode(film).decode()}
        # https and the host of this server, for the reasons in `VeoWire._developer_body`.
        base = f"https://{request.host}/{request.match_info['version']}/files"
        return {**block, "uri": operation.gcs_uri(0) or f"{base}/{operation.files[0]}:download?alt=media"}


def _surface(request: web.Request) -> Surface:
    return "vertex" if "project" in request.match_info else "developer"


def _models(request: web.Request) -> str:
    """Return the resource name of the models on the request's surface."""
    part = request.match_info
    return (
        f"projects/{part['project']}/locations/{part['location']}/publishers/google/models"
        if "project" in part
        else "models"
    )


def _converter(request: web.Request) -> Callable[[Answer], Answer]:
    return worded if _surface(request) == "developer" else lambda answer: answer


def _from_front_end(request: web.Request, answer: Answer) -> Answer:
    """Convert an error of the front end, which comes before the API sees the request."""
    return from_the_front_end(answer) if _surface(request) == "developer" else answer


def _authorized(request: web.Request) -> Any:
    try:
        return authorized(request, _surface(request))
    except RequestError as refused:
        raise RequestError(_from_front_end(request, refused.answer), refused.why) from None


def _model_and_prompt(raw: bytes) -> tuple[str, str]:
    """Return model and prompt for the log, even of an invalid request. Skips large bodies, to parse them only once."""
    try:
        body = json.loads(raw) if len(raw) < 50_000 else {}
        prompt = body.get("input", "")
        return str(body.get("model", "")), prompt if isinstance(prompt, str) else ""
    except (ValueError, AttributeError, RecursionError):
        return "", ""
