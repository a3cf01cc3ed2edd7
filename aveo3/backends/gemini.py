"""Omni on the Gemini API, with an API key: what `interactions` leaves open, which is the key and the Files API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from google import genai
from google.genai import errors, types
from pydantic import SecretStr

from aveo3 import _threads, _timeouts
from aveo3.backends import credentials, http, inline, omni, one_post, probe
from aveo3.backends.base import Finished, PollError, PollResult, Probe, Running, Video
from aveo3.backends.inline import InlineVideoResponse
from aveo3.backends.interactions import Interactions
from aveo3.config.settings import on_this_machine
from aveo3.errors import UsageError

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.models import VideoPrompt
    from aveo3.verdicts import Verdict

GOOGLE = "https://generativelanguage.googleapis.com"

PROCESSING_PATIENCE = 300.0
"""Seconds that a finished video's file may be PROCESSING before its download is tried anyway. The longest observed was
95 (2026-09-03)."""


class GeminiBackend:
    """`Backend` for Omni on the Gemini API. Make it with `open()`."""

    def __init__(self, client: genai.Client, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._client = client
        self._session = session
        self._settings = settings
        self._processing: dict[str, float] = {}  # by operation: until when its file may be PROCESSING
        self._interactions = Interactions(client, settings, "gemini")

    @classmethod
    async def open(cls, settings: Settings) -> GeminiBackend:
        """Build the client. Sends nothing. Raises `UsageError` without a key, or if the settings name a bucket."""
        if settings.output_gcs_uri is not None:
            raise UsageError(
                f"VEO3_OUTPUT_GCS_URI={settings.output_gcs_uri}: the Gemini API cannot write to buckets. Unset it, or "
                "use Vertex AI (VEO3_BACKEND=vertex)."
            )
        # For files and models. The SDK's own session would use proxies for this machine, too.
        session = aiohttp.ClientSession(
            connector=http.connector(),
            trust_env=not on_this_machine(settings.base_url),
            response_class=InlineVideoResponse,
        )
        try:
            # In a thread: it reads certificates, and the first use of interactions triggers the SDK's largest import.
            client = await _threads.reading.run(_client, settings, session)
        except BaseException:
            await session.close()
            raise
        return cls(client, session, settings)

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """See `Backend.submit`."""
        try:
            self._settings.model_catalog.check_backend(model, "gemini")
            if output_uri is not None:
                raise ValueError("the Gemini API cannot write to buckets")
            request = await self._interactions.request(prompt, model, {"delivery": "uri"})
        except (OSError, ValueError) as error:
            return one_post.cannot_be_sent(error)
        if self._settings.webhook is not None:
            told = {"user_metadata": prompt.webhook_metadata} if prompt.webhook_metadata else {}
            request["webhook_config"] = {"uris": [self._settings.webhook], **told}
        return await self._interactions.submit(request)

    async def poll(self, operation: str) -> PollResult:
        """See `Backend.poll`. Writes inline videos to the output directory: `FetchError` if the disk refuses them."""
        result = await self._interactions.poll(operation)
        if isinstance(result, Finished):
            file = await self._file_of(operation, result)
            state = file.state.value if file is not None and file.state is not None else None
            if state == "PROCESSING":
                return Running()
            if file is not None and state == "FAILED":
                why = file.error.message if file.error is not None and file.error.message else "no reason given"
                result = replace(
                    result, videos=(), note=f"it is made, but Google failed to store its file {file.name}: {why}"
                )
        self._processing.pop(operation, None)
        return result

    async def _file_of(self, operation: str, result: Finished) -> types.File | None:
        """Google's record of a finished video's file; None if there is none, or it has been PROCESSING for too long.

        Raises `PollError` if the request failed.
        """
        [name] = [omni.file_name(v.uri) for v in result.videos if v.uri and not (v.file or v.data)] or [None]
        now = asyncio.get_running_loop().time()
        if name is None or now >= self._processing.setdefault(operation, now + PROCESSING_PATIENCE):
            return None
        try:
            async with _timeouts.timeout(self._settings.request_timeout):
                return await self._client.aio.files.get(name=name)
        except Exception as error:
            if isinstance(error, errors.ClientError) and error.code not in (408, 429):
                return None  # whatever that means, the download shows it
            what = f"polling {operation}: its file {name}: {type(error).__name__}: {error}"
            raise PollError(self._without_key(what)) from error

    async def check(self, model: str) -> Probe:
        """See `Backend.check`: one `models.get`, which is free and needs the key.

        (aiohttp sends it again if the connection is cut before an answer.)
        """
        return await probe.ask(
            self._client.aio.models.get(model=model), self._settings.base_url or GOOGLE, self._settings.request_timeout
        )

    async def find(self, output_uri: str) -> Sequence[Video]:
        """See `Backend.find`. There are no buckets here."""
        raise PollError(f"{output_uri}: the Gemini API cannot write to buckets")

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """See `Backend.locate`. The key goes to Google and to the configured address, nowhere else."""
        there, ours = urlsplit(uri), urlsplit(self._settings.base_url or GOOGLE)
        if there.scheme == "https" and ours.scheme == "http" and there.netloc == ours.netloc:
            uri = there._replace(scheme="http").geturl()  # the SDK accepts https only, so an emulator must name it
        return uri, http.key_for(uri, SecretStr(credentials.gemini_key(self._settings)), self._settings.base_url)

    def _without_key(self, words: str) -> str:
        return http.without_key(words, self._settings.api_key)

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        await self._client.aio.aclose()
        await self._session.close()


def _client(settings: Settings, session: aiohttp.ClientSession) -> genai.Client:
    client = one_post.client(
        settings,
        session,
        settings.base_url or GOOGLE,
        event_hooks=inline.HTTPX_HOOKS,
        vertexai=False,
        api_key=credentials.gemini_key(settings),
    )
    _ = client.aio.interactions  # the SDK's largest import
    return client
