"""Ends of operations observed at Google, and codes of every kind."""

from __future__ import annotations

from typing import Any

import pytest

from aveo3 import verdicts
from aveo3.verdicts import Ending, from_operation_error


@pytest.mark.parametrize(
    ("code", "message", "ending"),
    [
        (13, "Video generation failed due to an internal server issue. Please try again later.", Ending.RETRY),
        (14, "Video generation failed due to an internal server issue. Please try again later.", Ending.RETRY),
        (8, "The service is currently experiencing high load and cannot process your request.", Ending.RETRY),
        (
            3,
            "Veo could not generate videos because the input image violates Vertex AI's usage guidelines. "
            "Support codes: 15236754",
            Ending.FILTERED,
        ),
        (3, "This prompt contains words that violate Vertex AI's usage guidelines.", Ending.FILTERED),
        (13, "17301594: the video was blocked by a safety filter", Ending.FILTERED),
        (3, "The image is not a PNG.", Ending.REJECTED),
        (7, "Permission denied on the output bucket.", Ending.REJECTED),
        (5, "The input video was not found.", Ending.REJECTED),
        (9, "The bucket is locked.", Ending.REJECTED),
        (4, "Deadline exceeded.", Ending.RETRY),
        (10, "The operation was aborted.", Ending.RETRY),
        (9, "Service agents are being provisioned. Please try again in a few minutes.", Ending.RETRY),
        (9, "The video is not ready. Try again after 5 minutes.", Ending.RETRY),
        (3, "Invalid picture. Please try again later.", Ending.REJECTED),
        (1, "Cancelled.", Ending.FAILED),
        (2, "Unknown.", Ending.FAILED),
        (None, "", Ending.FAILED),
    ],
)
def test_the_end_of_an_operation_says_whether_a_new_one_may_work(
    code: int | None, message: str, ending: Ending
) -> None:
    assert from_operation_error(code, message) is ending


@pytest.mark.parametrize(
    ("code", "rpc"),
    [
        *((n, n) for n in (0, 3, 8, 13, 14, 16)),
        *((400, 3), (403, 7), (404, 5), (429, 8), (500, 13), (503, 14), (504, 4), (418, None)),
        *(("too_many_requests", 8), ("RESOURCE_EXHAUSTED", 8), ("invalid_request", 3), ("INVALID_ARGUMENT", 3)),
        *(("api_error", 13), ("INTERNAL", 13), ("service_unavailable", 14), ("UNAVAILABLE", 14), ("huh", None)),
        *(("13", 13), ("500", 13), ("aborted", 10), ("CANCELLED", 1), ("UNAUTHENTICATED", 16), ("9999", None)),
        *((None, None), (True, None), (-1, None), ([], None), (8.0, None)),
    ],
)
def test_an_errors_code_is_a_number_of_either_kind_or_a_word(code: Any, rpc: int | None) -> None:
    assert verdicts.rpc_code(code) == rpc
