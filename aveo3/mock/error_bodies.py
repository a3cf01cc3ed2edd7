"""Google's error bodies, with its texts. Pure. `refusals` has those of quotas, `storage.errors` those of Cloud Storage.

The texts were published by users or are documented by Google (2026-11). A text that was never seen for Veo is the
closest known one; comments name these cases.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aveo3.mock.models import Surface

RPC = "type.googleapis.com/google.rpc."
_NUMBER = 123456789012  # in errors, Google names projects by their numbers
SERVICE = {"developer": "generativelanguage.googleapis.com", "vertex": "aiplatform.googleapis.com"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, not yet sent. A `body` that is a dict or list becomes JSON; a text is sent unchanged."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    word: str = ""
    """Its code in the Interactions API, where the google.rpc status does not determine it."""


class RequestError(Exception):
    """A request cannot be served. Carries the answer, and a short reason for the books."""

    def __init__(self, answer: Answer, why: str = "") -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.why = why


def error(code: int, status: str, message: str, *details: dict[str, Any]) -> Answer:
    body: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        body["details"] = list(details)
    return Answer(code, {"error": body})


def page(code: int, title: str) -> Answer:
    """The answer of a proxy in front of Google: HTML without a google.rpc status."""
    return Answer(
        code, f"<!DOCTYPE html><html><title>Error {code} ({title})!!1</title></html>", {"Content-Type": "text/html"}
    )


def error_info(reason: str, surface: Surface, **more: str) -> dict[str, Any]:
    return {
        "@type": RPC + "ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": SERVICE[surface], **more},
    }


def invalid(message: str) -> Answer:
    return error(400, "INVALID_ARGUMENT", message)


def unknown_field(name: str, at: str = "") -> Answer:
    where = f" at '{at}'" if at else ""
    message = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
    violation = {"field": at, "description": message} if at else {"description": message}
    return error(400, "INVALID_ARGUMENT", message, {"@type": RPC + "BadRequest", "fieldViolations": [violation]})


def not_found(message: str = "Requested entity was not found.") -> Answer:
    return error(404, "NOT_FOUND", message)


def no_credential(surface: Surface) -> Answer:
    if surface == "developer":
        return error(
            403,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API.",
        )
    return error(
        401,
        "UNAUTHENTICATED",
        "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other "
        "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        error_info("CREDENTIALS_MISSING", surface),
    )


KEY_ON_PROJECT_PATH = error(
    401,
    "UNAUTHENTICATED",
    "API keys are not supported by this API. Expected OAuth2 access token or other authentication credentials that "
    "assert a principal. See https://cloud.google.com/docs/authentication",
    error_info("CREDENTIALS_MISSING", "vertex"),
)
INTERNAL = error(
    500,
    "INTERNAL",
    "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
)
CREDENTIALS = error(
    400,
    "INVALID_ARGUMENT",
    "Multiple authentication credentials received. Please pass only one.",  # users got this although they had sent one
)
UNAVAILABLE = error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
DEADLINE = error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.")
OVERLOADED = error(
    429,
    "RESOURCE_EXHAUSTED",
    "Resource exhausted. Please try again later. Please refer to "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
)
_DEPLETED = (
    "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project "
    "and billing."
)
BILLING = error(402, "RESOURCE_EXHAUSTED", _DEPLETED)
PREPAID = error(429, "RESOURCE_EXHAUSTED", _DEPLETED)
COUNTRY = error(
    400,
    "FAILED_PRECONDITION",
    "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio.",
)
PERMISSION = error(403, "PERMISSION_DENIED", "The caller does not have permission")


def bad_key(surface: Surface) -> Answer:
    return error(
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        error_info("API_KEY_INVALID", surface),
    )


def key_blocked(surface: Surface) -> Answer:
    # As published for the Gemini API (2026-06), without the name of the method in the middle.
    service = SERVICE[surface]
    return error(
        403,
        "PERMISSION_DENIED",
        f"Requests to this API {service} method are blocked.",
        error_info("API_KEY_SERVICE_BLOCKED", surface, consumer=f"projects/{_NUMBER}"),
    )


def api_disabled(surface: Surface) -> Answer:
    title = {"developer": "Generative Language API", "vertex": "Vertex AI API"}[surface]
    return service_disabled(title, SERVICE[surface])


def service_disabled(title: str, service: str) -> Answer:
    link = f"https://console.developers.google.com/apis/api/{service}/overview?project={_NUMBER}"
    return error(
        403,
        "PERMISSION_DENIED",
        f"{title} has not been used in project {_NUMBER} before or it is disabled. Enable it by visiting {link} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and "
        "retry.",
        {"@type": RPC + "Help", "links": [{"description": "Google developers console API activation", "url": link}]},
        {
            "@type": RPC + "ErrorInfo",
            "reason": "SERVICE_DISABLED",
            "domain": "googleapis.com",
            "metadata": {"service": service, "consumer": f"projects/{_NUMBER}", "activationUrl": link},
        },
    )


def no_billing(surface: Surface) -> Answer:
    link = f"https://console.developers.google.com/billing/enable?project={_NUMBER}"
    return error(
        403,
        "PERMISSION_DENIED",
        f"This API method requires billing to be enabled. Please enable billing on project #{_NUMBER} by visiting "
        f"{link} then retry. If you enabled billing for this project recently, wait a few minutes for the action to "
        "propagate to our systems and retry.",
        {"@type": RPC + "Help", "links": [{"description": "Google developers console billing", "url": link}]},
        error_info("BILLING_DISABLED", surface, consumer=f"projects/{_NUMBER}"),
    )


def front_end_error(fault: str | None, surface: Surface) -> Answer | None:
    """The answer of Google's front end, before the API sees the request; None unless `fault` is one of its faults."""
    if fault == "permission":
        return PERMISSION
    write = {
        "bad-key": bad_key,
        "key-blocked": key_blocked,
        "api-disabled": api_disabled,
        "no-billing": no_billing,
    }.get(fault or "")
    return None if write is None else write(surface)


def file_not_ready(file: str) -> Answer:
    # Observed for a file used as input; the answer to a download was never reported.
    return error(400, "FAILED_PRECONDITION", f"The File {file} is not in an ACTIVE state and usage is not allowed.")


def file_gone(file: str) -> Answer:
    return error(403, "PERMISSION_DENIED", f"You do not have permission to access the File {file} or it may not exist.")


def message_of(answer: Answer) -> str:
    """Return the message of an error in any of its shapes."""
    body = answer.body[0] if isinstance(answer.body, list) else answer.body
    return str(body["error"]["message"])
