"""Why a call had no answer: each exception of aiohttp, google-auth and the system leads to its own problem."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from google.auth import exceptions
from google.genai import errors
from google.oauth2.credentials import Credentials
from yarl import URL

from aveo3.backends import probe as probes
from aveo3.verdicts.problems import Problem

# Their constructors have no types.
RefreshError: Any = exceptions.RefreshError
TransportError: Any = exceptions.TransportError
DefaultCredentialsError: Any = exceptions.DefaultCredentialsError

PLACE: Any = Mock(host="example.com", port=443, ssl=True, is_ssl=True)
EXPIRED = ssl.SSLCertVerificationError("certificate verify failed: certificate has expired")
EARLY = ssl.SSLCertVerificationError("certificate verify failed: certificate is not yet valid")
SIGNED = ssl.SSLCertVerificationError("certificate verify failed: self-signed certificate in certificate chain")
POOL = "HTTPSConnectionPool(host='oauth2.googleapis.com', port=443): Max retries exceeded with url: /token"
JWT = "invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."


def refresh_error(cause: Exception) -> Exception:
    error: Exception = RefreshError("no")
    error.__cause__ = cause
    return error


ERRORS: list[tuple[Exception, Problem]] = [
    (aiohttp.ClientConnectorDNSError(PLACE, socket.gaierror(-2, "Name or service not known")), Problem.NO_NAME),
    (aiohttp.ClientConnectorError(PLACE, ConnectionRefusedError(111, "refused")), Problem.REFUSED),
    (aiohttp.ClientConnectorError(PLACE, OSError(101, "Network is unreachable")), Problem.NO_ROUTE),
    (aiohttp.ClientConnectorCertificateError(PLACE, SIGNED), Problem.TLS),
    (aiohttp.ClientConnectorCertificateError(PLACE, EXPIRED), Problem.OUT_OF_DATE),
    (aiohttp.ClientConnectorCertificateError(PLACE, EARLY), Problem.OUT_OF_DATE),
    (aiohttp.ClientConnectorSSLError(PLACE, ssl.SSLError(1, "WRONG_VERSION_NUMBER")), Problem.TLS),
    (aiohttp.ClientProxyConnectionError(PLACE, ConnectionRefusedError(111, "refused")), Problem.PROXY),
    (aiohttp.ClientHttpProxyError(Mock(real_url=URL("http://p")), (), status=407), Problem.PROXY),
    (aiohttp.ConnectionTimeoutError("slow"), Problem.TIMEOUT),
    (aiohttp.ServerTimeoutError("slow"), Problem.TIMEOUT),
    (TimeoutError(), Problem.TIMEOUT),
    (aiohttp.ServerDisconnectedError(), Problem.DROPPED),
    (aiohttp.ClientOSError(104, "reset"), Problem.DROPPED),
    (aiohttp.ClientPayloadError("cut"), Problem.DROPPED),
    (json.JSONDecodeError("Expecting value", "<html>", 0), Problem.NOT_GOOGLE),
    (RefreshError("invalid_grant: Token has been expired or revoked."), Problem.NO_TOKEN),
    (RefreshError("Reauthentication is needed. Please run `gcloud auth application-default login`"), Problem.NO_TOKEN),
    (RefreshError(JWT), Problem.CLOCK),
    (DefaultCredentialsError("gone"), Problem.NO_TOKEN),
    (TransportError("no way to oauth2.googleapis.com"), Problem.TOKEN_SERVER),
    (
        TransportError(
            f"{POOL} (Caused by ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 407 x')))"
        ),
        Problem.PROXY,
    ),
    (
        TransportError(f"{POOL} (Caused by SSLError(1, 'certificate verify failed: self-signed'))"),
        Problem.TLS,
    ),
    (
        TransportError(f"{POOL} (Caused by SSLError(1, 'certificate verify failed: certificate has expired'))"),
        Problem.OUT_OF_DATE,
    ),
    (refresh_error(TransportError("metadata")), Problem.TOKEN_SERVER),
]


@pytest.mark.parametrize(
    ("error", "problem"), ERRORS, ids=lambda value: str(getattr(value, "value", type(value).__name__))
)
async def test_every_error_is_a_trouble(error: Exception, problem: Problem) -> None:
    async def call() -> None:
        raise error

    probe = await probes.ask(call(), "https://example.com", 10.0)
    assert (probe.problem, probe.status) == (problem, None)
    assert probe.said.startswith(type(error).__name__)
    assert "object at 0x" not in probe.said


async def test_an_answer_is_its_status_and_body_and_takes_as_long_as_it_takes() -> None:
    body = {"error": {"code": 404, "message": "no"}}

    async def call() -> None:
        await asyncio.sleep(0)
        raise errors.ClientError(404, body)

    probe = await probes.ask(call(), "https://example.com", 10.0)
    assert (probe.status, probe.body, probe.problem, probe.address) == (404, body, None, "https://example.com")
    assert probe.seconds >= 0
    assert (await probes.ask(asyncio.sleep(0), "x", 10.0)).status == 200


async def test_to_be_cancelled_is_no_trouble() -> None:
    task = asyncio.create_task(probes.ask(asyncio.Event().wait(), "x", 10.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_fresh_token_is_not_asked_for_again() -> None:
    assert await probes.refresh(Credentials(token="fresh"), 1) is None  # type: ignore[no-untyped-call]


async def test_a_login_that_gives_no_token_says_why_and_what_it_may_take() -> None:
    asked = Mock(side_effect=RefreshError("invalid_grant: Token has been expired or revoked."))
    probe = await probes.refresh(Mock(valid=False, refresh=asked), 7)
    assert probe is not None
    assert (probe.problem, probe.status, probe.address) == (Problem.NO_TOKEN, None, "")
    assert asked.call_args.args[0].keywords == {"timeout": 7}
    assert await probes.refresh(Mock(valid=False), 7) is None
