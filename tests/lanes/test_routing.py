"""The lanes that a prompt may go to, their order, and how a prompt is rewritten for a fallback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aveo3 import Settings, UsageError, VideoPrompt
from aveo3.config import catalog
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Route, Routes, translate
from aveo3.media import Media

BEST, FAST, LITE = "veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001"
OMNI = "gemini-omni-1.1-flash"
CARDS = catalog.load()

A, B, F, K = (
    {"name": "a", "project": "a", "model": BEST},
    {"name": "b", "project": "b", "model": BEST, "order": 2},
    {"name": "f", "project": "a", "model": FAST},
    {"name": "o", "api_key_env": "KEY", "model": OMNI},
)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "k")


def routes(*lanes: dict[str, Any], **settings: Any) -> Routes:
    return Routes(Lanes(Settings(**settings), lanes or None))


def names(route: Route | None) -> list[list[str]]:
    assert route is not None
    return [[candidate.lane.name for candidate in tier] for tier in route.tiers]


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
def test_a_prompt_goes_to_the_lanes_whose_models_can_make_it(prompt: dict[str, Any], expected: list[list[str]]) -> None:
    route, problems = routes(A, B, F, K).of(VideoPrompt.model_validate({"text": "x", **prompt}))
    assert names(route) == expected
    assert problems == []


def test_each_candidate_has_the_price_of_its_model() -> None:
    route, _ = routes(A, F).of(VideoPrompt(text="x"))
    assert route is not None
    assert [(candidate.lane.model, candidate.cost_usd) for candidate in route] == [(BEST, 3.2), (FAST, 0.8)]
    assert route.models == [BEST, FAST]


def test_a_prompt_that_no_lane_can_make_has_a_problem_for_each_model() -> None:
    route, problems = routes(A, K).of(VideoPrompt(text="x", duration_seconds=5, seed=1))
    assert route is None
    assert problems == [
        f"{BEST}: duration_seconds=5 is not offered by {BEST}: choose 4 or 6 or 8",
        f"{OMNI}: {OMNI} takes no seed: leave it out, or use gemini-omni-1.2-flash",
    ]


def test_what_one_backend_lacks_goes_to_the_other() -> None:
    new = "gemini-omni-1.2-flash"
    there, here = {"name": "v", "project": "p", "model": new}, {"name": "g", "api_key_env": "KEY", "model": new}
    assert names(routes(there, here).of(VideoPrompt(text="x"))[0]) == [["v", "g"]]
    assert names(routes(there, here).of(VideoPrompt(text="x", previous="v1_a"))[0]) == [["g"]]
    assert routes(there).of(VideoPrompt(previous="v1_a", task="upscale", resolution="4k")) == (
        None,
        [f"{new} takes no previous on Vertex AI: give the clip's file or address as video"],
    )


def test_a_model_without_a_lane_is_named_with_the_models_of_the_lanes() -> None:
    route, problems = routes(A, K).of(VideoPrompt(text="x", model=FAST))
    assert (route, problems) == (None, [f"no lane has model {FAST}: the lanes have {BEST}, {OMNI}"])


def test_a_prompt_without_a_model_uses_the_model_of_the_settings() -> None:
    assert names(routes(A, F, model=FAST).of(VideoPrompt(text="x"))[0]) == [["f"]]


def test_a_prompt_that_continues_a_clip_goes_to_the_place_of_that_clip() -> None:
    other = {"name": "p", "api_key_env": "KEY", "api_version": "v1beta"}
    with_other = routes(K, {**other, "base_url": "https://gateway"})
    prompt = VideoPrompt(text="at night", previous="abc")
    assert names(with_other.of(prompt)[0]) == [["o", "p"]]
    home = {"backend": "gemini", "credentials": "$KEY"}
    assert names(with_other.of(prompt, home)[0]) == [["o"]]
    assert names(with_other.of(prompt, {**home, "base_url": "https://gateway"})[0]) == [["p"]]
    route, problems = with_other.of(prompt, {"backend": "gemini", "credentials": "$GONE", "lane": "gone"})
    assert (route, problems) == (None, ["the earlier clip was made at gone, and no lane is at that place"])


def test_a_fallback_at_another_place_cannot_continue_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "other")
    newer = "gemini-omni-1.2-flash"
    here, there = ({"name": name, "api_key_env": name, "model": newer} for name in ("KEY", "OTHER"))
    found = routes(K, here, there, model=OMNI, fallback=newer)
    prompt = VideoPrompt(text="at night", previous="abc")
    assert names(found.of(prompt, {"backend": "gemini", "credentials": "$KEY"})[0]) == [["o"], ["KEY"]]


# ---- fallbacks -------------------------------------------------------------------------------------------------------

CHAIN = f"{BEST} -> {FAST} -> {OMNI}"


def test_fallbacks_come_after_all_lanes_of_the_own_model() -> None:
    route, _ = routes(A, B, F, K, fallback=CHAIN).of(VideoPrompt(text="x", model=BEST))
    assert names(route) == [["a"], ["b"], ["f"], ["o"]]
    assert route is not None
    assert [candidate.instead_of for candidate in route] == [None, None, BEST, BEST]
    assert route.models == [BEST], "a fallback is not a model of the prompt"


def test_only_later_models_of_the_chain_are_fallbacks() -> None:
    assert names(routes(A, F, K, fallback=CHAIN).of(VideoPrompt(text="x", model=FAST))[0]) == [["f"], ["o"]]
    assert names(routes(A, F, K, fallback=CHAIN).of(VideoPrompt(text="x", model=OMNI))[0]) == [["o"]]
    assert names(routes(A, F, K, fallback=OMNI).of(VideoPrompt(text="x", model=FAST))[0]) == [["f"], ["o"]]


def test_a_fallback_that_cannot_make_the_clip_is_left_out() -> None:
    assert names(routes(A, F, K, fallback=CHAIN).of(VideoPrompt(text="x", model=BEST, seed=1))[0]) == [["a"], ["f"]]


def test_a_chain_with_an_unusable_model_is_refused() -> None:
    with pytest.raises(UsageError, match=f"VEO3_FALLBACK: no lane has {LITE}: the lanes have {BEST}, {OMNI}"):
        routes(A, K, fallback=LITE)
    with pytest.raises(UsageError, match=r"VEO3_FALLBACK: model gemini-omni-1.1-flash is available with VEO3_BACK"):
        routes(project="p", fallback=OMNI)
    with pytest.raises(UsageError, match=r"VEO3_FALLBACK: veo-2.0-generate-001 was retired by Google on 2026-06-30"):
        routes(project="p", fallback="veo-2.0-generate-001")
    with pytest.raises(
        UsageError, match=r"VEO3_FALLBACK: 'veo-4' is not in the catalog of .*VEO3_CATALOG adds new ones"
    ):
        routes(project="p", fallback="veo-4")


def test_nothing_goes_to_a_lane_whose_model_is_not_in_the_catalog(tmp_path: Path) -> None:
    new = {"name": "new", "project": "p", "model": "veo-4"}
    with pytest.raises(UsageError, match="VEO3_FALLBACK: 'veo-4' is not in the catalog of"):
        routes(A, new, fallback="veo-4")
    _, [problem] = routes(A, new).of(VideoPrompt(text="x", model="veo-4"))
    assert problem.startswith("model veo-4 is not in the catalog of")
    own = tmp_path / "catalog.toml"
    own.write_text(f'[models."veo-4"]\nlike = "{BEST}"\n', "utf-8")
    route, _ = routes(A, new, fallback="veo-4", catalog=own).of(VideoPrompt(text="x", model=BEST))
    assert names(route) == [["a"], ["new"]]


@pytest.mark.parametrize("name", ["veo-3.1", "veo-3.1-fast", "veo-3.1-fst-generate-001"])
def test_a_misspelt_model_gets_no_request_and_the_nearest_name(name: str) -> None:
    route, [problem] = routes(project="p").of(VideoPrompt(text="x", model=name))
    assert route is None
    assert f"model {name} is not in the catalog of" in problem
    assert "so nothing is sent to it: did you mean veo-3.1-" in problem
    assert "VEO3_CATALOG" in problem


def test_a_backend_of_ones_own_takes_any_model() -> None:
    lanes = Lanes(Settings(project="p"), custom=True)
    route, problems = Routes(lanes).of(VideoPrompt(text="x", model="veo-9"))
    assert (names(route), problems) == ([["veo-9"]], [])


@pytest.mark.parametrize(
    ("fields", "own_model", "model", "changes", "notes"),
    [
        ({}, BEST, FAST, {}, []),
        ({}, BEST, OMNI, {"duration_seconds": 8}, ["duration_seconds=8"]),
        ({"duration_seconds": 6}, BEST, OMNI, {"duration_seconds": 6}, []),
        ({"resolution": "4k"}, BEST, OMNI, {"duration_seconds": 8, "resolution": "4k"}, ["duration_seconds=8"]),
        ({}, OMNI, BEST, {}, ["duration_seconds=8"]),  # Veo cannot make Omni's default of 10 seconds
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
def test_an_open_value_becomes_the_default_of_the_own_model(
    fields: dict[str, Any], own_model: str, model: str, changes: dict[str, Any], notes: list[str]
) -> None:
    prompt = VideoPrompt(text="a boat", model=own_model, **fields)
    translation = VideoPrompt(**{"text": "a boat", **changes})
    assert translate(prompt, own_model, model, CARDS) == (translation, notes, [])


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
def test_a_value_that_cannot_be_translated_is_a_problem_and_is_never_dropped(fields: dict[str, Any]) -> None:
    prompt = VideoPrompt(text="a boat", image=Media(path=Path("p.png")), **fields)
    translation, _, problems = translate(prompt, BEST, OMNI, CARDS)
    assert len(problems) == 1
    assert all(getattr(translation, name) == value for name, value in fields.items())
    assert translation.image == prompt.image
