"""The README is run: its Python blocks, its command lines and its tables of settings and of what the models can do are
what the program is."""

from __future__ import annotations

import re
import shlex
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

import aveo3.mock
from aveo3 import VideoPrompt
from aveo3.cli import app
from aveo3.config import catalog
from aveo3.config.catalog import Catalog, ModelCard
from aveo3.config.settings import describe
from aveo3.mock import FAULTS, MockOptions

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text("utf-8")
SHELLS = ("console", "sh", "bash", "shell")
SSL_CONTEXT = ssl.create_default_context()


class Block(NamedTuple):
    """One fenced block: its language, the line it begins on, its text, and why it is not to be run."""

    language: str
    line: int
    text: str
    not_run: str | None


def blocks(text: str) -> list[Block]:
    """Every fenced block of a Markdown text, in order."""
    found = []
    for match in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```$", text):
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        comment = re.fullmatch(r"<!-- not run: (.+) -->", before)
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(match[1], line, match[2], comment[1] if comment else None))
    return found


def commands(block: str) -> list[list[str]]:
    """Every `aveo3 …` that a shell block runs: its arguments, without prompt, variables and directory."""
    found = []
    for line in block.replace("\\\n", " ").replace("&&\n", "&& ").splitlines():
        for part in re.split(r"&&|\|\||[;|]", line.removeprefix("$ ")):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"\w+=.*", words[0], re.DOTALL):
                words.pop(0)
            if words and Path(words[0]).name == "aveo3":
                found.append(words[1:])
    return found


ROWS = [f"| `{row.name}` | {row.default} | {row.meaning} |" for row in describe()]
PYTHON = [block for block in blocks(TEXT) if block.language == "python"]
COMMANDS = [words for block in blocks(TEXT) if block.language in SHELLS for words in commands(block.text)]


def test_blocks_are_found_with_their_marks() -> None:
    text = (
        "```python\na\n```\n<!-- not run: costs money -->\n```python\nb\n```\n\n```sh\n$ X=1 bin/aveo3 go && ls\n```\n"
    )
    assert blocks(text) == [
        Block("python", 2, "a\n", None),
        Block("python", 6, "b\n", "costs money"),
        Block("sh", 10, "$ X=1 bin/aveo3 go && ls\n", None),
    ]
    assert commands("$ X=1 .venv/bin/aveo3 go -x &&\n  Y='a b' aveo3 stay # not aveo3 this\npip install aveo3\n") == [
        ["go", "-x"],
        ["stay"],
    ]


def test_the_readme_has_what_is_checked_here() -> None:
    assert [block for block in PYTHON if block.not_run is None], "README.md has no ```python block that is run"
    assert [words for words in COMMANDS if words[:1] == ["generate"]], "README.md shows no `aveo3 generate` in ```sh"
    assert "\n<!-- settings -->\n" in TEXT, "README.md has no table of settings after <!-- settings -->"
    assert "\n<!-- /settings -->\n" in TEXT, "README.md's table of settings does not end with <!-- /settings -->"


def test_every_fence_is_closed() -> None:
    assert TEXT.count("\n```") == 2 * len(blocks(TEXT))


# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"line-{block.line}")
def test_every_python_block_runs_in_mock_mode(
    block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Empty lines before it have a traceback name the README's own line.
    code = compile("\n" * (block.line - 1) + block.text, str(README), "exec")
    if block.not_run is not None:
        return

    def hasty(**options: Any) -> MockOptions:
        return MockOptions.model_validate({**options, "latency": "0.01", "films": "bundled"})

    monkeypatch.setattr(aveo3.mock, "MockOptions", hasty)  # mock mode's clips take up to two seconds
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")
    exec(code, {"__name__": "__main__"})
    shown = capsys.readouterr()
    assert shown.err == ""
    assert not re.search(r"\b(failed|rejected|uncertain|deferred|cancelled|None)\b", shown.out), shown.out


def mistake(words: list[str]) -> str | None:
    """What `aveo3 WORDS…` would be refused for; None if it would run. Parses as a call would, and runs nothing."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if not words or words[0] == "--help":
            return None
        name, *words = words
        if name not in command.commands:
            return f"{name} is not a command: {', '.join(command.commands)} are"
        command = command.commands[name]
    if "--help" in words:
        return None
    try:
        command.make_context("aveo3", words)
    except Exception as error:  # click's, whose home depends on typer's version
        return str(error)
    return None


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_line_is_one_that_aveo3_takes(words: list[str]) -> None:
    assert mistake(words) is None


@pytest.mark.parametrize("words", ["generat x", "generate x --colour", "generate x --budget much", "config shw"])
def test_a_command_line_that_aveo3_does_not_take_is_noticed(words: str) -> None:
    assert mistake(words.split()) is not None


def test_the_table_of_settings_is_what_the_settings_are() -> None:
    table = TEXT.partition("\n<!-- settings -->\n")[2].partition("\n<!-- /settings -->\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows == ROWS, "README.md's table of settings is out of date; its rows should be:\n" + "\n".join(ROWS)


# ---- what the models can do ------------------------------------------------------------------------------------------


def yes_or_no(able: object) -> str:
    return "yes" if able else "no"


def up_to(number: int) -> str:
    return {0: "no", 1: "1"}.get(number, f"up to {number}")


def seconds(card: ModelCard) -> str:
    low, high = card.durations[0], card.durations[-1]
    return f"{low} to {high}" if card.durations == tuple(range(low, high + 1)) else listed(map(str, card.durations))


def listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "–"


CAN: dict[str, tuple[str, Callable[[ModelCard], str]]] = {
    # a card's field: what the table calls it, and how it tells of it
    "backend": ("`VEO3_BACKEND`", lambda card: card.backend),
    "durations": ("`duration_seconds`", seconds),
    "default_duration": ("… unless told", lambda card: str(card.default_duration)),
    "resolutions": ("`resolution`", lambda card: listed(card.resolutions)),
    "default_resolution": ("… unless told", lambda card: card.default_resolution),
    "aspect_ratios": ("`aspect_ratio`", lambda card: listed(card.aspect_ratios)),
    "image": ("`image`", lambda card: yes_or_no(card.image)),
    "image_types": ("… of these types", lambda card: listed(t.partition("/")[2] for t in card.image_types)),
    "last_frame": ("`last_frame`", lambda card: yes_or_no(card.last_frame)),
    "reference_images": ("`reference_images`", lambda card: up_to(card.reference_images)),
    "video": ("`video`, to be extended", lambda card: yes_or_no(card.video)),
    "extends": ("… in these resolutions", lambda card: listed(card.extends or card.resolutions)),
    "previous": ("`previous`, an own clip", lambda card: yes_or_no(card.previous)),
    "edit": ('`task="edit"`', lambda card: yes_or_no(card.edit)),
    "only_seconds": (
        "in one length only",
        lambda card: listed(f"`{n}` in {s} s" for n, s in card.only_seconds.items()),
    ),
    "generate_audio": ("`generate_audio=False`", lambda card: yes_or_no(card.generate_audio is True)),
    "seed": ("`seed`", lambda card: yes_or_no(card.seed)),
    "negative_prompt": ("`negative_prompt`", lambda card: yes_or_no(card.negative_prompt)),
    "person_generation": ("`person_generation`", lambda card: yes_or_no(card.person_generation)),
    "max_videos": ("`number_of_videos`", lambda card: up_to(card.max_videos)),
}
NOT_AN_ABILITY = {
    *("state", "since", "retires", "source"),
    *("requests_per_minute", "latency", "prices", "silent", "token_prices"),
}


def abilities(cards: Catalog) -> list[str]:
    """The rows of the table. Models that can do the same share a column."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for model, card in cards.models.items():
        alike.setdefault(tuple(tell(card) for _, tell in CAN.values()), []).append(f"`{model}`")
    head = (f"as of {cards.as_of}", *map(listed, alike.values()))
    rows = [f"| {' | '.join(row)} |" for row in (head, *zip((name for name, _ in CAN.values()), *alike, strict=True))]
    return [rows[0], "|---" * len(head) + "|", *rows[1:]]


def test_the_table_of_abilities_is_what_the_catalog_says() -> None:
    rows = abilities(catalog.load())
    table = TEXT.partition("\n<!-- capabilities -->\n")[2].partition("\n<!-- /capabilities -->\n")[0]
    assert table.splitlines() == rows, "README.md's table of what the models can do should be:\n" + "\n".join(rows)


def test_the_table_of_abilities_leaves_nothing_out_that_a_card_says() -> None:
    assert set(CAN) == set(ModelCard.model_fields) - NOT_AN_ABILITY


def test_every_field_of_a_prompt_is_named_where_files_of_prompts_are_told_of() -> None:
    section = TEXT[TEXT.index("### Files of prompts") : TEXT.index("## How the quota is used")]
    assert [name for name in VideoPrompt.model_fields if f"`{name}`" not in section] == []


def test_every_variable_that_the_readme_names_exists() -> None:
    known = {name for row in describe() for name in row.name.split(" or ")}
    assert sorted(set(re.findall(r"\b(?:VEO3|GOOGLE|GEMINI)_[A-Z_]*[A-Z]\b", TEXT)) - known) == []


def test_the_readme_promises_the_exit_codes_and_statuses_there_are() -> None:
    from aveo3 import ClipStatus
    from aveo3.cli.exit_codes import Exit

    assert [status for status in ClipStatus if f"| `{status}` |" not in TEXT] == []
    assert [code for code in Exit if not re.search(rf"\b{code:d}\s+\(", TEXT)] == []


def test_the_mock_servers_tables_have_every_fault_and_every_option() -> None:
    section = TEXT[TEXT.index("## The mock server") : TEXT.index("For tests of your own")]
    assert [name for name in FAULTS if f"`{name}`" not in section] == []
    command = typer.main.get_command(app).commands["mock-server"].whole()  # type: ignore[attr-defined]
    switches = [[*parameter.opts, *parameter.secondary_opts] for parameter in command.params]
    assert [names for names in switches if not any(f"`{name}`" in section for name in names)] == []


def test_the_number_of_faults_is_the_one_that_is_told() -> None:
    assert f" {len(FAULTS)} faults" in TEXT
