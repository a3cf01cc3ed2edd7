"""Sends an operation with its videos as base64 in the JSON, read from disk piece by piece: memory stays flat."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from aiohttp import web

from aveo3 import _threads

PIECE = 3 << 16
"""Bytes of a video that are read at a time: a multiple of 3, so that the pieces of base64 join."""

_MARK = "\x00video\x00"


async def send_operation(
    request: web.Request,
    operation: Mapping[str, Any],
    response: Callable[[list[Mapping[str, Any]]], Mapping[str, Any]],
    paths: list[Path],
) -> web.StreamResponse:
    """Answer with `operation` and the `response` to its videos, which are the files at `paths`.

    If a file is not there any more, the operation ends with NOT_FOUND.
    """
    try:
        files = await _threads.reading.run(_opened, paths)
    except OSError as error:
        gone = f"the video was made, but its file cannot be read on this server any more: {error.strerror}"
        return web.json_response({**operation, "error": {"code": 5, "message": gone}})
    try:
        videos: list[Mapping[str, Any]] = [{"bytesBase64Encoded": _MARK, "mimeType": "video/mp4"} for _ in files]
        whole = json.dumps({**operation, "response": response(videos)})
        parts = [part.encode() for part in whole.split(json.dumps(_MARK)[1:-1])]
        length = sum(map(len, parts)) + sum(4 * -(-size // 3) for _, size in files)
        answer = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        answer.content_length = length
        await answer.prepare(request)
        for part, (file, size) in zip(parts, files, strict=False):
            await answer.write(part)
            await _send(answer, file, size)
        await answer.write(parts[-1])
        await answer.write_eof()
        return answer
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
