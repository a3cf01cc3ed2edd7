"""What is written to spans and metrics: names by the GenAI semantic conventions where they have one, else `aveo3.…`.

Source: github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai (read 2026-11-27; status: development).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
OUTPUT_TYPE = "gen_ai.output.type"
CHOICES = "gen_ai.request.choice.count"
SEED = "gen_ai.request.seed"
INPUT = "gen_ai.input.messages"
OUTPUT = "gen_ai.output.messages"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH = "gen_ai.response.finish_reasons"
ERROR = "error.type"

GENERATE = "generate_content"
"""The conventions' own value for content that is not only text; they have none for video alone."""

VIDEO = "video"
"""A value of `gen_ai.output.type` that the conventions lack: they have image, json, speech and text."""

_PROVIDERS = {"vertex": "gcp.vertex_ai", "gemini": "gcp.gemini"}


def provider_of(backend: str | None) -> str:
    """The conventions' name of what makes the clips. `gcp.gen_ai` is theirs for a backend that is not known."""
    return _PROVIDERS.get(backend or "", "gcp.gen_ai")


def request_attributes(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parameters of a prompt."""
    for name, value in parameters.items():
        yield {"number_of_videos": CHOICES, "seed": SEED}.get(name, f"aveo3.request.{name}"), value


def input_messages(text: str) -> str:
    """A prompt as the conventions have messages on spans: JSON."""
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def output_messages(paths: Iterable[PurePath]) -> str:
    """Videos on disk, in the same form: each is one choice."""
    return json.dumps(
        [
            {
                "role": "assistant",
                "parts": [{"type": "uri", "modality": VIDEO, "mime_type": "video/mp4", "uri": _uri(path)}],
                "finish_reason": "stop",
            }
            for path in paths
        ]
    )


def _uri(path: PurePath) -> str:
    return Path(path).absolute().as_uri()


def error_of(status: str, kind: str | None) -> str | None:
    """`error.type` of a clip: its `error_kind`, else its status; None for a video."""
    return None if status == "succeeded" else kind or status
