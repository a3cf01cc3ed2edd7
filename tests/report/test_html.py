"""The report is one file: nothing in it can become markup, and nothing in it leaves the machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aveo3 import UsageError
from aveo3.report import html
from tests.support.reports import Past, seen

EVIL = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> & \u2028 😀 \ud83d"


class Page(HTMLParser):
    """The elements of a page as a browser finds them: scripts with their texts, and all attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.policy = ""
        self._open: dict[str, str | None] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        self.links += [value for name in ("src", "href") if (value := values.get(name))]
        if tag == "script":
            self._open = values
            self.scripts.append((values, ""))

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = None

    def data(self, name: str) -> Any:
        [text] = [text for attributes, text in self.scripts if attributes.get("id") == name]
        return json.loads(text)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    directory = tmp_path_factory.mktemp("clips") / "<s>clips & more"
    directory.mkdir()
    past = Past(directory)
    past.make(past.plan(EVIL, project_id=EVIL, labels={"<b>": "<i>"}))
    past.journal.close()
    return Page(html.report_of(seen(directory)))


def test_text_of_a_prompt_stays_text(page: Page) -> None:
    [row] = page.data("view")["clips"]
    assert row["text"] == row["project_id"] == EVIL
    assert "img" not in page.tags
    assert "s" not in page.tags
    assert not any("alert(1)" in text for attributes, text in page.scripts if attributes.get("type") is None)
    [text] = [text for attributes, text in page.scripts if attributes.get("id") == "view"]
    assert not set(text) & set("<>&\u2028")
    assert text.isascii()


def test_the_policy_allows_the_scripts_of_the_page_and_no_other(page: Page) -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules["connect-src"] == rules["default-src"] == rules["form-action"] == "'none'"
    run = [text for attributes, text in page.scripts if attributes.get("type") is None]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run]
    assert rules["script-src"].split() == hashes
    assert len(hashes) > 10
    assert "unsafe-eval" not in page.policy


def test_a_report_links_to_nothing_on_the_network(page: Page) -> None:
    assert not [link for link in page.links if re.match(r"(https?:)?//", link)]
    assert page.data("view")["clips"][0]["videos"][0]["src"] == "1.mp4"


def test_the_charts_hold_the_steps_so_the_data_does_not_repeat_them(page: Page) -> None:
    assert page.data("view")["steps"] == []
    assert set(page.data("charts-data")["docs"]) == {
        *("timeline", "money-model", "money-day", "money-label", "money-project")
    }


def test_a_script_cannot_end_its_element_and_keeps_its_meaning() -> None:
    assert html.inline("a = '</script>';\r\nb = '<!--'\r") == "a = '<\\/script>';\nb = '<\\!--'\n"


def test_a_report_replaces_the_last_one_whole_or_says_why_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    html.write("one", path)
    html.write("two \ud83d", path)
    assert path.read_text("utf-8") == "two ?"
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(UsageError, match=r"report\.html.* cannot be written: .*Name another\."):
        html.write("three", path / "report.html")


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as refused:
        html.check_extra()
    assert str(refused.value) == "reports and live pages need Jinja2 and Bokeh: pip install 'aveo3[report]'"
