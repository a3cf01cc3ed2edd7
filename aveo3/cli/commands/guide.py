"""`aveo3 guide`: shows the guides in the terminal. Their text is in `aveo3/guide`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from aveo3.cli.exit_codes import errors_as_messages

WIDEST = 100
"""Maximum columns of a line: longer lines are hard to read."""

_LINK = re.compile(r"(!?)\[([^\]]+)\]\((?!https?:)([^)\s]*)\)")
_COMMENT = re.compile(r"(?m)^<!-- .* -->\n")


def guide(
    topic: Annotated[
        str | None, typer.Argument(metavar="TOPIC", help="The guide to read, or the beginning of its name.")
    ] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Print the Grafana dashboard of the guide otel instead, as JSON.")
    ] = False,
) -> None:
    """Read the guides. Without a topic, list them.

    A terminal shows the text in a pager ($PAGER). A pipe or file gets the original Markdown.

    Exit codes: 0 the guide was shown, 2 there is no such guide.

    Examples:

      aveo3 guide

      aveo3 guide quotas

      aveo3 guide quotas > quotas.md

      aveo3 guide otel --dashboard > aveo3.json
    """
    with errors_as_messages():
        if dashboard:
            _print(read_dashboard().rstrip("\n"))
            return
        pages = read_guides()
        if topic is None:
            _print("\n".join(index(pages)))
            return
        text = pages[find(topic, pages)]
        if sys.stdout.isatty():
            _page(text)
        else:
            _print(text.rstrip("\n"))


def read_guides() -> dict[str, str]:
    """The Markdown of every guide by topic, in alphabetical order."""
    from importlib.resources import files

    pages = {page.name: page for page in files("aveo3").joinpath("guide").iterdir()}
    return {name.removesuffix(".md"): pages[name].read_text("utf-8") for name in sorted(pages) if name.endswith(".md")}


def read_dashboard() -> str:
    """The dashboard for Grafana, in its JSON."""
    from importlib.resources import files

    return files("aveo3").joinpath("guide", "dashboards", "aveo3.json").read_text("utf-8")


def index(pages: Mapping[str, str]) -> Iterator[str]:
    """The list of guides: a line each, with the first paragraph below its title."""
    width = max(map(len, pages))
    for topic, text in pages.items():
        yield f"{topic:<{width}}  {summary(text)}"
    yield "\nRead one with: aveo3 guide TOPIC"


def summary(text: str) -> str:
    """The first paragraph below a guide's title, which says what the guide is about."""
    return text.split("\n\n")[1]


def find(topic: str, pages: Mapping[str, str]) -> str:
    """The guide whose name is `topic` or begins with it. Raises `UsageError` if none or several match."""
    from difflib import get_close_matches

    from aveo3.errors import UsageError

    name = topic.strip().lower().replace("_", "-").replace(" ", "-").removesuffix(".md")
    if name in pages:
        return name
    fitting = [page for page in pages if name and page.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    near = fitting or get_close_matches(name, pages, n=1, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"there is no guide {topic!r}: {hint}There are {', '.join(pages)}.")


def rendered(text: str, width: int, *, color: bool = True) -> str:
    """A guide for a terminal of `width` columns, with a list of linked guides at its end."""
    from io import StringIO

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.measure import Measurement
    from rich.table import Table

    class Rows(TableElement):
        """A table with empty lines between its rows if a row takes several lines."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            unbounded = options.update(max_width=10_000)
            for table in super().__rich_console__(console, options):
                if isinstance(table, Table):
                    table.leading = int(Measurement.get(console, unbounded, table).maximum > options.max_width)
                yield table

    class Guide(Markdown):
        elements = {**Markdown.elements, "table_open": Rows}  # noqa: RUF012  # as rich has it

    words, named = _for_a_terminal(text)
    if named:
        words += "\n\nMore: " + ", ".join(f"`aveo3 guide {topic}`" for topic in named) + "\n"
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=color)
    console.print(Guide(words, hyperlinks=False))
    return out.getvalue()


def _for_a_terminal(text: str) -> tuple[str, list[str]]:
    """`text` without comments, pictures and link targets, which a terminal cannot show; and the linked guides."""
    named: dict[str, None] = {}

    def plain(link: re.Match[str]) -> str:
        picture, words, target = link.groups()
        topic = target.partition("#")[0].removesuffix(".md")
        if topic and "/" not in topic and not picture:
            named[topic] = None
        return "" if picture else words

    parts = re.split(r"(?ms)(^```.*?^```$)", text)  # every second one is a fenced block
    parts[::2] = [_LINK.sub(plain, _COMMENT.sub("", part)) for part in parts[::2]]
    return "".join(parts), sorted(named)


def _page(text: str) -> None:
    """Show a guide in the pager."""
    import pydoc

    pager = os.environ.get("MANPAGER") or os.environ.get("PAGER") or ("" if sys.platform == "win32" else "less")
    if "R" not in os.environ.get("LESS", ""):
        os.environ["LESS"] = f"{os.environ.get('LESS', '-F -X')} -R"  # -R: colours; -F: no waiting on a short text
    width = min(shutil.get_terminal_size().columns, WIDEST)
    pydoc.pager(rendered(text, width, color="less" in pager))


def _print(text: str) -> None:
    """Print `text`, with `?` for each character that the output's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    typer.echo(text.encode(encoding, "replace").decode(encoding))
