"""A backend that makes a small real film for each prompt, and a story to try it with. On virtual time."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

from aveo3 import VeoClient, VideoPrompt
from aveo3.backends.base import Finished, PollResult, Video
from aveo3.film import Story
from aveo3.mock.state.films import FilmSpec, draw
from aveo3.testing import ScriptedBackend
from tests.support.virtual import client


class Studio(ScriptedBackend):
    """Films whose pixels depend on the prompt's text and how often it was ordered. Keeps what was sent."""

    def __init__(self, *, filtered: tuple[str, ...] = (), latency: float = 10.0, seconds: float = 1) -> None:
        super().__init__(ending=self._film, latency=latency)
        self.filtered = filtered
        self.seconds = seconds
        self.prompts: list[VideoPrompt] = []
        self._ordered: Counter[str] = Counter()

    def _film(self, prompt: VideoPrompt) -> PollResult:
        if any(word in prompt.text for word in self.filtered):
            return Finished(filtered=1, filter_reasons=("a safety filter",))
        self._ordered[prompt.text] += 1
        return Finished((Video(data=film_of(f"{prompt.text} {self._ordered[prompt.text]}", self.seconds)),))

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Any:
        self.prompts.append(prompt)
        return await super().submit(prompt, model, output_uri=output_uri)

    @property
    def sent(self) -> list[str]:
        """The ids of the prompts that were sent, in order."""
        return [prompt.id or "" for prompt in self.prompts]

    def open(self, **values: Any) -> VeoClient:
        """A client of this studio, with a journal in the working directory."""
        return client(
            self,
            **{"rate_limit": 1000, "output_dir": Path("film"), "journal": Path("film/.aveo3/journal.db"), **values},
        )


@lru_cache(maxsize=256)
def film_of(text: str, seconds: float = 1) -> bytes:
    return draw(FilmSpec(prompt=text, seconds=seconds, aspect="16:9", resolution="720p", sample=0))


CHAIN: dict[str, Any] = {
    "title": "A chain",
    "film": {"loudness": None},  # its shots are then joined without encoding
    "scenes": [
        {"id": "a", "prompt": "one"},
        {"id": "b", "prompt": "two", "from": "a"},
        {"id": "c", "prompt": "three", "from": "b"},
        {"id": "d", "prompt": "four"},
    ],
}


def story(**changes: Any) -> Story:
    """The chain of three and one scene by itself, with other fields."""
    return Story.model_validate({**CHAIN, **changes})


def changed(scene: str, **fields: Any) -> list[dict[str, Any]]:
    """The scenes of the chain, one of them changed."""
    return [{**each, **fields} if each["id"] == scene else each for each in CHAIN["scenes"]]
