"""Takes the text of a prompt source apart: one reader for each format, none of which runs away or guesses."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from aveo3.input_forms import SEVERAL_MEDIA
from aveo3.models import VideoPrompt, field_name
from aveo3.yaml_nodes import LARGEST, YamlBroken, check_size, loader, reading

if TYPE_CHECKING:
    import yaml

Lines = Literal["ask", "keep", "strip"]
"""What to do with lines of a text that do not look like prompts: refuse them, keep them as they are, or strip bullets
and numbers and leave out lines without a word."""


class PromptEntry(NamedTuple):
    """One unchecked prompt of a file: its place (`line` or `line:column`) and its fields."""

    where: str
    fields: Mapping[str, Any]


class Broken(Exception):
    """The file cannot be read any further. The message begins with the place."""


class Doubtful(Exception):
    """A line of a text that is hardly a prompt. The message begins with the place."""


class Skipped:
    """How many lines of a source hold no prompt, for the user to know."""

    def __init__(self) -> None:
        self.comments = 0
        self.others = 0


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines. `splitlines` would also split at U+2028 and similar characters, which occur inside prompts."""
    return enumerate(re.split(r"\r\n?|\n", text), start=1)


# ---- text ------------------------------------------------------------------------------------------------------------

_BULLET = re.compile(r"(?:[-*+•–—·]|\(?\d{1,4}[.):]|\[\d{1,4}\])\s+(?=\S)")

_CELLS = re.compile(r"\w[\w ]{0,30}(?:[,;]\w[\w ]{0,30})+")  # no blank after a comma: not the commas of a sentence


def read_txt(text: str, lines: Lines, skipped: Skipped) -> Iterator[PromptEntry]:
    """One prompt a line. Blank lines and comments are skipped."""
    kept = [(number, line.strip()) for number, line in numbered(text) if line.strip()]
    prompts = [(number, line) for number, line in kept if not line.startswith("#")]
    skipped.comments += len(kept) - len(prompts)
    if lines == "ask":
        _doubt(prompts)
    for number, line in prompts:
        if lines == "strip":
            line = _BULLET.sub("", line, count=1)
            if not any(map(str.isalnum, line)) or line.startswith(("```", "~~~")):
                skipped.others += 1
                continue
        yield PromptEntry(str(number), {"text": line})


def _doubt(lines: list[tuple[int, str]]) -> None:
    """Raise `Doubtful` for the first line that nobody would pay for on purpose."""
    for at, (number, line) in enumerate(lines):
        if not any(map(str.isalnum, line)) or line.startswith(("```", "~~~")):
            raise Doubtful(f"{number}: {line[:60]!r} is hardly a prompt")
        if re.match(r"""[{\[]\s*["'{\[]|"\w+"\s*:|- \w+:\s""", line):
            raise Doubtful(f"{number}: {line[:60]!r} is a piece of JSON or YAML, but the whole is neither")
        if "\t" in line or line.startswith("|") or (at == 0 and len(lines) > 1 and _CELLS.fullmatch(line)):
            raise Doubtful(f"{number}: {line[:60]!r} is a row of a table, whose first line must name a column `text`")
        if at == 0 and len(lines) > 1 and line.endswith((":", "：")):
            raise Doubtful(f"{number}: {line[:60]!r} is a heading, hardly a prompt")
    listed = [number for number, line in lines if _BULLET.match(line)]
    if listed and (len(listed) > 1 or len(lines) == 1):
        number = listed[0]
        line = next(line for at, line in lines if at == number)
        raise Doubtful(f"{number}: {line[:60]!r} begins with a bullet or a number, which would be part of the prompt")


# ---- JSON ------------------------------------------------------------------------------------------------------------


def read_jsonl(text: str, *_: object) -> Iterator[PromptEntry]:
    """One object of fields, or one text, a line."""
    for number, line in numbered(text):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            fields = _DECODER.decode(line)
        except json.JSONDecodeError as error:
            raise Broken(f'{number}:{error.colno}: {error.msg}. A line looks like {{"text": "a paper boat"}}') from None
        except (ValueError, RecursionError) as error:
            raise Broken(f"{number}: {_plain(error)}") from None
        if not isinstance(fields, str | dict):
            raise Broken(f"{number}:1: a line holds one object of prompt fields, not a {type(fields).__name__}")
        yield PromptEntry(str(number), _fields(fields))


def read_json(text: str, *_: object) -> Iterator[PromptEntry]:
    """One list of objects or texts, an object with such a list as `prompts`, or one object after the other."""
    body = re.sub(r"(?m)^[ \t]*#[^\r\n]*", lambda match: " " * len(match[0]), text)
    at, depth = 0, 0
    while at < len(body):
        if body[at] in " \t\r\n,":
            at += 1
        elif body[at] == "[" and not depth:
            at, depth = at + 1, 1
        elif body[at] == "]" and depth:
            at, depth = at + 1, 0
        else:
            line = body.count("\n", 0, at) + 1
            where = f"{line}:{at - body.rfind(chr(10), 0, at)}"
            try:
                value, at = _DECODER.raw_decode(body, at)
            except json.JSONDecodeError as error:
                raise Broken(f"{error.lineno}:{error.colno}: {error.msg}") from None
            except (ValueError, RecursionError) as error:
                raise Broken(f"{where}: {_plain(error)}") from None
            if isinstance(value, dict) and isinstance(value.get("prompts"), list) and not depth:
                yield from (_json_entry(f"{where} prompts[{n}]", each) for n, each in enumerate(value["prompts"]))
            else:
                yield _json_entry(where, value)
    if depth:
        raise Broken(f"{body.count(chr(10)) + 1}: the list has no end: `]` is missing")


def _json_entry(where: str, value: Any) -> PromptEntry:
    if not isinstance(value, str | dict):
        raise Broken(f"{where}: a prompt is a text or an object of fields, not a {type(value).__name__}")
    return PromptEntry(where, _fields(value))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON: leave the field out")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
        raise ValueError(f"{twice} is there twice: one of them would be lost")
    return fields


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_once)


def _fields(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    return {str(key): v for key, v in value.items() if not str(key).startswith("_")}


def _plain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    message = str(error)
    return "a number has too many digits" if "integer string conversion" in message else message


# ---- CSV -------------------------------------------------------------------------------------------------------------


def read_csv(text: str, *_: object) -> Iterator[PromptEntry]:
    """Columns named like the fields, separated by commas, semicolons or tabs, whichever the first line has."""
    above, header_line = "", next(iter(re.split(r"\r\n?|\n", text.lstrip("\r\n"))), "")
    if (told := re.fullmatch(r"sep=(.)", header_line.strip())) is not None:  # Excel's own word for it
        above, text = "1", text.lstrip("\r\n")[len(header_line) :].lstrip("\r\n")
        header_line = next(iter(re.split(r"\r\n?|\n", text)), "")
    unquoted = re.sub(r'"[^"]*"', "", header_line)
    delimiter = told[1] if told is not None else max(",;\t", key=unquoted.count)
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a picture as a data URL fits a cell
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    shift = len(above)
    try:
        header = list(rows.fieldnames or [])
        names = [field_name(column.strip()) for column in header]
        _check_header(header, names, shift + 1)
        rows.fieldnames = names
        for row in rows:
            where = str(rows.line_num + shift)
            if None in row:
                raise Broken(f"{where}: more cells than the {len(header)} columns; put texts with commas in quotes")
            if fields := _cells(row):
                yield PromptEntry(where, fields)
    except csv.Error as error:
        raise Broken(f"{rows.line_num + shift}: {error}") from None


def _check_header(header: list[str], names: list[str], line: int) -> None:
    if not {"text", "image", "video"} & set(names):
        raise Broken(
            f"{line}: the first line must name the columns, `text` among them; it names {', '.join(header) or 'none'}"
        )
    for column, name in zip(header, names, strict=True):
        if name and names.count(name) > 1:
            both = " and ".join(dict.fromkeys(c for c, n in zip(header, names, strict=True) if n == name))
            raise Broken(f"{line}: two columns are the field {name} ({both}): leave one out, or name it _{column}")


def _cells(row: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for column, cell in row.items():
        if not cell or not cell.strip() or column.startswith("_"):
            continue
        if column.startswith("metadata."):
            fields.setdefault("metadata", {})[column.removeprefix("metadata.")] = cell
        elif column in SEVERAL_MEDIA and not cell.lstrip().startswith("data:"):
            fields[column] = [part.strip() for part in cell.split(";")]
        else:
            fields[column] = cell
    return fields


# ---- YAML ------------------------------------------------------------------------------------------------------------


def read_yaml(text: str, *_: object) -> Iterator[PromptEntry]:
    """A list of texts or mappings, or a mapping with such a list as `prompts`."""
    import yaml  # only this format needs it

    if len(text) > LARGEST:
        raise Broken(f"1: YAML of more than {LARGEST // 2**20} MiB takes minutes to read: use JSON lines")
    reader = loader(text)
    try:
        with reading(reader):
            root = reader.get_single_node()
            if root is None:
                return
            check_size(root)
            if isinstance(root, yaml.MappingNode):
                root = next((value for key, value in root.value if key.value == "prompts"), root)
            if not isinstance(root, yaml.SequenceNode):
                kind = type(reader.construct_document(root)).__name__
                if kind != "NoneType":
                    raise Broken(f"1:1: a YAML file of prompts is a list (- …), not a {kind}")
                return
            for node in root.value:
                where = f"{node.start_mark.line + 1}:{node.start_mark.column + 1}"
                keys = [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
                if twice := next((key for key in keys if keys.count(key) > 1), None):
                    raise Broken(f"{where}: {twice} is there twice: one of them would be lost")
                try:
                    value = reader.construct_document(node)
                except (ValueError, TypeError) as error:
                    raise Broken(f"{where}: {_plain(error)}") from None
                if not isinstance(value, str | dict):
                    raise Broken(f"{where}: a prompt is a text or a mapping of fields, not a {type(value).__name__}")
                yield PromptEntry(where, {**_fields(value), **_texts(node)})
    except YamlBroken as error:
        raise Broken(str(error)) from None


def _texts(node: yaml.Node) -> dict[str, str]:
    """The fields of `node` that are texts, as they are written: `id: 007` and `text: No` are no number and no false."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return {}
    return {
        key.value: value.value
        for key, value in node.value
        if isinstance(value, yaml.ScalarNode)
        and field_name(str(key.value)) in _TEXTS
        and not value.tag.endswith(":null")
    }


_TEXTS = {"text", "negative_prompt", "model", "aspect_ratio", "resolution", "previous", "id", "project_id"}
assert VideoPrompt.model_fields.keys() >= _TEXTS


READERS: Mapping[str, Callable[[str, Lines, Skipped], Iterator[PromptEntry]]] = {
    "txt": read_txt,
    "json": read_json,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "yaml": read_yaml,
}
