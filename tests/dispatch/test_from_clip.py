"""Prompts that depend on clips: sent once those are on disk, paid once, and refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aveo3 import Media, VeoClient, VideoPrompt
from aveo3.backends.base import Finished, PollResult, Video
from aveo3.files import frames
from aveo3.mock.state.films import FilmSpec, draw
from aveo3.testing import ScriptedBackend
from tests.support.virtual import client as calm_client
from tests.support.virtual import statuses, virtual


class Studio(ScriptedBackend):
    """Makes a real film for each prompt, and keeps what was sent for it."""

    def __init__(self, *, filtered: tuple[str, ...] = (), take: int = 0, **values: Any) -> None:
        super().__init__(ending=self._film, **values)
        self.filtered = filtered
        self.take = take
        self.sent: dict[str, list[bytes]] = {}

    def _film(self, prompt: VideoPrompt) -> PollResult:
        if prompt.text in self.filtered:
            return Finished(filtered=1, filter_reasons=("a safety filter",))
        return Finished((Video(data=film_of(prompt.text, self.take)),))

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Any:
        self.sent[prompt.text] = [medium.read() for medium in prompt.media]
        return await super().submit(prompt, model, output_uri=output_uri)


def film_of(text: str, take: int = 0) -> bytes:
    return draw(FilmSpec(prompt=f"{text} {take}", seconds=1, aspect="16:9", resolution="720p", sample=0))


def client(backend: ScriptedBackend, **values: Any) -> VeoClient:
    return calm_client(backend, **{"rate_limit": 1000, "journal": Path(".aveo3/journal.db"), **values})


def scene(name: str, begins: str | None = None, frame: Any = "last", **values: Any) -> VideoPrompt:
    image = None if begins is None else Media.from_clip(begins, frame)
    return VideoPrompt(id=name, text=f"scene {name}", image=image, **values)


def test_a_prompt_is_sent_when_the_clip_it_begins_from_is_on_disk() -> None:
    async def main() -> None:
        studio = Studio(latency=10.0)
        async with client(studio) as veo:
            clips = await veo.generate_many([scene("b", "a"), scene("c", "b"), scene("a"), scene("d")])
        assert statuses(clips) == ["succeeded"] * 4
        sent = {text: at for at, text in studio.submits}
        assert sent["scene a"] == sent["scene d"] < 1
        assert 10 <= sent["scene b"] < 12
        assert 20 <= sent["scene c"] < 24
        film = clips[2].path
        assert film is not None
        assert studio.sent["scene b"] == [frames.cut(film, "last")]
        assert clips[0].prompt.image is not None
        assert clips[0].prompt.image.clip == "a"

    virtual(main)
