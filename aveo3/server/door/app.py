"""The door's HTTP: Google's paths for Veo on both of its APIs, credentials, bodies, and the server's health."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from aveo3 import _threads
from aveo3.errors import JournalError
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.server.door import google_errors, omni_answers, openai_videos, veo_answers
from aveo3.server.door.about import About
from aveo3.server.door.caller_places import CallerPlaces
from aveo3.server.door.callers import Caller
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.server.door.event_stream import EventStream
from aveo3.server.door.google_errors import Refused, invalid, not_found
from aveo3.server.door.guard import Guard
from aveo3.server.door.http_requests import (
    Body,
    bytes_of,
    callback_of,
    credential_of,
    key_of,
    parsed,
    priority_of,
    traceparent_of,
)
from aveo3.server.door.inline_video import send_json
from aveo3.server.door.intake import Intake
from aveo3.server.door.observer import Observer
from aveo3.server.door.omni_routes import OmniRoutes
from aveo3.server.door.openai_routes import OpenAIRoutes
from aveo3.server.door.operator_routes import OperatorRoutes
from aveo3.server.door.standing import is_waiting
from aveo3.server.door.veo_requests import read_order
from aveo3.server.door.video_response import VideoResponse
from aveo3.server.door.video_store import VideoStore
from aveo3.session import Session

log = logging.getLogger(__name__)

LARGEST_BODY = 100 << 20
"""Bytes of a request: Google takes about as much."""

LARGE_BODY, LARGE_BODIES, OF_ONE_CALLER = 1 << 20, 4, 2
"""Of bodies with more bytes than this, so many are read at the same time, and so many of one caller."""

_VERSION = "/{version:v1|v1beta|v1beta1}"
_MODEL = "publishers/google/models/{model:[A-Za-z0-9._-]+}"
_RESOURCES = (
    f"{_VERSION}/{{place:projects/[^/]+/locations/[^/:]+}}/{_MODEL}",  # a project may be called example.com:films
    f"{_VERSION}/{_MODEL}",
    f"{_VERSION}/models/{{model:[A-Za-z0-9._-]+}}",
)
_OPERATION = "{operation:[^/:]+}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """The handlers, for requests of the callers that `caller_of` recognizes by their credential; None if it does not.

    `caller_of` gets None for a request without a credential.
    """

    def __init__(
        self,
        session: Session,
        dispatcher: Dispatcher,
        intake: Intake,
        *,
        caller_of: Callable[[str | None], Caller | None],
        guard: Guard,
        videos: VideoStore,
        operators: OperatorRoutes,
        observer: Observer,
        private_callbacks: bool,
        now_utc: Callable[[], datetime],
    ) -> None:
        assert session.journal is not None
        self._session = session
        self._journal = session.journal
        self._dispatcher = dispatcher
        self._intake = intake
        self._caller_of = caller_of
        self._guard = guard
        self.videos = videos
        self._operators = operators
        self._observer = observer
        self._private_callbacks = private_callbacks
        self.now_utc = now_utc
        self.large_bodies = CallerPlaces(LARGE_BODIES, OF_ONE_CALLER)

    def app(self) -> web.Application:
        """The application with all routes."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._answer])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._operators.add_to(app.router)
        for resource in _RESOURCES:
            app.router.add_post(f"{resource}:predictLongRunning", self._submit)
            app.router.add_post(f"{resource}/operations/{_OPERATION}:cancel", self._cancel)
            if "publishers" in resource:
                app.router.add_post(f"{resource}:fetchPredictOperation", self._fetch)
            else:
                app.router.add_get(f"{resource}/operations/{_OPERATION}", self._get, allow_head=False)
        omni = OmniRoutes(self, self._session, self._dispatcher, self._intake)
        for place in (f"{_VERSION}/interactions", f"{_VERSION}/{{place:projects/[^/]+/locations/[^/]+}}/interactions"):
            app.router.add_post(place, omni.create)
            app.router.add_get(f"{place}/{{id:[^/]+}}", omni.get, allow_head=False)
            app.router.add_post(f"{place}/{{id:[^/]+}}/cancel", omni.cancel)
            app.router.add_delete(f"{place}/{{id:[^/]+}}", omni.delete)
        app.router.add_get("/v1/events", EventStream(self, self._session, self._intake).get, allow_head=False)
        About(self, self._session, self._dispatcher).add_to(app.router, _VERSION)
        OpenAIRoutes(self, self._session, self._dispatcher, self._intake).add_to(app.router)
        app.router.add_get(f"{_VERSION}/files/{{file:[a-z0-9]+}}", self._file, allow_head=False)
        app.router.add_get(f"{_VERSION}/files/{{file:[a-z0-9]+}}:download", self._download)
        return app

    # ---- every request -----------------------------------------------------------------------------------------------

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn what goes wrong into Google's error answers."""
        try:
            self._guard.check(request)
            return await handler(request)
        except Refused as refused:
            self._observer.refused(refused.code)
            return _error(refused, request=request)
        except web.HTTPRequestEntityTooLarge:
            return _error(Refused(413, f"Request payload size exceeds the limit: {LARGEST_BODY} bytes."))
        except web.HTTPMethodNotAllowed as error:
            return _error(
                Refused(405, f"{request.method} is not allowed there.", status="UNIMPLEMENTED"), error.headers
            )
        except web.HTTPException as error:
            if error.status == 404:
                return _error(Refused(404, f"This server has no {request.method} {request.path[:200]!r}."))
            raise
        except JournalError as error:
            log.error("%s %s: %s", request.method, request.path, error)
            return _error(Refused(503, "The journal cannot be read now.", retry_after=10))
        except ConnectionError:
            raise  # the client has gone
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return _error(Refused(500, "Internal error encountered."))

    def caller(self, request: web.Request) -> Caller:
        """The caller of `request`. Raises `Refused` with Google's 401."""
        caller = self._caller_of(credential_of(request))
        if caller is None:
            raise google_errors.bad_key()
        if caller.operator:
            raise Refused(403, "Permission denied: this is an operator's key, which shows figures and orders nothing.")
        return caller

    def callback(self, request: web.Request, caller: Caller) -> tuple[str, str] | None:
        """Where the end of a request is told: see `callback_of`."""
        return callback_of(request, caller, private=self._private_callbacks)

    async def body(self, request: web.Request, caller: Caller, read: Callable[[Any], Body]) -> tuple[Body, str]:
        """What `read` makes of the JSON of a request, and the SHA-256 of its bytes.

        Large bodies are read in a thread, a few at a time.
        """
        if request.content_length is not None and request.content_length <= LARGE_BODY:
            return parsed(await bytes_of(request), read)
        async with self.large_bodies.place(caller.account):
            return await _threads.reading.run(parsed, await bytes_of(request), read)

    # ---- submits and operations --------------------------------------------------------------------------------------

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        caller = self.caller(request)
        model, resource = request.match_info["model"], _resource_of(request)
        order, digest = await self.body(request, caller, lambda body: read_order(body, model))
        accepted = await self._intake.accept(
            order,
            caller,
            resource=resource,
            body=hashlib.sha256(f"{resource}\n{digest}".encode()).hexdigest(),
            key=key_of(request),
            priority=priority_of(request),
            callback=self.callback(request, caller),
            traceparent=traceparent_of(request),
        )
        return web.json_response({"name": veo_answers.name_of(accepted)})

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        caller = self.caller(request)
        name, _ = await self.body(request, caller, _operation_name)
        return await self._operation(request, *await self._find(name, caller))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        caller = self.caller(request)
        return await self._operation(request, *await self._find(_resource_of(request), caller))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        caller = self.caller(request)
        found, record = await self._find(_resource_of(request), caller)
        if veo_answers.withdrawn(record) or await self._intake.withdraw(found):
            return web.json_response({})
        if veo_answers.ended(record, busy=self._dispatcher.works_on(record)):
            raise Refused(400, "The operation has ended.", status="FAILED_PRECONDITION")
        raise Refused(
            400,
            "The request has been sent, or is about to be, and Google cancels no video: it goes on, and may be billed.",
            status="FAILED_PRECONDITION",
        )

    def metadata(self, request: Request, record: JobRecord) -> dict[str, Any]:
        """What a poll tells of a request that has not ended."""
        turn = self._dispatcher.expected_in(request) if is_waiting(record) else None
        return veo_answers.metadata(
            record,
            turn=None if turn is None else veo_answers.Turn(*turn),
            now_utc=self.now_utc(),
            median=self._session.settings.model_catalog.latency(record.model, record.prompt.get("resolution")),
        )

    async def named(self, door_name: str) -> tuple[Request, JobRecord] | None:
        """The request whose operation has this name. A shared journal is read in a thread: it may be far away."""
        if self._journal.shared:
            return await _threads.reading.run(self._journal.requests.named, door_name)
        return self._journal.requests.named(door_name)

    async def _find(self, name: str, caller: Caller) -> tuple[Request, JobRecord]:
        """The request whose operation is called `name`. Raises `Refused` if `caller` has none of that name."""
        found = await self.named(name.rpartition("/operations/")[2])
        if found is None or found[0].caller != caller.account or veo_answers.name_of(found[0]) != name:
            raise not_found(f"Operation {name[:300]!r}")
        return found

    async def _operation(self, http: web.Request, request: Request, record: JobRecord) -> web.StreamResponse:
        if not veo_answers.ended(record, busy=self._dispatcher.works_on(record)):
            return web.json_response({"name": veo_answers.name_of(request), "metadata": self.metadata(request, record)})
        done: dict[str, Any] = {"name": veo_answers.name_of(request), "done": True}
        if (error := veo_answers.error(record)) is not None:
            return web.json_response({**done, "error": error})
        if record.state is State.FILTERED or not record.files:
            place = "uri" if veo_answers.surface_of(request) == veo_answers.DEVELOPER else "gcsUri"
            videos: list[Mapping[str, Any]] = [{place: uri, "mimeType": "video/mp4"} for uri in record.uris]
            return web.json_response({**done, "response": veo_answers.response(request, record, videos)})
        if veo_answers.surface_of(request) == veo_answers.DEVELOPER:
            if (why := self.videos.why_gone(record.id)) is not None:
                return web.json_response({**done, "error": {"code": 5, "message": why}})
            # https, even if this server speaks http: the SDK reads the file's id from https URIs only.
            base = f"https://{http.host}/{http.match_info['version']}/files/{request.door_name}"
            videos = [{"uri": f"{base}{number}:download?alt=media"} for number in range(len(record.files))]
            return web.json_response({**done, "response": veo_answers.response(request, record, videos)})
        paths = [self._journal.locate(file) for file in record.files]

        def body(contents: list[str]) -> dict[str, Any]:
            inline: list[Mapping[str, Any]] = [
                {"bytesBase64Encoded": content, "mimeType": "video/mp4"} for content in contents
            ]
            return {**done, "response": veo_answers.response(request, record, inline)}

        def gone(why: str) -> dict[str, Any]:
            return {**done, "error": {"code": 5, "message": why}}

        return await send_json(http, self.videos, record.id, paths, body, gone)

    # ---- files of the Developer API ----------------------------------------------------------------------------------

    async def _video(self, request: web.Request) -> tuple[str, JobRecord, Mapping[str, Any]]:
        caller, file = self.caller(request), request.match_info["file"]
        found = await self.named(file[:-1])
        if found is not None and found[0].caller == caller.account and file[-1].isdecimal():
            record = found[1]
            if record.state is State.SUCCEEDED and int(file[-1]) < len(record.files):
                return file, record, record.files[int(file[-1])]
        raise Refused(
            403,
            f"You do not have permission to access the File {file} or it may not exist.",
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("alt") == "media":
            return await self._download(request)
        file, record, video = await self._video(request)
        described = {
            "name": f"files/{file}",
            "mimeType": "video/mp4",
            "sizeBytes": str(video["size"]),
            "createTime": veo_answers.time_of(record.fetched_utc or record.queued_utc),
            "uri": f"https://{request.host}/{request.match_info['version']}/files/{file}",
            "downloadUri": f"https://{request.host}/{request.match_info['version']}/files/{file}:download?alt=media",
            "state": "ACTIVE",
            "source": "GENERATED",
        }
        return web.json_response(described)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        file, record, video = await self._video(request)
        return VideoResponse(self.videos, self._journal.locate(video), record.id, int(file[-1]))

    # ---- health ------------------------------------------------------------------------------------------------------

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._intake.not_ready is not None:
            why = self._intake.why_not_ready
            return web.json_response({"status": "not ready", "why": why}, status=503)
        return web.json_response({"status": "ready"})


def _resource_of(request: web.Request) -> str:
    """The resource in the path: what stands between the version and the verb."""
    path = request.path.split("/", 2)[2]
    return path.rpartition(":")[0] if request.method == "POST" else path


def _operation_name(body: Any) -> str:
    name = body.get("operationName") if isinstance(body, dict) else None
    if not isinstance(name, str):
        raise invalid("`operationName` must be the name of an operation.")
    return name


def _error(
    refused: Refused, headers: Mapping[str, str] | None = None, *, request: web.Request | None = None
) -> web.Response:
    kept = {"Allow": headers["Allow"]} if headers is not None and "Allow" in headers else {}
    body: Any = refused.body()
    if request is not None and _INTERACTIONS.match(request.path):  # Vertex AI has its usual errors there, too
        body = [body] if refused.code == 401 else omni_answers.worded(refused)
    elif request is not None and _VIDEOS.match(request.path):
        body = openai_videos.worded(refused)
    return web.json_response(body, status=refused.code, headers={**refused.headers, **kept})


_VIDEOS = re.compile(r"/v1/videos(/|$)")
_INTERACTIONS = re.compile(r"/v1\w*/interactions(/|$)")
