"""Vertex AI (Agent Platform) through google-genai: Veo by `models.generate_videos` and `operations.get`, Omni by
`interactions`.

`one_post` makes sure that each submit is exactly one POST. `credentials` finds the credentials.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
from google import genai
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.genai import errors, types

from aveo3 import _threads, _timeouts, verdicts
from aveo3.backends import credentials, http, inline, one_post, probe, veo
from aveo3.backends.base import Failure, Finished, OperationGone, PollError, PollResult, Probe, Running, Video
from aveo3.backends.gcs import Storage
from aveo3.backends.inline import InlineVideoResponse, InlineVideos
from aveo3.backends.interactions import Interactions
from aveo3.backends.login import Login
from aveo3.errors import FetchError, UsageError
from aveo3.verdicts import Refusal, Verdict, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from google.auth.credentials import Credentials

    from aveo3.config.settings import Settings
    from aveo3.models import VideoPrompt

NO_OPERATION = "00000000-0000-4000-8000-000000000000"
"""An operation that does not exist: Veo's are named by random UUIDs."""


NO_INTERACTION = "v1_none"


class VertexBackend:
    """`Backend` for Veo and Omni on Vertex AI. Make it with `open()`."""

    def __init__(
        self,
        client: genai.Client,
        session: aiohttp.ClientSession,
        settings: Settings,
        login: Credentials | Login | None = None,
        storage: Storage | None = None,
    ) -> None:
        self._client = client
        self._session = session
        self._settings = settings
        self._login = login if isinstance(login, Login) else Login(login)
        self._storage = storage
        self._readers = asyncio.Semaphore(inline.PARALLEL)
        self._interactions: Interactions | None = None

    @classmethod
    async def open(cls, settings: Settings) -> VertexBackend:
        """Find the credentials and build the client. Sends nothing to Vertex. Raises `UsageError` without credentials.

        If the videos go to a bucket, it also finds the credentials for that, before the first video is paid.
        """
        who = await _threads.reading.run(credentials.for_vertex, settings)
        login, storage = Login(who.get("credentials")), None
        session = one_post.open_session(settings, InlineVideoResponse)
        try:
            client = one_post.client(
                settings, session, settings.base_url, event_hooks=inline.HTTPX_HOOKS, vertexai=True, **who
            )
            if settings.output_gcs_uri is not None and not settings.keep_remote:
                storage = await _storage(settings, login, session)
        except UsageError as error:
            await session.close()
            raise UsageError(
                f"VEO3_OUTPUT_GCS_URI={settings.output_gcs_uri}: the videos cannot be fetched from there: "
                f"{error} Set VEO3_KEEP_REMOTE=true to leave them there."
            ) from error
        except BaseException:
            await session.close()
            raise
        return cls(client, session, settings, login, storage)

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """See `Backend.submit`."""
        try:
            send = await self._prepared(prompt, model, output_uri)
        except (OSError, ValueError) as error:
            return one_post.cannot_be_sent(error)
        seen = self._login.renewals
        verdict = await send()
        if verdict.status != 401 or verdict.refusal is not Refusal.BAD_KEY:
            return verdict
        # Google's own 401 created nothing: the token may be revoked, or this machine's clock wrong. Another attempt is
        # another POST, as google-auth's own sessions send it.
        try:
            if not await self._login.renew(seen):
                return verdict
        except Exception as error:
            return _without_token(verdict, error)
        return await send()

    async def _prepared(
        self, prompt: VideoPrompt, model: str, output_uri: str | None
    ) -> Callable[[], Awaitable[Verdict]]:
        """A call that sends the request for `prompt`, once each time. Reads media from disk: raises `OSError`.

        Raises ValueError for what the model's API does not have.
        """
        self._settings.model_catalog.check_backend(model, "vertex")
        if self._settings.model_catalog.is_omni(model):
            omnis = await self._omnis()
            delivery = {"delivery": "uri", "gcs_uri": output_uri} if output_uri else {"delivery": "inline"}
            request = await omnis.request(prompt, model, delivery)
            return lambda: omnis.submit(request)
        arguments = prompt, self._settings.labels_of(prompt), output_uri
        if prompt.media:  # read from disk
            source, config = await _threads.reading.run(veo.request, *arguments)
        else:
            source, config = veo.request(*arguments)
        return lambda: one_post.submit(self._post(model, source, config), self._settings, unsent=_unsent)

    async def _omnis(self) -> Interactions:
        """The interactions of this client. The first call takes longer: it imports them."""
        if self._interactions is None:

            def imported() -> Interactions:
                return Interactions(self._client, self._settings, "vertex", unsent=_unsent, prepare=self._login.refresh)

            interactions = await _threads.reading.run(imported)
            self._interactions = self._interactions or interactions
        return self._interactions

    async def _post(
        self, model: str, source: types.GenerateVideosSource, config: types.GenerateVideosConfig
    ) -> Verdict:
        """The paid call."""
        await self._login.refresh()
        operation = await self._client.aio.models.generate_videos(model=model, source=source, config=config)
        return verdicts.accepted(operation.name)

    async def poll(self, operation: str) -> PollResult:
        """See `Backend.poll`. Writes inline videos to the output directory: `FetchError` if the disk refuses them."""
        if "/" not in operation:  # Veo's are resource names
            return await self._poll_omni(operation)
        with InlineVideos(self._settings.output_dir, readers=self._readers) as inline_videos:
            return await self._poll(operation, inline_videos)

    async def _poll_omni(self, operation: str) -> PollResult:
        omnis = await self._omnis()
        seen = self._login.renewals
        try:
            return await omnis.poll(operation)
        except PollError as error:
            answer = one_post.answer_of(error.__cause__) if isinstance(error.__cause__, Exception) else None
            refused = answer is not None and answer.status == 401 and verdicts.is_google(answer.body)
            if not refused or not await self._renewed(seen):
                raise
        return await omnis.poll(operation)

    async def _renewed(self, seen: int) -> bool:
        """True if there is a new token since `renewals` was `seen`. Raises `PollError` if none could be obtained."""
        try:
            return await self._login.renew(seen)
        except Exception as error:
            raise PollError(self._without_key(f"no new token: {type(error).__name__}: {error}")) from error

    async def _poll(self, operation: str, inline_videos: InlineVideos) -> PollResult:
        try:
            async with _timeouts.timeout(self._settings.request_timeout):
                result = await self._operation(operation)
        except errors.APIError as error:
            if error.code == 404 and verdicts.is_google(error.details):  # a proxy knows of no operations
                raise OperationGone(self._without_key(f"Google does not know {operation}: {error.message}")) from error
            message = self._without_key(f"polling {operation}: HTTP {error.code}: {error.message}")
            if error.code == 429 and (answer := one_post.answer_of(error)) is not None:
                # Vertex AI answers the submit itself, so this 429 means too many polls.
                verdict = verdicts.from_answer(429, answer.body, answer.retry_after)
                raise PollError(message, refused=True, retry_after=verdict.retry_after) from error
            raise PollError(message) from error
        except FetchError:
            raise
        except Exception as error:  # the SDK does not wrap transport errors, and repeating a poll is free
            raise PollError(self._without_key(f"polling {operation}: {type(error).__name__}: {error}")) from error
        if result.name and _id_of(result.name) != _id_of(operation):  # the film would be another clip's
            raise PollError(f"polling {operation}: the answer is about {result.name[:200]!r}")
        if not result.done:
            return Running()
        if result.error:
            code = result.error.get("code") or result.error.get("status")
            return Failure(verdicts.rpc_code(code), str(result.error.get("message") or "no message"))
        response = result.response
        if response is None:
            return Finished()
        videos = (made.video for made in response.generated_videos or () if made.video)
        return Finished(
            videos=tuple(_made(v, inline_videos) for v in videos if v.video_bytes or v.uri),
            filtered=response.rai_media_filtered_count or 0,
            filter_reasons=tuple(response.rai_media_filtered_reasons or ()),
        )

    async def _operation(self, name: str) -> types.GenerateVideosOperation:
        """The operation, asked for with a new token if Google refuses the one that is there."""
        operation, seen = types.GenerateVideosOperation.model_validate({"name": name}), self._login.renewals
        await self._login.refresh()
        try:
            return await self._client.aio.operations.get(operation)
        except errors.ClientError as error:
            if error.code != 401 or not verdicts.is_google(error.details) or not await self._login.renew(seen):
                raise
        return await self._client.aio.operations.get(operation)

    async def check(self, model: str) -> Probe:
        """See `Backend.check`: one poll (`fetchPredictOperation`) of an operation of the model that does not exist; for
        Omni, one of such an interaction.

        No other free call names project, region and model as a submit does, and needs the same permissions.
        (`models.get` leaves project and region out of its path: google-genai 3.4, `_api_client._build_request`.) It
        cannot check quota or billing: only a submit can.
        """
        settings = self._settings
        login = self._login.credentials
        if login is not None and (failed := await probe.refresh(login, settings.request_timeout)):
            return failed
        if self._settings.model_catalog.is_omni(model):
            omnis = await self._omnis()
            return await probe.ask(omnis.get(NO_INTERACTION), address(settings), settings.request_timeout)
        place = f"projects/{settings.project}/locations/{settings.location}/" if settings.project else ""
        name = f"{place}publishers/google/models/{model}/operations/{NO_OPERATION}"
        operation = types.GenerateVideosOperation.model_validate({"name": name})
        return await probe.ask(self._client.aio.operations.get(operation), address(settings), settings.request_timeout)

    async def check_bucket(self, output_uri: str) -> None:
        """Raise `PollError` if a gs:// prefix cannot be listed, or its bucket does not exist."""
        await (await self._bucket(output_uri)).check(output_uri)

    async def find(self, output_uri: str) -> Sequence[Video]:
        """See `Backend.find`."""
        storage = await self._bucket(output_uri)
        return [Video(uri=uri) for uri in await storage.list(output_uri)]

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """See `Backend.locate`. The key goes to Google and to the configured address, nowhere else."""
        if not uri.startswith("gs://"):
            return uri, http.key_for(uri, self._settings.api_key, self._settings.base_url)
        if self._settings.keep_remote:
            return None
        return await (await self._bucket(uri)).place(uri)

    async def renew(self, headers: dict[str, str]) -> bool:
        """See `RenewsLogin`."""
        return self._storage is not None and await self._storage.renew(headers)

    async def _bucket(self, uri: str) -> Storage:
        if self._storage is None:
            try:
                self._storage = await _storage(self._settings, self._login, self._session)
            except UsageError as error:
                raise PollError(f"{uri}: {error}", final=True) from error
        return self._storage

    def _without_key(self, words: str) -> str:
        return http.without_key(words, self._settings.api_key)

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        await self._client.aio.aclose()
        if self._storage is not None:
            await self._storage.aclose()
        await self._session.close()


async def _storage(settings: Settings, login: Login, session: aiohttp.ClientSession) -> Storage:
    """The reader of buckets. Raises `UsageError` without the extra, or without a login."""
    if login.credentials is None:
        login = Login(await _threads.reading.run(credentials.for_buckets, settings))
    return await _threads.reading.run(Storage, login, session, settings.storage_url)


def address(settings: Settings) -> str:
    """The address that the SDK sends calls to (google-genai 3.4, `_api_client`)."""
    if settings.base_url is not None:
        return settings.base_url
    if settings.project is None or settings.location == "global":
        return "https://aiplatform.googleapis.com"
    if settings.location in ("us", "eu"):
        return f"https://aiplatform.{settings.location}.rep.googleapis.com"
    return f"https://{settings.location}-aiplatform.googleapis.com"


def _unsent(error: Exception, words: str) -> Verdict:
    """The verdict on an exception that came before anything left this machine."""
    if isinstance(error, RefreshError) and not (error.retryable or isinstance(error.__cause__, TransportError)):
        return Verdict(VerdictKind.REFUSED, words, refusal=Refusal.BAD_KEY, unsent=True)
    if isinstance(error, OSError | aiohttp.ClientError | GoogleAuthError):
        return verdicts.unsent(words)
    return one_post.cannot_be_sent(words)


def _id_of(operation: str) -> str:
    """The last part of an operation's name: the parts before it may name a project by its ID or by its number."""
    return operation.rpartition("/")[2]


def _without_token(verdict: Verdict, error: Exception) -> Verdict:
    """The verdict on a submit that Google refused with 401, when `error` kept us from getting a new token."""
    words = f"{verdict.message} (a new token: {type(error).__name__}: {error})"
    if _unsent(error, "").kind is VerdictKind.UNAVAILABLE:
        return Verdict(VerdictKind.UNAVAILABLE, words, status=401)
    return replace(verdict, message=words)


def _made(video: types.Video, inline_videos: InlineVideos) -> Video:
    file = inline_videos.take(video.video_bytes)
    return Video(None if file else video.video_bytes, video.uri, file)
