"""What the workers of the rivals share: their task, from the environment, and google-genai by the name of an operation.

A worker that goes on after a crash has nothing but the name.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from google.genai import types
from google.genai.client import AsyncClient

from benchmarks.rivals import Task, sdk

VARIABLE = "FARM_TASK"


def environment(task: Task) -> dict[str, str]:
    """Return the environment variable that `task()` reads."""
    return {VARIABLE: json.dumps({**asdict(task), "directory": str(task.directory)})}


def task() -> Task:
    """Return the task of this worker."""
    values = json.loads(os.environ[VARIABLE])
    return Task(**{**values, "prompts": tuple(values["prompts"]), "directory": Path(values["directory"])})


async def submit(google: AsyncClient, prompt: str) -> str:
    """Send one request and return the name of the operation."""
    operation = await sdk.submit(google, prompt)
    if operation.name is None:
        raise sdk.NoVideo("the answer names no operation")
    return operation.name


async def poll_and_save(google: AsyncClient, task: Task, name: str, number: int) -> None:
    """Poll the operation until it is done, then save the video."""
    await sdk.poll_and_save(google, task, types.GenerateVideosOperation.model_validate({"name": name}), number)
