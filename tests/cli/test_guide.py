"""`aveo3 guide`: how it finds a guide, and what a terminal and a file get."""

from __future__ import annotations

import pydoc
import sys

import pytest
from typer.testing import CliRunner

from aveo3.cli import app
from aveo3.cli.commands import guide
from aveo3.cli.commands.guide import find, rendered
from aveo3.errors import UsageError

PAGES = {"lanes": "# Lanes\n\nSeveral.\n", "models": "# M\n\nAll.\n", "mock-server": "# Mock\n\nAn emulator.\n"}


def test_without_a_topic_it_lists_the_guides() -> None:
    result = CliRunner().invoke(app, ["guide"])
    assert result.exit_code == 0
    assert "\nquotas            Using a quota in full" in result.output
    assert result.output.endswith("\nRead one with: aveo3 guide TOPIC\n")


def test_a_file_gets_the_original_markdown() -> None:
    result = CliRunner().invoke(app, ["guide", "quotas"])
    assert result.exit_code == 0
    assert result.output == guide.read_guides()["quotas"]


@pytest.mark.parametrize(
    ("topic", "name"), [("lanes", "lanes"), ("l", "lanes"), ("Mock_Server", "mock-server"), ("models.md", "models")]
)
def test_a_guide_is_found_by_its_name_or_the_beginning_of_it(topic: str, name: str) -> None:
    assert find(topic, PAGES) == name


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("lans", "did you mean lanes? There are lanes, models, mock-server."),
        ("mo", "did you mean models or mock-server? There are lanes, models, mock-server."),
        ("zzz", "There are lanes, models, mock-server."),
        ("", "There are lanes, models, mock-server."),
    ],
)
def test_an_unknown_topic_is_explained_with_all_topics(topic: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(topic, PAGES)
    assert str(caught.value) == f"there is no guide {topic!r}: {hint}"


def test_an_unknown_topic_is_exit_code_2() -> None:
    result = CliRunner().invoke(app, ["guide", "lans"])
    assert result.exit_code == 2
    assert "did you mean lanes?" in result.output


def test_a_terminal_gets_no_comments_and_no_paths_but_a_list_of_linked_guides() -> None:
    text = "# T\n\nS.\n\n<!-- a -->\nSee [quotas](quotas.md#x), [here](#y), [web](https://a.b/c).\n\n![p](q.svg)\n"
    text += "\n```sh\n[x](y.md)\n```\n"
    shown = rendered(text, 60, color=False)
    assert "See quotas, here, web (https://a.b/c)." in shown
    assert "[x](y.md)" in shown
    assert shown.rstrip().endswith("More: aveo3 guide quotas")
    assert "a -->" not in shown
    assert "svg" not in shown


def test_rows_of_several_lines_have_empty_lines_between() -> None:
    row = "| " + "word " * 12 + "| x |\n"
    shown = rendered(f"# T\n\nS.\n\n| a | b |\n|---|---|\n{row}{row}", 40, color=False)
    body = shown.partition("─")[2].splitlines()[1:]
    first = next(number for number, line in enumerate(body) if not line.strip())
    assert first < len(body) - 1
    assert body[first + 1].strip()


def test_a_terminal_gets_a_pager_with_colours_if_it_is_less(monkeypatch: pytest.MonkeyPatch) -> None:
    paged: list[str] = []
    monkeypatch.setattr(pydoc, "pager", paged.append)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for name in ("MANPAGER", "PAGER", "LESS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    guide._page("# T\n\nS **b**.\n")
    monkeypatch.setenv("PAGER", "more")
    guide._page("# T\n\nS **b**.\n")
    assert "\x1b[1mb\x1b[0m" in paged[0]
    assert "\x1b" not in paged[1]
