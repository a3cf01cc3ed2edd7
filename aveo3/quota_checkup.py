"""Compares the quota that Google lists for a lane's project with the settings of the lane. Costs nothing.

`backends.project_quotas` asks Google, `verdicts.project_quotas` finds the quotas of the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from aveo3.config.settings import Settings
from aveo3.errors import UsageError
from aveo3.verdicts import quota_problems
from aveo3.verdicts.problems import CheckTarget, Finding, Problem
from aveo3.verdicts.project_quotas import Counts, ListedQuota, limits_of, per_minute


class Comparison(StrEnum):
    """The quota against what is set."""

    SAME = "same"
    LOWER = "lower"
    """Lower than what is set: refusals are to be expected."""
    HIGHER = "higher"
    """Higher than what is set: a part of it stays unused."""
    NOT_SET = "not_set"
    """Nothing is set, so nothing keeps aveo3 below the quota but refusals."""
    UNLIMITED = "unlimited"

    @property
    def fits(self) -> bool:
        """True if there is nothing to tell."""
        return self in (Comparison.SAME, Comparison.UNLIMITED)


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """One quota of the project, and what the settings have for it. The tightest of each kind has an `advice`."""

    quota: ListedQuota
    compared: Comparison
    now: int | None
    """What is set, or what aveo3 starts with. None: nothing."""
    now_period: float
    is_set: bool
    words: str
    """The quota and the comparison, for people."""
    advice: str = ""
    """What to set. Empty if nothing is to be changed."""

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it. Periods are in seconds; null for operations at once."""
        quota = self.quota
        return {
            "setting": quota.counts.value,
            "limit": quota.limit,
            "period": None if math.isinf(quota.period) else quota.period,
            "compared": self.compared.value,
            "now": self.now,
            "now_period": None if math.isinf(self.now_period) else self.now_period,
            "now_is_set": self.is_set,
            "advice": self.advice or None,
            "metric": quota.metric,
            "quota_id": quota.quota_id,
            "base_model": quota.base_model,
            "guessed": quota.guessed,
        }


@dataclass(frozen=True, slots=True)
class QuotaReport:
    """What Google lists for one lane. `note` says why there is nothing, if that is no fault."""

    source: str = ""
    limits: tuple[QuotaLimit, ...] = ()
    note: str = ""
    wrong: Finding | None = None

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it. A problem is among the problems of the check."""
        return {
            "source": self.source or None,
            "limits": [limit.as_dict() for limit in self.limits],
            "note": self.note or None,
        }


async def check_quota(settings: Settings, backend: str, *, longest: float, lane: str | None = None) -> QuotaReport:
    """Read the quota of the project, model and location of `settings`, and compare it with them. Sends only GETs.

    `backend` is `vertex` or `gemini`. `lane` names the place of the limits for the advice, such as `lane "a"`; None:
    the VEO3_ variables. One request may take `longest` seconds. A problem is part of the report, never an exception.
    """
    from aveo3.backends import project_quotas as reader  # google.auth is costly to import

    if backend == "gemini":
        return QuotaReport(note=quota_problems.GEMINI)
    try:
        login = await reader.login_of(settings)
    except UsageError as error:
        return QuotaReport(note=str(error))
    if login is None:
        return QuotaReport(note=quota_problems.EXPRESS)
    project, model, location = settings.project, settings.model, settings.location
    listing = await reader.read(
        settings,
        login,
        is_closed=lambda failed: (
            failed.status is not None
            and quota_problems.problem_of(failed.status, failed.body, project) in quota_problems.CLOSED
        ),
        longest=longest,
    )
    if (failed := listing.failed) is not None:
        target = CheckTarget("quotas", model, failed.address, project, location)
        problem = failed.problem or quota_problems.problem_of(failed.status or 0, failed.body, project)
        finding = quota_problems.explain(problem, target, failed.body, failed.said)
        if failed.status is not None:
            finding = replace(finding, said=f"HTTP {failed.status}: {finding.said}".rstrip(": "))
        return QuotaReport(listing.source, wrong=finding)
    found = limits_of(listing.quotas, model, location)
    if not found:
        note = (
            f"Google lists no quota for {model} in {location}: project {project} may have no access to it there, or "
            f"no limit. See {quota_problems.CONSOLE}?project={project}"
        )
        return QuotaReport(listing.source, note=note)
    wrong = None
    if any(quota.limit == 0 and not quota.guessed for quota in found):
        target = CheckTarget("quotas", model, "", project, location)
        wrong = quota_problems.explain(Problem.NO_QUOTA, target)
    tightest = {quota.counts: quota for quota in reversed(found)}
    limits = tuple(_compared(quota, settings, lane, advised=tightest[quota.counts] is quota) for quota in found)
    return QuotaReport(listing.source, limits, wrong=wrong)


def _compared(quota: ListedQuota, settings: Settings, lane: str | None, *, advised: bool) -> QuotaLimit:
    now, period, is_set = _now(quota.counts, settings)
    if quota.limit is None:
        compared = Comparison.UNLIMITED
    elif now is None:
        compared = Comparison.NOT_SET
    else:
        theirs, ours = per_minute(quota), now if math.isinf(period) else now * 60 / period
        compared = Comparison.HIGHER if theirs > ours else Comparison.LOWER
        compared = Comparison.SAME if math.isclose(theirs, ours) else compared
    ours_in_words = "" if now is None else _amount(now, period, quota.counts)
    start = f"set now: {ours_in_words}" if is_set else f"not set: aveo3 starts with {ours_in_words}"
    words = {
        Comparison.SAME: f"{start}, which is the same",
        Comparison.LOWER: f"{start}, which is more: expect refusals",
        Comparison.HIGHER: f"{start}, so a part of the quota stays unused",
        Comparison.NOT_SET: f"{f'VEO3_{quota.counts.upper()}' if lane is None else quota.counts} is not set",
        Comparison.UNLIMITED: "Google sets no limit here",
    }[compared]
    advice = ""
    if advised and quota.limit and not compared.fits:
        advice = f"set {_setting(quota, settings, lane)}"
    return QuotaLimit(quota, compared, now, period, is_set, f"{_in_words(quota, settings)}; {words}", advice)


def _now(counts: Counts, settings: Settings) -> tuple[int | None, float, bool]:
    """What the settings have for a kind of quota: the limit, its period in seconds, and whether it is set."""
    if counts is Counts.RATE:
        rate = settings.rate(settings.model)
        return rate.limit, rate.period, settings.rate_limit is not None
    if counts is Counts.DAY:
        return settings.daily_limit, 86_400.0, settings.daily_limit is not None
    return settings.max_concurrency, math.inf, settings.max_concurrency is not None


def _setting(quota: ListedQuota, settings: Settings, lane: str | None) -> str:
    """What to set, such as `VEO3_RATE_LIMIT=50`, or `rate_limit = 50 in lane "a"`."""
    assert quota.limit is not None
    values: dict[str, float] = {quota.counts.value: quota.limit}
    if quota.counts is Counts.RATE:
        if quota.period != settings.rate_period:
            values["rate_period"] = quota.period
        if settings.burst is not None and settings.burst > quota.limit:
            values["burst"] = quota.limit  # more at once than in a period is refused
    return _as_variables(values) if lane is None else _as_fields(values, lane)


def _as_variables(values: Mapping[str, float]) -> str:
    return " ".join(f"VEO3_{name.upper()}={_number(value)}" for name, value in values.items())


def _as_fields(values: Mapping[str, float], lane: str) -> str:
    return f"{', '.join(f'{name} = {_number(value)}' for name, value in values.items())} in {lane}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _in_words(quota: ListedQuota, settings: Settings) -> str:
    whose = f"for {settings.model}"
    if quota.all_models:
        whose = "for all models together"
    elif quota.base_model is None:
        whose = f"for {settings.model} and all other models without a quota of their own, each"
    amount = "any number of requests" if quota.limit is None else _amount(quota.limit, quota.period, quota.counts)
    sure = " (aveo3 guesses that this is the quota that counts)" if quota.guessed else ""
    return f"{amount} {whose} in {settings.location}{sure}"


def _amount(limit: int, period: float, counts: Counts) -> str:
    if counts is Counts.CONCURRENT:
        return f"{limit} operation{'s' if limit != 1 else ''} at once"
    per = {60.0: "a minute", 3600.0: "an hour", 86_400.0: "a day"}.get(period, f"in {period:g} seconds")
    return f"{limit} request{'s' if limit != 1 else ''} {per}"
