"""Which lanes a prompt may go to, in which order, and how it is put for a model that was not asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aveo3 import Settings, UsageError, VideoPrompt
from aveo3.config import catalog
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Route, Routes, translate
from aveo3.models import Media

BEST, FAST, LITE = "veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001"
OMNI = "gemini-omni-1.1-flash"
CARDS = catalog.load()

A, B, F, K = (
    {"name": "a", "project": "a", "model": BEST},
    {"name": "b", "project": "b", "model": BEST, "order": 2},
    {"name": "f", "project": "a", "model": FAST},
    {"name": "o", "api_key_env": "KEY"},
)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "k")


def routes(*lanes: dict[str, Any], **settings: Any) -> Routes:
    return Routes(Lanes(Settings(**settings), lanes or None))


def names(route: Route | None) -> list[list[str]]:
    assert route is not None
    return [[stop.lane.name for stop in tier] for tier in route.tiers]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ({}, [["a", "f", "o"], ["b"]]),
        ({"model": BEST}, [["a"], ["b"]]),
        ({"model": OMNI}, [["o"]]),
        ({"seed": 3}, [["a", "f"], ["b"]]),
        ({"negative_prompt": "rain"}, [["a", "f"], ["b"]]),
        ({"duration_seconds": 10}, [["o"]]),
        ({"duration_seconds": 4}, [["a", "f", "o"], ["b"]]),
        ({"generate_audio": False, "aspect_ratio": "9:16"}, [["a", "f"], ["b"]]),
        ({"number_of_videos": 2, "resolution": "4k"}, [["a", "f"], ["b"]]),
        ({"reference_images": [{"path": "p.png"}] * 5}, [["o"]]),
    ],
    ids=str,
)
def test_a_prompt_goes_where_the_catalog_says_that_it_can(prompt: dict[str, Any], expected: list[list[str]]) -> None:
    route, problems = routes(A, B, F, K).of(VideoPrompt.model_validate({"text": "x", **prompt}))
    assert names(route) == expected
    assert problems == []


def test_each_stop_has_the_price_of_its_model() -> None:
    route, _ = routes(A, F).of(VideoPrompt(text="x"))
    assert route is not None
    assert [(stop.lane.model, stop.cost_usd) for stop in route] == [(BEST, 3.2), (FAST, 0.8)]
    assert route.models == [BEST, FAST]


def test_a_prompt_that_no_lane_can_make_says_so_model_by_model() -> None:
    route, problems = routes(A, K).of(VideoPrompt(text="x", duration_seconds=5, seed=1))
    assert route is None
    assert problems == [
        f"{BEST}: duration_seconds=5 is not offered by {BEST}: choose 4 or 6 or 8",
        f"{OMNI}: {OMNI} takes no seed: leave it out, or use {BEST} (VEO3_BACKEND=vertex) or {FAST} "
        f"(VEO3_BACKEND=vertex) or {LITE} (VEO3_BACKEND=vertex)",
    ]


def test_a_model_that_no_lane_has_is_named_with_those_that_there_are() -> None:
    route, problems = routes(A, K).of(VideoPrompt(text="x", model=FAST))
    assert (route, problems) == (None, [f"no lane has model {FAST}: the lanes have {BEST}, {OMNI}"])


def test_with_a_model_set_prompts_that_name_none_are_for_it() -> None:
    assert names(routes(A, F, model=FAST).of(VideoPrompt(text="x"))[0]) == [["f"]]


def test_what_goes_on_from_an_earlier_clip_goes_to_where_that_was_made() -> None:
    other = {"name": "p", "api_key_env": "KEY", "api_version": "v1beta"}
    with_other = routes(K, {**other, "base_url": "https://gateway"})
    prompt = VideoPrompt(text="at night", previous="abc")
    assert names(with_other.of(prompt)[0]) == [["o", "p"]]
    home = {"backend": "gemini", "credentials": "$KEY"}
    assert names(with_other.of(prompt, home)[0]) == [["o"]]
    assert names(with_other.of(prompt, {**home, "base_url": "https://gateway"})[0]) == [["p"]]
    route, problems = with_other.of(prompt, {"backend": "gemini", "credentials": "$GONE", "lane": "gone"})
    assert (route, problems) == (None, ["the clip that it goes on from was made at gone, where no lane is"])


def test_no_fallback_goes_on_from_a_clip_that_was_made_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "other")
    newer = "gemini-omni-1.2-flash"
    here, there = ({"name": name, "api_key_env": name, "model": newer} for name in ("KEY", "OTHER"))
    found = routes(K, here, there, model=OMNI, fallback=newer)
    prompt = VideoPrompt(text="at night", previous="abc")
    assert names(found.of(prompt, {"backend": "gemini", "credentials": "$KEY"})[0]) == [["o"], ["KEY"]]


# ---- fallbacks -------------------------------------------------------------------------------------------------------

CHAIN = f"{BEST} -> {FAST} -> {OMNI}"


def test_a_chain_of_fallbacks_comes_after_all_that_was_asked_for() -> None:
    route, _ = routes(A, B, F, K, fallback=CHAIN).of(VideoPrompt(text="x", model=BEST))
    assert names(route) == [["a"], ["b"], ["f"], ["o"]]
    assert route is not None
    assert [stop.instead_of for stop in route] == [None, None, BEST, BEST]
    assert route.models == [BEST], "what only stands in is not what was asked for"


def test_only_what_comes_later_in_the_chain_stands_in() -> None:
    assert names(routes(A, F, K, fallback=CHAIN).of(VideoPrompt(text="x", model=FAST))[0]) == [["f"], ["o"]]
    assert names(routes(A, F, K, fallback=CHAIN).of(VideoPrompt(text="x", model=OMNI))[0]) == [["o"]]
    assert names(routes(A, F, K, fallback=OMNI).of(VideoPrompt(text="x", model=FAST))[0]) == [["f"], ["o"]]


def test_a_fallback_that_cannot_make_it_is_left_out() -> None:
    assert names(routes(A, F, K, fallback=CHAIN).of(VideoPrompt(text="x", model=BEST, seed=1))[0]) == [["a"], ["f"]]


def test_a_chain_that_nothing_can_go_along_is_refused() -> None:
    with pytest.raises(UsageError, match=f"VEO3_FALLBACK: no lane has {LITE}: the lanes have {BEST}, {OMNI}"):
        routes(A, K, fallback=LITE)
    with pytest.raises(UsageError, match=r"VEO3_FALLBACK: model gemini-omni-1.1-flash is to be had with VEO3_BACKEND"):
        routes(project="p", fallback=OMNI)
    with pytest.raises(UsageError, match=r"VEO3_FALLBACK: veo-2.0-generate-001 was retired by Google on 2026-06-30"):
        routes(project="p", fallback="veo-2.0-generate-001")
    with pytest.raises(
        UsageError, match=r"VEO3_FALLBACK: 'veo-4' is not in the catalog of .*VEO3_CATALOG adds what is"
    ):
        routes(project="p", fallback="veo-4")


def test_a_fallback_that_is_new_may_have_a_lane() -> None:
    route, _ = routes(A, {"name": "new", "project": "p", "model": "veo-4"}, fallback="veo-4").of(
        VideoPrompt(text="x", model=BEST)
    )
    assert names(route) == [["a"], ["new"]]


@pytest.mark.parametrize(
    ("fields", "asked", "model", "put", "notes"),
    [
        ({}, BEST, FAST, {}, []),
        ({}, BEST, OMNI, {"duration_seconds": 8}, ["duration_seconds=8"]),
        ({"duration_seconds": 6}, BEST, OMNI, {"duration_seconds": 6}, []),
        ({"resolution": "4k"}, BEST, OMNI, {"duration_seconds": 8, "resolution": "4k"}, ["duration_seconds=8"]),
        ({}, OMNI, BEST, {}, ["duration_seconds=8"]),  # Veo makes no 10 seconds: it is left at what it does make
        (
            {"negative_prompt": "rain", "duration_seconds": 8},
            BEST,
            OMNI,
            {"text": "a boat\nAvoid: rain", "duration_seconds": 8},
            ["negative_prompt is in the text"],
        ),
        ({"negative_prompt": "rain"}, BEST, FAST, {"negative_prompt": "rain"}, []),
        (
            {"generate_audio": True, "duration_seconds": 4},
            BEST,
            OMNI,
            {"generate_audio": True, "duration_seconds": 4},
            [],
        ),
    ],
    ids=str,
)
def test_what_was_left_open_is_what_the_model_asked_for_would_have_done(
    fields: dict[str, Any], asked: str, model: str, put: dict[str, Any], notes: list[str]
) -> None:
    sent, told, problems = translate(VideoPrompt(text="a boat", model=asked, **fields), asked, model, CARDS)
    assert sent == VideoPrompt(**{"text": "a boat", **put})
    assert told == notes
    assert problems == []


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1},
        {"generate_audio": False},
        {"person_generation": "allow_adult"},
        {"number_of_videos": 2},
    ],
    ids=str,
)
def test_what_cannot_be_put_otherwise_is_refused_and_nothing_is_left_out(fields: dict[str, Any]) -> None:
    prompt = VideoPrompt(text="a boat", image=Media(path=Path("p.png")), **fields)
    sent, _, problems = translate(prompt, BEST, OMNI, CARDS)
    assert len(problems) == 1
    assert all(getattr(sent, name) == value for name, value in fields.items())
    assert sent.image == prompt.image
