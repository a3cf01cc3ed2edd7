"""What the rivals have in common: google-genai's client, and its documented loop of looking every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
from google import genai
from google.genai import errors, types
from google.genai.client import AsyncClient

from benchmarks.rivals import MODEL, Task, virtual_sdk


class NoVideo(Exception):
    """The operation has ended, and there is nothing to save."""


def client(task: Task, retry_options: types.HttpRetryOptions | None = None) -> AsyncClient:
    """A client for Vertex AI, to be used as `async with`, as the SDK's README has it."""
    options = types.HttpOptions(base_url=task.url, api_version="v1", retry_options=retry_options)
    if task.lane is not None:
        options = options.model_copy(update=virtual_sdk.transports(task.lane))
    return genai.Client(vertexai=True, api_key="benchmark", http_options=options).aio


async def all_at_once(task: Task, make: Callable[[int, str], Awaitable[None]]) -> None:
    """`make` every clip; whom the service or the wire fails is lost, anything else is a fault here and raised.

    Without `return_exceptions` the first refusal would end the whole program: that much care everybody takes.
    """
    ends = await asyncio.gather(*(make(*each) for each in enumerate(task.prompts)), return_exceptions=True)
    for error in ends:
        if error is not None and not lost(error):
            raise error


def refused(error: BaseException) -> bool:
    """True if Google said 429."""
    return isinstance(error, errors.APIError) and error.code == 429


def lost(error: BaseException) -> bool:
    """True if that is what becomes of clips, and no mistake in how a contestant is written."""
    theirs = errors.APIError, errors.UnknownApiResponseError, aiohttp.ClientError, OSError, NoVideo
    return isinstance(error, theirs)


async def submit(google: AsyncClient, prompt: str) -> types.GenerateVideosOperation:
    """One request for one clip."""
    return await google.models.generate_videos(model=MODEL, source=types.GenerateVideosSource(prompt=prompt))


async def see_through(google: AsyncClient, task: Task, operation: types.GenerateVideosOperation, number: int) -> None:
    """Look until it is done, then save the video."""
    while not operation.done:
        await asyncio.sleep(task.poll_interval)
        operation = await google.operations.get(operation)
    made = operation.response.generated_videos if operation.response is not None else None
    if not made or (video := made[0].video) is None:
        raise NoVideo(operation.error or "neither video nor error")
    video.save(str(task.directory / f"{number}.mp4"))
