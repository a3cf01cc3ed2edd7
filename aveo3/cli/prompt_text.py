"""Reads a prompt source as text and tells its format: by its content, and by its name where content leaves it open."""

from __future__ import annotations

import difflib
import json
import re
import sys
from contextlib import suppress
from pathlib import Path

from aveo3.cli.shells import quoted
from aveo3.errors import UsageError
from aveo3.models import VideoPrompt, field_name

SUFFIXES = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".yaml": "yaml",
    ".yml": "yaml",
}
LARGEST = 256 * 2**20
"""Bytes of one source. More is no list of prompts, and would not fit into memory as often as it is read."""

SHOWN_FILES = 5
"""Prompt files of a directory that a message names."""

_OTHER_FILES = (
    (b"PK\x03\x04", "a workbook or an office document: save it as CSV UTF-8 or as plain text"),
    (b"\xd0\xcf\x11\xe0", "an old workbook or office document: save it as CSV UTF-8 or as plain text"),
    (b"%PDF", "a PDF: save it as plain text"),
    (b"{\\rtf", "rich text: save it as plain text"),
    (b"\x1f\x8b", "compressed: unpack it first"),
    (b"<!doctype", "a web page: save it as plain text"),
    (b"<html", "a web page: save it as plain text"),
    (b"<?xml", "XML: save it as plain text, CSV or JSON"),
)
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_FENCE = re.compile(r"\s*(```|~~~)")


def read_text(source: str | Path) -> str:
    """The text of a file, or of standard input for `-`, in UTF-8 or UTF-16. Raises `UsageError` for anything else."""
    name = name_of(source)
    try:
        if str(source) == "-":
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}. {_way_out(Path(source))}") from error
    if len(data) > LARGEST:
        raise UsageError(f"{name} is larger than {LARGEST // 2**20} MiB: split it.")
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for magic, what in _OTHER_FILES:
        if start.startswith(magic.lower()):
            raise UsageError(f"{name} is {what}.")
    text = _decoded(data, name).removesuffix("\x1a")  # DOS ends a text with it
    if (odd := _NO_TEXT.search(text)) is not None:
        line = text.count("\n", 0, odd.start()) + 1
        what = f"it holds the control character {odd[0]!r}"
        raise UsageError(f"{name}:{line}: this is not text: {what}. Save it as text.")
    return text


def _way_out(path: Path) -> str:
    """What to give instead of a source that cannot be read: the prompt files that are there, or one like it."""
    with suppress(OSError, ValueError):
        if path.is_dir():
            names = sorted(file.name for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
            files = [quoted(str(path / name)) for name in names if name != "manifest.jsonl"]
            if files:
                more = " …" if len(files) > SHOWN_FILES else ""
                return f"Name its prompt files: aveo3 generate {' '.join(files[:SHOWN_FILES])}{more}"
            return "It holds no prompt files. Give a text file with one prompt a line."
        if " " not in path.name and not path.exists():
            names = [file.name for file in path.parent.iterdir() if file.suffix.lower() in SUFFIXES]
            if close := difflib.get_close_matches(path.name, names, n=1):
                return f"Did you mean {quoted(str(path.parent / close[0]))}?"
    if path.suffix.lower() in SUFFIXES:
        return "Give a text file with one prompt a line."
    words = f"{str(path)[:60]}{'…' * (len(str(path)) > 60)}"  # hardly meant as a file's name
    return f"If it is the text of a prompt, use --prompt: aveo3 generate --prompt {quoted(words)}"


def name_of(source: str | Path) -> str:
    """What messages call a source."""
    return "standard input" if str(source) == "-" else str(source)


def _decoded(data: bytes, name: str) -> str:
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    encoding = encoding or _without_mark(data[:4096])
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        way_out = "Save it as UTF-8."
        if encoding == "utf-8-sig":
            way_out += " (Excel: `CSV UTF-8`.)" if name.lower().endswith((".csv", ".tsv")) else ""
            raise UsageError(f"{name} is not UTF-8 text (byte {error.start}). {way_out}") from None
        raise UsageError(f"{name} is not whole as {encoding.upper()} text (byte {error.start}). {way_out}") from None


def _without_mark(start: bytes) -> str:
    """UTF-16 without a mark has null bytes in every other place as soon as some of it is English, or a line ends."""
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if max(even, odd) > 0.3 * len(start) / 2 and min(even, odd) == 0:
        return "utf-16-be" if even else "utf-16-le"
    return "utf-8-sig"


def without_fences(text: str) -> str:
    """`text` with the two lines of a Markdown fence around all of it left empty, so that line numbers stay."""
    lines = text.split("\n")
    full = [number for number, line in enumerate(lines) if line.strip()]
    if len(full) > 1 and _FENCE.match(lines[full[0]]) and re.fullmatch(r"\s*(```|~~~)\s*", lines[full[-1]]):
        lines[full[0]] = lines[full[-1]] = ""
    return "\n".join(lines)


def format_of(source: str | Path, text: str, *, as_it_is: bool = False) -> str:
    """`txt`, `json`, `jsonl`, `csv` or `yaml`; with `as_it_is` a text is a text, whatever it looks like.

    Raises `UsageError` for a name that no prompt file has.
    """
    path = Path(source)
    suffix = path.suffix.lower()
    named = SUFFIXES.get(suffix)
    if named is None and str(source) != "-" and path.is_file():  # a pipe such as /dev/fd/63 has no name of its own
        ends = f"{', '.join(SUFFIXES)}, not {suffix or 'nothing'}"
        raise UsageError(f"{source}: the name of a prompt file ends in {ends}")
    if as_it_is and named in ("txt", None):
        return "txt"
    if named == "yaml":  # it reads JSON as well
        return named
    if (shape := _json_shape(text)) is not None:
        return shape
    if named in ("csv", "jsonl", "json"):
        return "jsonl" if named == "json" else named
    first = next(iter(_filled(text)), "")
    if re.match(r"-\s+\w+:\s|---\s*$|%YAML|prompts:\s*$", first.strip()):
        return "yaml" if re.search(r"(?m)^\s*- ", text) else "txt"
    return "csv" if _is_header(first) else "txt"


def _filled(text: str) -> list[str]:
    """Its lines without blank ones and comments."""
    return [line for line in re.split(r"[\r\n]+", text) if line.strip() and not line.lstrip().startswith("#")]


def _json_shape(text: str) -> str | None:
    """`json` for one value that may span lines, `jsonl` for one a line; None if it is neither."""
    lines = _filled(text)
    first = lines[0].strip() if lines else ""
    if first.startswith("{"):
        if len(lines) == 1 and re.match(r'\{\s*"prompts"\s*:', first):
            return "json"
        return "jsonl" if _is_json(first) or len(lines) == 1 or not first.rstrip().endswith(("{", ",")) else "json"
    if first.startswith("["):
        # `[wide shot] a boat` is a text; a list begins with a brace or a quote
        return "json" if re.match(r"\[\s*([\[{\"\]]|$)", "".join(lines).strip()) else None
    if first.startswith('"') and not _is_header(first) and all(_is_json(line) for line in lines):
        return "jsonl"
    return None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_header(line: str) -> bool:
    """True if the cells of `line` are names of columns, with one that a prompt can be made of."""
    if re.fullmatch(r"sep=.", line.strip()):
        return True
    cells = [cell.strip().strip('"') for cell in re.split(r"[,;\t]", line)]
    fields = [field_name(cell) for cell in cells if cell]
    known = sum(field in VideoPrompt.model_fields for field in fields)
    made_of_media = bool({"image", "video"} & {*fields}) and known * 2 >= len(fields)
    return ("text" in fields or made_of_media) and all(re.fullmatch(r"[\w .-]{0,40}", cell) for cell in cells)
