"""The Files API of the Developer API: the description of a film, and its bytes until it expires."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from aveo3.mock import error_bodies
from aveo3.mock.error_bodies import Answer, RequestError
from aveo3.mock.http.auth import caller_of
from aveo3.mock.http.byte_ranges import deliver
from aveo3.mock.http.fault_effects import respond
from aveo3.mock.models import OMNI
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.state.operations import File

_FILE = "{version:v1|v1beta|v1beta1}/files/{file:[a-z0-9]+}"


class FileWire:
    """The download URI of a poll requires a key. Veo's URI then redirects to the bytes; Omni's serves them itself."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get(f"/{_FILE}", self.describe, allow_head=False)
        yield web.get(f"/{_FILE}:download", self.download, allow_head=False)
        yield web.get(f"/download/{_FILE}:download", self.serve, allow_head=False)

    async def describe(self, request: web.Request) -> web.StreamResponse:
        """The File resource: its state, and its size and checksum once it can be downloaded."""
        _authorize(request)
        file = self._file(request)
        return respond(Answer(200, await self._resource(request, file)))

    async def download(self, request: web.Request) -> web.StreamResponse:
        _authorize(request)
        file = self._file(request)
        if self._state(file) != "ACTIVE":
            raise RequestError(error_bodies.file_not_ready(request.match_info["file"]))
        if ("developer", file.operation.lane.model) in OMNI:
            return await self.serve(request)
        return web.Response(status=302, headers={"Location": f"/download{request.path}?alt=media"})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        file, name = self._file(request), request.match_info["file"]
        # A file never changes, so its id can be the ETag.
        headers = {"ETag": f'"{name}"'}
        denied = error_bodies.file_gone(name)
        return await deliver(request, self.emulator, file.operation, file.sample, denied=denied, headers=headers)

    def _file(self, request: web.Request) -> File:
        """Return the file. Raises Refused; an expired file gets the same answer as an unknown one, as at Google."""
        name = request.match_info["file"]
        file = self.emulator.file(name)
        if file is None or self.emulator.expired(file):
            raise RequestError(error_bodies.file_gone(name))
        return file

    def _state(self, file: File) -> str:
        operation = file.operation
        if self.emulator.clock.now() < operation.done_at + operation.processing:
            return "PROCESSING"
        return "FAILED" if operation.outcome == "file-failed" else "ACTIVE"

    async def _resource(self, request: web.Request, file: File) -> dict[str, Any]:
        emulator, part, operation = self.emulator, request.match_info, file.operation
        made, state = operation.ended, self._state(file)
        assert made is not None
        uri = f"https://{request.host}/{part['version']}/files/{part['file']}"
        body: dict[str, Any] = {
            "name": f"files/{part['file']}",
            "mimeType": "video/mp4",
            "createTime": _rfc3339(made),
            "updateTime": _rfc3339(made),
            "expirationTime": _rfc3339(made + timedelta(seconds=emulator.options.retention)),
            "uri": uri,
            "downloadUri": f"{uri}:download?alt=media",
            "state": state,
            "source": "GENERATED",
        }
        if state == "FAILED":
            body["error"] = {"code": 13, "message": "The file could not be processed."}
        if state == "ACTIVE":
            film = await emulator.film(operation, file.sample)
            digest = hashlib.sha256(film).hexdigest()
            body |= {
                "sizeBytes": str(len(film)),
                "sha256Hash": base64.b64encode(digest.encode()).decode(),  # of the hexadecimal digits, as at Google
                "videoMetadata": {"videoDuration": f"{operation.order.film_seconds:g}s"},
            }
        return body


def _authorize(request: web.Request) -> None:
    if caller_of(request) is None:
        raise RequestError(error_bodies.no_credential("developer"))


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
