"""The browser of the tests: where it is missing, they are skipped with the reason, or fail where it is required."""

from __future__ import annotations

import pytest

from tests.support import browser


@pytest.mark.parametrize(
    ("value", "ends"), [("", pytest.skip.Exception), ("required", pytest.fail.Exception)], ids=["wanted", "required"]
)
async def test_a_missing_browser_skips_or_fails(
    monkeypatch: pytest.MonkeyPatch, value: str, ends: type[BaseException]
) -> None:
    pytest.importorskip("playwright")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv(browser.REQUIRED, value)
    with pytest.raises(ends, match="chromium is not on this machine: apt-get install chromium"):
        async with browser.chromium():
            pass


@pytest.mark.parametrize(
    ("url", "elsewhere"),
    [
        ("http://127.0.0.1:8000/events", False),
        ("http://localhost/", False),
        ("file:///tmp/report.html", False),
        ("data:image/png;base64,AA", False),
        ("https://cdn.bokeh.org/x.js", True),
        ("http://127.0.0.1.example.com/", True),
        ("wss://example.com/", True),
    ],
)
def test_addresses_on_other_machines_are_known(url: str, elsewhere: bool) -> None:
    assert bool(browser.ELSEWHERE.match(url)) is elsewhere
