"""Checks whether an `aveo3 serve` answers, takes the key and has the model: one free request, which orders nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aveo3 import verdicts
from aveo3.backends.base import Probe
from aveo3.backends.server import ServerBackend, why_not
from aveo3.config.settings import Settings
from aveo3.verdicts.problems import CheckStep, Finding, Problem


async def check_server(settings: Settings) -> tuple[Probe, dict[CheckStep, str], Finding | None]:
    """The answer of the server of `settings`, the steps that passed, and the problem; None if all is well."""
    backend = ServerBackend.unopened(settings)
    try:
        probe = await backend.about()
    finally:
        await backend.aclose()
    well: dict[CheckStep, str] = {}
    if probe.status is None:
        return probe, well, _finding(probe, settings, CheckStep.ADDRESS, probe.problem or Problem.UNKNOWN)
    if probe.status == 404:
        return probe, well, _finding(probe, settings, CheckStep.ADDRESS, Problem.NOTHING_THERE)
    well[CheckStep.ADDRESS] = f"{probe.address} answered in {1000 * probe.seconds:.0f} ms"
    if probe.status in (401, 403):
        problem = Problem.BAD_KEY if probe.status == 401 else Problem.PERMISSION
        return probe, well, _finding(probe, settings, CheckStep.CREDENTIALS, problem)
    if probe.status != 200:
        message = verdicts.message_of(probe.body) or f"HTTP {probe.status}"
        what = "the server takes no requests now"
        return probe, well, Finding(Problem.AWAY, CheckStep.ADDRESS, what, "Try again in a minute.", message)
    about: Mapping[str, Any] = probe.body
    waiting, most = about.get("waiting", 0), about.get("maxQueued")
    queue = f"{waiting:,} of your requests wait" + (f", at most {most:,} may" if most else "")
    made_by = "" if about.get("service") == "google" else f"; its clips come from: {about.get('service')}"
    well[CheckStep.CREDENTIALS] = f"you are {about.get('caller')}; {queue}{made_by}"
    models = about.get("models") or []
    if settings.model not in models and not about.get("anyModel"):
        what = f"the server does not make {settings.model} for you"
        way_out = f"Use a model that it makes (VEO3_MODEL, --model): {', '.join(models) or 'it has none'}."
        return probe, well, Finding(Problem.NO_MODEL, CheckStep.MODEL, what, way_out)
    well[CheckStep.MODEL] = f"{settings.model} is made there"
    return probe, well, None


def _finding(probe: Probe, settings: Settings, step: CheckStep, problem: Problem) -> Finding:
    what, _, way_out = (why_not(probe, settings) or "").partition(". ")
    return Finding(problem, step, what, way_out or "Check the address in VEO3_SERVER.", probe.said)
