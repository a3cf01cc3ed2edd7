"""Scenarios: options to start with, and steps that change options at given times. `EXAMPLE` shows one.

A step changes only the options that it names. Its faults and quotas replace the earlier ones, and its faults count
their hits from 1 again. A step does not change operations that already run.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aveo3.mock.config.options import FIXED, MockOptions
from aveo3.mock.config.validation import complaint, shown, unknown

STEP = ("time", "note")
CHANGEABLE = tuple(name for name in MockOptions.model_fields if name not in FIXED)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)\s*")


EXAMPLE = """\
# A day at Google. At the top: any option of `aveo3 mock-server`, with _ for -.
rpm = 10
latency = "lognormal:70,0.35"
speed = 60                          # one emulated hour takes one real minute

[[quotas]]                          # the same as --quota "project=alpha,model=veo-3.1-fast-*,rpm=2"
project = "alpha"
model = "veo-3.1-fast-*"
rpm = 2

# Steps. A step changes only the options that it names.
[[at]]
time = "10m"                        # emulator time: 600, "90s", "10m", "2h", "1h30m"
note = "busy: the model is overloaded for one submit in five"
faults = ["overloaded:0.2"]         # replaces all earlier faults

[[at]]
time = "30m"
note = "outage: nothing is accepted, and polls fail too"
faults = ["503", "poll-503:0.5"]

[[at]]
time = "40m"
note = "the service is back, but slow and with half the quota"
faults = []
slowdown = 3
rpm = 5

[[at]]
time = "2h"
note = "normal service again"
slowdown = 1
rpm = 10
"""


class ScenarioError(ValueError):
    """An invalid scenario. The message names the file, the line, the key and the way out."""


def seconds(value: Any) -> float:
    """Parse 90, "90", "90s", "10m", "2h" or "1h30m" into seconds. Raises ValueError with the allowed forms."""
    text = str(value).strip().lower() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    parts = _DURATION.findall(text)
    if not text or _DURATION.sub("", text) or (len(parts) > 1 and not all(unit for _, unit in parts)):
        raise ValueError(f'{shown(value)} is not a time. Write emulator seconds (90) or "90s", "10m", "2h", "1h30m".')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True)
class Step:
    """Changes of options at one instant. `at` is in emulator seconds; `changes` are fields of MockOptions."""

    at: float
    note: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.note or ", ".join(f"{name} = {_as_text(name, value)}" for name, value in self.changes.items())

    def as_dict(self) -> dict[str, Any]:
        return {"at": self.at, "note": str(self), "changes": sorted(self.changes)}


@dataclass(frozen=True, slots=True)
class Scenario:
    """Options and steps, sorted by time. The constructor checks all of them, so that no step fails later."""

    options: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    name: str = "scenario"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(sorted(self.steps, key=lambda step: step.at)))
        _checked(self.options)
        for step in self.steps:
            _checked(_only_changeable(step.changes))

    def start(self, **overrides: Any) -> MockOptions:
        """Return the options to start with. `overrides` beat the options of the file; a step may still change them."""
        return MockOptions.model_validate({**self.options, **overrides})

    @classmethod
    def load(cls, path: str | Path) -> "Scenario":
        """Read and check a scenario file. Raises ScenarioError with the file, the line and the key."""
        path = Path(path)
        try:
            text = path.read_text("utf-8-sig")
        except OSError as error:
            raise ScenarioError(f"cannot read {path}: {error.strerror}. Give a TOML file with a scenario.") from error
        except UnicodeDecodeError as error:
            raise ScenarioError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str = "scenario") -> "Scenario":
        """Parse the text of a scenario; error messages call it `name`. Raises ScenarioError."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ScenarioError(f"{name} is not TOML: {error}. Put texts in quotes and lists in [brackets].") from None
        where = _Places(text, name)
        steps = table.pop("at", [])
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise ScenarioError(f"{where(None, 'at')}write each step as a table: [[at]], then time = ...")
        with where.blaming(None):
            _checked(table)
        parsed = []
        for number, raw in enumerate(steps):
            with where.blaming(number):
                parsed.append(_step(raw))
        return cls(table, tuple(parsed), name)


class _Wrong(ValueError):
    """An error message, and the key that it is about (empty: the whole table)."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(f"{key}: {sentence}" if key else sentence)
        self.key = key


def _step(raw: Mapping[str, Any]) -> Step:
    changes = {name: value for name, value in raw.items() if name not in STEP}
    if "time" not in raw:
        raise _Wrong("", 'a step needs a time, such as time = "10m".')
    try:
        at = seconds(raw["time"])
    except ValueError as error:
        raise _Wrong("time", str(error)) from None
    note = raw.get("note", "")
    if not isinstance(note, str):
        raise _Wrong("note", f"{shown(note)} is not a text; put it in quotes.")
    if not changes and not note:
        raise _Wrong("", f"a step needs a change or a note. It can change {', '.join(CHANGEABLE)}.")
    _checked(_only_changeable(changes))
    return Step(at, note, changes)


def _only_changeable(changes: Mapping[str, Any]) -> dict[str, Any]:
    for name in changes:
        if name in FIXED:
            raise _Wrong(name, "it cannot change while the server runs. Put it at the top, before the first [[at]].")
        if name not in CHANGEABLE:
            raise _Wrong(name, unknown(name, (*STEP, *CHANGEABLE), "step key"))
    return dict(changes)


def _checked(options: Mapping[str, Any]) -> MockOptions:
    try:
        return MockOptions.model_validate(dict(options))
    except ValidationError as error:
        name, sentence = complaint(error, MockOptions)
        raise _Wrong(name or str(error.errors()[0]["loc"][0]), sentence) from None


class _Places:
    """Finds the line of a key, which tomllib does not give. It reads `key =` lines and table headers only."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines: dict[tuple[int | None, str], int] = {}
        step, here = -1, ""
        for number, line in enumerate(text.splitlines(), 1):
            bare = line.strip()
            if header := re.match(r"\[+\s*([\w.-]+)", bare):
                here = header[1]
                step += here == "at"
                top, _, inner = here.partition(".")
                self._lines.setdefault((step, inner) if top == "at" else (None, here), number)
            elif (key := re.match(r'"?([\w-]+)"?\s*=', bare)) and here in ("", "at"):
                self._lines.setdefault((step if here == "at" else None, key[1]), number)

    def __call__(self, step: int | None, key: str) -> str:
        line = self._lines.get((step, key)) or self._lines.get((step, ""))
        place = f", line {line}" if line else ""
        return f"{self._name}{place}: {'' if step is None else f'step {step + 1} ([[at]]): '}"

    @contextmanager
    def blaming(self, step: int | None) -> Iterator[None]:
        """Put the file, line and step in front of the message of an error inside the `with`."""
        try:
            yield
        except _Wrong as error:
            raise ScenarioError(f"{self(step, error.key)}{error}") from None


def _as_text(name: str, value: Any) -> str:
    if name == "quotas":
        return f"{len(value)} for some projects, keys or models"  # quotas may hold API keys
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
