"""Callers on each of Google's surfaces, and how Google denies them access."""

from __future__ import annotations

from typing import Any

from aveo3.verdicts.problems import CheckTarget

VERTEX = CheckTarget(
    "vertex",
    "veo-3.1-generate-001",
    "https://us-central1-aiplatform.googleapis.com",
    "my-project",
    "us-central1",
    "gs://b/c",
)
EXPRESS = CheckTarget("vertex", "veo-3.1-generate-001", "https://aiplatform.googleapis.com", bucket="gs://b/c")
GEMINI = CheckTarget("gemini", "gemini-omni-1.1-flash", "https://generativelanguage.googleapis.com", bucket="gs://b/c")


def rpc(status: int, word: str, message: str, reason: str = "", **metadata: str) -> tuple[int, dict[str, Any]]:
    """An error in the form that Google's APIs use."""
    error: dict[str, Any] = {"code": status, "status": word, "message": message}
    if reason:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.Help", "links": []}]
        error["details"] += [{"@type": "…/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}]
    return status, {"error": error}


def denied(message: str, reason: str = "", **metadata: str) -> tuple[int, dict[str, Any]]:
    return rpc(403, "PERMISSION_DENIED", message, reason, **metadata)
