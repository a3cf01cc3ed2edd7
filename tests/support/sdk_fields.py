"""Every field that google-genai can send for a video, and what becomes of it: the lists of `aveo3 guide sdk-fields`.

A test compares the tables with the types of the SDK that is installed, so that a new field is noticed by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.genai import interactions, types

PROMPT, SETTING, OURS, NOT = "prompt", "setting", "aveo3", "no"
"""Who decides: a field of `VideoPrompt`, a setting, aveo3 itself, or nobody: aveo3 does not send it."""

Table = dict[str, tuple[str, str]]

VEO: Table = {
    "aspect_ratio": (PROMPT, "`aspect_ratio`"),
    "compression_quality": (PROMPT, "`compression_quality`"),
    "duration_seconds": (PROMPT, "`duration_seconds`"),
    "enhance_prompt": (NOT, "Veo 3 and later always rewrite prompts"),
    "fps": (NOT, "only Veo 2, which is shut down, took it"),
    "generate_audio": (PROMPT, "`generate_audio`"),
    "http_options": (OURS, "one POST, no redirects, a timeout of its own"),
    "labels": (PROMPT, "`labels`, `VEO3_LABELS`, lanes"),
    "last_frame": (PROMPT, "`last_frame`"),
    "mask": (NOT, "only Veo 2, which is shut down, took it"),
    "negative_prompt": (PROMPT, "`negative_prompt`"),
    "number_of_videos": (PROMPT, "`number_of_videos`"),
    "output_gcs_uri": (SETTING, "`VEO3_OUTPUT_GCS_URI`, with a folder for each attempt"),
    "person_generation": (PROMPT, "`person_generation`"),
    "pubsub_topic": (NOT, "undocumented; aveo3 polls"),
    "reference_images": (PROMPT, "`reference_images`, with `type` asset or style"),
    "resize_mode": (PROMPT, "`resize_mode`"),
    "resolution": (PROMPT, "`resolution`"),
    "seed": (PROMPT, "`seed`"),
    "webhook_config": (NOT, "Vertex AI has none, and the SDK refuses it there"),
    "source.image": (PROMPT, "`image`"),
    "source.prompt": (PROMPT, "`text`"),
    "source.video": (PROMPT, "`video`"),
}

OMNI: Table = {
    "background": (OURS, "always true: a lost connection must leave an id"),
    "cached_content": (NOT, "not for videos"),
    "continuation_token": (NOT, "the foreground's; aveo3 works in the background"),
    "environment": (NOT, "for agents"),
    "generation_config.image_config": (NOT, "for images"),
    "generation_config.max_output_tokens": (NOT, "not for videos"),
    "generation_config.seed": (PROMPT, "`seed`"),
    "generation_config.speech_config": (NOT, "for speech"),
    "generation_config.stop_sequences": (NOT, "Omni does not support it"),
    "generation_config.temperature": (NOT, "Omni does not support it"),
    "generation_config.thinking_level": (NOT, "unknown for Omni"),
    "generation_config.thinking_summaries": (NOT, "unknown for Omni"),
    "generation_config.tool_choice": (NOT, "not for videos"),
    "generation_config.top_p": (NOT, "Omni does not support it"),
    "generation_config.transcription_config": (NOT, "for speech"),
    "generation_config.video_config.task": (PROMPT, "`task`, or what its media say"),
    "input": (PROMPT, "`text`, `image`, `last_frame`, `reference_images`, `video`, `reference_videos`"),
    "labels": (PROMPT, "`labels`, `VEO3_LABELS`, lanes"),
    "model": (PROMPT, "`model`, `VEO3_MODEL`, lanes"),
    "previous_interaction_id": (PROMPT, "`previous`"),
    "response_format.aspect_ratio": (PROMPT, "`aspect_ratio`"),
    "response_format.delivery": (OURS, "uri; inline on Vertex AI without a bucket"),
    "response_format.duration": (PROMPT, "`duration_seconds`"),
    "response_format.gcs_uri": (SETTING, "`VEO3_OUTPUT_GCS_URI`, on Vertex AI"),
    "response_format.resolution": (PROMPT, "`resolution`"),
    "response_format.type": (OURS, "always video"),
    "response_mime_type": (NOT, "deprecated"),
    "response_modalities": (NOT, "deprecated"),
    "safety_settings": (PROMPT, "`safety_settings`: the harm and the threshold, not the method"),
    "service_tier": (PROMPT, "`service_tier`"),
    "store": (OURS, "always true: without it an interaction cannot be polled"),
    "stream": (NOT, "aveo3 polls"),
    "system_instruction": (NOT, "Omni does not support it"),
    "tools": (NOT, "not for videos"),
    "webhook_config.uris": (SETTING, "`VEO3_WEBHOOK`, on the Gemini API"),
    "webhook_config.user_metadata": (PROMPT, "`webhook_metadata`"),
}


def fields_for_veo() -> set[str]:
    """The fields of `GenerateVideosConfig` and `GenerateVideosSource` of the SDK that is installed."""
    source = {f"source.{name}" for name in types.GenerateVideosSource.model_fields}
    return {*types.GenerateVideosConfig.model_fields, *source}


def fields_for_omni() -> set[str]:
    """The fields of a request to the Interactions API of the SDK that is installed, with those of nested objects."""
    nested: dict[str, Any] = {
        "generation_config": interactions.GenerationConfigParam,
        "generation_config.video_config": interactions.VideoConfigParam,
        "response_format": interactions.VideoResponseFormatParam,
        "webhook_config": interactions.WebhookConfigParam,
    }

    def walk(kind: Any, prefix: str) -> Iterator[str]:
        for name in kind.__annotations__:
            place = f"{prefix}{name}"
            yield from walk(nested[place], f"{place}.") if place in nested else (place,)

    return {*walk(interactions.CreateModelInteractionParam, "")}


def drawn(table: Table) -> str:
    """The table as lists in Markdown, by who decides."""
    titles = {PROMPT: "Up to the prompt", SETTING: "Up to a setting", OURS: "Up to aveo3", NOT: "Not sent"}
    parts = []
    for who, title in titles.items():
        lines = [f"- `{name}`: {what}." for name, (decides, what) in sorted(table.items()) if decides == who]
        parts.append("\n".join([f"{title}:", "", *lines]))
    return "\n" + "\n\n".join(parts) + "\n\n"
