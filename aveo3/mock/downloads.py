"""The Developer API's file shelf: a film by its id, through a redirect, until it expires."""

from collections.abc import Iterator

from aiohttp import web

from aveo3.mock import answers
from aveo3.mock.answers import Refused
from aveo3.mock.callers import caller_of
from aveo3.mock.delivery import deliver
from aveo3.mock.emulator import Emulator
from aveo3.mock.operations import File

_FILE = "{version:v1|v1beta|v1beta1}/files/{file:[a-z0-9]+}:download"


class FileWire:
    """Two steps, as on the real one: the address that a poll names asks for a key and redirects to the bytes."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get(f"/{_FILE}", self.redirect, allow_head=False)
        yield web.get(f"/download/{_FILE}", self.serve, allow_head=False)

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        if caller_of(request) is None:
            raise Refused(answers.no_credential("developer"))
        self._file(request)
        return web.Response(status=302, headers={"Location": f"/download{request.path}?alt=media"})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        file = self._file(request)
        denied = answers.file_gone(request.match_info["file"])
        return await deliver(request, self.emulator, file.operation, file.sample, denied=denied)

    def _file(self, request: web.Request) -> File:
        """The file asked for. One that never was and one that has expired look the same, as on Google's side."""
        name = request.match_info["file"]
        file = self.emulator.file(name)
        if file is None or self.emulator.expired(file):
            raise Refused(answers.file_gone(name))
        return file
