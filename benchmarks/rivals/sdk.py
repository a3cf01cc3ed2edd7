"""Code that the rivals share: google-genai's client, and its documented loop that polls every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
from google import genai
from google.genai import errors, types
from google.genai.client import AsyncClient

from benchmarks.rivals import MODEL, Task, virtual_sdk


class NoVideo(Exception):
    """The operation ended without a video."""


def client(task: Task, retry_options: types.HttpRetryOptions | None = None) -> AsyncClient:
    """Return a client for Vertex AI, to be used with `async with`, as in the SDK's README."""
    options = types.HttpOptions(base_url=task.url, api_version="v1", retry_options=retry_options)
    if task.lane is not None:
        options = options.model_copy(update=virtual_sdk.transports(task.lane))
    return genai.Client(vertexai=True, api_key="benchmark", http_options=options).aio


async def all_at_once(task: Task, make: Callable[[int, str], Awaitable[None]]) -> None:
    """Call `make` for every clip. Errors of the service or the network lose a clip; other errors are bugs and raised.

    Without `return_exceptions` the first refusal would end the whole program. Every careful user avoids that.
    """
    ends = await asyncio.gather(*(make(*each) for each in enumerate(task.prompts)), return_exceptions=True)
    for error in ends:
        if error is not None and not lost(error):
            raise error


def refused(error: BaseException) -> bool:
    """True if Google answered 429."""
    return isinstance(error, errors.APIError) and error.code == 429


def lost(error: BaseException) -> bool:
    """True for errors of the service or the network; False for bugs in a contestant."""
    theirs = errors.APIError, errors.UnknownApiResponseError, aiohttp.ClientError, OSError, NoVideo
    return isinstance(error, theirs)


async def submit(google: AsyncClient, prompt: str) -> types.GenerateVideosOperation:
    """Send one request for one clip."""
    return await google.models.generate_videos(model=MODEL, source=types.GenerateVideosSource(prompt=prompt))


async def poll_and_save(google: AsyncClient, task: Task, operation: types.GenerateVideosOperation, number: int) -> None:
    """Poll until the operation is done, then save the video."""
    while not operation.done:
        await asyncio.sleep(task.poll_interval)
        operation = await google.operations.get(operation)
    videos = operation.response.generated_videos if operation.response is not None else None
    if not videos or (video := videos[0].video) is None:
        raise NoVideo(operation.error or "neither video nor error")
    video.save(str(task.directory / f"{number}.mp4"))
