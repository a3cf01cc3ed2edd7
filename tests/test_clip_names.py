"""The names that clips get on disk: templates, numbers of single prompts, and what no template can change."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aveo3 import VeoClient
from aveo3.backends.base import Finished, Video
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from tests.support.virtual import client, virtual


def backend() -> ScriptedBackend:
    """One whose films all have the same bytes."""
    return ScriptedBackend(ending=lambda _: Finished((Video(data=FILM),)))


def veo(scripted: ScriptedBackend, **values: object) -> VeoClient:
    return client(scripted, **{"output_dir": Path("out"), "journal": "auto", **values})


def names() -> list[str]:
    return sorted(path.name for path in Path("out").glob("*.mp4"))


def test_a_template_names_the_clips() -> None:
    async def main() -> None:
        async with veo(backend(), name="{index:02}_{slug:.5}_{seed}") as v:
            clips = await v.generate_many([{"text": "paper boats", "seed": 7}, "fog"])
        assert [clip.path and clip.path.name for clip in clips] == names() == ["01_paper_7.mp4", "02_fog_.mp4"]

    virtual(main)


@pytest.mark.parametrize("first_run_sees", ["one", "all"])
def test_names_that_collide_are_numbered_and_no_clip_shares_a_file(first_run_sees: str) -> None:
    texts = [f"boat {n}" for n in range(8)]

    async def main() -> None:
        for batch in [texts] if first_run_sees == "all" else [texts[:1], texts]:
            async with veo(backend(), name="clip") as v:
                clips = await v.generate_many(batch)
        assert names() == sorted(["clip.mp4", *(f"clip-{n}.mp4" for n in range(2, 9))])
        assert len({clip.path for clip in clips}) == 8

    virtual(main)


def test_a_foreign_file_of_that_name_is_never_written_over() -> None:
    Path("out").mkdir()
    Path("out", "clip.mp4").write_bytes(b"mine")

    async def main() -> None:
        async with veo(backend(), name="clip") as v:
            clip = await v.generate("a")
        assert clip.path == Path("out", "clip-2.mp4")

    virtual(main)
    assert Path("out", "clip.mp4").read_bytes() == b"mine"


def test_another_template_finds_the_same_clips_and_sends_nothing() -> None:
    async def main() -> None:
        scripted = backend()
        async with veo(scripted, name="{slug}") as v:
            before = await v.generate_many(["a", "b"])
        async with veo(scripted, name="{index}-{model}") as v:
            after = await v.generate_many(["a", "b"])
        assert [clip.paths for clip in after] == [clip.paths for clip in before]
        assert all(clip.cached for clip in after)
        assert names() == ["a.mp4", "b.mp4"]
        assert scripted.accepted == {"a": 1, "b": 1}

    virtual(main)


def test_a_clip_under_way_is_finished_under_another_template_and_paid_once() -> None:
    async def main() -> None:
        scripted = ScriptedBackend(ending=lambda _: Finished((Video(data=FILM),)), latency=100)
        async with veo(scripted, name="{slug}") as v, v.stream(["a", "b"]) as clips:
            await asyncio.sleep(30)
            await clips.leave()
        async with veo(scripted, name="{index}-{job}") as v:
            finished = await v.generate_many(["a", "b"])
        assert [clip.path and clip.path.name for clip in finished] == [f"{c.index + 1}-{c.job}.mp4" for c in finished]
        assert scripted.accepted == {"a": 1, "b": 1}

    virtual(main)


@pytest.mark.parametrize("journal", ["auto", None])
def test_single_prompts_are_numbered_on(journal: str | None) -> None:
    async def main() -> None:
        scripted = backend()
        async with veo(scripted, name="{index}-{slug}", journal=journal) as v:
            await v.generate("a")
            clips = await asyncio.gather(*map(v.generate, "bcd"))
            assert [clip.index for clip in clips] == [0, 0, 0]
            if journal is not None:
                await v.generate("a")  # cached: takes no number
            await v.generate("e")
        assert names() == ["1-a.mp4", "2-b.mp4", "3-c.mp4", "4-d.mp4", "5-e.mp4"]

    virtual(main)


def test_single_prompts_are_numbered_on_from_earlier_runs() -> None:
    async def main() -> None:
        async with veo(backend(), name="{index}-{slug}") as v:
            await v.generate_many(["a", "b"])
        for text in "cd":
            async with veo(backend(), name="{index}-{slug}") as v:
                await v.generate(text)
        assert names() == ["1-a.mp4", "2-b.mp4", "3-c.mp4", "4-d.mp4"]

    virtual(main)


def test_a_single_prompt_keeps_its_number_when_it_is_finished_by_a_later_run() -> None:
    async def main() -> None:
        scripted = ScriptedBackend(ending=lambda _: Finished((Video(data=FILM),)), latency=100)
        async with veo(scripted, name="{index}-{slug}") as v:
            await v.generate("a")
            left = asyncio.create_task(v.generate("b"))
            await asyncio.sleep(30)
            left.cancel()
            await asyncio.wait([left])
        async with veo(scripted, name="{index}-{slug}") as v:
            await v.generate("b")
            await v.generate("c")
        assert names() == ["1-a.mp4", "2-b.mp4", "3-c.mp4"]
        assert max(scripted.accepted.values()) == 1

    virtual(main)
