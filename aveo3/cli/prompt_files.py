"""Reads prompts from files and standard input, and writes them as JSON lines.

A file with a mistake is refused as a whole, with line and column, before anything is sent. Media paths in a file are
relative to the file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aveo3.cli.prompt_formats import READERS, Broken, Doubtful, Lines, Skipped
from aveo3.cli.prompt_text import format_of, name_of, read_text, without_fences
from aveo3.errors import UsageError
from aveo3.input_forms import MEDIA_FIELDS, ONE_MEDIUM, SEVERAL_MEDIA
from aveo3.media import Media, ReferenceImage
from aveo3.models import VideoClip, VideoPrompt, explain, field_name

SHOWN_PROBLEMS = 10


def read_prompts(source: str | Path, *, lines: Lines = "ask", notes: list[str] | None = None) -> list[VideoPrompt]:
    """Every prompt of a file, in order; `-` is standard input. The content tells the format as well as the name does.

    `lines` says what to do with lines of a text that are hardly prompts. `notes` gets a sentence on lines that were
    skipped. Raises `UsageError` that names file, line and column of each mistake, of the first ten if there are more.
    """
    return list(PromptFile(source, lines=lines, notes=notes))


class PromptFile:
    """The prompts of a file, taken apart anew each time it is iterated; only its text stays in memory.

    An iteration ends with the `UsageError` of `read_prompts` if the file has a mistake: go through it once, and the
    next time it has none.
    """

    def __init__(self, source: str | Path, *, lines: Lines = "ask", notes: list[str] | None = None) -> None:
        self.name = name_of(source)
        text = read_text(source)
        self._text = text if lines == "keep" else without_fences(text)
        self._format = format_of(source, self._text, as_it_is=lines == "keep")
        self._home = Path() if str(source) == "-" else Path(source).parent
        self._lines = lines
        self._notes = notes

    def __iter__(self) -> Iterator[VideoPrompt]:
        name, problems, skipped, there = self.name, [], Skipped(), False
        try:
            for entry in READERS[self._format](self._text, self._lines, skipped):
                try:
                    prompt = VideoPrompt.model_validate(from_home(_named(entry.fields), self._home))
                except ValidationError as error:
                    problems += [f"{name}:{entry.where}: {sentence}" for sentence in explain(error)]
                except ValueError as error:
                    problems.append(f"{name}:{entry.where}: {error}")
                else:
                    there = True
                    yield prompt
        except Broken as broken:
            problems.append(f"{name}:{broken}")
        except Doubtful as doubtful:
            raise UsageError(
                f"nothing was sent: {name}:{doubtful}. Correct it, or say what you mean: --lines strip removes "
                "bullets, numbers and lines without words, --lines keep makes every line a prompt as it is."
            ) from None
        if problems:
            rest = len(problems) - SHOWN_PROBLEMS
            more = [f"… and {rest} more"] if rest > 0 else []
            raise UsageError("nothing was sent: correct the file first\n" + "\n".join(problems[:SHOWN_PROBLEMS] + more))
        if not there:
            raise UsageError(f"{name} holds no prompts: write one a line; blank lines and # comments do not count.")
        if self._notes is not None:
            self._notes += _told(name, skipped)
            self._notes = None


def _told(name: str, skipped: Skipped) -> list[str]:
    parts = []
    if skipped.comments:
        parts.append(f"{skipped.comments:,} that begin with #")
    if skipped.others:
        parts.append(f"{skipped.others:,} without words")
    return [f"{name}: skipped lines: {' and '.join(parts)}"] if parts else []


def _named(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` under their own names: `prompt` is `text`. Raises `ValueError` if one is there twice."""
    named: dict[str, Any] = {}
    for key, value in fields.items():
        name = field_name(key)
        if name in named:
            raise ValueError(f"{key} and another field are both {name}: leave one out")
        named[name] = value
    return named


def prompt_fields(prompt: VideoPrompt) -> dict[str, Any]:
    """The fields that a prompt says, defaults left out, as JSON values that `read_prompts` can read back."""
    fields = prompt.model_dump(mode="json", exclude_defaults=True, exclude=set(MEDIA_FIELDS))
    for name in ONE_MEDIUM:
        if (media := getattr(prompt, name)) is not None:
            fields[name] = _media_fields(media)
    if "number_of_videos" in prompt.model_fields_set:  # said, even if it is the default: no option changes it
        fields["number_of_videos"] = prompt.number_of_videos
    for name in SEVERAL_MEDIA:
        if several := getattr(prompt, name):
            fields[name] = [_media_fields(media) for media in several]
    return fields


def clip_fields(clip: VideoClip) -> dict[str, Any]:
    """A clip as the JSON object that `manifest.jsonl` and `--json` hold."""
    fields = clip.model_dump(mode="json", exclude={"prompt"})
    return {"text": clip.prompt.text, **fields, "prompt": prompt_fields(clip.prompt)}


def own_fields(clip: VideoClip) -> dict[str, Any]:
    """The prompt of a clip with its model, even if the command line or the settings named it."""
    return {**prompt_fields(clip.prompt), "model": clip.instead_of or clip.prompt.model or clip.model}


def retry_fields(clip: VideoClip) -> dict[str, Any]:
    """The prompt of a clip without a video, and the reason in keys that begin with `_`, which are not read back.

    The prompt has its model, because the next command may name another one, or none: then the default, a dear one.
    """
    why = {"_status": clip.status.value, "_error": clip.error_message, "_operation": clip.operation}
    return own_fields(clip) | {key: value for key, value in why.items() if value is not None}


def from_home(fields: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """`fields` with relative media paths joined to `home`, the directory of the file. Raises `ValueError`."""

    def resolve(value: Any) -> Any:
        if isinstance(value, str) and "://" not in value and not value.startswith(("data:", "clip:")):
            try:
                return str(home / Path(value).expanduser())
            except RuntimeError:
                raise ValueError(f"{value:.60}: there is no such user's home: write the whole path") from None
        if isinstance(value, Mapping) and isinstance(value.get("path"), str):
            return {**value, "path": resolve(value["path"])}
        return [resolve(part) for part in value] if isinstance(value, list) else value

    return {key: resolve(value) if key in MEDIA_FIELDS else value for key, value in fields.items()}


def _media_fields(media: Media) -> Any:
    if media.clip is not None:
        kind = {"type": media.type} if isinstance(media, ReferenceImage) and media.type != "asset" else {}
        return {"clip": media.clip, **({} if media.frame is None else {"frame": media.frame}), **kind}
    if isinstance(media, ReferenceImage) and media.type != "asset":
        plain = _media_fields(Media(**media.model_dump(exclude={"type"})))
        if isinstance(plain, str):
            plain = {"uri" if "://" in plain or plain.startswith("data:") else "path": plain}
        return {**plain, "type": media.type}
    if media.data is not None:
        return f"data:{media.mime_type};base64,{base64.b64encode(media.data).decode()}"
    place = media.uri or str((media.path or Path()).absolute())
    try:
        default_type = Media.model_validate(place).mime_type
    except ValidationError:
        default_type = ""
    if default_type == media.mime_type:
        return place
    return {"uri" if media.uri else "path": place, "mime_type": media.mime_type}
