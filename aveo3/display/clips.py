"""A clip as a card, and a batch as a page of cards: the film or why there is none, what it costs, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aveo3._visible import unsigned
from aveo3.display.films import Output, is_there, link
from aveo3.display.page import COLOURS, block, dotted, label, page, shortened, text
from aveo3.wording import counted, plain, priced

if TYPE_CHECKING:
    from aveo3.models import VideoClip, VideoPrompt

SHOWN = 48
"""Clips of a batch that are shown. A table of all is `pandas.DataFrame(clips.to_dicts())`."""
WORDS = 300
"""Characters of a prompt's text, and of a message, on a card."""
GONE = "The file is not there any more. Run it again to fetch the video: it is paid already."


def clip_page(clip: VideoClip) -> str:
    """One clip."""
    output = Output()
    return page(card(clip, output, "one"), output.note())


def batch_page(clips: Sequence[VideoClip]) -> str:
    """The clips of a batch: how many of each status, their cost, and a card for each."""
    output = Output()
    shown: Sequence[VideoClip] = clips
    if len(clips) > SHOWN:  # those about which something is to be done are few, and must not be left out
        shown = sorted(clips, key=lambda clip: clip.succeeded)[:SHOWN]
    cards = "".join(card(clip, output) for clip in shown)
    left_out = (
        f"{len(shown)} of {len(clips):,} clips are shown, those without a video first. clips.to_dicts() has all."
        if len(shown) < len(clips)
        else ""
    )
    return page(_summary(clips), block("grid", cards), block("note", text(left_out)), output.note())


def card(clip: VideoClip, output: Output, *kinds: str, name: str | None = None, plays: bool = True) -> str:
    """A clip as a card. `name` is what it is called instead of its prompt; `plays`: with a player, not a picture."""
    words = name if name is not None else words_of(clip.prompt)
    show = output.film if plays else output.picture
    films = "".join(show(path, shortened(words, 100)) for path in clip.paths[: None if plays else 1])
    facts = (
        clip.model if clip.instead_of is None else f"{clip.model} instead of {clip.instead_of}",
        clip.lane,
        cost_of(clip),
        counted(clip.retry_count, "retry").replace("retrys", "retries") if clip.retry_count else None,
        f"job {clip.job}" if clip.job else None,
    )
    files = [link(path) for path in clip.paths] if plays else []
    files += [text(unsigned(uri)) for uri in clip.uris if not clip.paths]
    classes = " ".join(f"aveo3-{kind}" for kind in ("card", *kinds))
    why = "" if clip.succeeded else shortened(plain(clip.error_message or ""), WORDS)
    cached = "&nbsp;from an earlier run" if clip.cached else ""
    return (
        f'<figure class="{classes}">{films}<figcaption>'
        f"{label(clip.status)}<span>{cached}</span>"
        f"<div>{text(shortened(words, WORDS))}</div>"
        f"{block('small', dotted(facts))}"
        f"{block('small', text(_next_move(clip)))}"
        f"{block('small', text(why))}"
        f"{block('small', ', '.join(files))}"
        "</figcaption></figure>"
    )


def words_of(prompt: VideoPrompt) -> str:
    """A prompt in one line: its id, and its text or the names of its media."""
    media = [name for name in ("image", "video", "previous") if getattr(prompt, name, None) is not None]
    words = plain(str(prompt.text)) or f"({' and '.join(media) or 'no text'})"
    return f"{plain(prompt.id)}: {words}" if prompt.id else words


def cost_of(clip: VideoClip) -> str | None:
    """What a clip costs, or may cost, at list price; None if nothing is owed for it."""
    if not _is_billed(clip) and not clip.may_be_paid:
        cost = None
    elif clip.cost_usd is None:
        cost = "price unknown"
    else:
        cost = f"{'may cost ' if clip.may_be_paid else ''}{priced(clip.cost_usd, 0)} at list price"
    if clip.sunk_usd:
        cost = f"{f'{cost}, and ' if cost else ''}{priced(clip.sunk_usd, 0)} for attempts that were given up"
    return cost


def _is_billed(clip: VideoClip) -> bool:
    """Whether it is known to cost something. What was never sent has a price at most."""
    return clip.succeeded or bool(clip.cost_usd and clip.status in ("filtered", "rejected", "failed"))


def _next_move(clip: VideoClip) -> str:
    """What to do about a clip; nothing for a video that is there."""
    if clip.succeeded:
        return GONE if clip.paths and not all(map(is_there, clip.paths)) else ""
    advice = clip.status.advice
    return f"{advice[:1].upper()}{advice[1:]}."


def _summary(clips: Sequence[VideoClip]) -> str:
    """How many clips there are of each status, and what they cost."""
    counts = Counter(clip.status.value for clip in clips)
    labels = " ".join(f"{counts[status]:,} {label(status)}" for status in COLOURS if counts[status])
    parts = [text(counted(len(clips), "clip")), labels]
    made = [clip.cost_usd for clip in clips if _is_billed(clip)]
    owed = [clip.cost_usd for clip in clips if clip.may_be_paid]
    if made:
        parts.append(text(f"{priced(sum(cost or 0.0 for cost in made), made.count(None))} at list price"))
    if owed:
        parts.append(text(f"{priced(sum(cost or 0.0 for cost in owed), owed.count(None))} may be paid"))
    if cached := sum(clip.cached for clip in clips):
        parts.append(text(f"{cached:,} from earlier runs"))
    return block("head", " · ".join(filter(None, parts)))
