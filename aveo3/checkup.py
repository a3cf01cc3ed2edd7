"""Checks step by step whether settings can make clips, and explains each problem and its way out. Costs nothing.

It checks one place (backend, project, region, model); call it once per lane. `Backend.check` sends the request,
`verdicts.diagnosis` reads the answer, `verdicts.problems` holds the advice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from aveo3 import _threads
from aveo3.backends import http
from aveo3.backends.base import Backend, PollError, Probe
from aveo3.config.network import check_network
from aveo3.config.settings import Settings, check_alive, on_this_machine
from aveo3.errors import UsageError
from aveo3.lifecycle import SERVER, is_emulated
from aveo3.quota_checkup import QuotaReport, check_quota
from aveo3.verdicts import problems
from aveo3.verdicts.diagnosis import diagnose
from aveo3.verdicts.problems import CheckStep, CheckTarget, Finding, Problem

if TYPE_CHECKING:
    from aveo3.backends.vertex import VertexBackend

LONGEST_CALL = 20.0
"""Seconds that one request may take in a check, because a person waits for it."""

SHOWN_CHARACTERS = 600
"""How much of Google's words a report shows."""

QUOTA_AT_SERVER = "the server has the quota: `aveo3 check --quota` there tells it"
NO_QUOTA_HERE = "mock mode has no quota at Google"
NOTHING_TO_CHECK = "the emulator needs no credentials, no network and no money: there is nothing to check"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of a check: the steps that passed, and what is wrong."""

    backend: str
    why: str
    model: str
    project: str | None = None
    location: str | None = None
    credentials: str = ""
    address: str = ""
    seconds: float | None = None
    """From the request to Google's answer; None without an answer."""
    well: Mapping[CheckStep, str] = field(default_factory=dict)
    """A few words for each step that passed, in the order of the steps. A step that was not reached is missing."""
    wrong: tuple[Finding, ...] = ()
    settings_wrong: str = ""
    """What is wrong with the settings. If set, Google was asked nothing."""
    quota: QuotaReport | None = None
    """The project's own quota; None if it was not asked for, or a step before it failed."""

    @property
    def ok(self) -> bool:
        """True if no step failed."""
        return not self.wrong and not self.settings_wrong

    def as_dict(self) -> dict[str, Any]:
        """The report as `--json` prints it, in plain values. Each step is `ok`, `failed` or `not asked`."""
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
            "quota": None if self.quota is None else self.quota.as_dict(),
            "problems": [
                {"problem": f.problem, "step": f.step, "what": f.what, "way_out": f.way_out, "said": f.said}
                for f in self.wrong
            ],
        }

    def _state(self, step: CheckStep, failed: dict[CheckStep, Finding]) -> str:
        if step in failed or (step is CheckStep.SETTINGS and self.settings_wrong):
            return "failed"
        return "ok" if step in self.well else "not asked"


async def check(settings: Settings, *, quota: bool = False, lane: str | None = None) -> CheckReport:
    """Check credentials, project and model of `settings` with one free request, and the bucket with a second one.

    With `quota`, also read the project's quota, and compare it with the settings. `lane` says where to set its limits,
    such as `lane "a"`; None: in the VEO3_ variables.

    A problem is part of the report, never an exception. Nothing is sent that could create or bill a video.
    """
    try:
        name, why = settings.backend_choice()
    except UsageError as error:
        return CheckReport("", "", settings.model, settings_wrong=str(error))
    report = CheckReport(name, why, settings.model)
    if is_emulated(name):
        nothing = QuotaReport(note=NO_QUOTA_HERE) if quota else None
        return replace(report, well={CheckStep.SETTINGS: f"{_choice(report)}; {NOTHING_TO_CHECK}"}, quota=nothing)
    settings = settings.model_copy(update={"request_timeout": min(settings.request_timeout, LONGEST_CALL)})
    if name == SERVER:
        return await _check_server(report, settings, quota=quota)
    if name == "vertex" and settings.project is not None:
        report = replace(report, project=settings.project, location=settings.location)
    try:
        check_alive(settings)
        check_network(asks_proxies=not on_this_machine(settings.base_url))
        settings.model_catalog.check_backend(settings.model, name)
        report = replace(report, credentials=await _threads.reading.run(login_of, settings, name))
        backend = await _open(settings, name)
    except ValueError as error:  # includes UsageError
        return replace(report, settings_wrong=str(error))
    try:
        report = await _probed(report, settings, backend)
    finally:
        await backend.aclose()
    if quota and not {finding.step for finding in report.wrong} & _BEFORE_THE_PROJECT:
        report = _with_quota(report, await check_quota(settings, name, longest=LONGEST_CALL, lane=lane))
    return report


async def _check_server(report: CheckReport, settings: Settings, *, quota: bool) -> CheckReport:
    from aveo3.server_checkup import check_server

    try:
        check_alive(settings)
        check_network(asks_proxies=not on_this_machine(settings.server))
    except UsageError as error:
        return replace(report, settings_wrong=str(error))
    probe, well, finding = await check_server(settings)
    key = "VEO3_SERVER_KEY" if settings.server_key else "no key"
    report = replace(report, credentials=key, address=probe.address)
    if probe.status is not None:
        report = replace(report, seconds=probe.seconds)
    report = replace(report, well={CheckStep.SETTINGS: f"{_choice(report)}; {key}", **well})
    if quota:
        report = replace(report, quota=QuotaReport(note=QUOTA_AT_SERVER))
    if finding is None:
        return report
    words = [http.without_key(part, settings.server_key) for part in (finding.what, finding.way_out, finding.said)]
    finding = replace(finding, what=words[0], way_out=words[1], said=_one_line(words[2]))
    return replace(report, wrong=(finding,))


_BEFORE_THE_PROJECT = frozenset({CheckStep.ADDRESS, CheckStep.CREDENTIALS})
"""If one of these fails, reading the quota would fail for the same reason."""


def _with_quota(report: CheckReport, quota: QuotaReport) -> CheckReport:
    if quota.wrong is not None:
        finding = replace(quota.wrong, said=_one_line(quota.wrong.said))
        return replace(report, quota=quota, wrong=(*report.wrong, finding))
    if not quota.limits:
        return replace(report, quota=quota)
    words = "; ".join(limit.words for limit in quota.limits)
    return replace(report, quota=quota, well={**report.well, CheckStep.QUOTA: words})


async def _probed(report: CheckReport, settings: Settings, backend: Backend) -> CheckReport:
    """The report after Google's answer: `report` with the steps that passed, or the problem."""
    probe = await backend.check(settings.model)
    target = CheckTarget(
        report.backend, report.model, probe.address, report.project, report.location, settings.output_gcs_uri
    )
    finding = _finding(probe, target)
    if finding is not None:
        finding = replace(finding, said=http.without_key(finding.said, settings.api_key))
    seconds = None if probe.status is None else probe.seconds
    report = replace(report, address=probe.address, seconds=seconds)
    well = {CheckStep.SETTINGS: f"{_choice(report)}; {report.credentials}", **_passed(report, finding)}
    if finding is None and target.bucket is not None:
        emulated = on_this_machine(settings.storage_url)
        finding, words = await _check_bucket(cast("VertexBackend", backend), target, emulated=emulated)
        well |= {CheckStep.BUCKET: words} if finding is None else {}
    return replace(report, well=well, wrong=() if finding is None else (finding,))


def _finding(probe: Probe, target: CheckTarget) -> Finding | None:
    problem = probe.problem
    if problem is None and probe.status is not None:
        problem = diagnose(probe.status, probe.body, target)
    if problem is None:
        return None
    finding = problems.explain(problem, target, probe.body, probe.said)
    words = _one_line(finding.said)
    return replace(finding, said=words if probe.status is None else f"HTTP {probe.status}: {words}".rstrip(": "))


def _one_line(words: str) -> str:
    """`words` in one line without control characters, cut after `SHOWN_CHARACTERS` (an HTML page is long)."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())
    return plain if len(plain) <= SHOWN_CHARACTERS else f"{plain[:SHOWN_CHARACTERS]}…"


def _passed(report: CheckReport, finding: Finding | None) -> dict[CheckStep, str]:
    """The steps that passed before the one in `finding`, with a few words for each."""
    if report.seconds is None:
        return {}
    words = {
        CheckStep.ADDRESS: f"{report.address} answered in {1000 * report.seconds:.0f} ms",
        CheckStep.CREDENTIALS: "accepted",
        CheckStep.PROJECT: f"project {report.project} can be used"
        if report.project
        else "the API key's project can be used",
        CheckStep.MODEL: f"{report.model} answers",
    }
    if finding is None:
        return words
    proven = list(words).index(finding.step)
    if finding.problem in (Problem.BUSY, Problem.UNKNOWN):
        proven = 1  # an answer proves the address and nothing more
    return {step: words[step] for step in list(words)[:proven]}


async def _check_bucket(backend: VertexBackend, target: CheckTarget, *, emulated: bool) -> tuple[Finding | None, str]:
    """The bucket's problem, or None and a few words. Only Vertex AI writes to a bucket."""
    try:
        await backend.check_bucket(target.bucket or "")
    except (PollError, UsageError) as error:
        if emulated and "there is no bucket" in str(error):
            return None, f"{target.bucket} does not exist yet: the emulator creates it with the first video"
        return problems.explain(Problem.BUCKET, target, said=_one_line(str(error))), ""
    return None, f"{target.bucket} can be listed; only the first video shows whether Vertex AI may write there"


def _choice(report: CheckReport) -> str:
    return f"backend {report.backend} ({report.why}), model {report.model}"


async def _open(settings: Settings, name: str) -> Backend:
    if name == "gemini":
        from aveo3.backends.gemini import GeminiBackend

        return await GeminiBackend.open(settings)
    from aveo3.backends.vertex import VertexBackend

    return await VertexBackend.open(settings)


def login_of(settings: Settings, backend: str) -> str:
    """The kind of credentials, in words. Raises `UsageError` without any.

    It sends nothing, except to the metadata server of a Google Cloud machine.
    """
    from aveo3.backends import credentials  # google.auth is costly to import

    if backend == "gemini":
        credentials.gemini_key(settings)
        return "API key, Gemini API"
    login = credentials.for_vertex(settings)
    if "api_key" in login:
        where = f"project {settings.project} in {settings.location}" if "project" in login else "Vertex AI express mode"
        return f"API key, {where}"
    kind = type(login["credentials"]).__module__.removeprefix("google.").replace("oauth2.", "")
    return f"{kind}, project {settings.project} in {settings.location}"
