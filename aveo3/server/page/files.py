"""Sends the videos that a page lists. Opens no path of a client's.

A client names a clip and a number; the view knows the path. What lies there must be a film, and no link out of the
directory: a page shows what aveo3 has made, whatever a journal says.
"""

from __future__ import annotations

import asyncio
import os
import stat
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from aveo3 import _timeouts
from aveo3.report.from_journal import Film
from aveo3.report.posters import Posters

CHUNK = 2**18
"""Bytes of a video that are read and sent at a time: what a slow browser costs."""

STALLED = 60.0
"""Seconds that a browser may take to read a chunk. It asks for the rest of a video when it needs it."""

AT_ONCE = 24
"""Videos that are sent at once. One more takes the place of the one that was asked for first."""

STILLS = 200
"""Stills that are kept in memory: some kB each."""

FILM = b"ftyp"
"""What stands at byte 4 of a film."""


class Videos:
    """Sends videos of the directory `home`, with ranges. Files are read in threads of `worker`."""

    def __init__(self, home: Path, worker: Executor) -> None:
        self._home = home
        self._worker = worker
        self._posters = Posters(home)
        self._stills: dict[Film, bytes | None] = {}  # the newest ones
        self._cutting = asyncio.Lock()  # a run needs the machine, too
        self._sending: dict[asyncio.Task[None] | None, None] = {}  # in the order in which they began

    async def send(self, request: web.Request, path: Path) -> web.StreamResponse:
        """Answer with the video at `path`, or the range of it that is asked for."""
        loop = asyncio.get_running_loop()
        try:
            file = await loop.run_in_executor(self._worker, open_film, path, self._home)
        except (OSError, ValueError):
            raise web.HTTPNotFound(text="The video is not there.") from None
        try:
            return await self._send_range(request, file)
        finally:
            file.close()

    async def still(self, film: Film) -> bytes | None:
        """The still of a film as WebP; None if there is none. Cuts one at a time."""
        if film in self._stills:
            return self._stills[film]
        async with self._cutting:
            found = await asyncio.get_running_loop().run_in_executor(self._worker, self._cut, film)
        if len(self._stills) >= STILLS:
            del self._stills[next(iter(self._stills))]
        self._stills[film] = found
        return found

    def _cut(self, film: Film) -> bytes | None:
        with suppress(OSError, ValueError), open_film(film.path, self._home):
            return self._posters.of(film)
        return None

    async def _send_range(self, request: web.Request, file: BinaryIO) -> web.StreamResponse:
        size = os.fstat(file.fileno()).st_size
        start, end, status = 0, size, 200
        if "Range" in request.headers:
            with suppress(ValueError):  # what is no range of bytes is no range
                part = request.http_range
                first = 0 if part.start is None else part.start
                start = max(0, size + first) if first < 0 else first
                end = size if part.stop is None else min(size, part.stop)
                if start >= end:
                    raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
                status = 206
        headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes", "Content-Length": str(end - start)}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        if request.method == "GET":
            await self._write(request, response, file, start, end)
        return response

    async def _write(
        self, request: web.Request, response: web.StreamResponse, file: BinaryIO, start: int, end: int
    ) -> None:
        task = asyncio.current_task()
        if len(self._sending) >= AT_ONCE and (oldest := next(iter(self._sending))) is not None:
            del self._sending[oldest]
            oldest.cancel()
        self._sending[task] = None
        loop = asyncio.get_running_loop()
        file.seek(start)
        try:
            while start < end:
                chunk = await loop.run_in_executor(self._worker, file.read, min(CHUNK, end - start))
                if not chunk:  # the file has become shorter
                    break
                start += len(chunk)
                async with _timeouts.timeout(STALLED):
                    await response.write(chunk)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._sending.pop(task, None)
            if start < end and request.transport is not None:
                request.transport.abort()


def open_film(path: Path, home: Path) -> BinaryIO:
    """Open the film at `path`. Raises `OSError` or `ValueError` if it is none.

    A link may lead to a file within `home`, the output directory; one that leads out of it is none of ours.
    """
    if path.is_symlink() or path.absolute().is_relative_to(home.absolute()):
        real, inside = Path(os.path.realpath(path)), Path(os.path.realpath(home))
        if not real.is_relative_to(inside):
            raise ValueError(f"{path} leads out of {home}")
        path = real
    # Without O_NONBLOCK a pipe in the place of a film would hold the thread.
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    try:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is no file")
        if file.read(8)[4:] != FILM:
            raise ValueError(f"{path} is no film")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file
