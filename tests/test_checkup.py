"""`checkup.check` against the emulator, over real sockets: its report, and the books prove that nothing is owed."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.auth import exceptions
from google.genai import Client

from aveo3 import Settings
from aveo3.backends import credentials, vertex
from aveo3.checkup import CheckReport, check
from aveo3.mock import MockOptions, MockServer
from aveo3.verdicts.problems import CheckStep, Problem
from tests.support.settings import settings
from tests.support.ssl_context import SSL_CONTEXT

KEY = "AIzaSy-secret-key-0123456789"

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

WAYS: dict[str, dict[str, Any]] = {
    "project": {"backend": "vertex", "project": "my-project"},
    "express": {"backend": "vertex", "api_key": KEY},
    "gemini": {"backend": "gemini", "api_key": KEY},
}
OPERATION_PATHS = {
    "project": "/v1/projects/my-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001",
    "express": "/v1/publishers/google/models/veo-3.1-generate-001",
}


@pytest.fixture(autouse=True)
def one_ssl_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)


@asynccontextmanager
async def emulator(**options: Any) -> AsyncIterator[MockServer]:
    async with MockServer(MockOptions.model_validate({"films": "bundled", **options})) as server:
        yield server


def towards(server: MockServer, way: str, **values: Any) -> Settings:
    return settings(**{"base_url": server.url, "storage_url": server.url, **WAYS[way], **values})


def problem(report: CheckReport) -> Problem | None:
    return report.wrong[0].problem if report.wrong else None


def owes_nothing(server: MockServer) -> bool:
    """True if nothing was submitted, accepted, started or billed."""
    books = server.books
    return (books.submits, books.accepted, books.running, books.videos, books.billed_usd) == (0, 0, 0, 0, 0)


# ---- no problem ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_if_everything_answers_every_step_passes_and_nothing_is_owed(way: str) -> None:
    async with emulator() as server:
        report = await check(towards(server, way))
    assert report.ok, report
    assert list(report.well) == [
        CheckStep.SETTINGS,
        CheckStep.ADDRESS,
        CheckStep.CREDENTIALS,
        CheckStep.PROJECT,
        CheckStep.MODEL,
    ]
    assert report.well[CheckStep.ADDRESS].startswith(f"{server.url} answered in ")
    assert report.seconds is not None
    assert owes_nothing(server)
    posts = {f"{OPERATION_PATHS[way]}:fetchPredictOperation": 1} if way in OPERATION_PATHS else {}
    assert server.books.posts == posts


async def test_a_bucket_is_listed_once() -> None:
    async with emulator() as server:
        report = await check(towards(server, "project", output_gcs_uri="gs://bucket/out"))
    assert report.ok
    assert (
        report.well[CheckStep.BUCKET]
        == "gs://bucket/out does not exist yet: the emulator creates it with the first video"
    )
    assert server.books.storage_lists == 1
    assert owes_nothing(server)


async def test_a_bucket_that_exists_can_be_listed() -> None:
    async with emulator(latency="0") as server:
        body: dict[str, object] = {"instances": [{"prompt": "a boat"}], "parameters": {"storageUri": "gs://bucket/out"}}
        client = Client(vertexai=True, api_key="x", http_options={"base_url": server.url, "api_version": "v1"})
        await client.aio._api_client.async_request(
            "post", "publishers/google/models/veo-3.1-generate-001:predictLongRunning", body
        )
        await client.aio.aclose()
        report = await check(towards(server, "project", output_gcs_uri="gs://bucket/out"))
    assert report.well[CheckStep.BUCKET] == (
        "gs://bucket/out can be listed; only the first video shows whether Vertex AI may write there"
    )


async def test_mock_mode_has_nothing_to_check() -> None:
    report = await check(settings(mock_mode=True, base_url="http://127.0.0.1:1"))
    assert report.ok
    assert "there is nothing to check" in report.well[CheckStep.SETTINGS]
    assert report.address == ""


# ---- problems at Google ----------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Problem, set[str]]] = {
    "bad-key": (Problem.BAD_KEY, {"settings", "address"}),
    "key-blocked": (Problem.KEY_ELSEWHERE, {"settings", "address"}),
    "permission": (Problem.PERMISSION, {"settings", "address", "credentials"}),
    "api-disabled": (Problem.API_DISABLED, {"settings", "address", "credentials"}),
    "no-billing": (Problem.BILLING, {"settings", "address", "credentials"}),
    "billing": (Problem.CREDITS, {"settings", "address", "credentials"}),
    "prepaid": (Problem.CREDITS, {"settings", "address", "credentials"}),
    "country": (Problem.COUNTRY, {"settings", "address", "credentials"}),
    "no-access": (Problem.NO_QUOTA, {"settings", "address", "credentials", "project"}),
    "overloaded": (Problem.BUSY, {"settings", "address"}),
    "503": (Problem.AWAY, {"settings"}),
    "502-before": (Problem.AWAY, {"settings"}),
    "500-before": (Problem.AWAY, {"settings"}),
    "redirect": (Problem.REDIRECTED, {"settings"}),
    "drop-before": (Problem.DROPPED, {"settings"}),
    "timeout-before": (Problem.TIMEOUT, {"settings"}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_reported_and_nothing_is_owed(fault: str, way: str) -> None:
    timeout = 0.3 if "timeout" in fault else 20.0
    async with emulator(faults=[fault]) as server:
        report = await check(towards(server, way, request_timeout=timeout))
    expected, well = FAULTS[fault]
    assert problem(report) is expected, report
    assert set(report.well) == well
    assert not report.ok
    assert owes_nothing(server)
    # One request. (aiohttp repeats a GET whose connection was cut.)
    assert server.books.faults == {fault: 2 if (fault, way) == ("drop-before", "gemini") else 1}
    assert KEY not in json.dumps(report.as_dict())


async def test_the_link_that_enables_the_api_comes_from_google() -> None:
    async with emulator(faults=["api-disabled"]) as server:
        [finding] = (await check(towards(server, "project"))).wrong
    assert finding.way_out.startswith(
        "Enable it at https://console.developers.google.com/apis/api/aiplatform.googleapis.com/overview?project="
    )
    assert finding.said.startswith("HTTP 403: Vertex AI API has not been used in project ")


@pytest.mark.parametrize("way", WAYS)
async def test_a_missing_model_is_distinguished_from_a_missing_operation(way: str) -> None:
    async with emulator() as server:
        report = await check(towards(server, way, model="veo-9"))
    assert problem(report) is Problem.NO_MODEL
    assert CheckStep.PROJECT in report.well
    assert owes_nothing(server)


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_that_google_has_shut_down_is_reported_even_if_the_catalog_lists_it_as_alive(way: str) -> None:
    name = "gemini-omni-1.1-flash" if way == "gemini" else "veo-3.1-generate-001"
    async with emulator(retired=[name]) as server:
        assert problem(await check(towards(server, way, model=name))) is Problem.RETIRED


async def test_an_api_key_with_a_project_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.backends.credentials.on_this_machine", lambda url: False)  # an emulator needs no login
    async with emulator() as server:
        report = await check(towards(server, "project", api_key=KEY))
    assert problem(report) is Problem.NO_KEYS
    assert "gcloud auth application-default login" in report.wrong[0].way_out


@pytest.mark.parametrize(("fault", "words"), [("storage-403", "roles/storage.objectViewer"), ("storage-503", "503")])
async def test_an_unreadable_bucket_is_reported(fault: str, words: str) -> None:
    async with emulator(faults=[fault]) as server:
        report = await check(towards(server, "project", output_gcs_uri="gs://bucket/out"))
    assert problem(report) is Problem.BUCKET
    assert words in report.wrong[0].said
    assert CheckStep.MODEL in report.well
    assert owes_nothing(server)


async def test_a_missing_bucket_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator() as server:
        chosen = towards(server, "project", output_gcs_uri="gs://bucket/out")
        monkeypatch.setattr("aveo3.checkup.on_this_machine", lambda _: False)
        monkeypatch.setattr(
            credentials, "for_vertex", lambda _: {"project": "p", "location": "l", "credentials": NOBODY}
        )
        report = await check(chosen)
    assert problem(report) is Problem.BUCKET
    assert "gcloud storage buckets create gs://bucket" in report.wrong[0].said


# ---- network and login -----------------------------------------------------------------------------------------------


class Login:
    """Stands in for google-auth's credentials, with or without a token."""

    quota_project_id = None
    expired = False

    def __init__(self, token: str | None, error: Exception | None = None) -> None:
        self.token, self.error = token, error

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, _request: object) -> None:
        assert self.error is not None
        raise self.error

    def before_request(self, *_: object) -> None:
        """Do nothing: the token is valid."""


NOBODY = Login("token")


@pytest.mark.parametrize("way", WAYS)
async def test_a_refused_connection_is_reported(way: str) -> None:
    async with emulator() as server:
        chosen = towards(server, way)
    report = await check(chosen)  # the emulator has stopped
    assert problem(report) is Problem.REFUSED
    assert report.wrong[0].what == f"no server listens at {chosen.base_url} (connection refused)"
    assert (set(report.well), report.seconds) == ({CheckStep.SETTINGS}, None)


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_on_this_machine_is_reached_without_a_proxy(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with emulator() as server:
        assert (await check(towards(server, way))).ok


async def test_an_unreachable_proxy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert problem(await check(settings(**WAYS["gemini"], base_url="http://gateway.invalid"))) is Problem.PROXY


async def test_an_unknown_host_is_reported() -> None:
    report = await check(settings(**WAYS["gemini"], base_url="http://nobody.invalid"))
    assert problem(report) is Problem.NO_NAME


async def test_a_server_without_tls_is_reported() -> None:
    async with emulator() as server:
        report = await check(settings(**WAYS["gemini"], base_url=server.url.replace("http://", "https://")))
    assert problem(report) is Problem.TLS


async def test_an_html_page_instead_of_the_api_is_reported() -> None:
    async def portal(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.readuntil(b"\r\n\r\n")
        page = b"<html>Welcome to our WLAN</html>"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(portal, "127.0.0.1", 0) as portals:
        url = f"http://127.0.0.1:{portals.sockets[0].getsockname()[1]}"
        for way in WAYS:
            report = await check(settings(**WAYS[way], base_url=url))
            assert problem(report) is Problem.NOT_GOOGLE, way


async def test_the_key_never_follows_a_redirect() -> None:
    requests = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(elsewhere, "127.0.0.1", 0) as there:
        url = f"http://127.0.0.1:{there.sockets[0].getsockname()[1]}/"
        async with emulator(faults=["redirect"], redirect_to=url) as server:
            for way in WAYS:
                assert problem(await check(towards(server, way))) is Problem.REDIRECTED
    assert requests == []


REFRESH: dict[str, Problem] = {
    "invalid_grant: Token has been expired or revoked.": Problem.NO_TOKEN,
    "invalid_grant: Invalid JWT: Token must be … in a reasonable timeframe. Check your iat and exp": Problem.CLOCK,
}


@pytest.mark.parametrize("words", REFRESH)
async def test_a_login_without_a_token_sends_vertex_nothing(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error: Any = exceptions.RefreshError
    login = {"project": "p", "location": "us-central1", "credentials": Login(None, error(words))}
    monkeypatch.setattr(credentials, "for_vertex", lambda _: login)
    async with emulator() as server:
        report = await check(towards(server, "project"))
    assert problem(report) is REFRESH[words]
    assert words in report.wrong[0].said
    assert set(report.well) == {CheckStep.SETTINGS}
    assert server.books.posts == {}


# ---- settings --------------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "Choose one of three ways"),
    "no key": ({"backend": "gemini"}, "The Gemini API needs a key"),
    "nobody who pays": ({"backend": "vertex"}, "Vertex AI needs to know who pays"),
    "retired": (
        {"backend": "vertex", "api_key": KEY, "model": "veo-2.0-generate-001"},
        "was retired by Google on 2026-06-30: use veo-3.1-generate-001.",
    ),
    "the other's model": (
        {"backend": "gemini", "api_key": KEY, "model": "veo-3.1-generate-001"},
        "is not available with VEO3_BACKEND=gemini",
    ),
    "a bucket on the Gemini API": (
        {"backend": "gemini", "api_key": KEY, "output_gcs_uri": "gs://b/c"},
        "the Gemini API cannot write to buckets",
    ),
    "no such file": (
        {"backend": "vertex", "project": "p", "credentials_file": "/no/such/file.json"},
        "No usable credentials for project 'p'",
    ),
}


@pytest.mark.filterwarnings(r"ignore:\s*The load_credentials_from_file method:DeprecationWarning")
@pytest.mark.parametrize("name", WRONG)
async def test_wrong_settings_are_reported_before_anything_is_sent(name: str) -> None:
    values, words = WRONG[name]
    report = await check(settings(**values))
    assert words in report.settings_wrong
    assert (report.ok, report.address, dict(report.well)) == (False, "", {})
    assert report.as_dict()["steps"]["settings"] == "failed"


async def test_each_place_is_checked_with_its_own_settings() -> None:
    async with emulator() as server:
        one = towards(server, "project")
        reports = [await check(one.model_copy(update={"location": place})) for place in ("us-central1", "europe-west4")]
    assert [(report.location, report.ok) for report in reports] == [("us-central1", True), ("europe-west4", True)]
    assert len(server.books.posts) == 2


def test_a_report_turns_into_plain_values() -> None:
    values = CheckReport(
        "gemini", "why", "m", well={CheckStep.SETTINGS: "x", CheckStep.ADDRESS: "y"}, seconds=0.12345
    ).as_dict()
    assert json.loads(json.dumps(values)) == values
    assert (values["ok"], values["seconds"], values["problems"]) == (True, 0.123, [])
    assert values["steps"] == {
        **{"settings": "ok", "address": "ok"},
        **dict.fromkeys(("credentials", "project", "model", "bucket", "quota"), "not asked"),
    }


@pytest.mark.parametrize("location", ["us-central1", "europe-west4", "global", "us", "eu"])
def test_the_address_is_the_one_that_the_sdk_uses(location: str) -> None:
    chosen = settings(backend="vertex", project="p", location=location)
    client = Client(vertexai=True, project="p", location=location, credentials=credentials.for_mock_server())
    base_url = client._api_client._http_options.base_url
    assert (base_url or "").rstrip("/") == vertex.address(chosen)


def test_the_address_of_express_mode_is_the_one_that_the_sdk_uses() -> None:
    base_url = Client(vertexai=True, api_key="x")._api_client._http_options.base_url
    assert (base_url or "").rstrip("/") == vertex.address(settings(backend="vertex", api_key="x"))
