"""`aveo3 models`: prints the catalog: state, abilities, usual quota and prices of every model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli.exit_codes import errors_as_messages
from aveo3.cli.json_lines import in_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from aveo3.config.catalog import Catalog, ModelCard


def models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="Models to show in full; default: list all.")
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object for each model.")] = False,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print the whole catalog as a file for VEO3_CATALOG. Takes no MODEL.")
    ] = False,
) -> None:
    """List models with abilities, quotas and prices.

    Models that Google has shut down are at the end, with their replacements. Everything comes from aveo3's catalog and
    the file in VEO3_CATALOG; nothing is sent to Google.

    Exit codes: 0 the models were shown; 2 there is no such model, or the settings are wrong.

    Examples:

      aveo3 models

      aveo3 models veo-3.1-fast-generate-001

      aveo3 models --toml > catalog.toml
    """
    from aveo3.config import catalog
    from aveo3.config.settings import Settings
    from aveo3.errors import UsageError

    with errors_as_messages():
        if toml and (names or json_lines):
            raise UsageError("--toml prints the whole catalog: use it without MODEL and without --json.")
        settings = Settings()
        cards = settings.model_catalog
        chosen = [_known(name, cards) for name in names or (*cards.models, *cards.retired)]
        if toml:
            typer.echo(catalog.as_toml(settings.catalog), nl=False)
        elif json_lines:
            for name in chosen:
                print(in_json(fields(name, cards)))
        elif names:
            _print_in_full(chosen, cards)
        else:
            _list(cards)


def _known(name: str, cards: Catalog) -> str:
    from aveo3.errors import UsageError
    from aveo3.input_forms import model_id

    try:
        name = model_id(name)
    except ValueError as error:
        raise UsageError(f"{name!r} {error}") from None
    if cards.knows(name):
        return name
    hint = f"did you mean {near}? " if (near := cards.nearest(name)) else ""
    raise UsageError(f"{name!r} is not in the catalog of {cards.as_of}: {hint}`aveo3 models` lists all models.")


def fields(name: str, cards: Catalog) -> dict[str, Any]:
    """The catalog's facts about a model, as `--json` prints them. A retired model has a `replacement`, no abilities."""
    gone = cards.retired.get(name)
    card = cards.models.get(name)
    facts = card.model_dump(mode="json") if card is not None else {"state": "retired"}
    facts["source"] = cards.sources.get((card or gone).source, "")  # type: ignore[union-attr]  # one of them is set
    ended = {"retired_on": gone and gone.on, "replacement": gone and gone.replacement}
    return {"model": name, **facts, **ended, "as_of": cards.as_of}


# ---- all of them -----------------------------------------------------------------------------------------------------


def _list(cards: Catalog) -> None:
    from rich.text import Text

    console = _console()
    table = _table("model", "makes", "takes", "US$ per second")
    for name, card in cards.models.items():
        about = Text.assemble((name, "bold"), (f"\n{_state(card)}", _STYLES.get(card.state, "")))
        homes = "\nor ".join(card.backends)
        about.append(f"\nVEO3_BACKEND={homes}\n{card.requests_per_minute} requests a minute", "dim")
        table.add_row(about, _makes(card), ", ".join(_takes(card)), "\n".join(_prices(card)))
        table.add_section()
    console.print(table)
    if cards.retired:
        table = _table("retired", "on", "use instead")
        for name, gone in cards.retired.items():
            table.add_row(Text(name, "dim"), gone.on, gone.replacement)
        console.print()
        console.print(table)
    console.print(
        f"\nAs of {cards.as_of}. Quotas are the usual ones, prices are list prices (in brackets: without sound). "
        "For one model in full: aveo3 models MODEL",
        style="dim",
    )


_STYLES = {"alive": "green", "preview": "yellow"}


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0, overflow="fold")
    return table


def _state(card: ModelCard) -> str:
    return f"{card.state} since {card.since}" if card.since else card.state


def _makes(card: ModelCard) -> str:
    videos = f"1 to {card.max_videos} a request" if card.max_videos > 1 else "1 a request"
    return "\n".join((_seconds(card), " ".join(card.resolutions), " ".join(card.aspect_ratios), videos))


def _seconds(card: ModelCard) -> str:
    """`4, 6, 8 s`, or `3 to 10 s` if every length in between is possible."""
    first, last = card.durations[0], card.durations[-1]
    if len(card.durations) > 2 and card.durations == tuple(range(first, last + 1)):
        return f"{first} to {last} s"
    return f"{', '.join(map(str, card.durations))} s"


def _upscaled(card: ModelCard) -> list[str]:
    """The resolutions that the model upscales to."""
    return list(dict.fromkeys(target for prices in card.upscale_prices.values() for target in prices))


def _takes(card: ModelCard) -> Iterator[str]:
    """The names of everything that a prompt for this model may hold besides text."""
    offers = {
        "image": card.image,
        "last frame": card.last_frame,
        f"{card.reference_images} references": card.reference_images > 0,
        "video": card.video,
        "earlier clip": card.previous,
        "edit": card.edit,
        "upscale": bool(card.upscale_prices),
        "silent": card.generate_audio is True,
        "seed": card.seed,
        "negative prompt": card.negative_prompt,
        "people": card.person_generation,
        "compression": card.compression_quality,
        "resize": card.resize_mode,
    }
    return (name for name, able in offers.items() if able)


def _prices(card: ModelCard) -> Iterator[str]:
    for resolution, price in card.prices.items():
        silent = f" ({card.silent[resolution]:.2f})" if resolution in card.silent else ""
        yield f"{resolution:<5} {_dollars(price)}{silent}"


def _dollars(price: float) -> str:
    """A price with two decimals, or with more if it has more."""
    return f"{price:.2f}" if round(price, 2) == price else f"{price:g}"


# ---- one in full -----------------------------------------------------------------------------------------------------


def _print_in_full(names: list[str], cards: Catalog) -> None:
    from rich.table import Table
    from rich.text import Text

    console = _console()
    for number, name in enumerate(names):
        if number:
            console.print()
        console.print(Text(name, "bold"))
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for what, words in _facts(name, cards):
            table.add_row(f"  {what}", words)
        console.print(table)


def _facts(name: str, cards: Catalog) -> Iterator[tuple[str, str]]:
    if (gone := cards.retired.get(name)) is not None:
        yield "state", f"retired: Google shut it down on {gone.on}"
        yield "use instead", gone.replacement
        yield "source", cards.sources.get(gone.source, "")
        return
    card = cards.models[name]
    yield "state", _state(card) + (f", retires {card.retires}" if card.retires else "")
    yield "backend", " or ".join(f"{backend} (VEO3_BACKEND={backend})" for backend in card.backends)
    fractions = ", fractions too" if card.fractional else ""
    yield "seconds", f"{_seconds(card).removesuffix(' s')}{fractions}; {card.default_duration} by default"
    yield "resolutions", f"{', '.join(card.resolutions)}; {card.default_resolution} by default"
    yield "aspect ratios", ", ".join(card.aspect_ratios)
    if card.only_seconds:
        yield "one length only", ", ".join(f"{name} in {seconds} s" for name, seconds in card.only_seconds.items())
    yield "prompt tokens", f"{card.prompt_tokens:,}" if card.prompt_tokens else "unknown"
    yield "videos a request", f"1 to {card.max_videos}" if card.max_videos > 1 else "1"
    sound = {True: "on, or off with generate_audio=false", "always": "always", False: "none"}
    yield "sound", sound[card.generate_audio]
    for what, able in (
        ("image", card.image),
        ("last frame", card.last_frame),
        ("reference images", card.reference_images),
        ("pictures", ", ".join(card.image_types) or "of any type"),
        ("reference videos", card.reference_videos),
        ("video to extend", f"yes, in {' or '.join(card.extends)}" if card.video and card.extends else card.video),
        ("earlier clip", card.previous),
        ("edit", card.edit),
        ("upscale", f"to {', '.join(_upscaled(card))}" if card.upscale_prices else False),
        ("seed", card.seed),
        ("negative prompt", card.negative_prompt),
        ("person generation", card.person_generation),
        ("compression", card.compression_quality),
        ("resize mode", card.resize_mode),
        ("style references", card.style_references),
    ):
        yield what, able if isinstance(able, str) else "no" if not able else "yes" if able is True else f"up to {able}"
    yield "usual quota", f"{card.requests_per_minute} requests a minute"
    yield "latency", ", ".join(f"{resolution} {seconds:g} s" for resolution, seconds in card.latency.items())
    yield "US$ per second", ", ".join(f"{resolution} {_dollars(price)}" for resolution, price in card.prices.items())
    for source, prices in card.upscale_prices.items():
        yield f"  upscaled {source}", ", ".join(f"{target} {_dollars(price)}" for target, price in prices.items())
    if card.silent:
        yield "  without sound", ", ".join(f"{name} {_dollars(price)}" for name, price in card.silent.items())
    if card.token_prices:
        tokens = ", ".join(f"{kind} {_dollars(price)}" for kind, price in card.token_prices.items())
        yield "US$ per million tokens", tokens
    yield "source", cards.sources.get(card.source, "unknown")
