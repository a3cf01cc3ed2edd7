"""The names of videos: what a template may hold, and that every name is one safe name on every system."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveo3 import Settings, UsageError, VideoPrompt
from aveo3.config.file_names import DEFAULT, FIELDS, checked, file_name

JOB = "1a2b3c4d"
SENT = datetime(2026, 11, 27, 14, 30, 5, tzinfo=UTC)


def named(template: str, prompt: str | VideoPrompt = "A paper boat", **values: Any) -> str:
    usual: dict[str, Any] = {"position": 6, "job": JOB, "model": "veo-3.1", "sent_utc": SENT}
    prompt = VideoPrompt.model_construct(text=prompt) if isinstance(prompt, str) else prompt
    return file_name(checked(template), prompt, **{**usual, **values})


@pytest.mark.parametrize(
    ("index", "text", "number", "name"),
    [
        (6, "A paper boat", None, "0007-a-paper-boat-1a2b3c4d.mp4"),
        (0, "A paper boat", 2, "0001-a-paper-boat-1a2b3c4d-2.mp4"),
        (99_999, "x", None, "100000-x-1a2b3c4d.mp4"),
        (0, "", None, "0001-video-1a2b3c4d.mp4"),
        (0, "  \n\t ", None, "0001-video-1a2b3c4d.mp4"),
        (0, "!!! ???", None, "0001-video-1a2b3c4d.mp4"),
        (0, "🚀🚀", None, "0001-video-1a2b3c4d.mp4"),
        (0, "../../etc/passwd", None, "0001-etc-passwd-1a2b3c4d.mp4"),
        (0, "C:\\CON.mp4\0", None, "0001-c-con-mp4-1a2b3c4d.mp4"),
        (0, "snake_case__words", None, "0001-snake-case-words-1a2b3c4d.mp4"),
        (0, "Über die Straße, s'il vous plaît", None, "0001-über-die-straße-s-il-vous-plaît-1a2b3c4d.mp4"),
        (0, "紙の船が川を下る", None, "0001-紙の船が川を下る-1a2b3c4d.mp4"),
        (0, "a" * 39 + " boat", None, f"0001-{'a' * 39}-1a2b3c4d.mp4"),
        (0, "word " * 4000, None, f"0001-{'word-' * 7}word-1a2b3c4d.mp4"),
    ],
)
def test_names_without_a_template(index: int, text: str, number: int | None, name: str) -> None:
    assert named(DEFAULT, text, position=index, number=number) == name


def test_the_job_of_the_second_of_equal_prompts_says_so() -> None:
    assert named(DEFAULT, "x", job="1a2b3c4d.2") == "0007-x-1a2b3c4d.2.mp4"
    assert named(DEFAULT, "x", job="1a2b3c4d.12", number=3) == "0007-x-1a2b3c4d.12-3.mp4"


def test_every_field_has_its_value() -> None:
    prompt = VideoPrompt(
        text="A boat", id="scene 2", project_id="p", seed=7, duration_seconds=4, aspect_ratio="9:16", resolution="4k"
    )
    values = {
        **{"index": "7", "slug": "a-boat", "id": "scene 2", "job": JOB, "project_id": "p", "model": "veo-3.1"},
        **{"lane": "eu", "seed": "7", "duration_seconds": "4", "aspect_ratio": "9-16", "resolution": "4k"},
        **{"date": "2026-11-27", "time": "14-30-05"},
    }
    assert values.keys() == FIELDS.keys()
    for field, value in values.items():
        assert named(f"a{{{field}}}", prompt, lane="eu") == f"a{value}.mp4"


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{index:03}_{slug:.7}", "007_a-paper.mp4"),
        ("{id}", "1a2b3c4d.mp4"),
        ("{slug}-{seed}", "a-paper-boat.mp4"),
        ("{index:4}", "7.mp4"),
        ("Film {index}.mp4", "Film 7.mp4"),
        ("a{{b}}{index}", "a{b}7.mp4"),
        ("one", "one.mp4"),
        ("...", "video.mp4"),
        ("-{index}. ", "7.mp4"),
        ("nul", "video-nul.mp4"),
        ("COM¹.{index}", "video-COM¹.7.mp4"),
        ("{model}", "veo-3.1.mp4"),
    ],
)
def test_what_templates_make(template: str, name: str) -> None:
    assert named(template) == name


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{titel}", "{titel} is not a field of a name: did you mean {time}?"),
        ("{prompt.__class__}", "{prompt.__class__} is not a field of a name: the fields are index, slug"),
        ("{}", "{} is not a field of a name: the fields are"),
        ("{0}", "{0} is not a field of a name"),
        ("{slug!r}", "{slug!r} is not a field of a name: did you mean {slug}?"),
        ("{index:0999999999}", "{index:0999999999} is not a form of a number: write {index}, or {index:04} for 0007"),
        ("{index:x}", "is not a form of a number"),
        ("{index:{seed}}", "is not a form of a number"),
        ("{slug:999999999}", "{slug:999999999} is not a form of a text: write {slug}, or {slug:.20} to cut it"),
        ("{slug", "a brace has no partner: write {index} for a field, and {{ or }} for a brace"),
        ("slug}", "a brace has no partner"),
        ("{model}/{index}", "'/' cannot be in the name of a file; all videos lie in the output directory itself"),
        ("..\\{index}", "'\\\\' cannot be in the name of a file"),
        ("a:b", "':' cannot be in the name of a file"),
        ("a\u202eb", "'\\u202e' cannot be in the name of a file"),
        ("", "must hold a field, as in {index:04}-{slug}-{job}"),
        (".mp4", "must hold a field"),
    ],
)
def test_a_template_that_makes_no_names_is_refused_with_the_way_out(template: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(name=template)
    shown = template.strip().replace("\u202e", "\\u202e")
    assert f"name={shown} (as an argument) is refused" in str(caught.value)
    assert why in str(caught.value)


@given(
    template=st.lists(st.sampled_from([*(f"{{{name}}}" for name in FIELDS), "{{", " ", ".", "-"]), min_size=1)
    .map("".join)
    .filter(str.strip),
    words=st.text(st.characters(), max_size=300),
    number=st.none() | st.integers(1, 4),
)
def test_whatever_a_prompt_holds_its_name_is_one_safe_name(template: str, words: str, number: int | None) -> None:
    prompt = VideoPrompt.model_construct(text=words, id=words, project_id=words, aspect_ratio=words)
    name = named(template, prompt, model=words, lane=words, number=number)
    assert len(name.encode()) < 225  # of 255: with room for a number, and for what a part's name has more
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name
    assert name.isprintable()
    assert name[0] not in " .-"
    assert name.removesuffix(".mp4")[-1] not in " ."
    assert not _is_reserved(name)


def _is_reserved(name: str) -> bool:
    stem = name.partition(".")[0].rstrip().upper()
    return stem in ("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$") or (
        stem[:3] in ("COM", "LPT") and stem[3:] in tuple("0123456789¹²³")
    )


def test_the_longest_name_fits_every_file_system() -> None:
    longest = named(DEFAULT, "𝔘" * 20_000, position=10**9, job=f"{JOB}.10000", number=4)
    assert len(longest.encode()) < 225
    assert len(named("{id}", VideoPrompt(text="x", id="𝔘" * 200), number=4).encode()) < 225
