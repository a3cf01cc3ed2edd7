"""`checkup.check` with `quota`, against the emulator's own quotas over real sockets. Nothing is ever owed."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.auth.credentials import Credentials
from google.oauth2.credentials import Credentials as Person

from aveo3 import Settings
from aveo3.backends import credentials
from aveo3.backends.project_quotas import CLOUD_QUOTAS, SERVICE_USAGE
from aveo3.checkup import CheckReport, check
from aveo3.mock import MockOptions, MockServer
from aveo3.quota_checkup import Comparison, check_quota
from aveo3.verdicts.problems import CheckStep, Finding, Problem
from tests.support.raw_server import Act, Wire, raw, serving
from tests.support.settings import settings
from tests.support.ssl_context import SSL_CONTEXT

KEY = "AIzaSy-secret-key-0123456789"

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture(autouse=True)
def one_ssl_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)


@asynccontextmanager
async def emulator(**options: Any) -> AsyncIterator[MockServer]:
    async with MockServer(MockOptions.model_validate({"films": "bundled", **options})) as server:
        yield server


def towards(server: MockServer, **values: Any) -> Settings:
    return settings(**{"base_url": server.url, "backend": "vertex", "project": "alpha", **values})


async def asked(values: dict[str, Any], lane: str | None = None, **options: Any) -> CheckReport:
    """The report of a check with `values`, against an emulator with `options`. Nothing may be owed after it."""
    async with emulator(**options) as server:
        report = await check(towards(server, **values), quota=True, lane=lane)
        books = server.books
        assert (books.submits, books.accepted, books.running, books.billed_usd) == (0, 0, 0, 0)
        assert [path for path in books.posts if not path.endswith(":fetchPredictOperation")] == []
    return report


def told(report: CheckReport) -> list[tuple[int | None, Comparison, str]]:
    assert report.quota is not None
    return [(limit.quota.limit, limit.compared, limit.advice) for limit in report.quota.limits]


# ---- what to set -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "compared", "advice"),
    [
        ({"rate_limit": 30}, Comparison.SAME, ""),
        ({"rate_limit": 3, "rate_period": 6}, Comparison.SAME, ""),
        ({"rate_limit": 10}, Comparison.HIGHER, "set VEO3_RATE_LIMIT=30"),
        ({"rate_limit": 90}, Comparison.LOWER, "set VEO3_RATE_LIMIT=30"),
        ({}, Comparison.LOWER, "set VEO3_RATE_LIMIT=30"),  # the model's usual quota is 50
        ({"rate_limit": 1, "rate_period": 10}, Comparison.HIGHER, "set VEO3_RATE_LIMIT=30 VEO3_RATE_PERIOD=60"),
        ({"rate_limit": 90, "burst": 80}, Comparison.LOWER, "set VEO3_RATE_LIMIT=30 VEO3_BURST=30"),
    ],
)
async def test_the_projects_quota_is_compared_with_what_is_set(
    values: dict[str, Any], compared: Comparison, advice: str
) -> None:
    report = await asked(values, rpm=30)
    assert (report.ok, told(report)) == (True, [(30, compared, advice)])


async def test_the_advice_can_be_taken() -> None:
    async with emulator(rpm=7, rpd=40, concurrency=3, quotas=["project=beta,rpm=1"]) as server:
        first = await check(towards(server), quota=True)
        assert first.quota is not None
        pairs = dict(each.split("=") for limit in first.quota.limits for each in limit.advice.split()[1:])
        assert pairs == {"VEO3_RATE_LIMIT": "7", "VEO3_DAILY_LIMIT": "40", "VEO3_MAX_CONCURRENCY": "3"}
        values = {name.removeprefix("VEO3_").lower(): int(value) for name, value in pairs.items()}
        second = await check(towards(server, **values), quota=True)
    assert [compared for _, compared, _ in told(second)] == [Comparison.SAME] * 3


async def test_a_lane_is_told_to_set_its_own_fields() -> None:
    report = await asked({"rate_limit": 5}, 'lane "a"', rpm=30, rpd=40)
    assert [advice for _, _, advice in told(report)] == [
        'set rate_limit = 30 in lane "a"',
        'set daily_limit = 40 in lane "a"',
    ]


async def test_each_location_has_its_own_quota() -> None:
    async with emulator(rpm=30, quotas=["location=europe-west4,rpm=20", "location=me-west1,rpm=4"]) as server:
        for location, limit in (("us-central1", 30), ("europe-west4", 20), ("me-west1", 4)):
            assert told(await check(towards(server, location=location), quota=True))[0][0] == limit


@pytest.mark.parametrize("model", ["veo-3.1-fast-generate-001", "gemini-omni-1.2-flash"])
async def test_each_model_has_its_own_quota(model: str) -> None:
    location = "global" if "omni" in model else "us-central1"
    report = await asked({"model": model, "location": location}, rpm=30, quotas=[f"model={model},rpm=4"])
    assert told(report)[0][0] == 4
    assert report.quota is not None
    # Nobody has published which quota counts for Omni.
    assert report.quota.limits[0].quota.guessed == ("omni" in model) == ("guesses" in report.well[CheckStep.QUOTA])


async def test_no_limit_is_told_as_such() -> None:
    report = await asked({}, rpm=None)
    assert (report.ok, told(report)) == (True, [(None, Comparison.UNLIMITED, "")])


async def test_a_quota_of_0_is_a_failed_step() -> None:
    report = await asked({}, rpm=0)
    [finding] = report.wrong
    assert (finding.step, finding.problem, report.as_dict()["steps"]["quota"]) == ("quota", Problem.NO_QUOTA, "failed")
    assert "veo-3.1-generate-001 in us-central1 is 0" in finding.what


async def test_a_model_or_location_that_is_not_listed_is_no_fault() -> None:
    report = await asked({"location": "moon-west1"})
    assert (report.ok, told(report)) == (True, [])
    assert report.quota is not None
    assert report.quota.note.startswith("Google lists no quota for veo-3.1-generate-001 in moon-west1")


# ---- who may not read it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"backend": "gemini", "api_key": KEY}, "https://ai.dev/rate-limit"),
        ({"project": None, "api_key": KEY}, "GOOGLE_CLOUD_PROJECT"),
    ],
)
async def test_a_key_cannot_read_a_quota_and_is_told_where_to_look(values: dict[str, Any], words: str) -> None:
    report = await asked(values)
    assert report.ok
    assert report.quota is not None
    assert (words in report.quota.note, report.quota.source, report.quota.limits) == (True, "", ())
    assert report.as_dict()["steps"]["quota"] == "not asked"


async def test_mock_mode_has_no_quota_at_google() -> None:
    report = await check(settings(mock_mode=True), quota=True)
    assert report.quota is not None
    assert report.quota.note == "mock mode has no quota at Google"


async def test_a_step_that_fails_before_leaves_the_quota_unasked() -> None:
    report = await asked({}, faults=["bad-key"])
    assert (report.quota, report.as_dict()["quota"]) == (None, None)
    assert (await asked({}, faults=["no-access"], rpm=0)).quota is not None


async def test_without_the_option_no_quota_is_asked_for() -> None:
    async with emulator(faults=["quota-403"]) as server:
        report = await check(towards(server))
        assert (report.ok, report.quota, server.books.faults) == (True, None, {})


FAULTS: dict[str, tuple[Problem, str]] = {
    "quota-403": (Problem.PERMISSION, "--role=roles/cloudquotas.viewer"),
    "quota-disabled": (Problem.API_DISABLED, "gcloud services enable cloudquotas.googleapis.com --project=alpha"),
    "quota-404": (Problem.NO_PROJECT, "GOOGLE_CLOUD_PROJECT"),
    "quota-429": (Problem.BUSY, "Wait a minute"),
    "quota-503": (Problem.AWAY, "Try again"),
    "quota-drop": (Problem.DROPPED, "HTTPS_PROXY"),
    "quota-hang": (Problem.TIMEOUT, "HTTPS_PROXY"),
    "quota-garbage": (Problem.NOT_GOOGLE, "VEO3_BASE_URL"),
    "quota-endless": (Problem.NOT_GOOGLE, "VEO3_BASE_URL"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_keeps_the_quota_from_being_read_is_told_with_the_way_out(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "quota-hang":
        monkeypatch.setattr("aveo3.checkup.LONGEST_CALL", 0.5)
    report = await asked({}, faults=[fault])
    [finding] = report.wrong
    expected, way_out = FAULTS[fault]
    assert (finding.step, finding.problem) == (CheckStep.QUOTA, expected), finding
    assert way_out in finding.way_out
    assert CheckStep.MODEL in report.well
    assert not report.ok
    [problem] = json.loads(json.dumps(report.as_dict()))["problems"]
    assert (problem["step"], problem["problem"]) == ("quota", expected.value)


@pytest.mark.parametrize("fault", ["quota-403@1", "quota-disabled@1"])
async def test_where_one_api_is_closed_the_other_lists_the_same(fault: str) -> None:
    options: dict[str, Any] = {"rpm": 30, "rpd": 400, "quotas": ["location=europe-west4,rpm=20"]}
    for location in ("us-central1", "europe-west4"):
        plain = await asked({"location": location}, **options)
        other = await asked({"location": location}, faults=[fault], **options)
        assert plain.quota is not None
        assert other.quota is not None
        assert (plain.quota.source, other.quota.source) == (CLOUD_QUOTAS.host, SERVICE_USAGE.host)
        assert (other.ok, told(other)) == (True, told(plain))


async def test_a_list_in_odd_shapes_holds_no_quota() -> None:
    for fault in ("quota-odd", "quota-403@1"):
        faults = [fault, "quota-odd"]
        report = await asked({}, faults=faults)
        assert (report.ok, told(report)) == (True, [])


# ---- other servers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"quotaInfos": ' + b"9" * 10_000 + b"}",
        b'{"quotaInfos": {}}',
        b'{"nextPageToken": 7}',
        b"[]",
        b"null",
        b"\xff\xfe",
        b"",
    ],
)
async def test_a_body_that_is_no_list_is_a_finding(body: bytes) -> None:
    assert (await finding_of(answer(200, body))).problem is Problem.NOT_GOOGLE


async def test_an_answer_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.backends.project_quotas.MOST_BYTES", 1000)
    finding = await finding_of(answer(200, b'{"quotaInfos": []}' + b" " * 1000))
    assert "more than 1000 bytes" in finding.said


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    async with serving(answer(200, b"{}")) as other:
        finding = await finding_of(answer(302, b"", f"Location: {other.url}/"))
        assert (finding.problem, other.requests) == (Problem.REDIRECTED, [])


class Robot(Credentials):
    """The login of a service account whose token was revoked; the next one is good."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = "revoked-token"

    def refresh(self, request: object) -> None:
        self.token = "good-token"


async def test_a_refused_token_is_renewed_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "for_vertex", lambda settings: {"credentials": Robot()})
    denied = b'{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no, good-token"}}'
    async with serving(answer(401, b"{}"), answer(403, denied)) as wire:
        finding = await found_by(wire)
    assert [request.headers["authorization"] for request in wire.requests] == [
        "Bearer revoked-token",
        *["Bearer good-token"] * 2,  # the second API was asked, too
    ]
    assert not any("x-goog-user-project" in request.headers for request in wire.requests)
    assert finding.said == "HTTP 403: no, (the token)"


async def test_the_login_of_a_person_names_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google refuses a person's login without one: these APIs have to know whose quota a request counts in."""
    for login, project in (
        (Person("token"), "alpha"),  # type: ignore[no-untyped-call]
        (Person("token", quota_project_id="beta"), "beta"),  # type: ignore[no-untyped-call]
    ):
        monkeypatch.setattr(credentials, "for_vertex", lambda settings, login=login: {"credentials": login})
        async with serving(answer(404, b"{}")) as wire:
            await found_by(wire)
        assert wire.requests[0].headers["x-goog-user-project"] == project
        assert wire.requests[0].path == (
            "/v1/projects/alpha/locations/global/services/aiplatform.googleapis.com/quotaInfos?pageSize=1000"
        )


async def test_a_link_is_passed_on_only_if_it_can_do_no_harm_on_a_terminal() -> None:
    for link, shown in (("https://console.x/a?project=1", True), ("https://console.x/\x1b[2J", False)):
        detail = {"reason": "SERVICE_DISABLED", "metadata": {"activationUrl": link}}
        body = {"error": {"code": 403, "message": "disabled", "details": [detail]}}
        finding = await finding_of(answer(403, json.dumps(body).encode()))
        assert (finding.problem, link in finding.way_out) == (Problem.API_DISABLED, shown)


async def test_only_the_first_failure_is_told_if_both_apis_fail() -> None:
    async with emulator(faults=["quota-disabled@1", "quota-503@2"]) as server:
        [finding] = (await check(towards(server), quota=True)).wrong
    assert finding.problem is Problem.API_DISABLED


async def test_a_server_that_is_not_there_is_a_finding() -> None:
    values = settings(backend="vertex", project="alpha", base_url="http://127.0.0.1:1")
    report = await check_quota(values, "vertex", longest=5.0)
    assert report.wrong is not None
    assert (report.wrong.problem, "HTTPS_PROXY" in report.wrong.way_out) == (Problem.REFUSED, True)


def answer(status: int, body: bytes, *headers: str) -> Act:
    lines = [f"HTTP/1.1 {status} Whatever", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return raw("\r\n".join([*lines, "", ""]).encode() + body)


async def finding_of(act: Act) -> Finding:
    async with serving(act) as wire:
        return await found_by(wire)


async def found_by(wire: Wire) -> Finding:
    report = await check_quota(settings(backend="vertex", project="alpha", base_url=wire.url), "vertex", longest=5.0)
    assert report.wrong is not None
    return report.wrong
