"""The result of `make_film`: the film, or why there is none, and the clip of each scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aveo3.display.clips import card
from aveo3.display.films import Output, is_there, link
from aveo3.display.page import block, page, text
from aveo3.wording import counted, listed

if TYPE_CHECKING:
    from aveo3.film.making import FilmResult

SCENES = 48
"""Scenes that are shown."""


def film_page(film: FilmResult) -> str:
    """A film with its cost, and a picture and the status of the clip of each scene."""
    output = Output()
    cost = "price unknown" if film.cost_usd is None else f"US$ {film.cost_usd:,.2f} at list price"
    head = f"film of {counted(len(film.clips), 'scene')} · {cost}"
    player, file = "", ""
    if film.path is not None and is_there(film.path):
        player, file = output.film(film.path, "the film"), link(film.path)
    said = [f"There is no film: {film.reason}"] if film.reason is not None else []
    if film.path is not None and not player:
        said.append("The file is not there any more. make_film cuts it again from its clips: nothing is paid for that.")
    if film.missing:
        said.append(f"No video: {listed(film.missing)}.")
    said += film.notes
    cards = "".join(card(clip, output, name=scene, plays=False) for scene, clip in list(film.picked.items())[:SCENES])
    return page(
        block("head", text(head)),
        block("wide", player, block("small", file)),
        "".join(block("note", text(each)) for each in said),
        block("grid", cards),
        output.note(),
    )
