"""What the catalog says of every model it ships, and the sentences with which it refuses."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from aveo3 import catalog
from aveo3.catalog import Catalog, ModelCard
from aveo3.models import Media, VideoPrompt

SHIPPED = catalog.load()
MODELS = sorted(SHIPPED.models)
BEST, FAST, LITE = "veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001"
PICTURE = Media(uri="gs://bucket/picture.png")
FILM = Media(uri="gs://bucket/film.mp4")

EVERYTHING: dict[str, Any] = {"image": PICTURE, "seed": 1, "negative_prompt": "rain", "generate_audio": False}


def problems(model: str, **fields: Any) -> list[str]:
    return SHIPPED.problems(VideoPrompt(**{"text": "a boat", **fields}), model)


# ---- the data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_every_card_is_consistent_with_itself(model: str) -> None:
    card = SHIPPED.models[model]
    assert card.state in ("alive", "preview")
    assert card.default_duration in card.durations
    assert card.default_resolution in card.resolutions
    assert set(card.prices) == set(card.silent) == set(card.latency) == set(card.resolutions)
    assert all(0 < card.silent[resolution] < card.prices[resolution] for resolution in card.resolutions)
    assert all(name in VideoPrompt.model_fields for name in card.only_8_seconds)
    assert 8 in card.durations
    assert min(card.requests_per_minute, card.max_videos, *card.latency.values()) > 0


@pytest.mark.parametrize("model", MODELS)
def test_every_model_makes_the_plainest_prompt_and_has_a_price_for_it(model: str) -> None:
    prompt = VideoPrompt(text="a boat")
    assert SHIPPED.problems(prompt, model) == []
    assert SHIPPED.cost_usd(prompt, model) is not None
    assert SHIPPED.knows(model)


def test_it_is_dated_and_names_its_sources() -> None:
    assert date.fromisoformat(SHIPPED.as_of) > date(2026, 1, 1)
    assert set(SHIPPED.sources) == {"models", "prices", "quota"}


def test_a_card_with_a_misspelt_line_does_not_load() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        ModelCard.model_validate({**SHIPPED.models[BEST].model_dump(), "pricse": {}})


def test_it_is_read_once() -> None:
    assert catalog.load() is SHIPPED


# ---- problems --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retired", sorted(SHIPPED.retired))
def test_a_retired_model_is_refused_with_a_replacement_that_lives(retired: str) -> None:
    gone = SHIPPED.retired[retired]
    assert problems(retired) == [f"model {retired} was retired on {gone.on}: use {gone.replacement}"]
    assert gone.replacement in SHIPPED.models
    assert retired not in SHIPPED.models
    assert SHIPPED.knows(retired)
    date.fromisoformat(gone.on)


def test_a_retirement_as_its_user_reads_it() -> None:
    assert problems("veo-3.0-generate-001") == [
        "model veo-3.0-generate-001 was retired on 2026-06-30: use veo-3.1-generate-001"
    ]


def test_models_it_has_never_heard_of_pass_whatever_is_asked_of_them() -> None:
    assert problems("veo-9", duration_seconds=77, resolution="4k", number_of_videos=4, **EVERYTHING) == []
    assert not SHIPPED.knows("veo-9")


@pytest.mark.parametrize(
    ("model", "fields", "sentence"),
    [
        (BEST, {"duration_seconds": 5}, f"duration_seconds=5 is not offered by {BEST}: choose 4 or 6 or 8"),
        (LITE, {"resolution": "4k"}, f"resolution='4k' is not offered by {LITE}: choose 720p or 1080p"),
        (BEST, {"aspect_ratio": "1:1"}, f"aspect_ratio='1:1' is not offered by {BEST}: choose 16:9 or 9:16"),
        (
            LITE,
            {"reference_images": (PICTURE,)},
            f"{LITE} takes no reference_images: leave it out, or use {BEST} or {FAST}",
        ),
        (BEST, {"reference_images": (PICTURE,) * 4}, f"4 reference_images: {BEST} takes at most 3"),
        (
            BEST,
            {"reference_images": (PICTURE,), "duration_seconds": 4},
            f"reference_images needs duration_seconds=8 on {BEST}, not 4",
        ),
        (
            LITE,
            {"video": FILM, "duration_seconds": 6},
            f"video needs duration_seconds=8 on {LITE}, not 6",
        ),
    ],
)
def test_what_a_model_cannot_make_is_told_with_what_it_can(model: str, fields: dict[str, Any], sentence: str) -> None:
    assert problems(model, **fields) == [sentence]


@pytest.mark.parametrize(
    "fields",
    [
        {"duration_seconds": 4, "resolution": "1080p", "aspect_ratio": "9:16"},
        {"reference_images": (PICTURE,) * 3, "duration_seconds": 8},
        {"reference_images": (PICTURE,)},  # eight seconds are the default
        {"video": FILM},
        {"last_frame": PICTURE, "duration_seconds": 4, "number_of_videos": 4, **EVERYTHING},
    ],
)
def test_what_a_model_can_make_passes(fields: dict[str, Any]) -> None:
    assert problems(BEST, **fields) == []


def test_every_problem_has_its_sentence() -> None:
    assert problems(LITE, duration_seconds=5, resolution="4k", aspect_ratio="4:3") == [
        f"duration_seconds=5 is not offered by {LITE}: choose 4 or 6 or 8",
        f"resolution='4k' is not offered by {LITE}: choose 720p or 1080p",
        f"aspect_ratio='4:3' is not offered by {LITE}: choose 16:9 or 9:16",
    ]


def with_poor_model(**able: Any) -> Catalog:
    """A catalog in which `poor` can do nothing and `rich` can do what is named."""
    poor = SHIPPED.models[BEST].model_copy(
        update={
            **dict.fromkeys(
                ("image", "last_frame", "video", "generate_audio", "seed", "negative_prompt", "reference_images"), 0
            ),
            "max_videos": 1,
        }
    )
    return SHIPPED.model_copy(update={"models": {"poor": poor, "rich": poor.model_copy(update=able)}})


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("image", {"image": PICTURE}),
        ("last_frame", {"image": PICTURE, "last_frame": PICTURE}),
        ("reference_images", {"reference_images": (PICTURE,)}),
        ("video", {"video": FILM}),
        ("generate_audio", {"generate_audio": True}),
        ("generate_audio", {"generate_audio": False}),
        ("seed", {"seed": 0}),  # zero is a seed
        ("negative_prompt", {"negative_prompt": "rain"}),
    ],
)
def test_what_only_others_take_is_refused_naming_them(name: str, fields: dict[str, Any]) -> None:
    prompt = VideoPrompt(text="a boat", **fields)
    assert f"poor takes no {name}: leave it out, or use rich" in with_poor_model(**{name: 1}).problems(prompt, "poor")
    assert f"poor takes no {name}: leave it out" in with_poor_model().problems(prompt, "poor")


def test_more_videos_than_a_request_can_make_are_refused() -> None:
    prompt = VideoPrompt(text="a boat", number_of_videos=2)
    assert with_poor_model().problems(prompt, "poor") == ["number_of_videos=2: poor makes at most 1 per request"]


# ---- prices, quotas, latency -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "fields", "cost"),
    [
        (BEST, {}, 3.20),  # eight seconds of 720p, with sound
        (BEST, {"generate_audio": True}, 3.20),
        (BEST, {"generate_audio": False}, 1.60),
        (BEST, {"duration_seconds": 4}, 1.60),
        (BEST, {"resolution": "4k"}, 4.80),
        (BEST, {"resolution": "4K", "generate_audio": False, "number_of_videos": 4}, 12.80),
        (BEST, {"number_of_videos": 2, "duration_seconds": 6}, 4.80),
        (FAST, {"resolution": "1080p"}, 0.96),
        (FAST, {"generate_audio": False}, 0.64),
        (LITE, {}, 0.40),
        (LITE, {"generate_audio": False, "duration_seconds": 4}, 0.12),
        (LITE, {"resolution": "4k"}, None),  # not offered: no price
        ("veo-9", {}, None),
        ("veo-2.0-generate-001", {}, None),
    ],
)
def test_the_price_is_that_of_every_second_of_every_video(
    model: str, fields: dict[str, Any], cost: float | None
) -> None:
    assert SHIPPED.cost_usd(VideoPrompt(text="a boat", **fields), model) == cost


@pytest.mark.parametrize(("model", "quota"), [(BEST, 50), (LITE, 10), ("veo-9", None), ("veo-2.0-generate-001", None)])
def test_the_usual_quota_is_known_for_living_models(model: str, quota: int | None) -> None:
    assert SHIPPED.requests_per_minute(model) == quota


@pytest.mark.parametrize(
    ("model", "resolution", "seconds"),
    [(BEST, None, 70), (BEST, "720p", 70), (BEST, "4k", 300), (FAST, "1080p", 110), (LITE, "4k", 70), ("x", "4k", 70)],
)
def test_the_first_guess_at_the_latency(model: str, resolution: str | None, seconds: float) -> None:
    assert SHIPPED.latency(model, resolution) == seconds
