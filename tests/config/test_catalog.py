"""What the catalog says of every model it ships, and the sentences with which it refuses."""

from __future__ import annotations

import re
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aveo3.config import catalog
from aveo3.config.abilities import tokens_in
from aveo3.config.catalog import Catalog, ModelCard
from aveo3.config.settings import Settings
from aveo3.errors import UsageError
from aveo3.media import Media
from aveo3.models import VideoPrompt

SHIPPED = catalog.load()
MODELS = sorted(SHIPPED.models)
BEST, FAST, LITE = "veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001"
OMNI, NEW_OMNI = "gemini-omni-1.1-flash", "gemini-omni-1.2-flash"
ANY_VEO = " or ".join(f"{model} (VEO3_BACKEND=vertex)" for model in (BEST, FAST, LITE))
ON_VERTEX_TOO = NEW_OMNI  # the one Omni that needs no other backend
PICTURE, FILM = Media(path=Path("picture.png")), Media(path=Path("film.mp4"))

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
    assert set(card.prices) == set(card.latency) == set(card.resolutions)
    assert set(card.silent) == (set() if card.generate_audio == "always" else set(card.resolutions))
    assert all(0 < silent < card.prices[resolution] for resolution, silent in card.silent.items())
    assert set(card.token_prices) in (set(), {"input", "output", "video"})
    assert all(name in VideoPrompt.model_fields for name in card.only_seconds)
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
    entries = {"models", "preview", "omni", "new_omni", "shutdown", "retired"}
    assert set(SHIPPED.sources) == {"prices", "quota"} | entries
    sources = {card.source for card in SHIPPED.models.values()} | {gone.source for gone in SHIPPED.retired.values()}
    assert sources == entries
    assert all(date.fromisoformat(card.since) for card in SHIPPED.models.values())


def test_a_catalog_is_written_as_it_is_read(tmp_path: Path) -> None:
    """Texts, numbers, booleans, lists, tables, and keys of every kind."""
    (tmp_path / "own.toml").write_text('as_of = "2027-01-01"\n[sources]\n"a b" = "\\"ü\\"\\n"\n')
    (tmp_path / "both.toml").write_text(catalog.as_toml(tmp_path / "own.toml"))
    assert catalog.load(tmp_path / "both.toml") == catalog.load(tmp_path / "own.toml")
    assert catalog.load(tmp_path / "both.toml").sources["a b"] == '"ü"\n'
    assert catalog.load(tmp_path / "both.toml").models == SHIPPED.models
    (tmp_path / "shipped.toml").write_text(catalog.as_toml())
    assert catalog.load(tmp_path / "shipped.toml") == SHIPPED


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
            f"{LITE} takes no reference_images: leave it out, or use {BEST} or {FAST} or {NEW_OMNI}",
        ),
        (BEST, {"reference_images": (PICTURE,) * 4}, f"4 reference_images: {BEST} takes at most 3"),
        (
            BEST,
            {"reference_images": (PICTURE,), "duration_seconds": 4},
            f"reference_images needs duration_seconds=8 on {BEST}, not 4",
        ),
        (
            LITE,
            {"video": FILM, "duration_seconds": 8},
            f"video needs duration_seconds=7 on {LITE}, not 8",
        ),
        (LITE, {"resolution": "360p"}, f"resolution='360p' is not offered by {LITE}: choose 720p or 1080p"),
        (BEST, {"previous": "v1_a"}, f"{BEST} takes no previous: leave it out, or use {ON_VERTEX_TOO}"),
        (
            BEST,
            {"video": FILM, "task": "edit"},
            f"{BEST} edits no videos: leave task out to extend, or use {ON_VERTEX_TOO}",
        ),
        (
            OMNI,
            {"duration_seconds": 11},
            f"duration_seconds=11 is not offered by {OMNI}: choose 3 to 10",
        ),
        (OMNI, {"negative_prompt": "rain"}, f"{OMNI} takes no negative_prompt: leave it out, or use {ANY_VEO}"),
        (OMNI, {"seed": 0}, f"{OMNI} takes no seed: leave it out, or use {NEW_OMNI}"),
        (
            OMNI,
            {"person_generation": "allow_all"},
            f"{OMNI} takes no person_generation: leave it out, or use {ANY_VEO}",
        ),
        (
            OMNI,
            {"generate_audio": False},
            f"{OMNI} makes no silent videos: leave generate_audio out, or use {ANY_VEO}",
        ),
        (
            OMNI,
            {"number_of_videos": 2},
            f"number_of_videos=2: {OMNI} makes at most 1 per request; give the prompt again for each further one",
        ),
        (
            OMNI,
            {"reference_images": (PICTURE,) * 11},
            f"11 reference_images: {OMNI} takes at most 10",
        ),
        (
            BEST,
            {"image": Media(path=Path("p.webp"))},
            f"image is image/webp, and {BEST} takes image/png or image/jpeg: convert it, or use {ON_VERTEX_TOO}",
        ),
        (
            FAST,
            {"reference_images": (PICTURE, Media(data=b"x", mime_type="image/gif"))},
            f"reference_images[1] is image/gif, and {FAST} takes image/png or image/jpeg: convert it",
        ),
        (BEST, {"video": FILM, "resolution": "4k"}, f"{BEST} extends a video in 720p or 1080p only, not in 4k"),
        (
            BEST,
            {"image": Media(uri="https://b/p.png")},
            "https://b/p.png: Vertex AI reads media from gs:// only; download it and give the file's path instead",
        ),
        (
            OMNI,
            {"image": Media(uri="gs://b/p.png"), "last_frame": Media(uri="gs://b/p.png")},
            "gs://b/p.png: the Gemini API reads no buckets; download it and give the file's path instead",
        ),
        (OMNI, {"aspect_ratio": "1:1"}, f"aspect_ratio='1:1' is not offered by {OMNI}: choose 16:9 or 9:16"),
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
        {"video": FILM, "duration_seconds": 7},
        {"last_frame": PICTURE, "duration_seconds": 4, "number_of_videos": 4, **EVERYTHING},
    ],
)
def test_what_a_model_can_make_passes(fields: dict[str, Any]) -> None:
    assert problems(BEST, **fields) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"duration_seconds": 3, "resolution": "4k", "aspect_ratio": "9:16"},
        {"image": PICTURE, "last_frame": PICTURE, "generate_audio": True},  # it always has sound
        {"reference_images": (PICTURE,) * 10, "resolution": "360p"},
        {"video": FILM, "task": "edit"},
        {"video": FILM, "duration_seconds": 5},
        {"previous": "v1_a", "task": "extend"},
        {"previous": "v1_a"},
    ],
)
@pytest.mark.parametrize("model", [OMNI, NEW_OMNI])
def test_what_omni_can_make_passes(model: str, fields: dict[str, Any]) -> None:
    assert problems(model, **fields) == []


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
    assert with_poor_model().problems(prompt, "poor") == [
        "number_of_videos=2: poor makes at most 1 per request; give the prompt again for each further one"
    ]


# ---- prices, quotas, latency -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "fields", "cost"),
    [
        (BEST, {}, 3.20),  # eight seconds of 720p, with sound
        (BEST, {"generate_audio": True}, 3.20),
        (BEST, {"generate_audio": False}, 1.60),
        (BEST, {"video": FILM}, 2.80),  # the seven seconds that are added
        (BEST, {"duration_seconds": 4}, 1.60),
        (BEST, {"resolution": "4k"}, 4.80),
        (BEST, {"resolution": "4K", "generate_audio": False, "number_of_videos": 4}, 12.80),
        (BEST, {"number_of_videos": 2, "duration_seconds": 6}, 4.80),
        (FAST, {"resolution": "1080p"}, 0.96),
        (FAST, {"generate_audio": False}, 0.64),
        (LITE, {}, 0.40),
        (LITE, {"generate_audio": False, "duration_seconds": 4}, 0.12),
        (LITE, {"resolution": "4k"}, None),  # not offered: no price
        (OMNI, {}, 1.014),  # ten seconds
        (OMNI, {"duration_seconds": 8}, 0.8112),
        (OMNI, {"duration_seconds": 8, "generate_audio": True}, 0.8112),
        ("veo-9", {}, None),
        ("veo-2.0-generate-001", {}, None),
    ],
)
def test_the_price_is_that_of_every_second_of_every_video(
    model: str, fields: dict[str, Any], cost: float | None
) -> None:
    assert SHIPPED.cost_usd(VideoPrompt(text="a boat", **fields), model) == cost


@pytest.mark.parametrize(
    ("model", "tokens", "cost"),
    [
        (OMNI, {"input": 19, "video": 17_376, "output": 732}, 0.3107),  # three seconds, recorded 2026-10-08
        (OMNI, {"input": 0, "video": 0, "output": 0}, 0.0),
        (OMNI, {}, None),  # Google did not say
        (BEST, {"input": 19, "video": 17_376, "output": 732}, None),
        ("veo-9", {"input": 19}, None),
    ],
)
def test_what_google_says_it_bills_has_its_price(model: str, tokens: dict[str, int], cost: float | None) -> None:
    assert SHIPPED.cost_of_tokens(tokens, model) == cost
    assert SHIPPED.cost_of_tokens(tokens, model, "flex") == cost, "at most the list price"
    assert SHIPPED.cost_of_tokens(tokens, model, "priority") is None


def test_a_model_of_another_backend_is_told_with_both_ways_out() -> None:
    for backend, model in {"vertex": BEST, "gemini": OMNI, "elsewhere": "veo-9"}.items():
        SHIPPED.check_backend(model, backend)
    with pytest.raises(ValueError, match=r"^model gemini-omni-1\.1-flash is not available") as caught:
        SHIPPED.check_backend(OMNI, "vertex")
    assert str(caught.value) == (
        f"model {OMNI} is not available with VEO3_BACKEND=vertex: set VEO3_BACKEND=gemini, or use "
        f"{BEST} or {FAST} or {LITE} or {NEW_OMNI}"
    )


@pytest.mark.parametrize(("model", "quota"), [(BEST, 50), (LITE, 10), ("veo-9", None), ("veo-2.0-generate-001", None)])
def test_the_usual_quota_is_known_for_living_models(model: str, quota: int | None) -> None:
    assert SHIPPED.requests_per_minute(model) == quota


@pytest.mark.parametrize(
    ("model", "resolution", "seconds"),
    [(BEST, None, 70), (BEST, "720p", 70), (BEST, "4k", 300), (FAST, "1080p", 110), (LITE, "4k", 70), ("x", "4k", 70)],
)
def test_the_first_guess_at_the_latency(model: str, resolution: str | None, seconds: float) -> None:
    assert SHIPPED.latency(model, resolution) == seconds


def test_a_file_adds_to_what_ships_and_says_other_things_of_it(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'as_of = "2027-01-01"\n'
        '[models."veo-3.1-generate-001"]\nprices = { "720p" = 1.0 }\n'
        '[models."veo-2.0-generate-001"]\n'
        + "\n".join(
            line
            for line in files("aveo3.config").joinpath("catalog.toml").read_text().split("[models.")[1].splitlines()[1:]
            if line
        )
        + '\n[retired]\n"veo-3.1-lite-generate-001" = { on = "2027-01-01", replacement = "veo-4" }\n'
    )
    cards = catalog.load(mine)
    assert cards.as_of == "2027-01-01"
    assert cards.models["veo-3.1-generate-001"].prices == {"720p": 1.0}
    assert cards.models["veo-3.1-generate-001"].durations == (4, 6, 8)
    assert "gemini-omni-1.1-flash" in cards.models
    assert cards.retired["veo-3.1-lite-generate-001"].replacement == "veo-4"
    assert "veo-2.0-generate-001" not in cards.retired  # it is listed as one that works
    assert cards.problems(VideoPrompt(text="x"), "veo-2.0-generate-001") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read: No such file"),
        ("models = ", "is no catalog: "),
        ("[models.new]\nimage = true", "is no catalog: models.new.state: field required; `like = "),
        ('[models.new]\nlike = "veo-9"', "is no catalog: like = 'veo-9' is not a model in it"),
        ("[models.new]\nlike = 3", "is no catalog: like = 3 is not a model in it"),
        ("[models.new]\nimige = true", "is no catalog: models.new."),
        ("models = 3", "is no catalog: models=3: "),
        (
            f'[models."{BEST}"]\nrequests_per_minute = "many"',
            f"is no catalog: models.{BEST}.requests_per_minute='many': must be a whole number",
        ),
    ],
)
def test_a_catalog_that_is_none_is_told_with_the_setting_that_named_it(
    tmp_path: Path, text: str | None, told: str
) -> None:
    mine = tmp_path / "mine.toml"
    if text is not None:
        mine.write_text(text)
    with pytest.raises(UsageError, match=re.escape(f"catalog={mine} (as an argument) is refused: {told}")):
        Settings(catalog=mine)


def test_the_settings_look_things_up_in_the_catalog_that_they_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[models."veo-3.1-generate-001"]\nrequests_per_minute = 3\n')
    monkeypatch.setenv("VEO3_CATALOG", str(mine))
    assert Settings().rate("veo-3.1-generate-001").limit == 3


def test_prices_of_ones_own_stand_for_silent_clips_too_unless_those_have_their_own(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(f'[models."{BEST}"]\nprices = {{ "720p" = 0.1, "1080p" = 0.2 }}\n')
    quiet = VideoPrompt(text="a", generate_audio=False, duration_seconds=4)
    assert catalog.load(path).cost_usd(quiet, BEST) == 0.4
    path = tmp_path / "both.toml"
    path.write_text(f'[models."{BEST}"]\nprices = {{ "720p" = 0.1 }}\nsilent = {{ "720p" = 0.05 }}\n')
    assert catalog.load(path).cost_usd(quiet, BEST) == 0.2


def test_a_new_model_is_like_another_but_for_its_price(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text('[models."Veo-4"]\nlike = "publishers/google/models/Veo-3.1-generate-001"\nseed = false\n')
    cards = catalog.load(path)
    assert cards.models["veo-4"].durations == cards.models[BEST].durations
    assert not cards.models["veo-4"].seed
    assert not cards.has_price("veo-4")
    assert cards.cost_usd(VideoPrompt(text="a"), "veo-4") is None
    path = tmp_path / "priced.toml"
    path.write_text('[models.veo-4]\nlike = "veo-3.1-generate-001"\nprices = { "720p" = 1.0 }\n')
    assert catalog.load(path).cost_usd(VideoPrompt(text="a"), "veo-4") == 8.0
    assert catalog.load(path).cost_usd(VideoPrompt(text="a", generate_audio=False), "veo-4") == 8.0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("boat", 1),
        ("a paper boat " * 100, 325),
        ("船" * 50, 50),
        ("корабль " * 10, 38),
        ("", 0),
    ],
)
def test_the_tokens_of_a_text_are_estimated(text: str, tokens: int) -> None:
    assert tokens_in(text) == tokens


def test_a_prompt_that_is_longer_than_its_model_reads_gets_a_warning() -> None:
    long = VideoPrompt(text="boat" * 1025)
    assert SHIPPED.excess(VideoPrompt(text="boat" * 1024), BEST) is None
    assert SHIPPED.excess(long, BEST) == (
        f"has about 1,025 tokens, and {BEST} reads 1,024: Google may reject it or ignore the rest"
    )
    assert SHIPPED.problems(long, BEST) == [], "an estimate forbids nothing"
    assert SHIPPED.excess(long, "gemini-omni-1.1-flash") is None
    assert SHIPPED.excess(long, "unheard-of") is None


# ---- its age ---------------------------------------------------------------------------------------------------------

TODAY = date(2027, 3, 1)


def of(as_of: str) -> Catalog:
    return SHIPPED.model_copy(update={"as_of": as_of})


@pytest.mark.parametrize("as_of", ["2027-03-01", "2027-03-02", "2026-12-01"])  # today, another time zone, 90 days
def test_nothing_is_said_of_a_catalog_that_is_young(as_of: str) -> None:
    assert catalog.doubts_of_age(of(as_of), TODAY) is None
    assert catalog.doubts_of_age(of(as_of), TODAY, Path("own.toml")) is None


def test_a_catalog_that_is_older_than_90_days_says_so_and_how_to_bring_a_newer_one() -> None:
    assert catalog.doubts_of_age(of("2026-11-30"), TODAY) == (
        "the catalog of 2026-11-30 is 91 days old, so models and prices may have changed: `pip install -U aveo3` "
        "brings a newer one, or name what changed in a VEO3_CATALOG file (`aveo3 models --toml` prints a whole one)"
    )


def test_a_date_in_the_users_file_is_what_is_old_not_the_release(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('as_of = "2026-11-01"\n')
    said = catalog.doubts_of_age(catalog.load(path), TODAY, path)
    assert said is not None
    assert said.startswith(f"as_of = '2026-11-01' in {path} (VEO3_CATALOG) is 120 days old")
    assert said.endswith("and set its as_of"), "a newer release would stay hidden behind the date of the file"
    (tmp_path / "few.toml").write_text('[models.veo-4]\nlike = "veo-3.1-generate-001"\n')
    few = catalog.load(tmp_path / "few.toml")
    said = catalog.doubts_of_age(few, date(2099, 1, 1), tmp_path / "few.toml")
    assert said is not None
    assert said.startswith(f"the catalog of {SHIPPED.as_of} is ")


@pytest.mark.parametrize("as_of", ["", "soon", "2026-13-01", "01.11.2026", "2026-11", "x" * 5000])
def test_a_date_that_cannot_be_read_is_told_in_few_words(as_of: str) -> None:
    said = catalog.doubts_of_age(of(as_of), TODAY, Path("own.toml"))
    assert said is not None
    assert said.startswith(f"as_of = {as_of[:40]!r} in own.toml (VEO3_CATALOG) is no date")
    assert said.endswith("write it as YYYY-MM-DD")


def test_a_date_to_come_is_told_because_it_would_hide_the_age_for_ever() -> None:
    said = catalog.doubts_of_age(of("2072-03-01"), TODAY, Path("own.toml"))
    assert said is not None
    assert said.startswith(
        "as_of = '2072-03-01' in own.toml (VEO3_CATALOG) is of a day to come, for today is 2027-03-01"
    )
    said = catalog.doubts_of_age(of("2027-03-03"), TODAY)
    assert said is not None
    assert said.endswith("is the clock of this machine right?")


@pytest.mark.parametrize("written", ["2026-11-01", "2026-11-01T10:00:00Z", '"2026-11-01"'])
def test_a_date_may_stand_in_toml_without_quotes(tmp_path: Path, written: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f"as_of = {written}\n")
    assert catalog.load(path).as_of == "2026-11-01"
