"""The quotas of one project, as rows that both APIs list. Pure: quota rules in, rows out.

Known from users (2026-11): Veo's metric, which counts for each base model and region, a minute; the models' ids as base
models; the quota of all models of a region beside it. Guessed: the metrics for a day and for operations at once, and
everything about Omni. Google lists no spend limits.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from aveo3.mock.error_bodies import SERVICE
from aveo3.mock.models import MODELS, OMNI
from aveo3.mock.quota_rules import Kind, QuotaLane, QuotaRule

REGIONS = (
    "asia-northeast1",
    "asia-southeast1",
    "europe-west1",
    "europe-west4",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-west1",
)
DAY = 86_400.0
UNLIMITED = -1

Rules = Callable[[QuotaLane], Iterable[QuotaRule]]
"""Returns the rules of a lane, at most one of each kind."""


@dataclass(frozen=True, slots=True)
class Value:
    """One limit, for the dimensions it names, and the locations where it applies. -1: no limit."""

    limit: int
    dimensions: dict[str, str]
    locations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One quota. `seconds` is its period; None: it counts what is in use at once."""

    metric: str
    quota_id: str
    seconds: float | None
    dimensions: tuple[str, ...]
    values: tuple[Value, ...]
    concurrent: bool = False


def rows(project: str, rules: Rules, locations: Iterable[str], client_seconds: Callable[[float], float]) -> list[Row]:
    """Every quota of `project`. `client_seconds` converts a period to seconds of the client's clock.

    `locations` are those that requests have named; the usual regions are always listed.
    """
    places = tuple(sorted({*REGIONS, *locations} - {"global"}))
    veo = [model for surface, model in MODELS if surface == "vertex"]
    omni = [model for surface, model in OMNI if surface == "vertex"]

    def limits(kind: Kind, models: list[str], where: tuple[str, ...]) -> dict[tuple[str, str], QuotaRule]:
        lanes = [QuotaLane(project, place, model) for model in models for place in where]
        return {(lane.model, lane.location): rule for lane in lanes for rule in rules(lane) if rule.kind == kind}

    def listed(kind: Kind, metric: str, quota_id: str, models: list[str], where: tuple[str, ...]) -> Iterator[Row]:
        found = limits(kind, models, where)
        if not found and kind != "minute":
            return
        period = next((rule.period for rule in found.values()), 60.0)
        seconds = {"minute": client_seconds(period), "day": DAY}.get(kind)
        regional = where != ("global",)
        values = _values(models, where, lambda model, place: _limit(found.get((model, place))), regional=regional)
        dimensions = ("region", "base_model") if regional else ("base_model",)
        yield Row(metric, quota_id, seconds, dimensions, tuple(values), concurrent=kind == "concurrent")

    by_minute, by_day = "RequestsPerMinutePerProject", "RequestsPerDayPerProject"
    return [
        *_OTHERS[:3],
        Row(
            "long_running_online_prediction_requests",
            f"LongRunningOnlinePrediction{by_minute}PerRegion",
            60.0,
            ("region",),
            (Value(UNLIMITED, {}, places),),
        ),
        *listed(
            "minute",
            "long_running_online_prediction_requests_per_base_model",
            f"LongRunningOnlinePrediction{by_minute}PerRegionPerBaseModel",
            veo,
            places,
        ),
        *listed(
            "day",
            "long_running_online_prediction_requests_per_base_model_per_day",
            f"LongRunningOnlinePrediction{by_day}PerRegionPerBaseModel",
            veo,
            places,
        ),
        *listed(
            "concurrent",
            "long_running_online_prediction_concurrent_requests_per_base_model",
            "LongRunningOnlinePredictionConcurrentRequestsPerProjectPerRegionPerBaseModel",
            veo,
            places,
        ),
        *_OTHERS[3:],
        *listed(
            "minute",
            "global_generate_content_requests_per_minute_per_project_per_base_model",
            f"GlobalGenerateContent{by_minute}PerBaseModel",
            omni,
            ("global",),
        ),
        *listed(
            "day",
            "global_generate_content_requests_per_day_per_project_per_base_model",
            f"GlobalGenerateContent{by_day}PerBaseModel",
            omni,
            ("global",),
        ),
    ]


def _values(
    models: Iterable[str], where: tuple[str, ...], limit: Callable[[str, str], int], *, regional: bool
) -> Iterator[Value]:
    """The values of one quota, those with more dimensions first, as Google orders them."""
    usual: list[Value] = []
    for model in models:
        by_place = {place: limit(model, place) for place in where}
        [(most, _)] = Counter(by_place.values()).most_common(1)
        for place, value in by_place.items():
            if value != most:
                yield Value(value, {"region": place, "base_model": model}, (place,))
        places = tuple(place for place, value in by_place.items() if value == most)
        usual.append(Value(most, {"base_model": model}, places if regional else ("global",)))
    yield from usual


def _limit(rule: QuotaRule | None) -> int:
    return UNLIMITED if rule is None or rule.limit is None else int(rule.limit)


def full(metric: str) -> str:
    """The metric with the name of its service."""
    return f"{SERVICE['vertex']}/{metric}"


def _other(metric: str, quota_id: str, seconds: float | None, *values: Value) -> Row:
    dimensions = tuple(sorted({name for value in values for name in value.dimensions}))
    return Row(metric, quota_id, seconds, dimensions, values)


_OTHERS = (
    _other(
        "online_prediction_requests_per_base_model",
        "OnlinePredictionRequestsPerMinutePerProjectPerRegionPerBaseModel",
        60.0,
        Value(5, {"base_model": "textembedding-gecko"}, REGIONS),
        Value(60, {}, REGIONS),
    ),
    _other(
        "generate_content_input_tokens_per_minute_per_base_model",
        "GenerateContentInputTokensPerMinutePerRegionPerBaseModel",
        60.0,
        Value(4_000_000, {"base_model": "gemini-2.5-flash"}, REGIONS),
    ),
    _other(
        "custom_model_training_nvidia_l4_gpus",
        "CustomModelTrainingNvidiaL4GPUsPerProjectPerRegion",
        None,
        Value(0, {}, REGIONS),
    ),
    _other(
        "global_online_prediction_requests_per_base_model",
        "GlobalOnlinePredictionRequestsPerMinutePerProjectPerBaseModel",
        60.0,
        Value(90, {"base_model": "anthropic-claude-sonnet"}, ("global",)),
    ),
    _other(
        "batch_prediction_requests",
        "BatchPredictionRequestsPerDayPerProject",
        DAY,
        Value(2**63 - 1, {}, ("global",)),
    ),
)
"""Quotas that have nothing to do with videos: a project has hundreds of them."""
