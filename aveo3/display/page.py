"""The frame of everything that is shown in a notebook: its style, and text made safe for HTML.

Notebooks have light and dark themes, and each program tells a page in another way which. So text inherits its colour,
areas and lines are a half-transparent grey, and only labels have colours of their own.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from aveo3._visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aveo3.models import ClipStatus

COLOURS = {
    "succeeded": "#1a7f37",
    "filtered": "#8a5a00",
    "rejected": "#c0202c",
    "failed": "#c0202c",
    "uncertain": "#7a3fd0",
    "unfinished": "#0860c4",
    "deferred": "#0b6a7d",
    "cancelled": "#57606a",
}
"""The background of each `ClipStatus`, in their order, below white text: readable on any page."""

_LABELS = "".join(f".aveo3 .aveo3-{status}{{background:{colour}}}" for status, colour in COLOURS.items())

STYLE = f"""<style>
.aveo3{{font:14px/1.45 system-ui,sans-serif;color:inherit;max-width:1100px;text-align:left;overflow-wrap:anywhere}}
.aveo3 .aveo3-head{{font-weight:600;margin:0 0 6px}}
.aveo3 .aveo3-note{{margin:6px 0 0;font-size:13px}}
.aveo3 .aveo3-grid{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(230px,100%),1fr));gap:10px}}
.aveo3 .aveo3-card{{margin:0;padding:8px;border:1px solid rgba(128,128,128,.45);border-radius:8px}}
.aveo3 .aveo3-one{{max-width:480px}}
.aveo3 .aveo3-wide{{max-width:720px;margin:0 0 10px}}
.aveo3 .aveo3-film{{display:block;width:100%;max-height:480px;margin:0 0 6px;border-radius:4px;background:#000}}
.aveo3 .aveo3-grid .aveo3-film{{height:150px;object-fit:contain}}
.aveo3 .aveo3-label{{display:inline-block;padding:0 7px;border-radius:9px;color:#fff;font-size:12px;font-weight:600}}
.aveo3 .aveo3-small{{font-size:12px;margin:3px 0 0}}
.aveo3 a.aveo3-file:any-link{{color:inherit;text-decoration:underline}}
.aveo3 .aveo3-bar{{display:flex;height:10px;max-width:560px;margin:0 0 6px;border-radius:5px;overflow:hidden}}
.aveo3 .aveo3-bar{{background:rgba(128,128,128,.3)}}
.aveo3 .aveo3-running{{background:#0860c4}}
{_LABELS}
</style>"""


def page(*parts: str) -> str:
    """`parts` as one piece of a notebook. Both classes keep MathJax from reading `$` as the begin of a formula."""
    return f'<div class="aveo3 mathjax_ignore tex2jax_ignore">{STYLE}{"".join(parts)}</div>'


def text(value: object) -> str:
    """`value` as text of HTML or of an attribute. Characters that nobody sees are spelled out."""
    return escape(visible(str(value).encode("utf-8", "replace").decode()))


def shortened(value: str, most: int) -> str:
    """At most `most` characters of `value`."""
    return value if len(value) <= most else f"{value[: most - 1]}…"


def block(kind: str, *parts: str) -> str:
    """A block of the style `aveo3-KIND`, of HTML; none without content."""
    inner = "".join(parts)
    return f'<div class="aveo3-{kind}">{inner}</div>' if inner else ""


def label(status: ClipStatus | str) -> str:
    """A status as a coloured label."""
    return f'<span class="aveo3-label aveo3-{text(status)}">{text(status)}</span>'


def dotted(parts: Iterable[str | None]) -> str:
    """The parts that are there, as text of one line."""
    return " · ".join(text(part) for part in parts if part)
