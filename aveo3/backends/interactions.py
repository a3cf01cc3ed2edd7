"""The Interactions API through google-genai: one create, one poll. For the backends that have Omni.

`one_post` makes sure that each submit is exactly one POST. `omni` builds the requests and reads the answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from google import genai

from aveo3 import _threads, _timeouts, verdicts
from aveo3.backends import http, inline, omni, one_post
from aveo3.backends.base import LateRefusal, OperationGone, PollError, PollResult
from aveo3.backends.inline import InlineVideos
from aveo3.errors import FetchError
from aveo3.verdicts import Refusal, Verdict

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.models import VideoPrompt

POLLS_AT_ONCE = 50
"""Polls under way at the same time. httpx goes through all its connections for each request: with a thousand of them
the loop stood still for seconds."""

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


def _unsent(error: Exception, words: str) -> Verdict:
    """The verdict on an exception that came before anything left this machine."""
    return one_post.cannot_be_sent(words) if isinstance(error, ValueError | TypeError) else verdicts.unsent(words)


class Interactions:
    """The interactions of one client, whose `event_hooks` must be `inline.HTTPX_HOOKS`."""

    def __init__(
        self,
        client: genai.Client,
        settings: Settings,
        backend: str,
        *,
        unsent: Callable[[Exception, str], Verdict] = _unsent,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Sends nothing. The first use of `client.aio.interactions` is costly: it belongs into a thread.

        `unsent`: see `one_post.submit`. `prepare` is awaited before each request.
        """
        interactions = client.aio.interactions
        one_post.without_retries(interactions)
        one_post.reuse_models(interactions)
        one_post.without_threads(interactions)
        http.look_up_in_own_threads(interactions.sdk_configuration.async_client)
        self._client = client
        self._settings = settings
        self._backend = backend
        self._unsent = unsent
        self._prepare = prepare
        self._doubts: dict[str, _Doubt] = {}
        self._readers = asyncio.Semaphore(inline.PARALLEL)
        self._polls = asyncio.Semaphore(POLLS_AT_ONCE)

    async def request(self, prompt: VideoPrompt, model: str, delivery: Mapping[str, str]) -> dict[str, Any]:
        """Arguments of `submit` for `prompt`. Reads its media in a thread. `delivery`: how the video comes back.

        Raises `OSError`, or ValueError for what the API does not have.
        """
        arguments = (prompt, model, delivery, self._settings.labels_of(prompt), self._backend)
        if prompt.media:
            return await _threads.reading.run(omni.request, *arguments)
        return omni.request(*arguments)

    async def submit(self, request: dict[str, Any]) -> Verdict:
        """Send one POST and return its verdict. Raises nothing but the caller's own cancellation."""
        return await one_post.submit(self._post(request), self._settings, unsent=self._unsent)

    async def _post(self, request: dict[str, Any]) -> Verdict:
        """The paid call."""
        if self._prepare is not None:
            await self._prepare()
        # No bound as for polls, though many submits at once slow the loop down: one that waits here is in the journal
        # as sent, so a run that is stopped would take it for one that may be paid. A bound belongs before that note.
        # Raw: the SDK's parser accepts anything as an interaction, even without an id.
        answer = await self._client.aio.interactions.with_raw_response.create(**request)
        return _verdict_on(answer.http_response)

    async def get(self, operation: str) -> Any:
        """The HTTP answer to one GET of the interaction. Raises what the SDK raises."""
        if self._prepare is not None:
            await self._prepare()
        answer = await self._client.aio.interactions.with_raw_response.get(operation)
        return answer.http_response

    async def poll(self, operation: str) -> PollResult:
        """The state of the interaction. Writes inline videos to the output directory.

        Raises `PollError`, `OperationGone`, or `FetchError` if the disk refuses the video.
        """
        if not omni.is_id(operation):
            raise OperationGone(f"{operation!r} is not an interaction id")
        with InlineVideos(self._settings.output_dir, key=b"data", readers=self._readers) as inline_videos:
            try:
                async with self._polls, _timeouts.timeout(self._settings.request_timeout):
                    response = await self.get(operation)
                if response.status_code != 200:  # a redirect
                    raise PollError(f"polling {operation}: HTTP {response.status_code}")
                result = omni.read(json.loads(response.content), operation, inline_videos.take)
            except (FetchError, PollError):
                raise
            except Exception as error:
                return self._failed_poll(operation, error)
        self._doubts.pop(operation, None)
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
        # Seen on the Gemini API only. Believed where it is not true, it would have a paid clip sent again.
        if self._backend == "gemini" and self._is_believed(operation, verdict):
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

    def _without_key(self, words: str) -> str:
        return http.without_key(words, self._settings.api_key)


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
