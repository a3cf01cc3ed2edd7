"""The files that a report puts into itself and the live page links to, and the page's template."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

STATIC = Path(__file__).with_name("static")
SCRIPTS = (
    "dom.js",
    "format.js",
    "store.js",
    "theme.js",
    "filters.js",
    "player.js",
    "card.js",
    "gallery.js",
    "storyboard.js",
    "summary.js",
    "trouble.js",
    "callers.js",
    "tabs.js",
    "charts.js",
    "live.js",
    "main.js",
)
"""In the order in which the page needs them. They are classic scripts: a browser loads no module from a file."""
STYLES = ("base.css", "page.css", "cards.css", "storyboard.css")


def source(name: str) -> str:
    """The text of one file of `SCRIPTS` or `STYLES`."""
    return (STATIC / name).read_text("utf-8")


@cache
def page_template() -> Template:
    """The template of report and live page. Its variables are described in it. Needs Jinja2."""
    from jinja2 import Environment, FileSystemLoader

    folder = Path(__file__).with_name("templates")
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True)
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template("page.html.j2")
