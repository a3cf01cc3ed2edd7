"""Sends a video from the disk, whole or by Range, and notes when its caller has got it to its end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from aveo3.server.door.google_errors import not_found
from aveo3.server.door.video_store import VideoStore

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.web_request import BaseRequest


class VideoResponse(web.FileResponse):
    """The answer with a video of `job`, the file of this number. Raises `Refused` if it is not there any more."""

    def __init__(self, store: VideoStore, path: Path, job: int, number: int) -> None:
        if (why := store.why_gone(job)) is not None or not path.is_file():
            raise not_found("The file", why)
        super().__init__(path, headers={"Content-Type": "video/mp4"})
        self._store = store
        self._file = job, number

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send headers and file."""
        job, number = self._file
        with self._store.sending(job):
            writer = await super().prepare(request)
            if request.method == "GET" and self._reached_the_end():
                self._store.collected(job, [number])
            return writer

    def _reached_the_end(self) -> bool:
        if self.status != 206:
            return self.status == 200
        found = re.fullmatch(r"bytes \d+-(\d+)/(\d+)", self.headers.get("Content-Range", ""))
        return found is not None and int(found[1]) + 1 == int(found[2])
