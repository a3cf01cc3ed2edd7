"""The page itself and what it loads: template, scripts, styles and charts of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from aveo3.errors import UsageError
from aveo3.report.html import INSTALL, embedded
from aveo3.server.page.viewers import Charts

CHART_LIBRARY = "bokeh.min.js"

_TYPES = {"js": "text/javascript", "css": "text/css"}


class Assets:
    """What a page is made of. Raises `UsageError` if the extra `aveo3[report]` is missing altogether."""

    def __init__(self) -> None:
        from aveo3.report import assets

        try:
            self._template = assets.page_template()
        except ImportError as error:
            raise UsageError(f"the page needs {error.name}, which is not installed: {INSTALL}") from error
        self._texts: dict[str, Callable[[], str]] = {}
        for name in (*assets.STYLES, *assets.SCRIPTS):
            self._texts[name] = lambda name=name: assets.source(name)  # type: ignore[misc]
        self._styles, self._scripts = list(assets.STYLES), list(assets.SCRIPTS)
        if self._charts is not None:
            self._texts[CHART_LIBRARY] = self._charts.script
            self._scripts.insert(0, CHART_LIBRARY)

    @cached_property
    def _charts(self) -> Any:
        """The module that makes charts; None without Bokeh."""
        try:
            import bokeh  # noqa: F401
        except ImportError:
            return None
        from aveo3.report import charts

        return charts

    def charts(self) -> Charts | None:
        """What makes the columns of the charts, and their sentences; None without Bokeh."""
        news: Charts | None = None if self._charts is None else self._charts.news
        return news

    def file(self, name: str) -> tuple[str, str] | None:
        """The text of a script or style, and its type; None if the page has none of this name."""
        if (read := self._texts.get(name)) is None:
            return None
        return read(), _TYPES[name.rpartition(".")[2]]

    def page(self, fields: Mapping[str, Any]) -> str:
        """The page for a view with these `fields`. It asks for the view itself."""
        charts, scripts = "", self._scripts
        if "server" in fields:
            scripts = [name for name in scripts if name != CHART_LIBRARY]
        elif self._charts is not None:
            empty = {**fields, "clips": [], "lanes": [], "steps": [], "lane_steps": [], "live": True}
            charts = embedded({"docs": self._charts.documents(empty), "columns": {}, "texts": {}})
        return self._template.render(
            title=fields["title"],
            live=True,
            scripts=[f"static/{name}" for name in scripts],
            styles=[f"static/{name}" for name in self._styles],
            view_json="",
            charts_json=charts,
            token="",
            policy="",
        )
