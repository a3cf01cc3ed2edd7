"""The 429s of quotas, with Google's texts and delays. Pure; reads no clock."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aveo3.mock.error_bodies import RPC, SERVICE, Answer, error
from aveo3.mock.models import Surface
from aveo3.mock.quota_rules import QuotaLane, QuotaRule
from aveo3.mock.quotas import Violation

_SPEND = (
    "You exceeded your spend-based rate limit. Your spending rate has exceeded the allowed limit for your account's "
    "billing history and tier."
)
_CONCURRENT = "Online prediction concurrent requests quota exceeded"
BARE = "Resource has been exhausted (e.g. check quota)."
_LIMITS_PAGE = "https://ai.google.dev/gemini-api/docs/rate-limits"
_PLAN = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    f"head to: {_LIMITS_PAGE}. To monitor your current usage, head to: https://ai.dev/rate-limit. "
)
# Delays of real per-day refusals, hours before the end of the day. They mislead, and a client has to handle that.
_DAILY_DELAYS = (585.678, 34.07, 22.0, 1.58)


@dataclass(frozen=True, slots=True)
class RefusalWriter:
    """Writes the 429 for the rules that refused: its form, and whether it names a delay and the limit."""

    style: Literal["detailed", "text", "bare", "vertex"] = "detailed"
    retry_info: bool = True
    quota_value: bool = True

    def write(
        self, violations: Sequence[Violation], lane: QuotaLane, base: str, surface: Surface, delay: float | None
    ) -> Answer:
        """Return one answer for all `violations`. `delay` is in the client's seconds; None: no delay."""
        rules = [violation.rule for violation in violations]
        requests = [rule for rule in rules if rule.kind in ("minute", "day") or rule.limit == 0]
        if self.style == "bare":
            return error(429, "RESOURCE_EXHAUSTED", BARE)
        # Google names one kind at a time; a request meets the request quotas first.
        if not requests:
            return error(429, "RESOURCE_EXHAUSTED", _SPEND if rules[0].kind == "spend" else _CONCURRENT)
        if self.style == "vertex":
            return error(429, "RESOURCE_EXHAUSTED", _vertex_sentence(requests[0], base))
        named_delay = delay if self.retry_info else None
        details = [
            {
                "@type": RPC + "Help",
                "links": [{"description": "Learn more about Gemini API quotas", "url": _LIMITS_PAGE}],
            },
            {
                "@type": RPC + "QuotaFailure",
                "violations": [self._violation(rule, lane, base, surface) for rule in requests],
            },
        ]
        if named_delay is not None:
            details.append({"@type": RPC + "RetryInfo", "retryDelay": protobuf_duration(named_delay)})
        return error(
            429,
            "RESOURCE_EXHAUSTED",
            self._prose(requests, base, surface, named_delay),
            *(details if self.style == "detailed" else ()),
        )

    def _prose(self, rules: Sequence[QuotaRule], base: str, surface: Surface, delay: float | None) -> str:
        lines = [_PLAN]
        for rule in rules:
            limit = f", limit: {rule.most:.0f}" if self.quota_value else ""
            lines.append(f"* Quota exceeded for metric: {_metric(rule, surface, base)}{limit}, model: {_short(base)}")
        if delay is not None:
            lines.append(f"Please retry in {_go_duration(delay)}.")
        return "\n".join(lines)

    def _violation(self, rule: QuotaRule, lane: QuotaLane, base: str, surface: Surface) -> dict[str, Any]:
        violation = {
            "quotaMetric": _metric(rule, surface, base),
            "quotaId": _quota_id(rule, surface, base),
            "quotaDimensions": {"location": lane.location, "model": _short(base)},
        }
        if self.quota_value:
            violation["quotaValue"] = f"{rule.most:.0f}"  # a string, because JSON numbers cannot hold every int64
        return violation


def misleading_delay(violations: Sequence[Violation], now: float, rng: random.Random) -> float | None:
    """The delay in seconds that Google names; None where it names none (concurrency, limit 0, spend).

    It is right for the minute. For the day it is a few seconds or minutes at any hour, as recorded.
    """
    minute = [v.free_at - now for v in violations if v.rule.kind == "minute" and math.isfinite(v.free_at)]
    day = [v.free_at - now for v in violations if v.rule.kind == "day" and math.isfinite(v.free_at)]
    if day:
        return min(rng.choice(_DAILY_DELAYS), *day)
    return max(minute) if minute else None


def _is_omni(base: str) -> bool:
    return base.startswith("gemini-omni")


def _metric(rule: QuotaRule, surface: Surface, base: str) -> str:
    if _is_omni(base) and surface == "developer":
        return f"{SERVICE[surface]}/generate_content_paid_tier_2_requests"  # live, for Omni
    if _is_omni(base):
        return f"{SERVICE[surface]}/generate_content_requests_per_minute_per_project_per_base_model"
    name = (
        "predict_long_running_requests_per_model"
        if surface == "developer"
        else "long_running_online_prediction_requests_per_base_model"
    )
    return f"{SERVICE[surface]}/{name}{'_per_day' if rule.kind == 'day' else ''}"


def _quota_id(rule: QuotaRule, surface: Surface, base: str) -> str:
    # Never seen live for Veo: built like the ids of other models, GenerateRequestsPerMinutePerProjectPerModel.
    per = "PerDay" if rule.kind == "day" else "PerMinute"
    if _is_omni(base):
        return f"GenerateRequests{per}PerProjectPerModel"
    if surface == "developer":
        return f"PredictLongRunningRequests{per}PerProjectPerModel"
    return f"LongRunningOnlinePredictionRequests{per}PerProjectPerRegionPerBaseModel"


def _vertex_sentence(rule: QuotaRule, base: str) -> str:
    return (
        f"Quota exceeded for {_metric(rule, 'vertex', base)} with base model: {base}. Please submit a quota increase "
        "request. https://cloud.google.com/vertex-ai/docs/generative-ai/quotas-genai."
    )


def _short(base: str) -> str:
    return base.removesuffix("-generate")


def protobuf_duration(seconds: float) -> str:
    """A google.protobuf.Duration in JSON: 585s, 34.074824s."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _go_duration(seconds: float) -> str:
    """Format a duration as in Google's messages: 9m45.678s, 34.07s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = protobuf_duration(rest)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text
