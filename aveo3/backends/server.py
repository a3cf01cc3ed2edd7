"""An `aveo3 serve` as a backend: takes every request at once, and makes the clips within the quota of its lanes.

A request carries an idempotency key, which is in the journal before it leaves. So a request whose answer is lost is
sent again, as often as need be: the server takes it once. That is what Google lacks.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import aiohttp

from aveo3 import _threads, _timeouts, verdicts
from aveo3.backends import http, server_wire
from aveo3.backends.base import OperationGone, PollError, PollResult, Probe, Running, Video
from aveo3.backends.server_watch import EVENTS, ServerWatch
from aveo3.backends.server_wire import AskAgain, Turn
from aveo3.config.settings import on_this_machine
from aveo3.errors import UsageError
from aveo3.telemetry.trace_context import HEADER, outgoing
from aveo3.verdicts import Verdict
from aveo3.verdicts.problems import Problem

if TYPE_CHECKING:
    from aveo3.backends.gcs import Storage
    from aveo3.config.settings import Settings
    from aveo3.models import VideoPrompt
    from aveo3.quota.gate_stats import AtServer

ABOUT = "/v1/server"
"""Where the server says what it is."""

POLLS_AT_ONCE = 32
"""Polls under way at the same time."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds until a request without an answer is sent again: doubled each time."""

LONGEST_ANSWER = 16 << 20
"""Bytes of an answer that are read."""

FIRST_CALL = 20.0
"""Seconds that the first request to the server may take, because a person waits for it."""


class ServerBackend:
    """`Backend` for an `aveo3 serve`. Make it with `open()`."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings, *, rng: random.Random) -> None:
        assert settings.server is not None
        self._session = session
        self._settings = settings
        self._url = settings.server
        self._rng = rng
        self._polls = asyncio.Semaphore(POLLS_AT_ONCE)
        self._silent_since: float | None = None
        self._storage: Storage | None = None
        self._watch = ServerWatch(self._events, self._look, rng=rng, now_utc=lambda: datetime.now(UTC))

    @classmethod
    async def open(cls, settings: Settings, *, rng: random.Random | None = None) -> ServerBackend:
        """Ask the server what it is, and open its stream of events. Orders nothing.

        Raises `UsageError` if no `aveo3 serve` is there, or it does not take the key.
        """
        backend = cls.unopened(settings, rng=rng)
        try:
            backend._check_about(await backend.about())
            if settings.output_gcs_uri is not None and not settings.keep_remote:
                await backend._check_bucket()
            await backend._watch.start()
        except BaseException:
            await backend.aclose()
            raise
        return backend

    @classmethod
    def unopened(cls, settings: Settings, *, rng: random.Random | None = None) -> ServerBackend:
        """The backend before its first request. It reads no events."""
        session = aiohttp.ClientSession(connector=http.connector(), trust_env=not on_this_machine(settings.server))
        return cls(session, settings, rng=rng or random.Random())

    # ---- requests ------------------------------------------------------------------------------------------------

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """See `Backend.submit`: with a key of its own."""
        return await self.enqueue(prompt, model, key=f"{self._rng.getrandbits(128):032x}", output_uri=output_uri)

    async def enqueue(self, prompt: VideoPrompt, model: str, *, key: str, output_uri: str | None = None) -> Verdict:
        """See `Queues.enqueue`."""
        try:
            labels = self._settings.labels_of(prompt)
            is_omni = self._settings.model_catalog.is_omni(model)

            def written() -> tuple[str, bytes]:
                return server_wire.request(prompt, model, labels, output_uri, is_omni=is_omni)

            path, body = await _threads.reading.run(written) if prompt.media else written()
        except (OSError, ValueError) as error:
            return verdicts.rejected(f"the prompt cannot be sent: {error}")
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if self._settings.server_priority:
            headers["Aveo3-Priority"] = str(self._settings.server_priority)
        if (context := outgoing.get()) is not None:
            headers[HEADER] = context
        return await self._until_answered(path, body, headers, model)

    async def _until_answered(self, path: str, body: bytes, headers: dict[str, str], model: str) -> Verdict:
        loop = asyncio.get_running_loop()
        began, wait, may_be_taken, tries = loop.time(), FIRST_WAIT, False, 0
        patience = self._settings.quota_patience
        while True:
            tries += 1
            answer = await self._ask_once(path, body, headers)
            if isinstance(answer, Verdict):
                if answer.operation is not None:
                    self._watch.add(answer.operation, model, at_once=tries > 1)
                return answer
            may_be_taken |= answer.taken
            pause = max(answer.after or 0.0, wait * self._rng.uniform(0.5, 1.0))
            wait = min(2 * wait, LONGEST_WAIT)
            if patience is not None and loop.time() + pause - began > patience:
                why = f"{self._url} has not answered for {patience:g} s (VEO3_QUOTA_PATIENCE): {answer.why}"
                return verdicts.uncertain(f"{why}; the next run asks again") if may_be_taken else verdicts.unsent(why)
            await asyncio.sleep(pause)

    async def _ask_once(self, path: str, body: bytes, headers: dict[str, str]) -> Verdict | AskAgain:
        try:
            async with _timeouts.timeout(self._settings.request_timeout):
                status, answer, retry_after = await self._call("POST", path, data=body, headers=headers)
        except aiohttp.ClientConnectorError as error:
            return AskAgain(self._failed(error), taken=False)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return AskAgain(self._failed(error))
        return server_wire.judge(status, answer, retry_after)

    async def _call(self, method: str, path: str, **values: Any) -> tuple[int, Any, float | None]:
        """One request: status, body (parsed if it is JSON) and the seconds of `Retry-After`. Follows no redirect."""
        headers = {**self._headers, **values.pop("headers", {})}
        async with self._session.request(
            method, self._url + path, headers=headers, allow_redirects=False, timeout=_NO_TIMEOUT, **values
        ) as response:
            raw = await response.content.read(LONGEST_ANSWER)
            while len(raw) < LONGEST_ANSWER and (more := await response.content.read(LONGEST_ANSWER - len(raw))):
                raw += more
            self._silent_since = None
            try:
                answer = json.loads(raw)
            except ValueError:
                answer = raw[:2_000].decode("utf-8", "replace")
            return response.status, _without(answer, self._settings), http.seconds(response.headers.get("Retry-After"))

    @property
    def _headers(self) -> dict[str, str]:
        key = self._settings.server_key
        return {"User-Agent": _user_agent(), **({"x-goog-api-key": key.get_secret_value()} if key else {})}

    def _failed(self, error: Exception) -> str:
        if self._silent_since is None:
            self._silent_since = asyncio.get_running_loop().time()
        return f"{type(error).__name__}: {error}".rstrip(": ")

    # ---- operations ----------------------------------------------------------------------------------------------

    async def poll(self, operation: str) -> PollResult:
        """See `Backend.poll`."""
        async with self._polls:
            body = await self._get(operation)
        result = server_wire.read(body, operation, self._url)
        if isinstance(result, Running):
            self._watch.note(operation, self._model_of(operation, body), server_wire.turn_of(body))
        return result

    async def _get(self, operation: str) -> Any:
        try:
            async with _timeouts.timeout(self._settings.request_timeout):
                status, body, retry_after = await self._call("GET", server_wire.path_of(operation))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PollError(f"polling {operation}: {self._failed(error)}") from error
        if status == 200:
            return body
        message = verdicts.message_of(body) or f"HTTP {status}"
        unknown = status == 404 or (status == 400 and "invalid interaction" in message.lower())
        if unknown and verdicts.is_google(body):
            raise OperationGone(f"{self._url} does not know {operation}: {message}")
        what = f"polling {operation}: HTTP {status}: {message}"
        if status in (401, 403) and verdicts.is_google(body):
            raise PollError(f"{what} Set VEO3_SERVER_KEY to the key that ordered it.", final=True)
        raise PollError(what, refused=status == 429, retry_after=retry_after)

    def _model_of(self, operation: str, body: Any) -> str:
        parts = operation.split("/")
        if len(parts) > 1:
            return parts[1]
        model = body.get("model") if isinstance(body, dict) else None
        return model if isinstance(model, str) else ""

    async def _look(self, operation: str) -> Turn | None:
        try:
            body = await self._get(operation)
        except (PollError, OperationGone):
            return None
        return server_wire.turn_of(body) if isinstance(body, dict) and not body.get("done") else None

    async def _events(self, last_id: str | None) -> aiohttp.ClientResponse:
        headers = {**self._headers, **({"Last-Event-ID": last_id} if last_id else {})}
        async with _timeouts.timeout(FIRST_CALL):
            return await self._session.get(
                self._url + EVENTS, headers=headers, allow_redirects=False, timeout=_NO_TIMEOUT
            )

    async def ended(self, operation: str) -> None:
        """See `Queues.ended`."""
        await self._watch.ended(operation, self._model_of(operation, None))

    def forget(self, operation: str) -> None:
        """See `Queues.forget`."""
        self._watch.forget(operation)

    def at_server(self, model: str) -> AtServer:
        """See `Queues.at_server`."""
        silent = 0.0 if self._silent_since is None else asyncio.get_running_loop().time() - self._silent_since
        return self._watch.standing(model, silent)

    # ---- files ---------------------------------------------------------------------------------------------------

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """See `Backend.locate`. The key goes to the server and nowhere else."""
        if uri.startswith("gs://"):
            if self._settings.keep_remote:
                return None
            try:
                return await (await self._bucket()).place(uri)
            except UsageError as error:
                raise PollError(f"{uri}: {error}", final=True) from error
        return uri, self._headers if server_wire.is_server(uri, self._url) else {}

    async def _check_bucket(self) -> None:
        try:
            await self._bucket()
        except UsageError as error:
            raise UsageError(
                f"VEO3_OUTPUT_GCS_URI={self._settings.output_gcs_uri}: the videos cannot be fetched from there: "
                f"{error} Set VEO3_KEEP_REMOTE=true to leave them there."
            ) from error

    async def _bucket(self) -> Storage:
        if self._storage is None:
            from aveo3.backends import credentials
            from aveo3.backends.gcs import Storage
            from aveo3.backends.login import Login

            login = Login(await _threads.reading.run(credentials.for_buckets, self._settings))
            self._storage = await _threads.reading.run(Storage, login, self._session, self._settings.storage_url)
        return self._storage

    async def find(self, output_uri: str) -> Sequence[Video]:
        """See `Backend.find`. The server itself searches for what was lost on its way to Google."""
        raise PollError(f"{output_uri}: the server searches there by itself", final=True)

    # ---- the server itself ---------------------------------------------------------------------------------------

    async def about(self) -> Probe:
        """One free request: what the server says of itself to this key. Raises nothing."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with _timeouts.timeout(min(self._settings.request_timeout, FIRST_CALL)):
                status, body, _ = await self._call("GET", ABOUT)
        except Exception as error:
            from aveo3.backends import probe  # costly: it imports google.genai

            problem = probe.problem_of(error)
            return Probe(self._url, loop.time() - began, problem=problem, said=probe.words_of(error))
        if status == 200 and not (isinstance(body, dict) and "models" in body):
            return Probe(self._url, loop.time() - began, problem=Problem.NOT_GOOGLE, said=str(body)[:200])
        return Probe(self._url, loop.time() - began, status, body)

    async def check(self, model: str) -> Probe:
        """See `Backend.check`."""
        return await self.about()

    def _check_about(self, probe: Probe) -> None:
        if (why := why_not(probe, self._settings)) is not None:
            raise UsageError(why)

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        await self._watch.aclose()
        if self._storage is not None:
            await self._storage.aclose()
        await self._session.close()


_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


def why_not(probe: Probe, settings: Settings) -> str | None:
    """Why nothing can be ordered from the server that `probe` asked, and the way out; None if all is well."""
    url = settings.server
    if probe.problem is Problem.NOT_GOOGLE:
        return f"VEO3_SERVER={url}: that is no `aveo3 serve`: {verdicts.brief(probe.said)}"
    if probe.problem is not None:
        return (
            f"VEO3_SERVER={url}: no server answers there ({probe.said}). Nothing was sent. Check the address, or start "
            "the server: aveo3 serve"
        )
    message = verdicts.message_of(probe.body) or f"HTTP {probe.status}"
    if probe.status == 401:
        given = (
            "does not know the key in VEO3_SERVER_KEY" if settings.server_key else "wants a key: set VEO3_SERVER_KEY"
        )
        return f"VEO3_SERVER={url}: the server {given}. Whoever runs it makes one: aveo3 serve keys add NAME"
    if probe.status == 403:
        return f"VEO3_SERVER={url}: {message}"
    if probe.status == 404:
        return f"VEO3_SERVER={url}: that is no `aveo3 serve`, or one of an older release: {message}"
    return None  # it stops or restarts: that is waited out


def _without(answer: Any, settings: Settings) -> Any:
    """`answer` without the key, if a server quotes it."""
    key = settings.server_key
    if key is None or (secret := key.get_secret_value()) not in json.dumps(answer, ensure_ascii=False):
        return answer
    return json.loads(json.dumps(answer, ensure_ascii=False).replace(secret, "(the API key)"))


def _user_agent() -> str:
    try:
        return f"aveo3/{version('aveo3')}"
    except PackageNotFoundError:
        return "aveo3"
