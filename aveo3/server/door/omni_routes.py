"""The Interactions API for Omni, on the paths of both of Google's APIs: create, get, cancel, delete."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.server.door import omni_answers, veo_answers
from aveo3.server.door.callers import Caller
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.server.door.google_errors import Refused, invalid
from aveo3.server.door.http_requests import key_of, priority_of, traceparent_of
from aveo3.server.door.inline_video import send_json
from aveo3.server.door.intake import Intake
from aveo3.server.door.omni_requests import read_order
from aveo3.session import Session

if TYPE_CHECKING:
    from aveo3.server.door.app import Door

_OURS = re.compile("[0-9a-f]{32}")


class OmniRoutes:
    """Handlers of interactions. `door` knows callers and reads bodies."""

    def __init__(self, door: Door, session: Session, dispatcher: Dispatcher, intake: Intake) -> None:
        assert session.journal is not None
        self._door = door
        self._journal = session.journal
        self._dispatcher = dispatcher
        self._intake = intake

    async def create(self, http: web.Request) -> web.StreamResponse:
        """Accept a request."""
        caller, resource = self._door.caller(http), _resource_of(http)
        order, digest = await self._door.body(http, caller, read_order)
        if (earlier := order.prompt.previous) is not None:
            google = await self._at_google(earlier, caller)
            order = order.with_prompt(order.prompt.model_copy(update={"previous": google}))
        request = await self._intake.accept(
            order,
            caller,
            resource=resource,
            body=hashlib.sha256(f"{resource}\n{digest}".encode()).hexdigest(),
            key=key_of(http),
            priority=priority_of(http),
            callback=self._door.callback(http, caller),
            traceparent=traceparent_of(http),
        )
        if (found := await self._door.named(request.door_name)) is None:
            raise invalid("The interaction of this idempotency key was deleted. Use a new key for a new interaction.")
        return web.json_response(omni_answers.accepted(*found))

    async def get(self, http: web.Request) -> web.StreamResponse:
        """Tell how an interaction stands."""
        request, record = await self._find(http)
        return await self._tell(http, request, record)

    async def cancel(self, http: web.Request) -> web.StreamResponse:
        """Cancel an interaction that waits."""
        request, record = await self._find(http)
        if not veo_answers.withdrawn(record) and not await self._intake.withdraw(request):
            raise Refused(
                400,
                "The interaction has ended, was sent, or is about to be: this server stops it no more, and it may be "
                "billed.",
                status="FAILED_PRECONDITION",
            )
        return await self._tell(http, *await self._find(http))

    async def delete(self, http: web.Request) -> web.StreamResponse:
        """Delete an interaction that has ended, and its files; one that waits is cancelled by that."""
        request, record = await self._find(http)
        if not veo_answers.ended(record, busy=self._dispatcher.works_on(record)):
            if not await self._intake.withdraw(request):
                raise Refused(
                    400,
                    "The interaction was sent, or is about to be, and may be billed. Delete it when it has ended.",
                    status="FAILED_PRECONDITION",
                )
            request, record = await self._find(http)
        self._journal.requests.delete(request.job)
        await self._journal.on_disk()
        await self._door.videos.delete(record)
        return web.json_response({})

    async def _tell(self, http: web.Request, request: Request, record: JobRecord) -> web.StreamResponse:
        if not veo_answers.ended(record, busy=self._dispatcher.works_on(record)):
            metadata = self._door.metadata(request, record)
            return web.json_response(omni_answers.running(request, record, metadata))
        if record.state is not State.SUCCEEDED:
            return web.json_response(omni_answers.ended(request, record, None))
        if record.files and (why := self._door.videos.why_gone(record.id)) is not None:
            return web.json_response(omni_answers.gone(request, record, why))
        if not record.files or omni_answers.wants_uri(record):
            uri = f"https://{http.host}/{http.match_info['version']}/files/{request.door_name}0:download?alt=media"
            uri = uri if record.files else record.uris[0] if record.uris else ""
            return web.json_response(omni_answers.ended(request, record, _video(uri=uri)))
        return await send_json(
            http,
            self._door.videos,
            record.id,
            [self._journal.locate(file) for file in record.files[:1]],
            lambda contents: omni_answers.ended(request, record, _video(data=contents[0])),
            lambda why: omni_answers.gone(request, record, why),
        )

    async def _find(self, http: web.Request) -> tuple[Request, JobRecord]:
        """The interaction in the path. Raises `Refused` as Google does if the caller has none of that name."""
        caller, name = self._door.caller(http), http.match_info["id"]
        found = await self._door.named(name)
        if found is None or found[0].caller != caller.account or found[0].resource != _resource_of(http):
            raise invalid(f"Invalid interaction name: interactions/{name[:300]}")
        return found

    async def _at_google(self, name: str, caller: Caller) -> str:
        """Google's id of an earlier interaction of the caller; one that is not of this server is taken as Google's."""
        if not _OURS.fullmatch(name):
            return name
        found = await self._door.named(name)
        if found is None or found[0].caller != caller.account:
            raise invalid(f"Invalid interaction name: interactions/{name}")
        if found[1].state is not State.SUCCEEDED or found[1].operation is None:
            raise invalid(f"The interaction {name} has no video to continue: wait until it is completed.")
        return found[1].operation


def _resource_of(http: web.Request) -> str:
    """Where the interactions of a path are: `interactions`, with the project and location before it, if named."""
    place = http.match_info.get("place")
    return f"{place}/interactions" if place else "interactions"


def _video(**where: str) -> Mapping[str, Any]:
    return {"type": "video", "mime_type": "video/mp4", **where}
