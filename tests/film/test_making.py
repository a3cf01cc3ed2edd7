"""A story becomes a film: each scene as soon as it can be, paid once, and made anew only where it has changed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aveo3 import JournalError, UsageError, VeoClient
from aveo3.files import frames
from aveo3.film import FilmResult, Story, make_film, record
from aveo3.film.cut import cards
from aveo3.film.making import facts_of
from aveo3.film.plan import FilmPlan, plan_of
from aveo3.film.takes import Stage, takes_of
from tests.support.studio import Studio, changed, story
from tests.support.virtual import virtual


def plan(story: Story, veo: VeoClient, *, stage: Stage = Stage.FINAL) -> FilmPlan:
    output_dir = veo.settings.output_dir
    takes = takes_of(story, veo.routes, stage=stage, picks=record.read_picks(output_dir))
    facts = facts_of(veo.journal, veo.settings, veo.service)
    return plan_of(story, takes, veo.routes, facts, record.read(output_dir))


def standings(plan: FilmPlan) -> dict[str, str]:
    return {each.take.id: each.standing for each in plan.takes}


async def made(story: Story, studio: Studio, **values: Any) -> FilmResult:
    async with studio.open() as veo:
        return await make_film(story, veo, **values)


def test_scenes_run_at_once_and_one_that_begins_from_another_as_soon_as_that_is_there() -> None:
    async def main() -> None:
        studio = Studio(latency=10.0)
        result = await made(story(), studio)
        at = {prompt.id: time for prompt, (time, _) in zip(studio.prompts, studio.submits, strict=True)}
        assert at["a.take-1"] == at["d.take-1"] < 1
        assert 10 <= at["b.take-1"] < 12
        assert 20 <= at["c.take-1"] < 24
        path = result.picked["a"].path
        assert path is not None
        [image] = [prompt.image for prompt in studio.prompts if prompt.id == "b.take-1"]
        assert image is not None
        assert image.read() == frames.cut(path, "last")
        assert result.path == Path("film/film.mp4")
        assert result.film is not None
        assert abs(result.film.seconds - 4) < 0.2
        assert result.missing == ()

    virtual(main)


def test_a_changed_scene_makes_anew_itself_and_what_hangs_on_it_and_the_plan_says_so_before() -> None:
    async def main() -> None:
        studio = Studio()
        async with studio.open() as veo:
            before = plan(story(), veo)
            assert standings(before) == dict.fromkeys(("a.take-1", "b.take-1", "c.take-1", "d.take-1"), "to make")
        await made(story(), studio)
        other = story(scenes=changed("b", prompt="two, at night"))
        async with studio.open() as veo:
            assert standings(plan(story(), veo)) == {f"{name}.take-1": "made" for name in "abcd"}
            planned = plan(other, veo)
        assert {each.take.scene.id: each.why for each in planned.to_send} == {
            "b": "changed: its words",
            "c": "b is made anew",
        }
        assert planned.cost_usd == 2 * 3.2
        assert planned.chain_seconds == 140
        studio.prompts.clear()
        result = await made(other, studio)
        assert studio.sent == ["b.take-1", "c.take-1"]
        assert result.film is not None
        studio.prompts.clear()
        again = await made(other, studio)
        assert studio.sent == []
        assert again.film is None  # unchanged: it is not assembled again
        assert again.path is not None
        back = await made(story(), studio)  # the first words again: all clips are there
        assert studio.sent == []
        assert back.film is not None

    virtual(main)


def test_a_filtered_scene_stops_only_what_hangs_on_it() -> None:
    async def main() -> None:
        studio = Studio(filtered=("two",))
        result = await made(story(), studio)
        assert studio.sent == ["a.take-1", "d.take-1", "b.take-1"]
        assert {name: clip.status.value for name, clip in result.picked.items()} == {
            "a": "succeeded",
            "b": "filtered",
            "c": "deferred",
            "d": "succeeded",
        }
        assert result.missing == ("b", "c")
        assert result.path is None
        assert result.reason is not None
        assert result.reason.startswith("the film is not assembled: b and c have no clip")
        assert not await asyncio.to_thread(Path("film/film.mp4").exists)
        async with studio.open() as veo:
            planned = plan(story(), veo)
        assert standings(planned) == {
            "a.take-1": "made",
            "b.take-1": "ended",
            "c.take-1": "waits",
            "d.take-1": "made",
        }
        skipped = await made(story(film={"missing": "skip", "loudness": None}), studio)
        assert skipped.film is not None
        assert abs(skipped.film.seconds - 2) < 0.1

    virtual(main)


def test_what_begins_from_a_scene_hangs_on_its_picked_take() -> None:
    async def main() -> None:
        studio = Studio()
        takes = story(scenes=changed("a", takes=3))
        result = await made(takes, studio)
        assert sorted(studio.sent) == ["a.take-1", "a.take-2", "a.take-3", "b.take-1", "c.take-1", "d.take-1"]
        assert len({clip.path for clip in result.clips["a"]}) == 3
        record.pick(Path("film"), "a", 2)
        studio.prompts.clear()
        async with studio.open() as veo:
            whys = {each.take.id: each.why for each in plan(takes, veo).to_send}
        assert whys == {
            "b.take-1": "changed: the take it begins from, the clip it begins from",
            "c.take-1": "b is made anew",
        }
        picked = await made(takes, studio)
        assert studio.sent == ["b.take-1", "c.take-1"]
        assert picked.picked["a"].path == result.clips["a"][1].path
        record.pick(Path("film"), "a", 1)
        studio.prompts.clear()
        await made(takes, studio)
        assert studio.sent == []

    virtual(main)


def test_drafts_have_all_takes_and_finals_the_picked_one() -> None:
    async def main() -> None:
        studio = Studio()
        drafted = story(
            defaults={"takes": 2, "seed": 7},
            draft={"model": "veo-3.1-lite-generate-001"},
            final={"resolution": "1080p"},
        )
        drafts = await made(drafted, studio, draft=True)
        assert drafts.path == Path("film/film-draft.mp4")
        assert sorted(studio.sent) == [f"{name}.draft-{take}" for name in "abcd" for take in (1, 2)]
        assert {(prompt.model, prompt.resolution) for prompt in studio.prompts} == {("veo-3.1-lite-generate-001", None)}
        assert {prompt.seed for prompt in studio.prompts} == {7, 8}
        record.pick(Path("film"), "b", 2)
        async with studio.open() as veo:
            assert {each.why for each in plan(drafted, veo).to_send} == {"", "after a.final", "after b.final"}
        studio.prompts.clear()
        finals = await made(drafted, studio)
        assert finals.path == Path("film/film.mp4")
        assert sorted(studio.sent) == [f"{name}.final" for name in "abcd"]
        assert {prompt.id: prompt.seed for prompt in studio.prompts}["b.final"] == 8
        assert {prompt.resolution for prompt in studio.prompts} == {"1080p"}
        with pytest.raises(UsageError, match="the story has no drafts: add `draft`"):
            await made(story(), studio, draft=True)

    virtual(main)


def test_upscaled_finals_are_made_of_the_picked_drafts() -> None:
    async def main() -> None:
        studio = Studio()
        drafted = story(
            defaults={"takes": 2},
            draft={"model": "gemini-omni-1.2-flash", "resolution": "360p", "seconds": 4},
            final={"upscale": "4k"},
        )
        record.pick(Path("film"), "d", 2)
        result = await made(drafted, studio)
        drafts = [f"{name}.draft-1" for name in "abcd"] + ["d.draft-2"]
        assert sorted(studio.sent) == sorted([*drafts, *(f"{name}.final" for name in "abcd")])
        upscales = {prompt.id: prompt for prompt in studio.prompts if prompt.task == "upscale"}
        assert {prompt.resolution for prompt in upscales.values()} == {"4k"}
        source = result.clips["d"][1].path
        assert source is not None
        video = upscales["d.final"].video
        assert video is not None
        assert video.read() == source.read_bytes()
        assert result.film is not None

    virtual(main)


async def test_what_would_end_without_a_film_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studio = Studio()
    with monkeypatch.context() as patch:
        patch.setattr("aveo3.film.rehearsal._EXTRA", {"PyAV": "no_such_module"})
        with pytest.raises(UsageError, match=r"^nothing was sent: films are cut with PyAV, not installed here"):
            await made(story(), studio)
    with pytest.raises(UsageError, match=r"^nothing was sent: a film is cut from files"):
        async with studio.open(keep_remote=True) as veo:
            await make_film(story(), veo)
    assert studio.sent == []


@pytest.mark.parametrize(
    ("film", "path", "says"),
    [
        ({}, "film.mov", "film.mov is no name of an MP4 file: let it end in .mp4"),
        ({}, "film", "film is no name of an MP4 file"),
        ({}, "dir.mp4", "dir.mp4 is a directory: name a file"),
        ({"opening": "\u0928\u092e"}, None, "card '\u0928\u092e': no font at hand has the letters"),
        ({"opening": "Sea", "font": "no.ttf"}, None, "card 'Sea' cannot be drawn: no.ttf is no font"),
        ({"music": "no.ttf"}, None, r"music 'no.ttf' \(no.ttf\) is broken, or no sound file"),
    ],
)
def test_what_could_be_no_film_is_refused_before_its_clips_are_paid(
    film: dict[str, Any], path: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aveo3.film.cut.cards.FONTS", ())
    monkeypatch.setattr(cards, "_name", cards._name.__wrapped__)

    async def main() -> None:
        await made(story(film=film), studio, path=path)

    Path("no.ttf").write_text("neither a font nor music")
    Path("dir.mp4").mkdir()
    studio = Studio()
    with pytest.raises(UsageError, match=f"^nothing was sent: {says}"):
        virtual(main)
    assert studio.sent == []


def test_a_film_takes_the_place_of_no_clip() -> None:
    async def main() -> None:
        studio = Studio()
        result = await made(story(), studio)
        path = result.picked["a"].path
        assert path is not None
        whole = path.read_bytes()
        other = story(scenes=changed("a", prompt="another"))  # the clip is none of this film
        with pytest.raises(UsageError, match=r"^nothing was sent: .*mp4 is a clip: give the film another name"):
            await made(other, studio, path=path)
        assert path.read_bytes() == whole
        assert len(studio.sent) == 4

    virtual(main)


def test_picks_are_whole_or_an_error_and_none_is_lost() -> None:
    home = Path("film")
    assert record.read_picks(home) == {}
    record.pick(home, "a", 2)
    record.pick(home, "b", 3)
    assert record.read_picks(home) == {"a": 2, "b": 3}
    path = record.directory_of(home) / record.PICKS
    for content in ("{", '{"a": "2"}', "[1]"):
        path.write_text(content)
        with pytest.raises(JournalError, match="restore or remove it"):
            record.read_picks(home)
    (record.directory_of(home) / record.NAME).write_text("{")
    assert record.read(home)["scenes"] == []  # it can be made again


def test_what_the_disk_refuses_of_the_structure_costs_no_film(caplog: pytest.LogCaptureFixture) -> None:
    Path("film/.aveo3/film.json").mkdir(parents=True)  # it cannot be replaced by a file

    async def main() -> None:
        studio = Studio()
        result = await made(story(), studio)
        assert result.film is not None
        assert studio.prompts[0].metadata == {"scene": "a", "take": 1, "stage": "final"}

    virtual(main)
    assert "the film's structure is not kept" in caplog.text
