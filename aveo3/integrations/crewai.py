"""Tools for CrewAI: `ClipsTool(maker)` and `FilmTool(maker)`. Needs `pip install 'aveo3[crewai]'`.

maker = Maker(budget_usd=20)
agent = Agent(role="Maker", ..., tools=[ClipsTool(maker), FilmTool(maker)])
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, PrivateAttr

from aveo3.errors import UsageError
from aveo3.integrations.maker import Maker
from aveo3.integrations.orders import ClipsArguments, FilmArguments

try:
    from crewai.tools import BaseTool
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "crewai":
        raise
    raise UsageError("CrewAI is not installed here: pip install 'aveo3[crewai]'") from None

__all__ = ["ClipsTool", "FilmTool", "Maker"]


def _never(_arguments: Any = None, _result: Any = None) -> bool:
    """CrewAI keeps no result: what is made, and what is left of the budget, may be different the next time."""
    return False


class ClipsTool(BaseTool):  # type: ignore[misc]  # CrewAI is not installed where types are checked
    """Makes clips, for an agent. Tools with the same `maker` share its budget."""

    name: str = "make_clips"
    description: str = (
        "Makes video clips of prompts, all at once. Costs money, within a fixed budget: an order above what is left is "
        "refused as a whole. Returns JSON: each clip's status and file. The same prompt again gives the same clip, at "
        "no cost."
    )
    args_schema: type[BaseModel] = ClipsArguments
    cache_function: Any = _never
    _maker: Maker = PrivateAttr()

    def __init__(self, maker: Maker, **fields: Any) -> None:
        super().__init__(**fields)
        self._maker = maker

    def _run(self, clips: Any = (), **_: Any) -> str:
        return self._maker.clips(clips)

    async def _arun(self, clips: Any = (), **_: Any) -> str:
        return await self._maker.aclips(clips)


class FilmTool(BaseTool):  # type: ignore[misc]
    """Makes a film of scenes, for an agent. Tools with the same `maker` share its budget."""

    name: str = "make_film"
    description: str = (
        "Makes a film: a clip of each scene, cut together. Costs money, within a fixed budget: an order above what is "
        "left is refused as a whole. Returns JSON: the film's file, or what to change. Ordered again, it makes only "
        "scenes that have changed, and those that begin from them."
    )
    args_schema: type[BaseModel] = FilmArguments
    cache_function: Any = _never
    _maker: Maker = PrivateAttr()

    def __init__(self, maker: Maker, **fields: Any) -> None:
        super().__init__(**fields)
        self._maker = maker

    def _run(self, **order: Any) -> str:
        return self._maker.film(**{name: order[name] for name in FilmArguments.model_fields if name in order})

    async def _arun(self, **order: Any) -> str:
        return await self._maker.afilm(**{name: order[name] for name in FilmArguments.model_fields if name in order})
