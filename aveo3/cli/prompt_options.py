"""Makes prompts of what `aveo3 generate` was given: files, texts, and options that fill what a prompt leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aveo3.cli.prompt_files import from_home, read_prompts
from aveo3.cli.prompt_formats import Lines
from aveo3.errors import UsageError
from aveo3.input_forms import MEDIA_FIELDS
from aveo3.models import VideoPrompt, reason

OPTIONS = {
    "duration_seconds": "--duration",
    "reference_images": "--reference",
    "number_of_videos": "--count",
    "generate_audio": "--audio",
}
"""Options that are not called like their field."""


def prompts_of(
    sources: list[str], texts: list[str], fields: Mapping[str, Any], *, lines: Lines, notes: list[str]
) -> list[VideoPrompt]:
    """The prompts of the files, then those of `--prompt`; each takes from `fields` what it does not say itself.

    Media in `fields` are relative to the working directory. `notes` gets a sentence on lines that were skipped. Raises
    `UsageError` for a mistake in a file or in an option, and where an option does not go with what a prompt says.
    """
    fields = _checked({name: value for name, value in fields.items() if value not in (None, [])})
    if not sources and not texts:
        raise UsageError('no prompts: name a file (aveo3 generate prompts.txt) or use --prompt "a paper boat"')
    prompts = [
        _filled(prompt, fields, f"prompt {n} of {'standard input' if source == '-' else source}")
        for source in sources
        for n, prompt in enumerate(read_prompts(source, lines=lines, notes=notes), start=1)
    ]
    if any(not text.strip() for text in texts):
        raise UsageError("--prompt is empty: describe what the video should show")
    try:
        own = [VideoPrompt(text=text) for text in texts]
    except ValidationError as error:  # too long, or no text at all
        raise UsageError(f"--prompt: {error.errors()[0]['msg']}") from None
    return prompts + [_filled(prompt, fields, "--prompt") for prompt in own]


def plain_seconds(seconds: float | None) -> float | None:
    """`seconds` as a person writes them: 8.0 is 8."""
    return int(seconds) if seconds is not None and seconds.is_integer() else seconds


def option_of(name: str) -> str:
    """The option that sets a field of prompts: `--duration` for `duration_seconds`."""
    return OPTIONS.get(name, "--" + name.replace("_", "-"))


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with their media found. Raises `UsageError` for a value that no prompt takes."""
    for name, value in fields.items():
        if value == "" or (isinstance(value, list) and "" in value):
            raise UsageError(f"{option_of(name)} is empty: give a value, or leave the option out")
    try:
        fields = from_home(fields, Path())
    except ValueError as error:  # no such user's home
        raise UsageError(str(error)) from None
    for name, value in fields.items():
        needs = {"image": value} if name == "last_frame" else {}
        try:
            VideoPrompt.model_validate({"text": "a", **needs, name: value})
        except ValidationError as error:
            problem = error.errors()[0]
            given = value[problem["loc"][1]] if name == "reference_images" and len(problem["loc"]) > 1 else value
            raise UsageError(f"{option_of(name)} {str(given)[:60]}: {_why(problem)}") from None
    media = {name: fields[name] for name in MEDIA_FIELDS if name in fields}
    if "reference_images" in media and len(media) > 1:  # they go together in no prompt
        raise UsageError(
            f"{' and '.join(map(option_of, media))} cannot go together: a clip begins with a picture, or shows what is "
            "on others"
        )
    return fields


def _why(problem: Any) -> str:
    """What is wrong with the value of an option, with a way out that an option has."""
    if problem["loc"][-1:] == ("uri",):
        return "must be a path, or an address that begins with gs:// or https://"
    what, _, fix = reason(problem).partition(": set mime_type")
    return f"{what}: name a picture whose name ends in .png or .jpg" if fix else what


def _filled(prompt: VideoPrompt, fields: Mapping[str, Any], where: str) -> VideoPrompt:
    """`prompt` with those of `fields` that it leaves open. Raises `UsageError` if one does not go with the others."""
    said = {name: value for name, value in prompt if name in prompt.model_fields_set and value not in (None, ())}
    missing = {name: value for name, value in fields.items() if name not in said}
    if not missing:
        return prompt
    try:
        return type(prompt).model_validate({**said, **missing})
    except ValidationError as error:
        options = " and ".join(option_of(name) for name in missing if name in MEDIA_FIELDS) or ", ".join(
            map(option_of, missing)
        )
        of = f" ({prompt.text[:40]!r})" if where != "--prompt" else ""
        raise UsageError(
            f"nothing was sent: {options} does not go with {where}{of}: {reason(error.errors()[0])}"
        ) from None
