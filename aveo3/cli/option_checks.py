"""Refuses options that no prompt can be sent with, before the run: one sentence instead of one for each prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from aveo3.cli.prompt_options import option_of
from aveo3.errors import UsageError
from aveo3.models import VideoPrompt

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.lanes.routing import Routes


def check_options(
    prompts: Iterable[VideoPrompt], fields: Mapping[str, Any], settings: Settings, routes: Routes, *, model: str | None
) -> None:
    """Raise `UsageError` if nobody knows the model of the settings, or no lane takes one of `fields`.

    `prompts` are those to send, with the values of the command line in them: `fields` for those that had none.
    `model` is the value of --model. A prompt that cannot work for reasons of its own becomes a `rejected` clip.
    """
    prompts = list(prompts)
    if any(prompt.model is None for prompt in prompts) and not routes.lanes.any_model:
        name = f"VEO3_MODEL={settings.model}" if model is None else f"--model {model}"
        if (doubt := settings.model_catalog.doubt(settings.model)) is not None:
            raise UsageError(f"nothing was sent: {name}: {doubt}.")
    for field, value in fields.items():
        if value in (None, []):
            continue
        try:
            sent = getattr(VideoPrompt.model_validate({"text": "a clip", field: value}), field)
        except ValidationError:  # it means something only together with other fields, such as a last frame
            continue
        for own_model in dict.fromkeys(prompt.model for prompt in prompts if getattr(prompt, field) == sent):
            if problems := _problems(own_model, {field: sent}, routes):
                option = "--no-audio" if value is False else f"{option_of(field)} {_shown(value)}"
                raise UsageError(f"nothing was sent: {option}: {'; '.join(problems)}.")


def _problems(model: str | None, fields: Mapping[str, Any], routes: Routes) -> list[str]:
    """What `fields` are to blame for, on the lanes of `model`."""
    probe = VideoPrompt.model_validate({"text": "a clip", "model": model, **fields})
    _, problems = routes.of(probe)
    return problems if problems and not routes.of(VideoPrompt(text="a clip", model=model))[1] else []


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
