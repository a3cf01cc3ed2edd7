"""Sends one free call and returns its answer, or the reason why there is none. `verdicts.diagnosis` judges answers."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Awaitable
from socket import gaierror
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.genai import errors

from aveo3 import _threads, _timeouts
from aveo3.backends.base import Probe
from aveo3.verdicts.problems import Problem

if TYPE_CHECKING:
    from google.auth.credentials import Credentials


TOKEN_SERVER = "https://oauth2.googleapis.com"
"""The server that most logins get their tokens from."""

_DATES = re.compile(r"not yet valid|has expired")


async def ask(call: Awaitable[object], address: str, longest: float) -> Probe:
    """The result of `call`, one call through the SDK to `address`, which may take `longest` seconds.

    Raises nothing but its own cancellation.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with _timeouts.timeout(longest):
            await call
    except errors.APIError as error:
        if isinstance(error.code, int):
            return Probe(address, loop.time() - began, error.code, error.details)
        return Probe(address, loop.time() - began, problem=Problem.NOT_GOOGLE, said=str(error))
    except Exception as error:
        status = getattr(error, "status_code", None)  # of `interactions`, whose errors are private classes
        if isinstance(status, int):
            return Probe(address, loop.time() - began, status, getattr(error, "body", None))
        problem = problem_of(error)
        if problem is Problem.NO_NAME and getattr(error, "host", None) not in (None, urlsplit(address).hostname):
            problem = Problem.PROXY  # its own name is not found
        return Probe(address, loop.time() - began, problem=problem, said=words_of(error))
    return Probe(address, loop.time() - began, 200)


async def refresh(login: Credentials, longest: float) -> Probe | None:
    """Refresh the token of `login`. Return None, or the failed probe. Sends nothing if the token is still valid.

    One request for it may take `longest` seconds. The SDK would do the same within its call. A separate step shows
    which of the two failed.
    """
    from google.auth.transport.requests import Request

    if login.valid:
        return None
    try:
        await _threads.network.run(login.refresh, functools.partial(Request(), timeout=longest))
    except Exception as error:
        problem = problem_of(error)
        address = TOKEN_SERVER if problem in (Problem.PROXY, Problem.TLS, Problem.OUT_OF_DATE) else ""
        return Probe(address, problem=problem, said=words_of(error))
    return None


def problem_of(error: Exception) -> Problem:
    """The problem that left a call without an answer."""
    words = str(error).lower()
    if isinstance(error, TransportError) or (
        isinstance(error, RefreshError) and isinstance(error.__cause__, TransportError)
    ):
        if "caused by proxyerror" in words:
            return Problem.PROXY
        if "certificate verify failed" in words:
            return Problem.OUT_OF_DATE if _DATES.search(words) else Problem.TLS
        return Problem.TOKEN_SERVER
    if isinstance(error, GoogleAuthError):
        # "Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values"
        clock = re.search(r"reasonable timeframe|\biat\b|issued in the future|used too early", words)
        return Problem.CLOCK if clock else Problem.NO_TOKEN
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return Problem.PROXY
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Problem.OUT_OF_DATE if _DATES.search(words) else Problem.TLS
    if isinstance(error, TimeoutError):  # aiohttp's are, too
        return Problem.TIMEOUT
    if isinstance(error, aiohttp.ClientConnectorDNSError | gaierror):
        return Problem.NO_NAME
    if isinstance(error, aiohttp.ClientConnectorError):
        refused = isinstance(error.os_error, ConnectionRefusedError)
        return Problem.REFUSED if refused or "connect call failed" in words else Problem.NO_ROUTE
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        return Problem.DROPPED
    return Problem.NOT_GOOGLE  # the answer could not be read


def words_of(error: Exception) -> str:
    """The kind of `error` and its message."""
    if isinstance(error, aiohttp.ClientConnectorError):  # its own text shows the repr of an ssl context
        return f"{type(error).__name__}: {error.host}:{error.port}: {error.os_error}"
    return f"{type(error).__name__}: {error}".rstrip(": ")
