"""The program of `victim`, whose runs make a film: a life is one `make_film`, from the first clip to the film."""

from __future__ import annotations

from typing import Any

from aveo3 import Settings, VeoClient
from aveo3.film import Story, make_film
from tests.support import victim

WARM: dict[str, Any] = {
    "title": "Warm",
    "film": {"loudness": None},
    "scenes": [{"id": "a", "prompt": "a boat"}, {"id": "b", "prompt": "a kite", "from": "a"}],
}


async def make(settings: Settings, prompts: list[Any], *, fresh: bool = False) -> list[dict[str, Any]]:
    """The clips of the film, the scenes in order, and at the end what became of the film."""
    [fields] = prompts if isinstance(prompts[0], dict) else [WARM]
    async with VeoClient(settings) as veo:
        result = await make_film(Story.model_validate(fields), veo)
    clips = [clip for each in result.clips.values() for clip in each]
    shown = [clip.model_dump(mode="json", include={"status", "cached", "error_kind", "paths"}) for clip in clips]
    return [*shown, {"film": None if result.path is None else str(result.path), "missing": list(result.missing)}]


if __name__ == "__main__":
    victim.make = make
    victim.main()
