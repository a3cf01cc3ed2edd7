"""Writes the report: one HTML file with its data, scripts, styles and stills inside. Only the films stay outside.

The page asks nothing of any server: its policy allows its own scripts by their hashes, and files beside it. Text comes
to it as JSON in which no sign means anything in HTML.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aveo3.errors import UsageError

if TYPE_CHECKING:
    from aveo3.report.view import View

log = logging.getLogger(__name__)

INSTALL = "pip install 'aveo3[report]'"


def check_extra() -> None:
    """Raise `UsageError` that says what to install, if what makes reports is missing."""
    missing = [name for module, name in (("jinja2", "Jinja2"), ("bokeh", "Bokeh")) if find_spec(module) is None]
    if missing:
        raise UsageError(f"reports and live pages need {' and '.join(missing)}: {INSTALL}")


def report_of(view: View) -> str:
    """The report as one HTML file. Needs Jinja2 and Bokeh."""
    from aveo3.report import assets, charts

    drawn = charts.charts(view)
    scripts = [inline(text) for text in (charts.script(), *map(assets.source, assets.SCRIPTS))]
    styles = [inline(assets.source(name)) for name in assets.STYLES]
    # The steps are in the charts already, and half of the data.
    data: dict[str, Any] = {**view, "steps": [], "lane_steps": []}
    return assets.page_template().render(
        title=view["title"],
        live=False,
        token="",
        policy=policy_for(scripts),
        scripts=scripts,
        styles=styles,
        view_json=embedded(data),
        charts_json=embedded(drawn),
    )


def embedded(data: Any) -> str:
    """`data` as JSON that can stand in any HTML: ASCII, and none of it can be read as markup."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def inline(source: str) -> str:
    """A script or style as it may stand inside a page. Lines end as the browser will see them: their hash counts."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    for tag in ("script", "style"):
        text = text.replace(f"</{tag}", f"<\\/{tag}")
    return text.replace("<!--", "<\\!--")


def policy_for(scripts: Iterable[str]) -> str:
    """The content security policy of a page with these inline scripts, which loads nothing but files beside it."""
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts]
    beside = "'self' file:"
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(hashes),
        "style-src": "'unsafe-inline'",  # Bokeh makes style elements as it draws
        "img-src": f"{beside} data: blob:",
        "media-src": beside,
        "font-src": "data:",
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def write(text: str, path: Path) -> None:
    """Write a file whole or not at all. Raises `UsageError` naming it if that cannot be done."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(text.encode("utf-8", "replace"))
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise UsageError(f"the report {path} cannot be written: {error.strerror or error}. Name another.") from error
