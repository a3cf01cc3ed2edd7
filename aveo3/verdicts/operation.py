"""What the end of an operation means for its job: maps gRPC codes and filter reasons to an `Ending`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from aveo3.verdicts.error_body import is_safety, passes


class Ending(StrEnum):
    """What an operation that ended without a video means for its job."""

    RETRY = "retry"  # a temporary problem at Google: a new attempt may work
    FILTERED = "filtered"
    REJECTED = "rejected"
    FAILED = "failed"


def rpc_code(code: Any) -> int | None:
    """The gRPC code of an error's `code`, which may be that code, an HTTP status or a word; None if unknown."""
    if isinstance(code, str) and re.fullmatch("[0-9]{1,3}", code):
        code = int(code)
    if isinstance(code, str):
        return _CODES.get(code.lower())
    if isinstance(code, int) and not isinstance(code, bool):
        return code if 0 <= code <= 16 else _CODES.get(str(code))
    return None


_CODES = {
    **dict.fromkeys(("cancelled", "499"), 1),
    "unknown": 2,
    **dict.fromkeys(("invalid_request", "invalid_argument", "400"), 3),
    **dict.fromkeys(("deadline_exceeded", "504"), 4),
    **dict.fromkeys(("not_found", "404"), 5),
    "already_exists": 6,
    **dict.fromkeys(("permission_denied", "403"), 7),
    **dict.fromkeys(("too_many_requests", "resource_exhausted", "rate_limit_exceeded", "429"), 8),
    "failed_precondition": 9,
    **dict.fromkeys(("aborted", "409"), 10),
    "out_of_range": 11,
    **dict.fromkeys(("unimplemented", "501"), 12),
    **dict.fromkeys(("internal", "internal_error", "server_error", "api_error", "500"), 13),
    **dict.fromkeys(("unavailable", "service_unavailable", "overloaded", "503"), 14),
    "data_loss": 15,
    **dict.fromkeys(("unauthenticated", "authentication", "401"), 16),
}


def from_operation_error(code: int | None, message: str) -> Ending:
    """Judge the `error` of a finished operation: a gRPC code (3, 7, 8, 13, 14, …) and Google's message."""
    if is_safety(message):
        return Ending.FILTERED
    if code in (4, 8, 10, 13, 14):  # DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED ("high load"), ABORTED, INTERNAL, …
        return Ending.RETRY
    if code == 9 and passes(message):
        return Ending.RETRY
    if code in (3, 5, 7, 9, 11, 12):  # INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, …: the request is at fault
        return Ending.REJECTED
    return Ending.FAILED


def is_audio_filter(reasons: Iterable[str]) -> bool:
    """True if the filter blocked only the sound: its reasons carry no support code (js-genai#1272). Such a clip is not
    billed, and may pass the next time."""
    texts = list(reasons)
    return bool(texts) and all("audio" in reason.lower() and not re.search(r"\d{6}", reason) for reason in texts)
