"""Each answer to a free request leads to its own problem, and each problem has a way out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aveo3.verdicts.diagnosis import diagnose
from aveo3.verdicts.problems import REMEDIES, CheckStep, CheckTarget, Problem, explain
from tests.support.denials import EXPRESS, GEMINI, VERTEX, denied, rpc

MODEL = "projects/my-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
OPERATION = f"{MODEL}/operations/00000000-0000-4000-8000-000000000000"
LINK = "https://console.developers.google.com/apis/api/aiplatform.googleapis.com/overview?project=123"
NOT_ENABLED = (
    f"Vertex AI API has not been used in project 123 before or it is disabled. Enable it by visiting {LINK} then"
)


def page(status: int, title: str) -> tuple[int, dict[str, Any]]:
    """An HTML page, as the SDK reports it."""
    return status, {"message": f"<!DOCTYPE html><title>{title}</title>", "status": title}


WELL: dict[str, tuple[CheckTarget, tuple[int, Any]]] = {
    "200": (GEMINI, (200, None)),
    "an operation that nobody knows": (VERTEX, rpc(404, "NOT_FOUND", f"Operation {OPERATION} was not found.")),
    "something that nobody knows": (VERTEX, rpc(404, "NOT_FOUND", "Requested entity was not found.")),
    "a name that cannot be": (
        VERTEX,
        rpc(400, "INVALID_ARGUMENT", "The Operation ID must be a Long, but was instead: 0"),
    ),
    "in express mode": (EXPRESS, rpc(404, "NOT_FOUND", "Operation publishers/x/operations/0 was not found.")),
}

BLOCKED = "Requests to this API generativelanguage.googleapis.com method google.ai.X.GetModel are blocked."

ANSWERS: dict[str, tuple[CheckTarget, tuple[int, Any], Problem, str]] = {
    # credentials
    "a Gemini key on Vertex": (
        EXPRESS,
        rpc(401, "UNAUTHENTICATED", "API keys are not supported by this API. Expected OAuth2", "CREDENTIALS_MISSING"),
        Problem.NO_KEYS,
        "set VEO3_BACKEND=gemini",
    ),
    "a Gemini key on Vertex, restricted": (
        EXPRESS,
        denied("no", "API_KEY_SERVICE_BLOCKED", service="aiplatform.googleapis.com"),
        Problem.KEY_ELSEWHERE,
        "works with the Gemini API only",
    ),
    "an express key on the Gemini API": (GEMINI, denied(BLOCKED), Problem.KEY_ELSEWHERE, "needs VEO3_BACKEND=vertex"),
    "a key that is none": (
        GEMINI,
        rpc(400, "INVALID_ARGUMENT", "no", "API_KEY_INVALID"),
        Problem.BAD_KEY,
        "Copy GEMINI_API_KEY again",
    ),
    "a key that is none, in words": (
        EXPRESS,
        rpc(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
        Problem.BAD_KEY,
        "Copy GOOGLE_API_KEY again",
    ),
    "in the list of the front end": (
        GEMINI,
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]),
        Problem.BAD_KEY,
        "https://aistudio.google.com/apikey",
    ),
    "a key for one web page": (
        GEMINI,
        denied("no", "API_KEY_HTTP_REFERRER_BLOCKED"),
        Problem.KEY_RESTRICTED,
        "application restrictions",
    ),
    "two credentials": (
        GEMINI,
        rpc(400, "INVALID_ARGUMENT", "Multiple authentication credentials received. Please pass only one."),
        Problem.TWO_CREDENTIALS,
        "Use another key",
    ),
    "a token that is not taken": (
        VERTEX,
        rpc(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
        Problem.LOGIN_REFUSED,
        "gcloud auth application-default login",
    ),
    "scopes": (VERTEX, denied("no", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), Problem.SCOPES, "cloud-platform"),
    # project
    "API not enabled": (
        VERTEX,
        denied(NOT_ENABLED, "SERVICE_DISABLED", service="aiplatform.googleapis.com", activationUrl=LINK),
        Problem.API_DISABLED,
        f"Enable it at {LINK} and check again",
    ),
    "API not enabled, in words": (VERTEX, denied(NOT_ENABLED), Problem.API_DISABLED, f"Enable it at {LINK} and"),
    "API not enabled, without a link": (
        VERTEX,
        denied("no", "SERVICE_DISABLED"),
        Problem.API_DISABLED,
        "https://console.cloud.google.com/apis/library/aiplatform.googleapis.com?project=my-project",
    ),
    "no billing": (
        VERTEX,
        denied(
            "enable billing by visiting https://console.developers.google.com/billing/enable?project=1 then",
            "BILLING_DISABLED",
        ),
        Problem.BILLING,
        "https://console.developers.google.com/billing/enable?project=1 and check",
    ),
    "billing, in words": (
        VERTEX,
        denied("This API method requires billing to be enabled."),
        Problem.BILLING,
        "https://console.cloud.google.com/billing/linkedaccount?project=my-project",
    ),
    "credits used up": (
        GEMINI,
        rpc(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
        Problem.CREDITS,
        "https://ai.studio/projects",
    ),
    "payment required": (GEMINI, rpc(402, "RESOURCE_EXHAUSTED", "no"), Problem.CREDITS, "Buy credits"),
    "no role": (
        VERTEX,
        denied(
            f"Permission 'aiplatform.endpoints.predict' denied on resource '//x/{MODEL}' (or it may not exist).",
            "IAM_PERMISSION_DENIED",
        ),
        Problem.PERMISSION,
        "gcloud projects add-iam-policy-binding my-project --member=user:YOU@EXAMPLE.COM --role=roles/aiplatform.user",
    ),
    "no role, in words": (VERTEX, denied("The caller does not have permission"), Problem.PERMISSION, "aiplatform.user"),
    "no role on Gemini": (GEMINI, denied("The caller does not have permission"), Problem.PERMISSION, "aistudio"),
    "no such project": (VERTEX, denied("no", "CONSUMER_INVALID"), Problem.NO_PROJECT, "the project's ID, not its name"),
    "python-genai#2079": (
        VERTEX,
        rpc(400, "INVALID_ARGUMENT", "no", "RESOURCE_PROJECT_INVALID"),
        Problem.NO_PROJECT,
        "VEO3_API_VERSION=v1",
    ),
    "a quota project of others": (
        VERTEX,
        denied("no", "USER_PROJECT_DENIED"),
        Problem.QUOTA_PROJECT,
        "set-quota-project my-project",
    ),
    "suspended": (VERTEX, denied("no", "CONSUMER_SUSPENDED"), Problem.SUSPENDED, "e-mail"),
    "suspended, in words": (
        GEMINI,
        denied("Permission denied: Consumer 'x' has been suspended."),
        Problem.SUSPENDED,
        "",
    ),
    "a perimeter": (VERTEX, denied("Request is prohibited by organization's policy."), Problem.POLICY, "VPC Service"),
    "country": (
        GEMINI,
        rpc(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        Problem.COUNTRY,
        "available-regions",
    ),
    "country without billing": (
        GEMINI,
        rpc(400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country. Please enable billing"),
        Problem.COUNTRY,
        "Enable billing for the key's project",
    ),
    "another precondition": (
        GEMINI,
        rpc(400, "FAILED_PRECONDITION", "Something else is not as it should be."),
        Problem.PRECONDITION,
        "Google's words",
    ),
    # model
    "a region without the model": (
        VERTEX,
        rpc(404, "NOT_FOUND", f"Publisher Model `{MODEL}` was not found or your project does not have access to it."),
        Problem.NO_MODEL,
        "Veo is in us-central1",
    ),
    "an unknown model": (
        GEMINI,
        rpc(404, "NOT_FOUND", "Model is not found: models/x for api version v1"),
        Problem.NO_MODEL,
        "`aveo3 models` lists all models",
    ),
    "a model that is gone": (
        VERTEX,
        rpc(404, "NOT_FOUND", f"This model {MODEL} is no longer available. Please update your code"),
        Problem.RETIRED,
        "Choose another with VEO3_MODEL",
    ),
    "limit 0": (
        GEMINI,
        rpc(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 0, model: veo-3.1"),
        Problem.NO_QUOTA,
        "videos have no free tier",
    ),
    "too many requests": (VERTEX, rpc(429, "RESOURCE_EXHAUSTED", "Resource exhausted."), Problem.BUSY, "Wait a minute"),
    # the way there
    "no such path": (VERTEX, page(404, "Not Found"), Problem.NOTHING_THERE, "VEO3_API_VERSION (v1, v1beta1)"),
    "no such path on Gemini": (GEMINI, page(404, "Not Found"), Problem.NOTHING_THERE, "(v1 or v1beta)"),
    "Google's words for no such path": (
        VERTEX,
        rpc(404, "NOT_FOUND", "The requested URL /foo/v1/projects/p was not found on this server."),
        Problem.NOTHING_THERE,
        "VEO3_BASE_URL",
    ),
    "a bare 404": (VERTEX, (404, {"message": "", "status": "Not Found"}), Problem.NOTHING_THERE, "VEO3_BASE_URL"),
    "a gateway's 404": (GEMINI, (404, {"message": "no route"}), Problem.NOTHING_THERE, "VEO3_BASE_URL"),
    "somebody else": (GEMINI, page(403, "Corporate gateway"), Problem.NOT_GOOGLE, "VEO3_BASE_URL"),
    "bad gateway": (GEMINI, page(502, "Bad Gateway"), Problem.AWAY, "try again later"),
    "unavailable": (VERTEX, rpc(503, "UNAVAILABLE", "The service is overloaded."), Problem.AWAY, "try again later"),
    "a redirect": (VERTEX, page(302, "Moved"), Problem.REDIRECTED, "Set VEO3_BASE_URL"),
    "a riddle": (VERTEX, rpc(418, "TEAPOT", "I'm a teapot"), Problem.UNKNOWN, "own words"),
    "nothing": (VERTEX, (400, None), Problem.UNKNOWN, ""),
}


@pytest.mark.parametrize("name", WELL)
def test_an_error_about_the_operation_alone_is_no_problem(name: str) -> None:
    target, (status, body) = WELL[name]
    assert diagnose(status, body, target) is None


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_leads_to_its_problem_and_a_way_out(name: str) -> None:
    target, (status, body), problem, words = ANSWERS[name]
    assert diagnose(status, body, target) is problem
    finding = explain(problem, target, body)
    assert words in finding.way_out
    assert not re.search(r"[{}]|None", finding.what + finding.way_out)


def test_on_the_gemini_api_a_missing_operation_is_a_problem() -> None:
    assert diagnose(404, {"error": {"message": "Operation x was not found."}}, GEMINI) is Problem.NO_MODEL


def test_a_list_around_the_error_changes_nothing() -> None:
    assert diagnose(404, [{"error": {"message": "Operation x was not found."}}], VERTEX) is None


def test_a_problem_without_an_answer_is_about_the_address_or_the_login() -> None:
    """Those come from exceptions: tests/backends/test_probe.py."""
    answered = {problem for _, _, problem, _ in ANSWERS.values()}
    silent = set(Problem) - answered - {Problem.BUCKET}
    assert {REMEDIES[problem].step for problem in silent} == {CheckStep.ADDRESS, CheckStep.CREDENTIALS}
    assert len(silent) == 11


def test_words_inside_resource_names_change_nothing() -> None:
    name = "projects/model-project/locations/region/publishers/google/models/x/operations/0"
    assert diagnose(404, {"error": {"message": f"Operation {name} was not found."}}, VERTEX) is None


@pytest.mark.parametrize(
    "body", [None, "", "text", [], [[]], {"error": None}, {"error": {"details": [{}, 1]}}, {"message": 1}]
)
@pytest.mark.parametrize("status", [200, 204, 307, 400, 401, 402, 403, 404, 418, 429, 499, 500, 503, 999])
def test_no_body_raises(status: int, body: Any) -> None:
    for target in (VERTEX, GEMINI):
        problem = diagnose(status, body, target)
        if problem is not None:
            explain(problem, target, body)
