"""What report and live page are made of, as files."""

from __future__ import annotations

import re

import pytest

from aveo3.lifecycle import State
from aveo3.models import ClipStatus
from aveo3.report import assets
from tests.support import report_views as views

SINKS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc")
"""What turns text into markup or code."""


def test_every_file_is_loaded_once() -> None:
    files = [*assets.SCRIPTS, *assets.STYLES]
    assert sorted(files) == sorted(file.name for file in assets.STATIC.iterdir())


@pytest.mark.parametrize("name", assets.SCRIPTS)
def test_no_script_turns_text_into_markup_or_code(name: str) -> None:
    source = assets.source(name)
    assert source.startswith('"use strict";\n// ')  # and says what it is for
    assert SINKS.findall(source) == []
    assert source.count("\n") <= 300


def test_the_sinks_would_be_noticed() -> None:
    assert SINKS.search("place.innerHTML = text")


def test_the_page_has_no_script_besides_its_files_and_no_inline_handler() -> None:
    pytest.importorskip("jinja2")
    page = views.page(views.view([views.clip(0, text="</script><script>alert(1)</script> onclick=")]))
    own = sum(page.count(assets.source(name)) for name in assets.SCRIPTS)
    assert own == len(assets.SCRIPTS)
    assert page.count("<script") == own + 2  # the view, and the charts
    assert re.findall(r"<[^>]+\son\w+=", page.partition("<script")[0]) == []


def test_a_live_page_links_its_files() -> None:
    pytest.importorskip("jinja2")
    page = assets.page_template().render(
        title="a <b>", live=True, token='"x', scripts=["static/a.js?<"], styles=["static/a.css"]
    )
    assert '<script defer src="static/a.js?&lt;"></script>' in page
    assert '<link rel="stylesheet" href="static/a.css">' in page
    assert '<html lang="en" data-theme="auto" data-live="true" data-token="&#34;x">' in page
    assert "<title>a &lt;b&gt;</title>" in page


def test_the_page_knows_every_status() -> None:
    known = set(re.findall(r'^    (\w+): \{ word: "', assets.source("format.js"), re.MULTILINE))
    assert known == {*State, *ClipStatus, "waiting"}
    listed = {
        name: set(re.findall(r'"(\w+)"', line))
        for name, line in re.findall(
            r"const (ENDED|BAD|order) = (.+);", "".join(map(assets.source, ("format.js", "trouble.js", "summary.js")))
        )
    }
    assert listed == {"ENDED": {*ClipStatus}, "BAD": {*ClipStatus} - {"succeeded"}, "order": known}
