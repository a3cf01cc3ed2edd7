"""The emulator lists its own quotas as the Cloud Quotas API and the Service Usage API do."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from aveo3.mock import FAULTS, MockOptions, MockServer
from aveo3.mock.config.faults import Point
from aveo3.mock.quota_lists.routes import MOST

CLOUD_QUOTAS = "/v1/projects/alpha/locations/global/services/aiplatform.googleapis.com/quotaInfos"
SERVICE_USAGE = "/v1beta1/projects/alpha/services/aiplatform.googleapis.com/consumerQuotaMetrics"
PATHS = {CLOUD_QUOTAS: "quotaInfos", SERVICE_USAGE: "metrics"}
TOKEN = {"Authorization": "Bearer token"}
VEO = "aiplatform.googleapis.com/long_running_online_prediction_requests_per_base_model"
MODEL = "veo-3.1-generate-001"


class Lister:
    def __init__(self, server: MockServer, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http

    async def ask(self, path: str, query: dict[str, str] | None = None, headers: Any = TOKEN) -> tuple[int, Any]:
        async with self.http.get(self.server.url + path, params=query, headers=headers) as response:
            raw = await response.text()
            return response.status, json.loads(raw) if raw.startswith("{") else raw

    async def all(self, path: str, size: int = 1000) -> list[Any]:
        """Every quota, page by page."""
        found: list[Any] = []
        query = {"pageSize": str(size)}
        while True:
            status, body = await self.ask(path, query)
            assert status == 200
            assert len(body[PATHS[path]]) <= min(size, MOST)
            found += body[PATHS[path]]
            if "nextPageToken" not in body:
                return found
            query["pageToken"] = body["nextPageToken"]

    async def infos(self) -> dict[str, Any]:
        return {info["metric"]: info for info in await self.all(CLOUD_QUOTAS)}


@asynccontextmanager
async def listing(**options: Any) -> AsyncIterator[Lister]:
    chosen = MockOptions.model_validate({"films": "bundled", **options})
    async with MockServer(chosen) as server, aiohttp.ClientSession() as http:
        yield Lister(server, http)


async def test_both_apis_list_the_quota_of_every_model_for_every_region() -> None:
    async with listing(rpm=7, quotas=["location=europe-west4,model=veo-3.1-generate-001,rpm=20"]) as lister:
        info = (await lister.infos())[VEO]
        [metric] = [each for each in await lister.all(SERVICE_USAGE) if each["metric"] == VEO]
    first, *others = info["dimensionsInfos"]  # what has more dimensions comes first
    assert first == {
        "dimensions": {"region": "europe-west4", "base_model": MODEL},
        "details": {"value": "20"},
        "applicableLocations": ["europe-west4"],
    }
    assert {each["dimensions"]["base_model"]: each["details"] for each in others}[MODEL] == {"value": "7"}
    assert (info["refreshInterval"], info["dimensions"]) == ("minute", ["region", "base_model"])
    [limit] = metric["consumerQuotaLimits"]
    assert limit["unit"] == "1/min/{project}/{region}/{base_model}"
    buckets = [bucket for bucket in limit["quotaBuckets"] if bucket["dimensions"]["base_model"] == MODEL]
    values = {bucket["dimensions"]["region"]: bucket["effectiveLimit"] for bucket in buckets}
    assert (values["europe-west4"], values["us-central1"]) == ("20", "7")


async def test_a_quota_of_0_has_no_value_and_no_limit_is_minus_1() -> None:
    async with listing(rpm=None) as lister:
        assert (await lister.infos())[VEO]["dimensionsInfos"][0]["details"] == {"value": "-1"}
        lister.server.set_quota(rpm=0)
        assert (await lister.infos())[VEO]["dimensionsInfos"][0]["details"] == {}


async def test_quotas_for_a_day_and_at_once_are_listed_if_there_are_any() -> None:
    async with listing() as lister:
        without = await lister.infos()
        lister.server.set_quota(rpd=100, concurrency=3)
        found = {name: info for name, info in (await lister.infos()).items() if name not in without}
    assert {info.get("refreshInterval", info.get("isConcurrent")) for info in found.values()} == {"day", True}


async def test_a_fast_clock_lists_the_seconds_of_the_clients_clock() -> None:
    async with listing(speed=60) as lister:
        assert (await lister.infos())[VEO]["refreshInterval"] == "1 seconds"


@pytest.mark.parametrize("path", PATHS)
async def test_pages_follow_each_other_and_hold_what_was_asked_for_at_most(path: str) -> None:
    async with listing() as lister:
        by_one, by_many = [await lister.all(path, size) for size in (1, 1000)]
        assert by_one == by_many
        assert len(by_many) > MOST
        for query in ({"pageToken": "x"}, {"pageToken": "from-99"}, {"pageSize": "x"}, {"pageSize": "-1"}):
            assert (await lister.ask(path, query))[0] == 400


@pytest.mark.parametrize("path", PATHS)
async def test_lists_need_a_token_and_know_one_service(path: str) -> None:
    async with listing() as lister:
        assert (await lister.ask(path, headers={}))[0] == 401
        assert (await lister.ask(path, headers={"x-goog-api-key": "key"}))[0] == 401
        assert (await lister.ask(path.replace("aiplatform", "compute")))[0] == 404
        assert (await lister.ask(CLOUD_QUOTAS.replace("global", "us-central1")))[0] == 400
        assert lister.server.books.submits == 0


STRUCK: dict[str, tuple[int | str, str]] = {
    "quota-403": (403, "denied on resource"),
    "quota-disabled": (403, "SERVICE_DISABLED"),
    "quota-404": (404, "NOT_FOUND"),
    "quota-429": (429, "RESOURCE_EXHAUSTED"),
    "quota-503": (503, "UNAVAILABLE"),
    "quota-drop": ("ServerDisconnectedError", ""),
    "quota-hang": ("ServerDisconnectedError", ""),
    "quota-garbage": (200, "<html>"),
    "quota-odd": (200, "null"),
    "quota-endless": (200, "again"),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("fault", "expected"), STRUCK.items())
async def test_a_fault_strikes_a_list(fault: str, expected: tuple[int | str, str], path: str) -> None:
    async with listing(faults=[fault], hang=0.01) as lister:
        try:
            async with lister.http.get(lister.server.url + path, headers=TOKEN) as response:
                answer: tuple[int | str, str] = (response.status, await response.text())
        except aiohttp.ClientError as error:
            answer = (type(error).__name__, "")
        assert answer[0] == expected[0]
        assert expected[1] in answer[1]
        assert lister.server.books.faults[fault] >= 1


def test_every_fault_of_a_list_has_a_test() -> None:
    assert set(STRUCK) == {name for name, (point, _) in FAULTS.items() if point is Point.QUOTA_LIST}
