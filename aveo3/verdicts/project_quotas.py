"""Reads the quotas that Google lists for a project, and finds those that limit the submits of one model. Pure.

Two APIs list them: the Cloud Quotas API (`quotaInfos`) and the older Service Usage API (`consumerQuotaMetrics`). What
is read of either becomes the same `ListedQuota`.

Sources (2026-11): the reference pages of `projects.locations.services.quotaInfos` and
`services.consumerQuotaMetrics.limits`. Reported by users: the metric of Veo with `base_model` and `region`, its unit
`1/min/{project}/{region}/{base_model}`, the prefixes `global_`, `us_multi_region_` and `eu_multi_region_`, and
`details: {}` for a quota of 0. Guessed: everything about Omni, whose quota nobody has published. Only a quota that
names the model counts there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SERVICE = "aiplatform.googleapis.com"

_VEO = "long_running_online_prediction_requests_per_base_model"
_VEO_REGION = "long_running_online_prediction_requests"
"""All models of a region together."""

_ENDPOINTS = {"global_": "global", "us_multi_region_": "us", "eu_multi_region_": "eu"}
"""Metrics that count at one location only, by the beginning of their names."""

_UNITS = {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400}
DAY = 86_400.0
UNLIMITED = frozenset({-1, 2**63 - 1})


class Counts(StrEnum):
    """What a quota counts, by the setting that stands for it."""

    RATE = "rate_limit"
    DAY = "daily_limit"
    CONCURRENT = "max_concurrency"


@dataclass(frozen=True, slots=True)
class ListedQuota:
    """One value of one quota of a project, for the dimensions that it names.

    `limit` is None for no limit. `period` is in seconds, infinite for operations at once. `dimensions` are those that
    the value is for (`base_model`, `region`); `locations` those where it counts, empty for everywhere.
    """

    metric: str
    quota_id: str
    counts: Counts
    limit: int | None
    period: float
    dimensions: Mapping[str, str]
    locations: frozenset[str]

    @property
    def base_model(self) -> str | None:
        """The model that the value is for; None for all that have no value of their own, or for all together."""
        return self.dimensions.get("base_model") or self.dimensions.get("model")

    @property
    def all_models(self) -> bool:
        """True if the requests of all models count together."""
        return self.metric == _VEO_REGION

    @property
    def guessed(self) -> bool:
        """True if nobody has reported that this quota is the one that counts for the model."""
        return self.metric not in (_VEO, _VEO_REGION)


def of_cloud_quotas(infos: Iterable[Any]) -> Iterator[ListedQuota]:
    """Every readable value in `quotaInfos`. Skips what has another shape; never raises."""
    for info in infos:
        if not isinstance(info, Mapping):
            continue
        metric, quota_id = _name(info.get("metric")), _text(info.get("quotaId"))
        how = _counts(_interval(_text(info.get("refreshInterval"))), concurrent=info.get("isConcurrent") is True)
        if how is None or not _counts_requests(metric):
            continue
        for entry in _list(info.get("dimensionsInfos")):
            if not isinstance(entry, Mapping):
                continue
            details = entry.get("details")
            # JSON of Google's leaves out a number that is 0.
            value = details.get("value", 0) if isinstance(details, Mapping) else None
            if (limit := _whole(value)) is None:
                continue
            places = frozenset(_text(place) for place in _list(entry.get("applicableLocations"))) - {""}
            yield ListedQuota(
                metric, quota_id, how[0], _limit(limit), how[1], _dimensions(entry.get("dimensions")), places
            )


def of_service_usage(metrics: Iterable[Any]) -> Iterator[ListedQuota]:
    """Every readable value in `metrics` of `consumerQuotaMetrics`. Skips what has another shape; never raises."""
    for each in metrics:
        for limit_info in _list(each.get("consumerQuotaLimits")) if isinstance(each, Mapping) else ():
            if not isinstance(limit_info, Mapping):
                continue
            unit = _text(limit_info.get("unit"))
            metric = _name(limit_info.get("metric") or each.get("metric"))
            how = _counts(_interval(unit.removeprefix("1/").partition("/")[0]), concurrent=False)
            if how is None or not _counts_requests(metric):
                continue
            for bucket in _list(limit_info.get("quotaBuckets")):
                if not isinstance(bucket, Mapping) or (limit := _whole(bucket.get("effectiveLimit", 0))) is None:
                    continue
                dimensions = _dimensions(bucket.get("dimensions"))
                places = frozenset({dimensions["region"]} if "region" in dimensions else ())
                if not places and "{region}" not in unit:
                    places = frozenset({"global"})
                yield ListedQuota(metric, unit, how[0], _limit(limit), how[1], dimensions, places)


def limits_of(listed: Iterable[ListedQuota], model: str, location: str) -> tuple[ListedQuota, ...]:
    """The quotas that limit the submits of `model` in `location`, the tightest of each kind first.

    Guesses count only for kinds of which there is no quota that is known to count.

    Of the values of one quota, the one with the most dimensions counts, as Google says. A quota without a limit is
    there only if it is the model's own for a short time: elsewhere it says nothing.
    """
    best: dict[tuple[str, Counts, float], ListedQuota] = {}
    for quota in listed:
        if not _is_for(quota, model, location):
            continue
        key = quota.metric, quota.counts, quota.period
        if key not in best or _rank(quota, model) > _rank(best[key], model):
            best[key] = quota
    chosen = [
        quota
        for quota in best.values()
        if quota.limit is not None or (quota.counts is Counts.RATE and not quota.all_models)
    ]
    surely = {quota.counts for quota in chosen if not quota.guessed}
    chosen = [quota for quota in chosen if not quota.guessed or quota.counts not in surely]
    order = list(Counts)
    return tuple(sorted(chosen, key=lambda quota: (order.index(quota.counts), per_minute(quota))))


def per_minute(quota: ListedQuota) -> float:
    """The limit of `quota` for a minute, infinite without a limit. Operations at once count as they are."""
    if quota.limit is None:
        return math.inf
    return quota.limit if math.isinf(quota.period) else quota.limit * 60 / quota.period


def _is_for(quota: ListedQuota, model: str, location: str) -> bool:
    endpoint = next((place for prefix, place in _ENDPOINTS.items() if quota.metric.startswith(prefix)), None)
    if endpoint is not None and endpoint != location:
        return False
    # `global` alone stands for a quota without regions: it counts wherever the request goes.
    if endpoint is None and quota.locations not in ({"global"}, set()) and location not in quota.locations:
        return False
    for name, value in quota.dimensions.items():
        if name in ("base_model", "model"):
            if value not in names_of(model):
                return False
        elif name != "region" or value != location:
            return False  # a dimension that aveo3 does not know, or another region
    return quota.base_model is not None or quota.metric in (_VEO, _VEO_REGION)


def _rank(quota: ListedQuota, model: str) -> tuple[int, bool]:
    return len(quota.dimensions), quota.base_model == model


def names_of(model: str) -> tuple[str, ...]:
    """The names that a quota may give to `model`: its id (reported for Veo), else without its version (as others)."""
    return model, re.sub(r"-(\d{3}|preview)$", "", model)


def _counts(period: float | None, *, concurrent: bool) -> tuple[Counts, float] | None:
    if concurrent:
        return Counts.CONCURRENT, math.inf
    if period is None:
        return None  # what is allocated, not requested
    return (Counts.DAY if period == DAY else Counts.RATE), period


def _counts_requests(metric: str) -> bool:
    return "request" in metric and "token" not in metric


def _interval(text: str) -> float | None:
    """Seconds of `minute`, `day`, `10 seconds`, `min`, `10min`; None for anything else."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)?\s?(second|s|minute|min|hour|h|day|d)s?", text.strip().lower())
    if match is None or float(match[1] or 1) == 0:
        return None
    return float(match[1] or 1) * _UNITS[match[2]]


def _whole(value: Any) -> int | None:
    """An int64 as JSON has it: a string, or a number. None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < 2**63:
        return None
    return value


def _limit(value: int) -> int | None:
    return None if value in UNLIMITED else value


def _dimensions(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {name: text for name, text in value.items() if isinstance(name, str) and isinstance(text, str)}


def _name(metric: Any) -> str:
    return _text(metric).rpartition("/")[2]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
