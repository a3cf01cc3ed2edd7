"""The generated parts of the documentation: `python -m tests.support.guide` writes them into the guides.

They stand between `<!-- NAME -->` and `<!-- /NAME -->`. The tests of the guides compare them with the program.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import typer

from aveo3.cli import app
from aveo3.config import catalog
from aveo3.config.catalog import Catalog, ModelCard
from aveo3.config.settings import describe
from aveo3.events.kinds import KINDS, ORDER, Event, JobEvent, LaneEvent
from aveo3.mock import FAULTS
from aveo3.mock.config.faults import Point
from aveo3.telemetry.instruments import INSTRUMENTS, Instrument
from aveo3.verdicts.problems import REMEDIES
from tests.support import sdk_fields

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"
GUIDES = {path.stem: path for path in sorted((ROOT / "aveo3" / "guide").glob("*.md"))}
PAGES = {"README": README, **GUIDES}
"""What has Python blocks and command lines that are run."""


# ---- blocks ----------------------------------------------------------------------------------------------------------


class Block(NamedTuple):
    """One fenced block: its language, the line it begins on, its text, and the comment on the line before it."""

    language: str
    line: int
    text: str
    comment: str | None


def blocks(text: str) -> list[Block]:
    """Every fenced block of a Markdown text, in order."""
    found = []
    for match in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```$", text):
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        comment = re.fullmatch(r"<!-- (.+) -->", before)
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(match[1], line, match[2], comment[1] if comment else None))
    return found


def recipe(guide: str, name: str) -> Block:
    """The block of a guide that is marked `<!-- recipe: NAME -->`. Raises `ValueError` if there is not one."""
    [found] = [block for block in blocks(GUIDES[guide].read_text("utf-8")) if block.comment == f"recipe: {name}"]
    return found


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, and what follows each, on one line. Raises `ValueError` for anything else."""
    found = []
    for line in filter(None, dockerfile.replace("\\\n", "").splitlines()):
        word, _, rest = line.partition(" ")
        if not (word.isalpha() and word.isupper() and rest):
            raise ValueError(f"not an instruction: {line!r}")
        found.append((word, rest))
    return found


# ---- places ----------------------------------------------------------------------------------------------------------


def place(text: str, name: str) -> str:
    """What stands in a place of `text`, markers aside. Raises `KeyError` if it has no such place."""
    if (found := re.search(rf"(?ms)^<!-- {re.escape(name)} -->\n(.*?)^<!-- /{re.escape(name)} -->$", text)) is None:
        raise KeyError(name)
    return found[1]


def written(guide: str, text: str) -> str:
    """`text`, of this guide, with every place of it as the program says."""
    for name, (home, draw) in DRAWN.items():
        if home == guide:
            old = place(text, name)
            begin = f"<!-- {name} -->\n"
            text = text.replace(begin + old, begin + draw(old))
    return text


def settings_list(_: str = "") -> str:
    """Every variable with its default and meaning, by what it is about."""
    rows = {row.name: f"- {_codes(row.name)} ({row.default}): {row.meaning}." for row in describe()}
    placed = {name for names in _ABOUT.values() for name in names}
    others = [name for name in rows if not placed & set(name.split(" or "))]
    parts = []
    for title, names in {**_ABOUT, "Others": others}.items():
        lines = [line for name, line in rows.items() if set(name.split(" or ")) & set(names)]
        if lines:
            parts.append(f"### {title}\n\n" + "\n".join(lines) + "\n")
    return "\n" + "\n".join(parts) + "\n"


def _codes(names: str) -> str:
    return " or ".join(f"`{name}`" for name in names.split(" or "))


_ABOUT: dict[str, tuple[str, ...]] = {
    "Where clips are made": (
        *("VEO3_BACKEND", "VEO3_MODEL", "VEO3_PROJECT", "VEO3_LOCATION", "GOOGLE_API_KEY"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GENAI_USE_ENTERPRISE", "VEO3_BASE_URL", "VEO3_API_VERSION"),
        *("VEO3_LANES", "VEO3_FALLBACK", "VEO3_CATALOG", "VEO3_SERVER", "VEO3_SERVER_KEY", "VEO3_SERVER_PRIORITY"),
    ),
    "Quota and money": (
        *("VEO3_RATE_LIMIT", "VEO3_RATE_PERIOD", "VEO3_BURST", "VEO3_DAILY_LIMIT", "VEO3_MAX_CONCURRENCY"),
        *("VEO3_SPEND_LIMIT", "VEO3_SPEND_PERIOD", "VEO3_BUDGET", "VEO3_CONFIRM_ABOVE", "VEO3_QUOTA_PATIENCE"),
        *("VEO3_LABELS", "VEO3_PROJECT_LABEL"),
    ),
    "Refusals and retries": (
        *("VEO3_MAX_RETRIES", "VEO3_RETRY_WAIT_BASE", "VEO3_QUOTA_WAIT_TIME", "VEO3_CONSECUTIVE_FAILURE_THRESHOLD"),
        *("VEO3_QUOTA_RESET_INTERVAL", "VEO3_RESEND_503"),
    ),
    "Files": (
        *("VEO3_OUTPUT_DIR", "VEO3_NAME", "VEO3_JOURNAL", "VEO3_DATABASE", "VEO3_OUTPUT_GCS_URI", "VEO3_KEEP_REMOTE"),
        *("VEO3_STORAGE_URL", "VEO3_RETENTION", "VEO3_DISK_LIMIT"),
    ),
    "Time and polling": (
        *("VEO3_REQUEST_TIMEOUT", "VEO3_OPERATION_TIMEOUT", "VEO3_POLL_INTERVAL", "VEO3_POLL_RATE"),
        *("VEO3_WEBHOOK", "VEO3_WEBHOOK_LISTEN"),
    ),
    "Agents, by `aveo3 mcp`": ("VEO3_MCP_BUDGET", "VEO3_MCP_ASK_ABOVE", "VEO3_MCP_MEDIA", "VEO3_MCP_TOKEN"),
    "Trying and debugging": (
        *("VEO3_MOCK_MODE", "VEO3_DEBUG_MODE", "VEO3_LOG_FORMAT", "VEO3_OTEL", "VEO3_OTEL_CONTENT"),
    ),
}


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
    "backend": ("`VEO3_BACKEND`", lambda card: " or ".join(card.backends)),
    "durations": ("`duration_seconds`", seconds),
    "fractional": ("… in fractions", lambda card: yes_or_no(card.fractional)),
    "most_seconds": (
        "… to a last frame, extended",
        lambda card: listed(dict.fromkeys(f"up to {seconds}" for seconds in card.most_seconds.values())),
    ),
    "default_duration": ("… unless given", lambda card: str(card.default_duration)),
    "resolutions": ("`resolution`", lambda card: listed(card.resolutions)),
    "default_resolution": ("… unless given", lambda card: card.default_resolution),
    "aspect_ratios": ("`aspect_ratio`", lambda card: listed(card.aspect_ratios)),
    "image": ("`image`", lambda card: yes_or_no(card.image)),
    "image_types": ("… of these types", lambda card: listed(t.partition("/")[2] for t in card.image_types)),
    "last_frame": ("`last_frame`", lambda card: yes_or_no(card.last_frame)),
    "reference_images": ("`reference_images`", lambda card: up_to(card.reference_images)),
    "style_references": ("… of type `style`", lambda card: up_to(card.style_references)),
    "video": ("`video` to extend", lambda card: yes_or_no(card.video)),
    "extends": ("… of these sizes", lambda card: listed(card.extends or card.resolutions)),
    "previous": ("`previous`, own clip", lambda card: yes_or_no(card.previous)),
    "edit": ('`task="edit"`', lambda card: yes_or_no(card.edit)),
    "only_seconds": (
        "one length only",
        lambda card: listed(f"`{n}`: {s} s" for n, s in card.only_seconds.items()),
    ),
    "generate_audio": ("silent clips", lambda card: yes_or_no(card.generate_audio is True)),
    "seed": ("`seed`", lambda card: yes_or_no(card.seed)),
    "negative_prompt": ("`negative_prompt`", lambda card: yes_or_no(card.negative_prompt)),
    "reference_videos": ("`reference_videos`", lambda card: up_to(card.reference_videos)),
    "safety_settings": ("`safety_settings`", lambda card: yes_or_no(card.safety_settings)),
    "service_tier": ("`service_tier`", lambda card: yes_or_no(card.service_tier)),
    "upscale_prices": (
        '`task="upscale"` to',
        lambda card: listed(dict.fromkeys(to for prices in card.upscale_prices.values() for to in prices)),
    ),
    "person_generation": ("`person_generation`", lambda card: yes_or_no(card.person_generation)),
    "prompt_tokens": ("tokens of `text`", lambda card: f"{card.prompt_tokens:,}" if card.prompt_tokens else "unknown"),
    "compression_quality": ("`compression_quality`", lambda card: yes_or_no(card.compression_quality)),
    "resize_mode": ("`resize_mode`", lambda card: yes_or_no(card.resize_mode)),
    "max_videos": ("`number_of_videos`", lambda card: up_to(card.max_videos)),
}
IN_WORDS = {"also_on", "locations", "task_fields"}
"""What the guide tells in words, beside the table: how a model differs on its other backend."""
NOT_AN_ABILITY = {
    *("state", "since", "retires", "source"),
    *("requests_per_minute", "latency", "prices", "silent", "token_prices"),
}
_SHORT = {
    "veo-3.1-generate-001": "Veo 3.1",
    "veo-3.1-lite-generate-001": "Veo 3.1 Lite",
    "gemini-omni-1.1-flash": "Omni 1.1",
    "gemini-omni-1.2-flash": "Omni 1.2",
}
"""What a column is called, by the first of its models."""


def abilities(_: str = "", cards: Catalog | None = None) -> str:
    """The tables of what the models can do: Veo's and Omni's. Models that can do the same share a column."""
    cards = cards if cards is not None else catalog.load()
    omni = [model for model in cards.models if cards.is_omni(model)]
    veo = [model for model in cards.models if model not in omni]
    return "\n" + "\n".join(_table_of(models, cards) for models in (veo, omni) if models) + "\n"


def _table_of(models: list[str], cards: Catalog) -> str:
    alike: dict[tuple[str, ...], list[str]] = {}
    for model in models:
        alike.setdefault(tuple(tell(cards.models[model]) for _, tell in CAN.values()), []).append(model)
    columns = {_SHORT.get(same[0], same[0]): same for same in alike.values()}
    legend = [f"- {name}: {listed(f'`{model}`' for model in same)}" for name, same in columns.items()]
    names = (name for name, _ in CAN.values())
    rows = [" | ".join(row) for row in ((f"{cards.as_of}", *columns), *zip(names, *alike, strict=True))]
    table = [f"| {row} |" for row in rows]
    return "\n".join([*legend, "", table[0], "|---" * (len(columns) + 1) + "|", *table[1:]]) + "\n"


def mock_options(_: str = "") -> str:
    """Every option of `aveo3 mock-server` with its help."""
    command: Any = typer.main.get_command(app)
    lines = []
    for option in command.commands["mock-server"].whole().params:
        names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts) if name != "--help")
        words = str(option.help)
        if names:
            lines.append(f"- {names}: {words if words.startswith('US$') else words[:1].lower() + words[1:]}")
    return "\n" + "\n".join(lines) + "\n\n"


def faults(_: str = "") -> str:
    """Every fault, by where it strikes."""
    parts = []
    for point in Point:
        names = [f"- `{name}`: {does}." for name, (where, does) in FAULTS.items() if where is point]
        parts.append(f"**{point.value[:1].upper()}{point.value[1:]}**\n\n" + "\n".join(names) + "\n")
    return ("\n" + "\n".join(parts) + "\n").replace("`hang`", "`--hang`").replace("`redirect_to`", "`--redirect-to`")


def problems(_: str = "") -> str:
    """Every problem that `aveo3 check` finds, with the way out."""
    words = {
        **{"address": "the address", "location": "the region", "project": "PROJECT", "model": "the model"},
        **{"service": "the API", "whose": "the project", "link": "the link that it prints", "bucket": "the bucket"},
    }
    lines = []
    for problem, remedy in REMEDIES.items():
        lines += [f"- `{problem.value}`: {remedy.what.format_map(words)}.", f"  - {remedy.way_out.format_map(words)}"]
        if remedy.gemini:
            lines.append(f"  - With the Gemini API: {remedy.gemini.format_map(words)}")
    return "\n" + "\n".join(lines) + "\n\n"


def events(_: str = "") -> str:
    """Every event, by what it is about, with its fields and what `kinds.py` says of them."""
    parts = []
    for title, base in (("job", JobEvent), ("lane", LaneEvent), ("client", Event)):
        common = [*fields(base)] if base is not Event else []
        own = [kind for kind in KINDS.values() if kind.__mro__[1] is base]
        lines = [f"### Of a {title}\n"]
        if common:
            lines += ["All have:\n", *(_field(base, each.name) for each in common), ""]
        for kind in own:
            first, *more = _words(kind).splitlines()
            words = " ".join([first, *filter(None, (line.strip() for line in more))])
            lines.append(_folded(f"- `{kind.kind}` (`{kind.__name__}`): {words}", "  "))
            known = {each.name for each in fields(base)} | {"at_utc"}
            own_fields = [each.name for each in fields(kind) if each.name not in known]
            plain = [f"`{name}`" for name in own_fields if not _said(kind, name)]
            lines += [_field(kind, name, "  ") for name in own_fields if _said(kind, name)]
            lines += [_folded(f"  - {', '.join(plain)}", "    ")] if plain else []
        parts.append("\n".join(lines) + "\n")
    return "\n" + "\n".join(parts) + "\n"


def metrics(_: str = "") -> str:
    """Every metric, with its labels and what `instruments.py` says of it."""
    return "\n" + "\n".join(_folded(_metric(each), "  ") for each in INSTRUMENTS.values()) + "\n\n"


def _metric(each: Instrument) -> str:
    labels = f"; {', '.join(f'`{label}`' for label in each.labels)}" if each.labels else ""
    return f"- `{each.name}` ({each.kind}, {each.unit}{labels}): {each.text}"


def _words(kind: type[Event]) -> str:
    return (kind.__doc__ or "").strip()


def _said(kind: type[Event], name: str) -> str:
    return next((told for base in kind.__mro__ if (told := _told(base).get(name)) is not None), "")


def _field(kind: type[Event], name: str, indent: str = "") -> str:
    said = _said(kind, name)
    return _folded(f"{indent}- `{name}`" + (f": {said}" if said else ""), f"{indent}  ")


def _told(kind: type) -> dict[str, str]:
    """What stands below each field of a class in its source."""
    if kind is object:
        return {}
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        ast.unparse(field.target): " ".join(str(ast.literal_eval(word.value)).split())
        for field, word in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(word, ast.Expr)
    }


def _folded(line: str, indent: str) -> str:
    return textwrap.fill(
        line, 80, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def mcp_transcript(_: str = "") -> str:
    """What an agent without a model and `aveo3 mcp` say to each other."""
    from tests.support.transcript import transcript  # costly: it makes three clips

    return transcript()


def names(package: str) -> Callable[[str], str]:
    """The table of a package's public names. What each is, is kept from the table that there was."""

    def draw(old: str) -> str:
        said = dict(re.findall(r"(?m)^\| `(\w+)` \| `[\w.]+` \| (.+) \|$", old))
        rows = [f"| `{name}` | `{home}` | {said.get(name, '')} |" for name, home in homes(package)]
        return "\n".join(["| name | module | what it is |", "|---|---|---|", *rows]) + "\n"

    return draw


def homes(package: str) -> Iterator[tuple[str, str]]:
    """Every public name of a package, and the module that defines it."""
    module: Any = import_module(package)
    for name in sorted(module.__all__):
        lazily = getattr(module, "_HOME", {}).get(name)
        yield name, f"{package}.{lazily}" if lazily else getattr(module, name).__module__


DRAWN: dict[str, tuple[str, Callable[[str], str]]] = {
    # a place: the guide that it is in, and what draws it from the program and what stands there
    "settings": ("settings", settings_list),
    "capabilities": ("models", abilities),
    "mock options": ("mock-server", mock_options),
    "faults": ("mock-server", faults),
    "problems": ("troubleshooting", problems),
    "veo fields": ("sdk-fields", lambda _: sdk_fields.drawn(sdk_fields.VEO)),
    "omni fields": ("sdk-fields", lambda _: sdk_fields.drawn(sdk_fields.OMNI)),
    "events": ("events", events),
    "metrics": ("otel", metrics),
    "order": ("events", lambda _: f"```text{ORDER}```\n"),
    "transcript": ("mcp", mcp_transcript),
    "names aveo3": ("python-api", names("aveo3")),
    "names aveo3.mock": ("python-api", names("aveo3.mock")),
    "names aveo3.testing": ("python-api", names("aveo3.testing")),
}

if __name__ == "__main__":
    for guide, path in GUIDES.items():
        path.write_text(written(guide, path.read_text("utf-8")), "utf-8")
