"""Omni on the Gemini API, through google-genai's `interactions`, with an API key.

`one_post` makes sure that each submit is exactly one POST. `credentials` finds the key. `omni` builds the requests and
reads the answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from google import genai
from google.genai import errors, types
from pydantic import SecretStr

from aveo3 import _threads, _timeouts, verdicts
from aveo3.backends import credentials, http, inline, omni, one_post, probe
from aveo3.backends.base import Finished, LateRefusal, OperationGone, PollError, PollResult, Probe, Running, Video
from aveo3.backends.inline import InlineVideoResponse, InlineVideos
from aveo3.config.settings import on_this_machine
from aveo3.errors import FetchError, UsageError
from aveo3.verdicts import Refusal, Verdict

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.models import VideoPrompt

GOOGLE = "https://generativelanguage.googleapis.com"

PROCESSING_PATIENCE = 300.0
"""Seconds that a finished video's file may be PROCESSING before its download is tried anyway. The longest observed was
95 (2026-09-03)."""

BELIEVED_POLLS = 3
"""Number of 429 answers in a row, beyond the delay in the first of them, after which the 429 counts as an answer to the
submit instead of the poll. Such an interaction never answers anything else (observed 2026-09-03)."""

UNNAMED_DOUBT = 600.0
"""The same in seconds, if the 429 names no quota: it may then mean too many polls."""


@dataclass(slots=True)
class _Doubt:
    """A 429 that may be an answer to the submit: how often it came, and until when it proves nothing."""

    until: float
    polls: int = 0


class GeminiBackend:
    """`Backend` for Omni on the Gemini API. Make it with `open()`."""

    def __init__(self, client: genai.Client, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._client = client
        self._session = session
        self._settings = settings
        self._doubts: dict[str, _Doubt] = {}
        self._processing: dict[str, float] = {}  # by operation: until when its file may be PROCESSING
        self._readers = asyncio.Semaphore(inline.PARALLEL)

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
            if prompt.media:  # read from disk
                request = await _threads.reading.run(omni.request, prompt, model)
            else:
                request = omni.request(prompt, model)
        except (OSError, ValueError) as error:
            return one_post.cannot_be_sent(error)
        if self._settings.webhook is not None:
            request["webhook_config"] = {"uris": [self._settings.webhook]}
        return await one_post.submit(self._post(request), self._settings, unsent=_unsent)

    async def _post(self, request: dict[str, Any]) -> Verdict:
        """The paid call."""
        # Raw: the SDK's parser accepts anything as an interaction, even without an id.
        answer = await self._client.aio.interactions.with_raw_response.create(**request)
        return _verdict_on(answer.http_response)

    async def poll(self, operation: str) -> PollResult:
        """See `Backend.poll`. Writes inline videos to the output directory: `FetchError` if the disk refuses them."""
        if not omni.is_id(operation):
            raise OperationGone(f"{operation!r} is not an interaction id")
        with InlineVideos(self._settings.output_dir, key=b"data", readers=self._readers) as inline_videos:
            try:
                async with _timeouts.timeout(self._settings.request_timeout):
                    answer = await self._client.aio.interactions.with_raw_response.get(operation)
                response = answer.http_response
                if response.status_code != 200:  # a redirect
                    raise PollError(f"polling {operation}: HTTP {response.status_code}")
                result = omni.read(json.loads(response.content), operation, inline_videos.take)
            except (FetchError, PollError):
                raise
            except Exception as error:
                return self._failed_poll(operation, error)
        self._doubts.pop(operation, None)
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

    def _failed_poll(self, operation: str, error: Exception) -> PollResult:
        """The result of a poll whose answer is no interaction. Mostly there is none: raises `PollError`."""
        answer = one_post.answer_of(error)
        if answer is None:
            what = f"{type(error).__name__}: {error}"
            raise PollError(self._without_key(f"polling {operation}: {what}")) from error
        status, body = answer.status, answer.body
        message = verdicts.message_of(body) or f"HTTP {status} without a message"
        # Unknown ids are a 400 here, but so are temporary errors (2026-10-04: "Multiple authentication credentials").
        if (status == 404 and verdicts.is_google(body)) or (status == 400 and "invalid interaction" in message.lower()):
            raise OperationGone(self._without_key(f"Google does not know {operation}: {message}")) from error
        what = self._without_key(f"polling {operation}: HTTP {status}: {message}")
        if status != 429:
            raise PollError(what) from error
        verdict = verdicts.from_answer(429, body, answer.retry_after)
        verdict = replace(verdict, message=self._without_key(verdict.message))
        if self._is_believed(operation, verdict):
            return LateRefusal(verdict)
        concerns_lane = verdict.refusal is not Refusal.UNKNOWN  # a delay alone may mean too many polls
        raise PollError(
            what, refused=True, retry_after=verdict.retry_after, verdict=verdict if concerns_lane else None
        ) from error

    def _is_believed(self, operation: str, verdict: Verdict) -> bool:
        """True once a refusal came so often, and for so long, that it must be the answer to the submit."""
        now = asyncio.get_running_loop().time()
        least = UNNAMED_DOUBT if verdict.refusal is Refusal.UNKNOWN else 0.0
        doubt = self._doubts.setdefault(operation, _Doubt(now + max(least, verdict.retry_after or 60.0)))
        doubt.polls += 1
        if doubt.polls < BELIEVED_POLLS or now < doubt.until:
            return False
        del self._doubts[operation]
        return True

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
    one_post.without_retries(client.aio.interactions)
    one_post.reuse_models(client.aio.interactions)
    one_post.without_threads(client.aio.interactions)
    http.look_up_in_own_threads(client.aio.interactions.sdk_configuration.async_client)
    return client


def _verdict_on(response: Any) -> Verdict:
    """The verdict on an answer that is no error: accepted if it names an interaction that can be polled."""
    if response.status_code != 200:
        return verdicts.from_answer(response.status_code, response.text)
    try:
        body = json.loads(response.content)
    except ValueError:
        return verdicts.from_answer(200, response.text)
    name = body.get("id") if isinstance(body, dict) else None
    if not name or not isinstance(name, str):
        return verdicts.accepted(None)
    if not omni.is_id(name):
        return verdicts.uncertain(f"the answer names an interaction that cannot be polled: {name[:200]!r}", 200)
    return verdicts.accepted(name)


def _unsent(error: Exception, words: str) -> Verdict:
    """The verdict on an exception that came before anything left this machine."""
    return one_post.cannot_be_sent(words) if isinstance(error, ValueError | TypeError) else verdicts.unsent(words)
