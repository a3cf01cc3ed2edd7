"""The problems that can prevent reading a project's quota: what each one means, and what to do about it. Pure.

The rest of a check does not depend on it: whoever may make clips need not be allowed to read quotas.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aveo3.verdicts import problems, reasons_of
from aveo3.verdicts.diagnosis import diagnose
from aveo3.verdicts.problems import CheckStep, CheckTarget, Finding, Problem
from aveo3.verdicts.project_quotas import SERVICE

API = "cloudquotas.googleapis.com"
ROLE = "roles/cloudquotas.viewer"
CONSOLE = f"https://console.cloud.google.com/apis/api/{SERVICE}/quotas"

GEMINI = (
    "the Gemini API does not tell a key its quota. https://ai.dev/rate-limit shows that of the key's "
    "project: set VEO3_RATE_LIMIT and VEO3_DAILY_LIMIT from there, or let aveo3 learn them from refusals"
)
EXPRESS = (
    "an API key may not read quotas, only a login may. To see them, set GOOGLE_CLOUD_PROJECT and run `gcloud auth "
    f"application-default login`, or look at {CONSOLE}"
)

CLOSED = frozenset({Problem.API_DISABLED, Problem.PERMISSION})
"""The project has not opened this API to the account. Another API may be open."""

_NETWORK = (
    "Try again. If it happens again, check whether a firewall or proxy (HTTPS_PROXY) blocks {address}. "
    "aveo3 makes clips without it."
)
_OTHER_SERVER = (
    "If VEO3_BASE_URL is set, check again without it: Google's own address has the list. Networks that ask for a "
    "login first answer like this, too."
)
_WAYS_OUT = {
    Problem.PERMISSION: (
        "the account may not read the quotas of project {project}",
        "Ask an owner of the project to run `gcloud projects add-iam-policy-binding {project} "
        "--member=user:YOU@EXAMPLE.COM --role=" + ROLE + "` (for a service account, --member=serviceAccount:…).",
    ),
    Problem.API_DISABLED: (
        "the Cloud Quotas API is not enabled in project {project}",
        "Enable it, which costs nothing: `gcloud services enable " + API + " --project={project}`. Check again in a "
        "few minutes.",
    ),
    Problem.QUOTA_PROJECT: (
        "the account may not charge requests to project {project}, which reading quotas needs",
        "Ask an owner of the project to run `gcloud projects add-iam-policy-binding {project} "
        "--member=user:YOU@EXAMPLE.COM --role=roles/serviceusage.serviceUsageConsumer`.",
    ),
    Problem.NO_PROJECT: (
        "Google does not find the project {project}",
        "Check GOOGLE_CLOUD_PROJECT: it takes the project's ID, not its name.",
    ),
    Problem.NO_NAME: ("DNS does not find the host of {address}", _NETWORK),
    Problem.REFUSED: ("no server listens at {address} (connection refused)", _NETWORK),
    Problem.NO_ROUTE: ("there is no connection to {address}", _NETWORK),
    Problem.TIMEOUT: ("{address} did not answer in time", _NETWORK),
    Problem.DROPPED: ("{address} closed the connection without an answer", _NETWORK),
    Problem.AWAY: ("{address} is unavailable", _NETWORK),
    Problem.BUSY: (
        "Google answers 429: too many questions about quotas",
        "Wait a minute and check again. It says nothing about your videos.",
    ),
    Problem.NOT_GOOGLE: ("the server at {address} does not list quotas as Google does", _OTHER_SERVER),
    Problem.NOTHING_THERE: ("the server at {address} does not have Google's list of quotas", _OTHER_SERVER),
    Problem.REDIRECTED: ("{address} redirects to another address", _OTHER_SERVER),
    Problem.NO_QUOTA: (
        "the quota of project {project} for {model} in {location} is 0: Google refuses every submit",
        "Ask for quota at " + CONSOLE + "?project={project}, or use another model, location or project.",
    ),
}


def problem_of(status: int, body: Any, project: str | None) -> Problem:
    """The problem in an HTTP answer that is no list of quotas."""
    found = diagnose(status, body, CheckTarget("quotas", "", "", project))
    if found is Problem.NO_MODEL:  # a 404 of a model's API; these only know projects
        return Problem.NO_PROJECT
    return found if found is not None else Problem.NOT_GOOGLE


def explain(problem: Problem, target: CheckTarget, body: Any = None, said: str = "") -> Finding:
    """What `problem` means for reading the quota, and the way out. `body` is Google's answer, `said` other words."""
    finding = replace(problems.explain(problem, target, body, said), step=CheckStep.QUOTA)
    if problem not in _WAYS_OUT:
        return finding
    words = {
        "address": target.address or f"https://{API}",
        "project": target.project or "PROJECT",
        "model": target.model,
        "location": target.location or "",
    }
    what, way_out = (text.format(**words) for text in _WAYS_OUT[problem])
    if problem is Problem.API_DISABLED and (link := _activation(body)):
        way_out = f"{way_out} In the browser: {link}"
    return replace(finding, what=what, way_out=way_out)


def _activation(body: Any) -> str:
    """The page that enables the API, as Google names it."""
    for detail in reasons_of(body).values():
        if isinstance(url := detail.get("activationUrl"), str) and problems.CONSOLE_LINK.fullmatch(url):
            return url
    return ""
