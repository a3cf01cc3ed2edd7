"""Google's error answers: `{"error": {"code", "message", "status", "details"}}` with the status of google.rpc."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Refused(Exception):
    """A request that the door does not take, with the answer to it. `retry_after`: seconds until another try."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: str | None = None,
        retry_after: float | None = None,
        details: tuple[Mapping[str, Any], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, "UNKNOWN")
        self.retry_after = retry_after
        self.details = details

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After`, in whole seconds, if waiting helps."""
        return {} if self.retry_after is None else {"Retry-After": str(ceil(self.retry_after))}

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        details = [*self.details]
        if self.retry_after is not None:
            delay = f"{ceil(self.retry_after)}s"
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
        error = {"code": self.code, "message": self.message, "status": self.status}
        return {"error": {**error, "details": details} if details else error}


def invalid(message: str) -> Refused:
    """The answer to a request that cannot work as it is."""
    return Refused(400, message)


def not_found(what: str, why: str | None = None) -> Refused:
    """The answer for what does not exist, or is not the caller's."""
    return Refused(404, f"{what} was not found{f': {why}' if why else ''}.")


def bad_key() -> Refused:
    """Google's answer to wrong or missing credentials (Vertex AI, as published by users of the API)."""
    return Refused(
        401,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    )
