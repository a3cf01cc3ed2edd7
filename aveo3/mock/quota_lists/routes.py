"""`quotaInfos.list` of the Cloud Quotas API, `consumerQuotaMetrics.list` of Service Usage: the emulator's own quotas.

At Google each has a host of its own; here all have the emulator's. A Bearer token may read every project; an API key
none. Bodies as on Google's reference pages (2026-11); the words of a missing permission are guessed.
"""

from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from aveo3.mock import error_bodies
from aveo3.mock.config.faults import Point
from aveo3.mock.error_bodies import Answer, RequestError
from aveo3.mock.http.auth import authorized
from aveo3.mock.http.fault_effects import perform, respond
from aveo3.mock.quota_lists.rows import DAY, Row, full, rows
from aveo3.mock.state.emulator import Emulator

MOST = 4
"""Quotas on a page. Google's servers may send fewer than asked for; so do these, always."""

_CLOUD_QUOTAS = "/v1/projects/{project:[^/]+}/locations/{location:[^/]+}/services/{service:[^/]+}/quotaInfos"
_SERVICE_USAGE = "/v1beta1/projects/{project:[^/]+}/services/{service:[^/]+}/consumerQuotaMetrics"
_TITLES = {
    "cloudquotas.googleapis.com": ("Cloud Quotas API", "cloudquotas.quotas.get"),
    "serviceusage.googleapis.com": ("Service Usage API", "serviceusage.quotas.get"),
}
_ODD_QUOTA = (
    '{"metric": "aiplatform.googleapis.com/long_running_online_prediction_requests_per_base_model", "unit": "1/min/x", '
    '"refreshInterval": "minute", "%s": [null, 1, [], {"%s": null}, {"%s": 1e400}, {"%s": "1e9"}, {"%s": true}]}'
)
_ODD = (
    '{"quotaInfos": [null, 7, "text", [], {}, {"metric": 1, "refreshInterval": {}, "dimensionsInfos": "x"}, '
    + _ODD_QUOTA % ("dimensionsInfos", *["details"] * 4)
    + '], "metrics": [null, 7, {"consumerQuotaLimits": [null, 3, '
    + _ODD_QUOTA % ("quotaBuckets", *["effectiveLimit"] * 4)
    + "]}]}"
)


class QuotaListWire:
    """Both lists show the same quotas."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get(_CLOUD_QUOTAS, self.quota_infos, allow_head=False)
        yield web.get(_SERVICE_USAGE, self.metrics, allow_head=False)

    async def quota_infos(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["location"] != "global":
            raise RequestError(error_bodies.invalid("The location of a quota info must be 'global'."))
        return await self._list(request, "cloudquotas.googleapis.com", "quotaInfos", _quota_info)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        return await self._list(request, "serviceusage.googleapis.com", "metrics", _metric)

    async def _list(
        self, request: web.Request, host: str, key: str, resource: Callable[[Row, str], dict[str, Any]]
    ) -> web.StreamResponse:
        authorized(request, "vertex")
        fault = self.emulator.strike(Point.QUOTA_LIST)
        if (struck := _struck(fault, host, request.match_info["project"])) is not None:
            return respond(struck)
        if fault is not None and fault != "quota-endless":
            return await perform(fault, request, self.emulator)
        if request.match_info["service"] != error_bodies.SERVICE["vertex"]:
            raise RequestError(
                error_bodies.not_found("The mock server lists quotas of aiplatform.googleapis.com only.")
            )
        found = self._rows(request.match_info["project"])
        start, size = _start(request.query.get("pageToken", ""), len(found)), _size(request.query.get("pageSize", ""))
        page = found[start : start + size]
        parent = request.path.removeprefix("/v1/").removeprefix("/v1beta1/")
        body: dict[str, Any] = {key: [resource(row, parent) for row in page]}
        if fault == "quota-endless":
            body["nextPageToken"] = "again"
        elif start + size < len(found):
            body["nextPageToken"] = f"from-{start + size}"
        return respond(Answer(200, body))

    def _rows(self, project: str) -> list[Row]:
        emulator = self.emulator
        named = {rule.location for rule in emulator.quotas.rules if rule.location and "*" not in rule.location}
        seen = {lane.location for lane in emulator.quotas.lanes}
        return rows(project, emulator.quotas.rules_of, named | seen, emulator.clock.client_seconds)


def _struck(fault: str | None, host: str, project: str) -> Answer | None:
    title, permission = _TITLES[host]
    if fault == "quota-403":
        return error_bodies.error(
            403,
            "PERMISSION_DENIED",
            f"Permission '{permission}' denied on resource "
            f"'//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not exist).",
        )
    if fault == "quota-disabled":
        return error_bodies.service_disabled(title, host)
    return Answer(200, _ODD) if fault == "quota-odd" else None


def _start(token: str, length: int) -> int:
    if not token or token == "again":
        return 0
    number = token.removeprefix("from-")
    if not number.isdecimal() or not 0 < int(number) < length:
        raise RequestError(error_bodies.invalid("Invalid page token."))
    return int(number)


def _size(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise RequestError(error_bodies.invalid("Invalid value at 'page_size' (TYPE_INT32)."))
    return min(int(text or 0) or MOST, MOST)


# ---- bodies ----------------------------------------------------------------------------------------------------------


def _quota_info(row: Row, parent: str) -> dict[str, Any]:
    info: dict[str, Any] = {
        "name": f"{parent}/{row.quota_id}",
        "quotaId": row.quota_id,
        "metric": full(row.metric),
        "service": error_bodies.SERVICE["vertex"],
        "containerType": "PROJECT",
        "dimensionsInfos": [
            {
                # Google's JSON leaves out what is empty, and a number that is 0.
                **({"dimensions": value.dimensions} if value.dimensions else {}),
                "details": {"value": str(value.limit)} if value.limit else {},
                "applicableLocations": list(value.locations),
            }
            for value in row.values
        ],
    }
    if row.dimensions:
        info["dimensions"] = list(row.dimensions)
    if row.concurrent:
        info["isConcurrent"] = True
    elif row.seconds is not None:
        info["refreshInterval"] = _interval(row.seconds)
    return info


def _metric(row: Row, parent: str) -> dict[str, Any]:
    per = "" if row.seconds is None else f"{_short(row.seconds)}/"
    unit = f"1/{per}{{project}}" + "".join(f"/{{{name}}}" for name in row.dimensions)
    buckets = [
        # A bucket is for one location, and says so, unless the quota has no regions.
        {
            "effectiveLimit": str(value.limit),
            "defaultLimit": str(value.limit),
            **({"dimensions": dimensions} if dimensions else {}),
        }
        for value in reversed(row.values)
        for place in (value.locations if "region" in row.dimensions else ("",))
        if (dimensions := {**value.dimensions, **({"region": place} if place else {})}) is not None
    ]
    name = f"{parent}/{full(row.metric).replace('/', '%2F')}"
    limit = {"name": f"{name}/limits/{unit}", "metric": full(row.metric), "unit": unit, "quotaBuckets": buckets}
    return {"name": name, "metric": full(row.metric), "consumerQuotaLimits": [limit], "unit": "1"}


def _interval(seconds: float) -> str:
    return {60.0: "minute", 3600.0: "hour", DAY: "day"}.get(seconds, f"{seconds:g} seconds")


def _short(seconds: float) -> str:
    return {60.0: "min", 3600.0: "h", DAY: "d"}.get(seconds, f"{seconds:g}s")
