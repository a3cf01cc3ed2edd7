"""Reads prompts from `.txt`, `.jsonl`, `.csv` and `.yaml` files, and writes them as JSON lines.

A file with a mistake is refused as a whole, with line and column, before anything is sent. Media paths in a file are
relative to the file.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from aveo3.errors import UsageError
from aveo3.models import Media, VideoClip, VideoPrompt, explain

MEDIA_FIELDS = ("image", "last_frame", "video", "reference_images")
SHOWN_PROBLEMS = 10


class PromptEntry(NamedTuple):
    """One unchecked prompt of a file: its place (`line` or `line:column`) and its fields."""

    where: str
    fields: Mapping[str, Any]


def read_prompts(source: str | Path) -> list[VideoPrompt]:
    """Every prompt of a file, in order. `-` is standard input: JSON lines if it begins with `{`, else text.

    Raises `UsageError` that names file, line and column of each mistake, of the first ten if there are more.
    """
    name = "standard input" if str(source) == "-" else str(source)
    text = _read_text(source)
    if str(source) == "-":
        suffix = ".jsonl" if text.lstrip().startswith("{") else ".txt"
        home = Path()
    else:
        suffix, home = Path(source).suffix.lower(), Path(source).parent
    reader = _READERS.get(suffix)
    if reader is None:
        raise UsageError(f"{name}: the name of a prompt file ends in {', '.join(_READERS)}, not {suffix or 'nothing'}")
    prompts, problems = [], []
    try:
        for entry in reader(text):
            try:
                prompts.append(VideoPrompt.model_validate(_resolved(entry.fields, home)))
            except ValidationError as error:
                problems += [f"{name}:{entry.where}: {sentence}" for sentence in explain(error)]
    except _Broken as broken:
        problems.append(f"{name}:{broken}")
    if problems:
        rest = len(problems) - SHOWN_PROBLEMS
        more = [f"… and {rest} more"] if rest > 0 else []
        raise UsageError("nothing was sent: correct the file first\n" + "\n".join(problems[:SHOWN_PROBLEMS] + more))
    if not prompts:
        raise UsageError(f"{name} holds no prompts: write one a line; blank lines and # comments do not count.")
    return prompts


def prompt_fields(prompt: VideoPrompt) -> dict[str, Any]:
    """The fields of a prompt that differ from their defaults, as JSON values that `read_prompts` can read back."""
    fields = prompt.model_dump(mode="json", exclude_defaults=True, exclude=set(MEDIA_FIELDS))
    for name in MEDIA_FIELDS[:3]:
        if (media := getattr(prompt, name)) is not None:
            fields[name] = _media_fields(media)
    if prompt.reference_images:
        fields["reference_images"] = [_media_fields(media) for media in prompt.reference_images]
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


class _Broken(Exception):
    """The file cannot be read any further. The message begins with the place."""


def _read_text(source: str | Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(source) == "-" else Path(source).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}. Give a text file with one prompt a line.") from error
    except UnicodeDecodeError as error:
        name = "standard input" if str(source) == "-" else source
        raise UsageError(f"{name} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines. `splitlines` would also split at U+2028 and similar characters, which occur inside prompts."""
    return enumerate(re.split(r"\r\n?|\n", text), start=1)


def _read_txt(text: str) -> Iterator[PromptEntry]:
    for number, line in _lines(text):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield PromptEntry(str(number), {"text": stripped})


def _read_jsonl(text: str) -> Iterator[PromptEntry]:
    for number, line in _lines(text):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as error:
            raise _Broken(
                f'{number}:{error.colno}: {error.msg}. A line looks like {{"text": "a paper boat"}}'
            ) from None
        if isinstance(fields, str):
            fields = {"text": fields}
        if not isinstance(fields, dict):
            raise _Broken(f"{number}:1: a line holds one object of prompt fields, not a {type(fields).__name__}")
        yield PromptEntry(str(number), {key: value for key, value in fields.items() if not key.startswith("_")})


def _read_csv(text: str) -> Iterator[PromptEntry]:
    rows = csv.DictReader(io.StringIO(text), strict=True)
    header = rows.fieldnames or []
    if "text" not in header and not {"image", "video"} & set(header):
        raise _Broken(
            f"1: the first line must name the columns, `text` among them; it names {', '.join(header) or 'none'}"
        )
    try:
        for row in rows:
            where = str(rows.line_num)
            if None in row:
                raise _Broken(f"{where}: more cells than the {len(header)} columns; put texts with commas in quotes")
            fields: dict[str, Any] = {}
            for column, cell in row.items():
                if not cell or column.startswith("_"):
                    continue
                if column.startswith("metadata."):
                    fields.setdefault("metadata", {})[column.removeprefix("metadata.")] = cell
                elif column == "reference_images":
                    fields[column] = [part.strip() for part in cell.split(";")]
                else:
                    fields[column] = cell
            if fields:
                yield PromptEntry(where, fields)
    except csv.Error as error:
        raise _Broken(f"{rows.line_num}: {error}") from None


def _read_yaml(text: str) -> Iterator[PromptEntry]:
    import yaml  # only this format needs it

    try:
        root = yaml.compose(text, yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.line + 1}:{mark.column + 1}: " if mark else "1: "
        raise _Broken(f"{place}{error.problem}") from None
    if values is None or root is None:
        return
    if not isinstance(values, list):
        raise _Broken(f"1:1: a YAML file of prompts is a list (- …), not a {type(values).__name__}")
    for value, node in zip(values, root.value, strict=True):
        where = f"{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        if isinstance(value, str):
            value = {"text": value}
        if not isinstance(value, dict):
            raise _Broken(f"{where}: a prompt is a text or a mapping of fields, not a {type(value).__name__}")
        yield PromptEntry(where, {str(key): v for key, v in value.items() if not str(key).startswith("_")})


_READERS: dict[str, Callable[[str], Iterator[PromptEntry]]] = {
    ".txt": _read_txt,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}


def _resolved(fields: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """`fields` with relative media paths joined to `home`, the directory of the file."""

    def resolve(value: Any) -> Any:
        if isinstance(value, str) and "://" not in value:
            return str(home / Path(value).expanduser())
        if isinstance(value, Mapping) and isinstance(value.get("path"), str):
            return {**value, "path": resolve(value["path"])}
        return [resolve(part) for part in value] if isinstance(value, list) else value

    return {key: resolve(value) if key in MEDIA_FIELDS else value for key, value in fields.items()}


def _media_fields(media: Media) -> Any:
    if media.data is not None:
        raise UsageError("a prompt whose media are bytes cannot be written to a file: use paths or gs:// instead")
    place = media.uri or str((media.path or Path()).absolute())
    try:
        default_type = Media.model_validate(place).mime_type
    except ValidationError:
        default_type = ""
    if default_type == media.mime_type:
        return place
    return {"uri" if media.uri else "path": place, "mime_type": media.mime_type}
