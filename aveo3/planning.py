"""A prompt becomes a job: its fields checked, its model's abilities asked for, its digest taken. Sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from aveo3 import catalog
from aveo3.engine import Job
from aveo3.models import VideoPrompt, as_prompt, explain

Prompt = str | Mapping[str, Any] | VideoPrompt


async def plan(given: Prompt, index: int, default_model: str, queued_utc: datetime) -> tuple[Job, list[str]]:
    """The job of one prompt, and why it can never work: one sentence each, none if it can.

    `default_model` is for prompts that name none. Reads the prompt's local media, off the loop.
    """
    try:
        prompt = as_prompt(given)
    except ValidationError as error:
        return Job(_as_it_was(given), index, default_model, "", None, queued_utc), explain(error)
    model = prompt.model or default_model
    job = Job(prompt, index, model, "", catalog.load().cost_usd(prompt, model), queued_utc)
    problems = catalog.load().problems(prompt, model)
    try:
        job.digest = await asyncio.to_thread(prompt.digest, model) if prompt.media else prompt.digest(model)
    except OSError as error:
        problems.append(f"cannot read {error.filename}: {error.strerror}")
    except ValueError as error:  # no path at all: a null byte in it
        problems.append(f"cannot read its media: {error}")
    return job, problems


def _as_it_was(given: Prompt) -> VideoPrompt:
    """A prompt that is none, for its clip to show: only its text, unchecked."""
    text = given if isinstance(given, str) else str(given.get("text", "")) if isinstance(given, Mapping) else ""
    return VideoPrompt.model_construct(text=text.encode(errors="replace").decode())  # half a character breaks any file
