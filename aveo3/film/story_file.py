"""Reads a story file: YAML, TOML or JSON in, a checked `Story` out, or one line for each mistake with its place."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from aveo3.errors import UsageError
from aveo3.film.places import Where, absolute, is_address
from aveo3.input_forms import plain_reason
from aveo3.json_values import repr_of
from aveo3.yaml_nodes import YamlBroken, read_yaml

if TYPE_CHECKING:
    from aveo3.film.story import Story

KINDS = (".yaml", ".yml", ".toml", ".json")
SHOWN = 20
"""Mistakes that are told at once."""

Lines = Mapping[Where, int]
"""The lines of a story's fields, by their place; from 1."""


def load(kind: type[Story], path: Path) -> Story:
    """The story at `path`. Raises `UsageError`."""
    if path.suffix.lower() not in KINDS:
        raise UsageError(f"{path}: a story is a file that ends in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot read the story: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start + 1} is no UTF-8: save the file as UTF-8") from None
    fields, lines = parsed(text, path)
    return checked(kind, fields, path, lines)


def checked(kind: type[Story], fields: Mapping[str, Any], path: Path, lines: Lines) -> Story:
    """The story of `fields`, with media whole: relative to `path`. Raises `UsageError`."""
    try:
        story = kind.model_validate(fields)
    except ValidationError as error:
        told = list(dict.fromkeys(_sentences(error, fields, path, lines)))
        more = [f"… and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
        raise UsageError("\n".join([*told[:SHOWN], *more])) from None
    story = absolute(story, path)
    if missing := [
        f"{_place(path, where, fields, lines)}: there is no file {place}"
        for where, place in media_of(story)
        if not is_address(place) and not Path(place).is_file()
    ]:
        raise UsageError("\n".join(missing[:SHOWN]))
    return story


def media_of(story: Story) -> list[tuple[Where, str]]:
    """Every picture, sound and font that a story names, with its place."""
    found: list[tuple[Where, str]] = [
        (("cast", name, "pictures", at), place)
        for name, member in story.cast.items()
        for at, place in enumerate(member.pictures)
    ]
    found += [
        (("scenes", at, "from", "picture"), scene.begins.picture)
        for at, scene in enumerate(story.scenes)
        if scene.begins is not None and scene.begins.picture is not None
    ]
    if story.film.font is not None:
        found.append((("film", "font"), story.film.font))
    if story.film.music is not None:
        found.append((("film", "music", "file"), story.film.music.file))
    return found


def parsed(text: str, path: Path) -> tuple[Mapping[str, Any], Lines]:
    """The fields of a story's text, and their lines. Raises `UsageError`."""
    ending = path.suffix.lower()
    try:
        if ending == ".toml":
            fields, lines = tomllib.loads(text), _toml_lines(text)
        else:  # JSON is YAML, too
            fields, lines = read_yaml(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from None
    except YamlBroken as error:
        raise UsageError(f"{path}:{error}") from None
    if not isinstance(fields, Mapping):
        raise UsageError(f"{path}: a story is a mapping of fields (title, scenes, …), not a {type(fields).__name__}")
    return json.loads(json.dumps(fields, default=str)), lines  # dates of TOML are texts


def _toml_lines(text: str) -> dict[Where, int]:
    """The lines of tables and keys, as far as they can be told: TOML's reader keeps none."""
    lines: dict[Where, int] = {}
    at: Where = ()
    counts: dict[Where, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if table := re.match(r"\s*\[\[\s*([\w.-]+)\s*\]\]", line):
            name = tuple(table[1].split("."))
            counts[name] = counts.get(name, -1) + 1
            at = (*name, counts[name])
            lines[at] = number
        elif table := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            parts: list[str | int] = []
            for part in table[1].split("."):
                parts.append(part)
                if tuple(parts) in counts:
                    parts.append(counts[tuple(map(str, parts))])
            at = tuple(parts)
            lines[at] = number
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            lines.setdefault((*at, key[1]), number)
    return lines


def _sentences(error: ValidationError, fields: Mapping[str, Any], path: Path, lines: Lines) -> list[str]:
    """One line for each mistake, in the order of the file. What a union's kinds say of one value is one mistake."""
    told: dict[tuple[int, str, str], list[str]] = {}
    for problem in error.errors(include_url=False):
        where, reason = tuple(problem["loc"]), _reason(problem)
        own = reason if problem["type"] == "story" else ""
        told.setdefault((_line(where, lines) or 0, _place(path, where, fields, lines), own), []).append(reason)
    return [
        f"{place}: {', or '.join([*(_SHOWN.sub('', each) for each in most), last])}"
        for (_, place, _), [*most, last] in sorted(told.items(), key=lambda item: item[0][0])
    ]


_SHOWN = re.compile(r" \(it is .*\)$")


def _line(where: Where, lines: Lines) -> int | None:
    return next((lines[where[:end]] for end in range(len(where), 0, -1) if where[:end] in lines), None)


def _place(path: Path, where: Where, fields: Mapping[str, Any], lines: Lines) -> str:
    """`story.yaml:12: scene storm: from.frame`: the line, the scene, and the field in it."""
    line = _line(where, lines)
    place = str(path) if line is None else f"{path}:{line}"
    if len(where) > 1 and where[0] == "scenes" and isinstance(where[1], int):
        scene = fields["scenes"][where[1]]
        name = scene.get("id") if isinstance(scene, Mapping) else None
        place += f": scene {name or where[1] + 1}"
        where = where[2:]
    names = [str(part + 1) if isinstance(part, int) else part for part in where if not _is_inner(part)]
    return f"{place}: {'.'.join(names)}" if names else place


def _is_inner(part: str | int) -> bool:
    """True for what pydantic adds to a place to tell the kinds of a union apart."""
    return (
        isinstance(part, str) and re.fullmatch(r"[A-Za-z_]+\[.*\]|float|int|literal.*|constrained-.*", part) is not None
    )


def _reason(problem: Any) -> str:
    kind, value = problem["type"], problem["input"]
    if kind == "missing":
        return "is missing: give it"
    if kind in ("extra_forbidden", "story"):
        return str(problem["msg"])
    if kind == "string_type" and isinstance(value, int | float):
        return f"must be text: write it in quotes, as '{value}'"
    if kind == "string_pattern_mismatch":
        pattern = str(problem.get("ctx", {}).get("pattern", ""))
        look = "16:9 or 9:16" if r"\d" in pattern else "boat or scene-2: letters, digits, _ and -"
        return f"must look like {look} (it is {repr_of(value, 60)})"
    if kind in ("model_type", "mapping_type", "dict_type", "tuple_type", "list_type"):
        what = "a list" if kind in ("tuple_type", "list_type") else "a mapping of fields"
        return f"must be {what} (it is {repr_of(value, 60)})"
    if kind in ("value_error", "too_short"):
        return plain_reason(problem)
    return f"{plain_reason(problem)} (it is {repr_of(value, 60)})"
