"""OpenAI's Videos API: create, get, list, content, delete."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aveo3 import _threads
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.server.door import openai_videos, veo_answers
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.server.door.google_errors import Refused, invalid, not_found
from aveo3.server.door.http_requests import SLOWEST_BODY, key_of, priority_of, traceparent_of
from aveo3.server.door.intake import Intake
from aveo3.server.door.openai_videos import PREFIX, RESOURCE
from aveo3.server.door.video_response import VideoResponse
from aveo3.session import Session

if TYPE_CHECKING:
    from aveo3.server.door.app import Door

MOST_LISTED = 100


class OpenAIRoutes:
    """Handlers of videos. `door` knows callers and reads bodies."""

    def __init__(self, door: Door, session: Session, dispatcher: Dispatcher, intake: Intake) -> None:
        assert session.journal is not None
        self._door = door
        self._session = session
        self._journal = session.journal
        self._dispatcher = dispatcher
        self._intake = intake

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_post("/v1/videos", self.create)
        router.add_get("/v1/videos", self.list, allow_head=False)
        router.add_get("/v1/videos/{id}", self.get, allow_head=False)
        router.add_get("/v1/videos/{id}/content", self.content)
        router.add_delete("/v1/videos/{id}", self.delete)

    async def create(self, http: web.Request) -> web.StreamResponse:
        """Accept a request."""
        caller = self._door.caller(http)
        settings = self._session.settings

        def read(fields: Mapping[str, Any]) -> Any:
            return openai_videos.read_order(
                fields, settings.model_catalog, settings.model, fetches=self._intake.fetches
            )

        if http.content_type == "application/json":
            order, digest = await self._door.body(http, caller, lambda body: read(_flat(body)))
        else:
            async with self._door.large_bodies.place(caller.account):
                fields, digest = await _form(http)
            order = await _threads.reading.run(read, fields)
        request = await self._intake.accept(
            order,
            caller,
            resource=RESOURCE,
            body=hashlib.sha256(f"{RESOURCE}\n{digest}".encode()).hexdigest(),
            key=key_of(http),
            priority=priority_of(http),
            callback=self._door.callback(http, caller),
            traceparent=traceparent_of(http),
        )
        found = await self._door.named(request.door_name)
        if found is None:
            raise not_found("The video of this idempotency key was deleted: it")
        return web.json_response(self._video(*found))

    async def get(self, http: web.Request) -> web.StreamResponse:
        """Tell how a video stands."""
        return web.json_response(self._video(*await self._find(http)))

    async def list(self, http: web.Request) -> web.StreamResponse:
        """The caller's videos, the newest first unless `order` is `asc`."""
        caller, query = self._door.caller(http), http.query
        limit, order = query.get("limit", "20"), query.get("order", "desc")
        if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit) <= MOST_LISTED) or order not in (
            "asc",
            "desc",
        ):
            raise invalid(f"'limit' must be from 1 to {MOST_LISTED}, and 'order' asc or desc.")
        after = None
        if (name := query.get("after")) is not None:
            found = await self._door.named(name.removeprefix(PREFIX))
            if found is None or found[0].caller != caller.account:
                raise not_found(f"Video {name[:80]!r}")
            after = found[0].job
        page = self._journal.requests.page(
            caller.account, RESOURCE, after=after, limit=int(limit) + 1, newest_first=order == "desc"
        )
        videos = [self._video(*each) for each in page[: int(limit)]]
        ends = {"first_id": videos[0]["id"], "last_id": videos[-1]["id"]} if videos else {}
        return web.json_response(
            {"object": "list", "data": videos, **{"first_id": None, "last_id": None}, **ends}
            | {"has_more": len(page) > int(limit)}
        )

    async def content(self, http: web.Request) -> web.StreamResponse:
        """Send the video itself."""
        _, record = await self._find(http)
        if http.query.get("variant", "video") != "video":
            raise invalid("'variant' must be video: this server makes neither thumbnails nor spritesheets.")
        if record.state is not State.SUCCEEDED or not record.files:
            raise Refused(404, "The video is not ready, or not on this server.")
        return VideoResponse(self._door.videos, self._journal.locate(record.files[0]), record.id, 0)

    async def delete(self, http: web.Request) -> web.StreamResponse:
        """Delete a video that has ended, or cancel one that waits."""
        request, record = await self._find(http)
        if not veo_answers.ended(record, busy=self._dispatcher.works_on(record)):
            if not await self._intake.withdraw(request):
                raise Refused(409, "The video is being made, and may be billed. Delete it when it has ended.")
            record = (await self._find(http))[1]
        self._journal.requests.delete(request.job)
        await self._journal.on_disk()
        await self._door.videos.delete(record)
        return web.json_response({"id": PREFIX + request.door_name, "object": "video.deleted", "deleted": True})

    async def _find(self, http: web.Request) -> tuple[Request, JobRecord]:
        caller, name = self._door.caller(http), http.match_info["id"]
        found = await self._door.named(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
        if found is None or found[0].caller != caller.account or found[0].resource != RESOURCE:
            raise not_found(f"Video {name[:80]!r}")
        return found

    def _video(self, request: Request, record: JobRecord) -> dict[str, Any]:
        catalog, elapsed = self._session.settings.model_catalog, 0.0
        if record.submitted_utc is not None:
            median = catalog.latency(record.model, record.prompt.get("resolution"))
            elapsed = (self._door.now_utc() - record.submitted_utc).total_seconds() / median
        busy = self._dispatcher.works_on(record)
        return openai_videos.video(request, record, catalog, busy=busy, elapsed=elapsed)


async def _form(http: web.Request) -> tuple[Mapping[str, Any], str]:
    """The fields of a form, files as bytes, and the SHA-256 of them all: the form's own bytes differ each time."""
    try:
        async with asyncio.timeout(SLOWEST_BODY):
            form = await http.post()
    except TimeoutError:
        raise Refused(408, "The request took too long to arrive.", status="DEADLINE_EXCEEDED") from None
    except ValueError:
        raise invalid("The form cannot be read.") from None
    fields: dict[str, Any] = {}
    digest = hashlib.sha256()
    for name, value in sorted(form.items(), key=lambda item: item[0]):
        content = value.file.read() if isinstance(value, web.FileField) else value
        fields[name] = content
        raw = content.encode("utf-8", "replace") if isinstance(content, str) else content
        digest.update(f"{name} {len(raw)}\n".encode() + raw)
    return _flat(fields), digest.hexdigest()


def _flat(fields: Any) -> Mapping[str, Any]:
    """The fields, with the picture of `input_reference` itself instead of the object around it."""
    if not isinstance(fields, dict):
        raise invalid("Expected an object.")
    flat: dict[str, Any] = dict(fields)
    for name in ("input_reference[image_url]", "input_reference[file_id]"):
        if name in flat:
            flat["input_reference"] = {name[16:-1]: flat.pop(name)}
    reference = flat.get("input_reference")
    if isinstance(reference, str) and reference.startswith("{"):
        with suppress(ValueError):
            reference = json.loads(reference)
    if isinstance(reference, dict):
        flat["input_reference"] = reference.get("image_url") or reference
    return flat
