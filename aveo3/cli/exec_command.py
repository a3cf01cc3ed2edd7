"""The command of `--exec`: what it may hold, and its arguments and environment for a clip. Runs nothing."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from aveo3.errors import UsageError
from aveo3.models import VideoClip

FIELDS = (
    *("path", "paths", "job", "id", "project_id", "index", "prompt", "model", "lane", "seed"),
    *("cost_usd", "operation", "uri"),
)
"""What the command may hold in braces, and gets as `AVEO3_…` in its environment."""

WINDOWS_SHELLS = {"cmd", "powershell", "pwsh"}
"""They make one script of all that follows."""
INTERPRETERS = WINDOWS_SHELLS | {
    *("sh", "bash", "zsh", "dash", "ksh", "fish", "ash", "su", "awk", "gawk"),
    *("python", "pypy", "perl", "ruby", "node", "deno", "bun", "php", "lua", "osascript", "tclsh"),
}
"""They run the words that follow `-c` or `-e`."""
REMOTE = {"ssh", "watch", "eval", "parallel"}
"""They hand all their arguments to a shell."""


class Command:
    """A program and its arguments, taken apart as a shell would, but run without one.

    Raises `UsageError` if there is no such program, if a field does not exist, and if a shell would run the words of a
    prompt.
    """

    def __init__(self, words: str) -> None:
        self._arguments = _checked(words)

    def of(self, clip: VideoClip) -> tuple[list[str], dict[str, str]]:
        """The arguments and the environment for `clip`."""
        values = _values(clip)
        arguments = [part for argument in self._arguments for part in _filled(argument, values, clip)]
        return arguments, {**os.environ, **{f"AVEO3_{name.upper()}": value for name, value in values.items()}}


def _checked(command: str) -> list[str]:
    """The arguments of a command, with its fields. Raises `UsageError`."""
    try:
        arguments = shlex.split(command) if os.name == "posix" else _split_for_windows(command)
    except ValueError:
        raise UsageError(f"--exec {command}: a quote is open") from None
    if not arguments or not arguments[0]:
        raise UsageError('--exec is empty: name a program, as in --exec "cp {path} /films"')
    program = arguments[0]
    held = [_fields_of(argument) for argument in arguments]
    if held[0]:
        raise UsageError(f"--exec {command}: its first word is the program, which cannot be a field")
    if (found := shutil.which(program)) is None:
        raise UsageError(
            f"--exec: there is no program {program}. It is run without a shell: name a program or its path; for what "
            "only a shell can do, write a script."
        )
    if any(held) and found.lower().endswith((".bat", ".cmd")):
        raise UsageError(f"--exec: Windows would run the fields of {program} as commands: call a program or a script")
    for place, argument in enumerate(arguments):
        if "paths" in held[place] and argument != "{paths}":
            raise UsageError("--exec: {paths} becomes several arguments: let it stand alone")
    _check_scripts(arguments, held)
    return arguments


def _split_for_windows(command: str) -> list[str]:
    parts = shlex.split(command, posix=False)
    return [part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part for part in parts]


def _fields_of(argument: str) -> list[str]:
    try:
        parts = [(name, form, conversion) for _, name, form, conversion in Formatter().parse(argument)]
    except ValueError:
        raise UsageError(f"--exec: {argument}: a brace has no partner: write {{{{ or }}}} for a brace") from None
    fields = []
    for name, form, conversion in parts:
        if name is None:
            continue
        if name not in FIELDS or form or conversion:
            close = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"did you mean {{{close[0]}}}?" if close else f"the fields are {', '.join(FIELDS)}."
            raise UsageError(f"--exec: {argument}: {{{name}}} is not a field: {hint} Write {{{{ and }}}} for braces.")
        fields.append(name)
    return fields


def _check_scripts(arguments: list[str], held: list[list[str]]) -> None:
    """Raise `UsageError` if a field stands in a script: a shell or an interpreter would run the words of a prompt.

    Looks behind programs that run others, such as `env` and `timeout`, too.
    """
    for place, program in enumerate(arguments):
        name = re.sub(r"[\d.]+$", "", Path(program).name.lower().removesuffix(".exe"))
        rest = range(place + 1, len(arguments))
        flags = [n for n in rest if _begins_script(arguments[n])]
        if name in REMOTE or (name in WINDOWS_SHELLS and flags):
            scripts = {*rest}
        elif name in INTERPRETERS:
            scripts = {*flags, *(flag + 1 for flag in flags)} & {*rest}
        else:
            continue
        if field := next((held[n][0] for n in sorted(scripts) if held[n]), None):
            raise UsageError(
                f"--exec: {program} would run {{{field}}} as a part of its script. Use its variable there, "
                f"AVEO3_{field.upper()}, in quotes if it is a shell, or write a script that takes an argument."
            )


def _begins_script(argument: str) -> bool:
    """`-c`, `-lc`, `-e`, `--eval`, `/c`, `-Command`, …, with the script after it or in it."""
    return _FLAG.match(argument) is not None


_FLAG = re.compile(
    r"-[a-z]{0,4}[cer]|--(command|eval|execute|print)\b|-(command|encodedcommand|f)$|/[ck]", re.IGNORECASE
)


def _values(clip: VideoClip) -> dict[str, str]:
    """The value of each field for `clip`; empty if it has none."""
    prompt = clip.prompt
    values: Mapping[str, Any] = {
        "job": clip.job,
        "id": prompt.id or clip.job,
        "project_id": prompt.project_id,
        "index": clip.index + 1,
        "prompt": prompt.text,
        "model": clip.model,
        "lane": clip.lane,
        "seed": prompt.seed,
        "cost_usd": clip.cost_usd,
        "operation": clip.operation,
        "uri": clip.uri,
    }
    paths = [str(path.absolute()) for path in clip.paths]
    return {
        "path": paths[0],
        "paths": "\n".join(paths),
        **{name: "" if value is None else _text(value) for name, value in values.items()},
    }


def _text(value: Any) -> str:
    """A value as an argument can hold it: without null characters and halves of emojis."""
    return str(value).replace("\0", " ").encode(errors="replace").decode()


def _filled(argument: str, values: Mapping[str, str], clip: VideoClip) -> Iterator[str]:
    if argument == "{paths}":
        yield from (str(path.absolute()) for path in clip.paths)
    else:
        yield argument.format_map(values)
