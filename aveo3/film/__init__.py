"""From a story to a film: `Story.load("story.yaml")`, `await make_film(story, veo)`. `cut` knows files alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aveo3.film.making import FilmResult, make_film
    from aveo3.film.story import Story

_HOME = {"FilmResult": "making", "Story": "story", "make_film": "making"}

__all__ = ["FilmResult", "Story", "make_film"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `aveo3.film.cut` stays cheap."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"aveo3.film.{_HOME[name]}"), name)
    raise AttributeError(f"module 'aveo3.film' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
