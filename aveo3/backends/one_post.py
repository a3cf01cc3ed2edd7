"""One submit is exactly one POST: everything that would send a paid request again is off, and a second POST raises.

By default, google-genai and its transports send a paid request again (read in google-genai 2.33 to 3.6):

    after                                     resent by                           prevented by
    408, 409, 429 and 5xx, up to five times   the SDK's retries                   `client`, `without_retries`
    a broken connection, once                 the SDK, on aiohttp                 `client`: not with retry options
    a redirect by 307 or 308                  aiohttp and httpx                   `client`: no redirect is followed
    anything else                             a future release of the SDK         `submit`: the second POST raises

`submit` also tracks whether any part of the request left this machine. A request that never left may be sent again. One
that left may be sent again only if Google's answer says that nothing was created.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NamedTuple

import aiohttp
from google import genai
from google.genai import errors, types

from aveo3 import _timeouts, verdicts
from aveo3.backends import http, probe
from aveo3.config.settings import Settings, on_this_machine
from aveo3.files.open_files import most_connections
from aveo3.verdicts import Verdict, VerdictKind

KEEP_ALIVE = 2.0
"""Seconds that a connection may be idle and still be reused. A server that closes an idle connection just as a submit
goes out leaves no answer, and a clip that may be paid. A short time costs handshakes, which are cheaper."""


@dataclass(slots=True)
class _Post:
    """The one POST of a submit."""

    has_left: bool = False
    """At least its headers left this machine. No exception shows that reliably."""

    def check_first(self, method: str) -> None:
        """Raise RuntimeError if a request of `method` would be the second POST."""
        if method == "POST" and self.has_left:
            raise RuntimeError("the SDK was about to send a paid request a second time")


_current: ContextVar[_Post | None] = ContextVar("post", default=None)
"""The POST of the submit that this task makes; None outside of a submit."""


async def submit(
    paid_call: Awaitable[Verdict], settings: Settings, *, unsent: Callable[[Exception, str], Verdict]
) -> Verdict:
    """Await `paid_call`, which sends one POST through `client`, and return its verdict.

    It may take `request_timeout` seconds. Raises nothing but the caller's own cancellation. `unsent` judges an
    exception that is no answer and came before anything left this machine; it gets the exception and its message. No
    verdict's message holds the API key.
    """
    post = _Post()
    token = _current.set(post)
    try:
        async with _timeouts.timeout(settings.request_timeout):
            verdict = await paid_call
    except Exception as error:
        verdict = _judge(error, post, unsent)
    finally:
        _current.reset(token)
    if verdict.status == 503 and not settings.resend_503:
        verdict = verdicts.uncertain(verdict.message, 503)
    return replace(verdict, message=http.without_key(verdict.message, settings.api_key))


def cannot_be_sent(why: object) -> Verdict:
    """The verdict on a prompt that cannot become a request."""
    return Verdict(VerdictKind.REJECTED, f"the prompt cannot be sent: {why}", unsent=True)


# ---- what a submit that raised means ---------------------------------------------------------------------------------


def _judge(error: Exception, post: _Post, unsent: Callable[[Exception, str], Verdict]) -> Verdict:
    if (answer := answer_of(error)) is not None:
        return verdicts.from_answer(answer.status, answer.body, answer.retry_after)
    words = _words_of(error)
    if post.has_left:
        return verdicts.uncertain(f"sent, but the answer was lost ({words}): a video may be under way and billed")
    return unsent(error, words)


class Answer(NamedTuple):
    """An HTTP answer that is an error: status, body (parsed or text), seconds from its `Retry-After`."""

    status: int
    body: Any
    retry_after: float | None


def answer_of(error: Exception) -> Answer | None:
    """The answer that the SDK raised as `error`; None if there was no answer.

    `interactions` raises its own errors, from private modules that have moved before. Their attributes identify them.
    """
    if isinstance(error, errors.APIError):
        status: Any = error.code
        body = error.details
    else:
        status, body = getattr(error, "status_code", None), getattr(error, "body", None)
    if not isinstance(status, int):
        return None
    headers = getattr(getattr(error, "response", None), "headers", None)
    return Answer(status, body, None if headers is None else http.seconds(headers.get("Retry-After")))


def _words_of(error: Exception) -> str:
    words = probe.words_of(error)
    wrapped = type(error).__module__.startswith("google.genai") and error.__cause__
    return f"{words} ({type(wrapped).__name__})" if wrapped else words


# ---- a client that sends once ----------------------------------------------------------------------------------------


def client(
    settings: Settings,
    session: aiohttp.ClientSession,
    base_url: str | None,
    *,
    event_hooks: Mapping[str, list[Callable[[Any], Awaitable[None]]]] | None = None,
    **who: Any,
) -> genai.Client:
    """The SDK's client, which sends each request once and follows no redirect. Blocks: it reads certificates.

    The SDK uses `session` (aiohttp) for everything but `interactions`, and httpx with `event_hooks` for these. `who`
    holds the credentials: arguments of `genai.Client`. Callers put a timeout of ours around each call: those of aiohttp
    and httpx cancel a request whose answer has arrived, if the loop stood still.
    """
    hooks = {"request": [], "response": [], **(event_hooks or {})}
    return genai.Client(
        **who,
        http_options=types.HttpOptions(
            base_url=base_url,
            api_version=settings.api_version,
            timeout=int(_timeouts.NEVER * 1000),
            headers={"X-Server-Timeout": str(ceil(settings.request_timeout))},  # the SDK would send its own timeout
            retry_options=types.HttpRetryOptions(attempts=1),
            aiohttp_client=session,
            async_client_args={
                # aiohttp and httpx: following a redirect would send the paid body and the key again
                "allow_redirects": False,
                "follow_redirects": False,
                # httpx only; for aiohttp the session has them
                "trust_env": _asks_proxies(settings),
                "limits": _HttpxLimits(most_connections(), None, KEEP_ALIVE),
                "event_hooks": {**hooks, "request": [_before_httpx_sends, *hooks["request"]]},
            },
        ),
    )


def without_retries(interactions: Any) -> None:
    """Turn off the retries of `client.aio.interactions`, which has its own.

    google-genai 2.33 reads attempts=1 as one retry (3.4: as one attempt), and turns a 0 into a 1.
    """
    interactions.sdk_configuration.retry_config = None


def without_threads(interactions: Any) -> None:
    """Run the hooks of `client.aio.interactions` on the loop: with a key they only set headers and wrap errors.

    google-genai runs each in a thread of the loop's, two or three a request. A program may keep these all busy.
    """
    hooks = vars(interactions.sdk_configuration).get("_async_hooks")
    for name in ("before_request", "after_success", "after_error", "after_parse_error"):
        registered = getattr(hooks, f"{name}_hooks", [])
        registered[:] = [_OnLoop(hook._sync_hook) if hasattr(hook, "_sync_hook") else hook for hook in registered]


def reuse_models(interactions: Any) -> None:
    """Let the SDK keep the pydantic models with which `interactions` reads and writes requests.

    google-genai makes two for each create, alike each time, which blocks the loop for milliseconds. Without the
    function of today's releases this changes nothing.
    """
    package = type(interactions.sdk_configuration).__module__.rpartition(".")[0]
    serializers = sys.modules.get(f"{package}.utils.serializers")
    make = getattr(serializers, "create_model", None)
    if serializers is not None and make is not None and not isinstance(make, _Models):
        serializers.create_model = _Models(make)  # type: ignore[attr-defined]


class _Models:
    """pydantic's `create_model`, which remembers the models of one field, by the type of that field."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._made: dict[Any, Any] = {}

    def __call__(self, name: str, /, **fields: Any) -> Any:
        kind = fields.get("body", (None,))[0]
        # The text, too: unions of the same types in another order are equal, but read otherwise.
        key = (name, kind, str(kind), str(fields.get("__config__")))
        try:
            known = self._made.get(key) if fields.keys() == {"body", "__config__"} else None
        except TypeError:  # a type that cannot be hashed
            return self._make(name, **fields)
        if known is None:
            known = self._make(name, **fields)
            if fields.keys() == {"body", "__config__"}:
                self._made[key] = known
        return known


class _OnLoop:
    """A hook of the SDK as a coroutine."""

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._hook, name)

        async def on_loop(*args: Any) -> Any:
            return call(*args)

        return on_loop


def open_session(settings: Settings, response_class: type[aiohttp.ClientResponse]) -> aiohttp.ClientSession:
    """The aiohttp session for paid requests: it reports to `submit` when headers leave, and stops a second POST."""
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_before_aiohttp_sends)
    trace.on_request_headers_sent.append(_as_aiohttp_sends_headers)
    return aiohttp.ClientSession(
        connector=http.connector(keepalive_timeout=KEEP_ALIVE),
        trust_env=_asks_proxies(settings),
        trace_configs=[trace],
        response_class=response_class,
    )


def _asks_proxies(settings: Settings) -> bool:
    return not on_this_machine(settings.base_url)  # a server on this machine needs no proxy


class _HttpxLimits(NamedTuple):
    """The part of httpx's `Limits` that its transports read. Works for httpx and httpx2: the SDK chooses."""

    max_connections: int | None
    max_keepalive_connections: int | None
    keepalive_expiry: float | None


# ---- what each transport reports of the POST -------------------------------------------------------------------------


async def _before_aiohttp_sends(_session: object, _context: object, params: aiohttp.TraceRequestStartParams) -> None:
    if (post := _current.get()) is not None:
        post.check_first(params.method)


async def _as_aiohttp_sends_headers(_session: object, _context: object, _params: object) -> None:
    if (post := _current.get()) is not None:
        post.has_left = True


async def _before_httpx_sends(request: Any) -> None:
    if (post := _current.get()) is None:
        return
    post.check_first(request.method)

    async def trace(event: str, info: dict[str, Any]) -> None:
        to_a_proxy = getattr(info.get("request"), "method", b"") == b"CONNECT"
        if event.endswith("send_request_headers.started") and not to_a_proxy:
            post.has_left = True

    request.extensions["trace"] = trace
