"""Omni on the Gemini API, through google-genai's `interactions`, with an API key.

Each submit is exactly one POST: the SDK would by default send a paid one up to five times (408, 409, 429, 5xx), and
its transport repeats the body at a redirect, so both are off here. What is sent and what comes back is `omni`'s
business; this is about the way there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from google import genai
from google.genai import errors, types
from pydantic import SecretStr

from aveo3 import verdicts
from aveo3.backends import http, inline, omni, probe
from aveo3.backends.base import Finished, LateRefusal, OperationGone, PollError, PollResult, Probe, Running, Video
from aveo3.backends.inline import InlineVideos
from aveo3.config.settings import on_this_machine
from aveo3.errors import FetchError, UsageError
from aveo3.verdicts import Refusal, Verdict, VerdictKind

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.models import VideoPrompt

log = logging.getLogger(__name__)

GOOGLE = "https://generativelanguage.googleapis.com"

KEEP_ALIVE = 2.0
"""Seconds a connection may lie idle before it is dropped rather than used again. A server that closes an idle
connection just as a submit goes out leaves no answer, and so a clip that may be paid: short beats saved handshakes."""

PROCESSING_PATIENCE = 300.0
"""Seconds for which a finished video's file may be PROCESSING before its download is tried all the same; 95 have been
seen (2026-09-03)."""

BELIEVED_POLLS = 3
"""Looks that must all be answered 429, past the delay that the first of them named, before it is believed that this
is no answer to the look but to the submit. Such an interaction never says anything else (seen 2026-09-03)."""

UNNAMED_DOUBT = 600.0
"""Seconds for which they must be so answered if the answer names no quota: then it may be of the looks themselves."""

_headers_left: ContextVar[list[bool]] = ContextVar("headers_left")


class _Limits(NamedTuple):
    """The part of httpx's `Limits` that its transports read. Which httpx the SDK uses is its own affair."""

    max_connections: int | None
    max_keepalive_connections: int | None
    keepalive_expiry: float | None


@dataclass(slots=True)
class _Doubt:
    """A 429 that may be meant for the submit: how often it was said, and until when that proves nothing."""

    until: float
    polls: int = 0


class GeminiBackend:
    """`Backend` for Omni on the Gemini API. Make it with `open()`."""

    def __init__(self, client: genai.Client, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._client = client
        self._session = session
        self._settings = settings
        self._doubts: dict[str, _Doubt] = {}
        self._processing: dict[str, float] = {}  # until when a file may be
        self._line = asyncio.Semaphore(inline.PARALLEL)

    @classmethod
    async def open(cls, settings: Settings) -> GeminiBackend:
        """Build the client. Sends nothing. Raises `UsageError` without a key, or if a bucket is asked for."""
        if settings.output_gcs_uri is not None:
            raise UsageError(
                f"VEO3_OUTPUT_GCS_URI={settings.output_gcs_uri}: the Gemini API writes to no bucket. Unset it, or use "
                "Vertex AI (VEO3_BACKEND=vertex)."
            )
        # For files and models. The SDK's own would send what is for this machine through the proxies, too.
        session = aiohttp.ClientSession(trust_env=not on_this_machine(settings.base_url))
        try:
            # In a thread: certificates are read, and the SDK puts its largest import off until interactions are used.
            client = await asyncio.to_thread(_client, settings, session)
        except BaseException:
            await session.close()
            raise
        return cls(client, session, settings)

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """See `Backend.submit`."""
        try:
            self._settings.model_catalog.check_backend(model, "gemini")
            if output_uri is not None:
                raise ValueError("the Gemini API writes to no bucket")
            request = (
                await asyncio.to_thread(omni.request, prompt, model) if prompt.media else omni.request(prompt, model)
            )
        except (OSError, ValueError) as error:
            return Verdict(VerdictKind.REJECTED, f"the prompt cannot be sent: {error}", unsent=True)
        if self._settings.webhook is not None:
            request["webhook_config"] = {"uris": [self._settings.webhook]}
        left: list[bool] = []
        token = _headers_left.set(left)
        try:
            async with asyncio.timeout(self._settings.request_timeout):  # httpx's own counts each read anew
                # Raw: parsed, anything would do for an interaction, even one without an id.
                answer = await self._client.aio.interactions.with_raw_response.create(**request)
            verdict = _accepted(answer.http_response)
        except Exception as error:
            verdict = _judge(error, sent=bool(left))
        finally:
            _headers_left.reset(token)
        if verdict.status == 503 and not self._settings.resend_503:
            verdict = verdicts.uncertain(verdict.message, 503)
        return replace(verdict, message=self._without_key(verdict.message))

    async def poll(self, operation: str) -> PollResult:
        """See `Backend.poll`. Inline videos go to files in the output directory: `FetchError` if that refuses them."""
        if not omni.is_id(operation):
            raise OperationGone(f"{operation!r} is no name of an interaction")
        with InlineVideos(self._settings.output_dir, key=b"data", line=self._line) as inline_videos:
            try:
                async with asyncio.timeout(self._settings.request_timeout):
                    answer = await self._client.aio.interactions.with_raw_response.get(operation)
                response = answer.http_response
                if response.status_code != 200:  # a redirect
                    raise PollError(f"polling {operation}: HTTP {response.status_code}")
                seen = omni.read(json.loads(response.content), operation, inline_videos.take)
            except (FetchError, PollError):
                raise
            except Exception as error:
                return self._failed_poll(operation, error)
        self._doubts.pop(operation, None)
        if isinstance(seen, Finished):
            file = await self._file_of(operation, seen)
            state = file.state.value if file is not None and file.state is not None else None
            if state == "PROCESSING":
                return Running()
            if file is not None and state == "FAILED":
                why = file.error.message if file.error is not None and file.error.message else "it does not say why"
                seen = replace(
                    seen, videos=(), note=f"it is made, but Google failed to keep its file {file.name}: {why}"
                )
        self._processing.pop(operation, None)
        return seen

    def _failed_poll(self, operation: str, error: Exception) -> PollResult:
        """What a look means that has no interaction for its answer. Mostly nothing: it raises `PollError`."""
        status, body = getattr(error, "status_code", None), getattr(error, "body", None)
        if not isinstance(status, int):
            what = f"{type(error).__name__}: {error}"
            raise PollError(self._without_key(f"polling {operation}: {what}")) from error
        message = verdicts.message_of(body) or f"HTTP {status} without a message"
        # Unknown ids are a 400 here, but so are troubles that pass (2026-10-04: "Multiple authentication credentials").
        if status == 404 or (status == 400 and "invalid interaction" in message.lower()):
            raise OperationGone(self._without_key(f"Google does not know {operation}: {message}")) from error
        told = self._without_key(f"polling {operation}: HTTP {status}: {message}")
        if status != 429:
            raise PollError(told) from error
        verdict = verdicts.from_answer(429, body, _retry_after(error))
        verdict = replace(verdict, message=self._without_key(verdict.message))
        if self._is_believed(operation, verdict):
            return LateRefusal(verdict)
        of_the_lane = verdict.refusal is not Refusal.UNKNOWN  # a delay alone may mean too many polls
        raise PollError(
            told, refused=True, retry_after=verdict.retry_after, verdict=verdict if of_the_lane else None
        ) from error

    def _is_believed(self, operation: str, verdict: Verdict) -> bool:
        """True once a refusal has been said so often, and for so long, that it must be the submit's."""
        now = asyncio.get_running_loop().time()
        least = UNNAMED_DOUBT if verdict.refusal is Refusal.UNKNOWN else 0.0
        doubt = self._doubts.setdefault(operation, _Doubt(now + max(least, verdict.retry_after or 60.0)))
        doubt.polls += 1
        if doubt.polls < BELIEVED_POLLS or now < doubt.until:
            return False
        del self._doubts[operation]
        return True

    async def _file_of(self, operation: str, seen: Finished) -> types.File | None:
        """What Google says of a finished video's file; None if nothing, or not any more while it is processed.

        Raises `PollError` if that is not told.
        """
        [name] = [omni.file_name(v.uri) for v in seen.videos if v.uri and not (v.file or v.data)] or [None]
        now = asyncio.get_running_loop().time()
        if name is None or now >= self._processing.setdefault(operation, now + PROCESSING_PATIENCE):
            return None
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                return await self._client.aio.files.get(name=name)
        except Exception as error:
            if isinstance(error, errors.ClientError) and error.code not in (408, 429):
                return None  # whatever that means, the download will tell
            what = f"polling {operation}: its file {name}: {type(error).__name__}: {error}"
            raise PollError(self._without_key(what)) from error

    async def check(self, model: str) -> Probe:
        """See `Backend.check`: one look at what the model is (`models.get`), which is free and takes the key.

        (aiohttp asks a second time if the connection is cut before an answer.)
        """
        return await probe.ask(self._client.aio.models.get(model=model), self._settings.base_url or GOOGLE)

    async def find(self, output_uri: str) -> Sequence[Video]:
        """See `Backend.find`. There are no buckets here."""
        raise PollError(f"{output_uri}: the Gemini API writes to no bucket")

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """See `Backend.locate`. The key goes to Google and to the configured address, nowhere else."""
        there, ours = urlsplit(uri), urlsplit(self._settings.base_url or GOOGLE)
        if there.scheme == "https" and ours.scheme == "http" and there.netloc == ours.netloc:
            uri = there._replace(scheme="http").geturl()  # the SDK takes none but https: an emulator has to say so
        return uri, http.key_for(uri, SecretStr(credentials(self._settings)), self._settings.base_url)

    def _without_key(self, words: str) -> str:
        return http.without_key(words, self._settings.api_key)

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        await self._client.aio.aclose()
        await self._session.close()


def credentials(settings: Settings) -> str:
    """The key that pays. Raises `UsageError` if there is none."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    if on_this_machine(settings.base_url):
        return "none"  # a mock server takes anybody
    raise UsageError(
        "The Gemini API needs a key: set GEMINI_API_KEY (from https://aistudio.google.com/apikey, of a project with "
        "billing). Without one, set GOOGLE_CLOUD_PROJECT for Vertex AI, or VEO3_MOCK_MODE=true."
    )


def _client(settings: Settings, session: aiohttp.ClientSession) -> genai.Client:
    client = genai.Client(
        vertexai=False,
        api_key=credentials(settings),
        http_options=types.HttpOptions(
            base_url=settings.base_url or GOOGLE,
            api_version=settings.api_version,
            timeout=int(settings.request_timeout * 1000),
            retry_options=types.HttpRetryOptions(attempts=1),
            aiohttp_client=session,
            async_client_args={
                "follow_redirects": False,  # httpx: 307 and 308 would send the paid body again
                "allow_redirects": False,  # aiohttp, for the files: it would carry the key along
                "trust_env": not on_this_machine(settings.base_url),  # proxies are for what is far away
                "limits": _Limits(None, None, KEEP_ALIVE),
                "event_hooks": {"request": [_before_request], "response": [_before_reading]},
            },
        ),
    )
    # google-genai 2.33 takes attempts=1 for one more try (3.4 for one in all), and makes a 0 of it a 1 on the way.
    client.aio.interactions.sdk_configuration.retry_config = None
    return client


async def _before_request(request: Any) -> None:
    """Tell each submit whether anything of it left this machine: no exception says that reliably.

    Whatever a release of the SDK may think of sending again, it stops here.
    """
    if request.method == "POST" and _headers_left.get(None):
        raise RuntimeError("the SDK was about to send a paid request a second time")

    async def trace(event: str, info: dict[str, Any]) -> None:
        leaving = event.endswith("send_request_headers.started")
        to_a_proxy = getattr(info.get("request"), "method", b"") == b"CONNECT"
        if leaving and not to_a_proxy and (left := _headers_left.get(None)) is not None:
            left.append(True)

    request.extensions["trace"] = trace
    request.headers["accept-encoding"] = "identity"  # a film does not compress, and is put aside as it comes


async def _before_reading(response: Any) -> None:
    """Have the videos of an answer put aside while it arrives, if the task that reads it is within a `InlineVideos`."""
    inline_videos = inline.current()
    if inline_videos is None or response.status_code != 200 or "content-encoding" in response.headers:
        return
    stream, into = response.stream, inline_videos
    library = sys.modules[type(response).__module__.partition(".")[0]]  # httpx, or httpx2: the SDK's choice

    class Strained(library.AsyncByteStream):  # type: ignore[misc,name-defined]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield await inline.strain(stream, into)

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Strained()


def _accepted(response: Any) -> Verdict:
    """The verdict on an answer that is no error: accepted if it names an interaction that can be asked for."""
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
        return verdicts.uncertain(f"the answer names an interaction that cannot be asked for: {name[:200]!r}", 200)
    return verdicts.accepted(name)


def _judge(error: Exception, *, sent: bool) -> Verdict:
    """The verdict on a submit that raised. What never left can be sent again; what has left, only if Google said no.

    The SDK's errors here are a family of their own, in private modules that have moved before: they are known by what
    they carry.
    """
    if isinstance(status := getattr(error, "status_code", None), int):
        return verdicts.from_answer(status, getattr(error, "body", None), _retry_after(error))
    cause = error.__cause__
    what = f"{type(error).__name__}: {error}".rstrip(": ") + (f" ({type(cause).__name__})" if cause else "")
    if sent:
        return verdicts.uncertain(f"sent, but the answer was lost ({what}): a video may be under way and billed")
    if isinstance(error, ValueError | TypeError):
        return Verdict(VerdictKind.REJECTED, f"the prompt cannot be sent: {what}", unsent=True)
    return verdicts.unsent(what)


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return http.seconds(headers.get("Retry-After")) if headers is not None else None
