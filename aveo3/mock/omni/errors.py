"""Converts Google's usual errors to the format of the Interactions API. Pure.

The codes come from ai.google.dev/gemini-api/docs/api-errors (2026-09-20). An error has a code in words and a message,
but no status and no details: a delay or a limit can only be in the message. Errors of the front end, which come before
the API sees a request, keep their number and are inside a list. Vertex AI uses its usual errors here too.
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
    """Convert an error to the format of the Interactions API. Pages, lists and other answers stay unchanged."""
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
    """The 400 for a value that is not allowed, as recorded for an aspect ratio."""
    listed = ", ".join(f"'{one}'" for one in allowed)
    # live, for an aspect ratio
    return invalid(f"The value '{value}' is not supported for '{at}'. Supported values: {listed}.")


def unsupported(name: str, model: str) -> Answer:
    return invalid(f"The parameter '{name}' is not supported by model '{model}'.")  # guessed


def no_interaction(name: str) -> Answer:
    """The error for an unknown interaction: 400, not 404, as recorded."""
    return invalid(f"Invalid interaction name: interactions/{name}")  # live
