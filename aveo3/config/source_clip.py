"""What is known of the clip that a prompt edits or upscales: it decides what that costs."""

from __future__ import annotations

from typing import NamedTuple

from aveo3.models import VideoPrompt


class SourceClip(NamedTuple):
    """Length in seconds and resolution of the clip that a prompt starts from. None where nobody knows."""

    seconds: float | None = None
    resolution: str | None = None


def costs_by_source(prompt: VideoPrompt) -> bool:
    """True if Google may bill `prompt` by the length of the clip that it starts from, and not by a length of its own.

    Without a task, Omni decides from the text whether it edits or extends the `previous` clip.
    """
    return prompt.task in ("edit", "upscale") or (prompt.previous is not None and prompt.task is None)
