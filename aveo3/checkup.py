"""Whether clips could be made with given settings: each step, what is wrong, and the way out. Costs nothing.

One place at a time (backend, project, region, model): whoever has several asks for each. What Google is asked is the
backends' business (`Backend.check`), what its answers mean that of `diagnosis`, and what to do that of `remedies`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from aveo3.backends import http
from aveo3.backends.base import Backend, PollError, Probe
from aveo3.client import check_alive
from aveo3.config.settings import Settings, on_this_machine
from aveo3.errors import UsageError
from aveo3.verdicts import problems
from aveo3.verdicts.diagnosis import diagnose
from aveo3.verdicts.problems import Asked, CheckStep, Finding, Problem

if TYPE_CHECKING:
    from aveo3.backends.vertex import VertexBackend

LONGEST = 20.0
"""Seconds that any one call may take here: it is a person who waits."""

MOST_WORDS = 600
"""Characters of Google's words that are shown."""

NOTHING_TO_CHECK = "the emulator needs neither credentials nor network and bills nobody: there is nothing to check"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What became of each step, in their order: the words for it if it is well; missing if it was not come to."""

    backend: str
    why: str
    model: str
    project: str | None = None
    location: str | None = None
    credentials: str = ""
    address: str = ""
    seconds: float | None = None
    """From the call to Google's answer; None if there was none."""
    well: Mapping[CheckStep, str] = field(default_factory=dict)
    wrong: tuple[Finding, ...] = ()
    settings_wrong: str = ""
    """What is wrong with the settings; nothing was asked then."""

    @property
    def ok(self) -> bool:
        """True if all answer that were asked."""
        return not self.wrong and not self.settings_wrong

    def as_dict(self) -> dict[str, Any]:
        """All of it in plain values: what `--json` prints. `state` of a step is ok, failed or not asked."""
        failed = {finding.step: finding for finding in self.wrong}
        return {
            "ok": self.ok,
            "backend": self.backend,
            "why": self.why,
            "model": self.model,
            "project": self.project,
            "location": self.location,
            "credentials": self.credentials,
            "address": self.address,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "steps": {step.value: self._state(step, failed) for step in CheckStep},
            "settings_wrong": self.settings_wrong or None,
            "problems": [
                {"problem": f.problem, "step": f.step, "what": f.what, "way_out": f.way_out, "said": f.said}
                for f in self.wrong
            ],
        }

    def _state(self, step: CheckStep, failed: dict[CheckStep, Finding]) -> str:
        if step in failed or (step is CheckStep.SETTINGS and self.settings_wrong):
            return "failed"
        return "ok" if step in self.well else "not asked"


async def check(settings: Settings) -> CheckReport:
    """Ask Google once, for free, whether credentials, project and model of `settings` answer; and their bucket, once.

    Raises nothing for what is wrong: that is what it tells. Nothing is sent that could create or bill a video.
    """
    try:
        name, why = settings.backend_choice()
    except UsageError as error:
        return CheckReport("", "", settings.model, settings_wrong=str(error))
    sheet = CheckReport(name, why, settings.model)
    if name == "mock":
        return replace(sheet, well={CheckStep.SETTINGS: f"{_choice(sheet)}; {NOTHING_TO_CHECK}"})
    settings = settings.model_copy(update={"request_timeout": min(settings.request_timeout, LONGEST)})
    if name == "vertex" and settings.project is not None:
        sheet = replace(sheet, project=settings.project, location=settings.location)
    try:
        check_alive(settings)
        settings.model_catalog.check_backend(settings.model, name)
        sheet = replace(sheet, credentials=await asyncio.to_thread(login_of, settings, name))
        backend = await _open(settings, name)
    except ValueError as error:  # as is every UsageError
        return replace(sheet, settings_wrong=str(error))
    try:
        return await _asked(sheet, settings, backend)
    finally:
        await backend.aclose()


async def _asked(sheet: CheckReport, settings: Settings, backend: Backend) -> CheckReport:
    probe = await backend.check(settings.model)
    asked = Asked(sheet.backend, sheet.model, probe.address, sheet.project, sheet.location, settings.output_gcs_uri)
    finding = _finding(probe, asked)
    if finding is not None:
        finding = replace(finding, said=http.without_key(finding.said, settings.api_key))
    seconds = None if probe.status is None else probe.seconds
    sheet = replace(sheet, address=probe.address, seconds=seconds)
    well = {CheckStep.SETTINGS: f"{_choice(sheet)}; {sheet.credentials}", **_well(sheet, finding)}
    if finding is None and asked.bucket is not None:
        where = on_this_machine(settings.storage_url)
        finding, words = await _look_into(cast("VertexBackend", backend), asked, emulated=where)
        well |= {CheckStep.BUCKET: words} if finding is None else {}
    return replace(sheet, well=well, wrong=() if finding is None else (finding,))


def _finding(probe: Probe, asked: Asked) -> Finding | None:
    problem = probe.problem
    if problem is None and probe.status is not None:
        problem = diagnose(probe.status, probe.body, asked)
    if problem is None:
        return None
    finding = problems.explain(problem, asked, probe.body, probe.said)
    said = _line(finding.said)
    return replace(finding, said=said if probe.status is None else f"HTTP {probe.status}: {said}".rstrip(": "))


def _line(words: str) -> str:
    """Google's words in one line, and of a page no more than shows what it is."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())
    return plain if len(plain) <= MOST_WORDS else f"{plain[:MOST_WORDS]}…"


def _well(sheet: CheckReport, finding: Finding | None) -> dict[CheckStep, str]:
    """The steps that were gone through before the one that failed, and what there is to say of them."""
    if sheet.seconds is None:
        return {}
    words = {
        CheckStep.ADDRESS: f"{sheet.address} answered in {1000 * sheet.seconds:.0f} ms",
        CheckStep.CREDENTIALS: "accepted",
        CheckStep.PROJECT: f"project {sheet.project} may be used"
        if sheet.project
        else "that of the API key may be used",
        CheckStep.MODEL: f"{sheet.model} answers",
    }
    if finding is None:
        return words
    proven = list(words).index(finding.step)
    if finding.problem in (Problem.BUSY, Problem.UNKNOWN):
        proven = 1  # somebody is there: no more than that
    return {step: words[step] for step in list(words)[:proven]}


async def _look_into(backend: VertexBackend, asked: Asked, *, emulated: bool) -> tuple[Finding | None, str]:
    """What is wrong with the bucket, or that it is well in words. Only Vertex AI writes to any."""
    try:
        await backend.check_bucket(asked.bucket or "")
    except (PollError, UsageError) as error:
        if emulated and "there is no bucket" in str(error):
            return None, f"{asked.bucket} is not there yet: an emulator makes it with the first video"
        return problems.explain(Problem.BUCKET, asked, said=_line(str(error))), ""
    return None, f"{asked.bucket} can be listed; whether Vertex AI may write there shows with the first video"


def _choice(sheet: CheckReport) -> str:
    return f"backend {sheet.backend} ({sheet.why}), model {sheet.model}"


async def _open(settings: Settings, name: str) -> Backend:
    if name == "gemini":
        from aveo3.backends.gemini import GeminiBackend

        return await GeminiBackend.open(settings)
    from aveo3.backends.vertex import VertexBackend

    return await VertexBackend.open(settings)


def login_of(settings: Settings, backend: str) -> str:
    """What kind of credentials there is. Raises `UsageError` without any. Asks nobody but a Google machine's own."""
    from aveo3.backends import credentials  # google.auth is costly to import

    if backend == "gemini":
        credentials.gemini_key(settings)
        return "API key, Gemini API"
    found = credentials.for_vertex(settings)
    if "api_key" in found:
        where = f"project {settings.project} in {settings.location}" if "project" in found else "Vertex AI express mode"
        return f"API key, {where}"
    kind = type(found["credentials"]).__module__.removeprefix("google.").replace("oauth2.", "")
    return f"{kind}, project {settings.project} in {settings.location}"
