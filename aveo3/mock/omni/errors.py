"""Errors as the Interactions API words them, made from those that the rest of Google has. Pure.

The codes are those of ai.google.dev/gemini-api/docs/api-errors (2026-09-20). Its errors are a code in words and a
message: no status, no details, so a delay or a limit is in the prose or nowhere. What its front end declines before the
API has seen it keeps its number, inside a list. On Vertex AI errors are what they are everywhere else there.
"""

from dataclasses import replace

from aveo3.mock.error_bodies import Answer, invalid, not_found, unknown_field

_CODES = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "failed_precondition",
    "UNAUTHENTICATED": "authentication",
    "PERMISSION_DENIED": "permission_denied",
    "NOT_FOUND": "not_found",
    "RESOURCE_EXHAUSTED": "too_many_requests",
    "INTERNAL": "api_error",
    "UNAVAILABLE": "service_unavailable",
    "DEADLINE_EXCEEDED": "deadline_exceeded",
}


def worded(answer: Answer) -> Answer:
    """The same error in the Interactions API's shape. Pages, lists and answers that are no errors stay as they are."""
    if not isinstance(answer.body, dict) or "error" not in answer.body:
        return answer
    error = answer.body["error"]
    code = "payment_required" if answer.status == 402 else answer.word or _CODES[error["status"]]
    return replace(answer, body={"error": {"message": error["message"], "code": code}})


def from_the_front_end(answer: Answer) -> Answer:
    return replace(answer, body=[answer.body])


def unknown_parameter(name: str) -> Answer:
    return replace(unknown_field(name), word="parameter_unknown")


def no_model(message: str) -> Answer:
    return replace(not_found(message), word="model_not_found")


def unsupported_value(value: object, at: str, allowed: tuple[str, ...]) -> Answer:
    """As recorded for an aspect ratio."""
    listed = ", ".join(f"'{one}'" for one in allowed)
    return invalid(f"The value '{value}' is not supported for '{at}'. Supported values: {listed}.")


def unsupported(name: str, model: str) -> Answer:
    return invalid(f"The parameter '{name}' is not supported by model '{model}'.")


def no_interaction(name: str) -> Answer:
    """400, not 404, as recorded."""
    return invalid(f"Invalid interaction name: interactions/{name}")
