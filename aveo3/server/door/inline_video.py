"""Sends JSON with videos in it as base64, read from disk piece by piece: memory stays flat."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from aiohttp import web

from aveo3 import _threads
from aveo3.server.door.video_store import VideoStore

PIECE = 3 << 16
"""Bytes of a video that are read at a time: a multiple of 3, so that the pieces of base64 join."""


async def send_json(
    request: web.Request,
    store: VideoStore,
    job: int,
    paths: list[Path],
    body: Callable[[list[str]], Any],
    gone: Callable[[str], Any],
) -> web.StreamResponse:
    """Answer with `body`, which is called with a placeholder for each of `paths`, in whose place the file goes.

    The files are the first ones of `job`. If one cannot be read any more, the answer is `gone`, which is called with
    the reason.
    """
    with store.sending(job):
        answer, is_whole = await _send_json(request, paths, body, lambda why: gone(store.why_gone(job) or why))
    if is_whole:
        store.collected(job, range(len(paths)))
    return answer


async def _send_json(
    request: web.Request, paths: list[Path], body: Callable[[list[str]], Any], gone: Callable[[str], Any]
) -> tuple[web.StreamResponse, bool]:
    """The answer, and whether the files are in it."""
    try:
        files = await _threads.reading.run(_opened, paths)
    except OSError as error:
        why = f"the video was made, but its file cannot be read on this server any more: {error.strerror}"
        return web.json_response(gone(why)), False
    try:
        mark = secrets.token_hex(16)  # nobody can have it in a prompt
        parts = [part.encode() for part in json.dumps(body([mark] * len(files))).split(mark)]
        length = sum(map(len, parts)) + sum(4 * -(-size // 3) for _, size in files)
        answer = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        answer.content_length = length
        await answer.prepare(request)
        for part, (file, size) in zip(parts, files, strict=False):
            await answer.write(part)
            await _send(answer, file, size)
        await answer.write(parts[-1])
        await answer.write_eof()
        return answer, True
    finally:
        for file, _ in files:
            file.close()


def _opened(paths: list[Path]) -> list[tuple[BinaryIO, int]]:
    files: list[tuple[BinaryIO, int]] = []
    try:
        for path in paths:
            file = path.open("rb")
            files.append((file, path.stat().st_size))
    except BaseException:
        for opened, _ in files:
            opened.close()
        raise
    return files


async def _send(answer: web.StreamResponse, file: BinaryIO, size: int) -> None:
    while size > 0:
        piece = await _threads.reading.run(file.read, min(PIECE, size))
        if not piece:
            raise ConnectionResetError("the file has become shorter: the answer cannot be finished")
        size -= len(piece)
        await answer.write(base64.b64encode(piece))
        await asyncio.sleep(0)
