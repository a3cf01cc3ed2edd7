"""`aveo3 models`: the catalog as a table, in full, as JSON and as TOML."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from aveo3.config import catalog
from tests.support.terminal import run

SHIPPED = catalog.load()
OWN = """
as_of = "2027-01-02"

[sources]
mine = 'a "mail" from Google'

[models."veo 4/\\"x\\""]
state = "preview"
since = "2026-12-24"
source = "mine"
durations = [4, 5, 6, 7, 8]
default_duration = 8
resolutions = ["720p"]
default_resolution = "720p"
aspect_ratios = ["16:9"]
only_seconds = {}
image = true
last_frame = false
reference_images = 0
video = false
generate_audio = "always"
seed = true
negative_prompt = false
max_videos = 1
requests_per_minute = 3
latency = { "720p" = 61.5 }
prices = { "720p" = 0.333 }
silent = {}

[models."veo-2.0-generate-001"]
state = "alive"
durations = [5, 8]
default_duration = 8
resolutions = ["720p"]
default_resolution = "720p"
aspect_ratios = ["16:9"]
only_seconds = {}
image = true
last_frame = false
reference_images = 0
video = false
generate_audio = false
seed = true
negative_prompt = false
max_videos = 1
requests_per_minute = 3
latency = { "720p" = 60 }
prices = { "720p" = 0.5 }
silent = { "720p" = 0.5 }
"""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's catalog: a model with a strange name, and a retired model that is alive again."""
    Path("own.toml").write_text(OWN)
    monkeypatch.setenv("VEO3_CATALOG", "own.toml")
    return Path("own.toml")


def test_the_list_has_every_model_and_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, stdout, stderr = run("models")
    assert (code, stderr) == (0, "")
    assert max(map(len, stdout.splitlines())) <= 80
    words = stdout.split()
    for name, card in SHIPPED.models.items():
        assert name in words
        assert f"{card.state} since {card.since}" in stdout
        assert f"{card.requests_per_minute} requests a minute" in stdout
    for name, gone in SHIPPED.retired.items():
        [line] = [line for line in stdout.splitlines() if line.startswith(f"{name} ")]
        assert line.split() == [name, gone.on, gone.replacement]
    assert "720p  0.40 (0.20)" in stdout
    assert "0.1014" in words
    assert "3 to 10 s" in stdout


def test_one_model_is_shown_in_full() -> None:
    code, stdout, _ = run("models", "veo-3.1-lite-generate-001")
    assert code == 0
    output = " ".join(stdout.split())
    for words in (
        "veo-3.1-lite-generate-001 state preview since 2026-04-02",
        "backend vertex (VEO3_BACKEND=vertex)",
        "seconds 4, 6, 8; 8 by default",
        "resolutions 720p, 1080p; 720p by default",
        "aspect ratios 16:9, 9:16",
        "one length only video in 7 s",
        "videos a request 1 to 4",
        "sound on, or off with generate_audio=false",
        "image yes last frame yes reference images no pictures image/png, image/jpeg reference videos no "
        "video to extend yes",
        "earlier clip no edit no upscale no seed yes",
        "negative prompt yes person generation yes",
        "usual quota 10 requests a minute",
        "US$ per second 720p 0.05, 1080p 0.08",
        "without sound 720p 0.03, 1080p 0.05",
        f"source {SHIPPED.sources['preview']}",
    ):
        assert words in output


def test_the_end_of_a_model_and_the_price_of_tokens_are_shown() -> None:
    assert "alive since 2025-11-17, retires 2026-11-17 or later" in run("models", "veo-3.1-generate-001")[1]
    output = " ".join(run("models", "gemini-omni-1.1-flash")[1].split())
    assert "US$ per million tokens input 1.50, output 9.00, video 17.50" in output
    assert "reference images up to 10" in output
    assert "sound always" in output


def test_a_retired_model_shows_its_date_and_its_replacement() -> None:
    code, stdout, _ = run("models", "veo-2.0-generate-001")
    output = " ".join(stdout.split())
    assert code == 0
    assert "retired: Google shut it down on 2026-06-30 use instead veo-3.1-generate-001 source changelog" in output


@pytest.mark.parametrize(
    ("name", "hint"), [("veo-3.1-generate-01", "did you mean veo-3.1-generate-001? "), ("sora", "")]
)
def test_an_unknown_model_is_an_error_with_a_guess(name: str, hint: str) -> None:
    code, stdout, stderr = run("models", "veo-3.1-generate-001", name)
    assert (code, stdout) == (2, "")
    assert stderr == (
        f"aveo3: {name!r} is not in the catalog of {SHIPPED.as_of}: {hint}`aveo3 models` lists all models.\n"
    )


def test_json_is_one_object_a_model_retired_ones_included() -> None:
    code, stdout, _ = run("models", "--json")
    assert code == 0
    models = [json.loads(line) for line in stdout.splitlines()]
    assert [model["model"] for model in models] == [*SHIPPED.models, *SHIPPED.retired]
    card = models[0]
    assert (card["state"], card["since"], card["retired_on"], card["replacement"]) == (
        "alive",
        "2025-11-17",
        None,
        None,
    )
    assert card["prices"] == {"720p": 0.4, "1080p": 0.4, "4k": 0.6}
    assert card["durations"] == [4, 6, 8]
    assert card["source"] == SHIPPED.sources["models"]
    assert set(card) == {
        "model",
        "retired_on",
        "replacement",
        "as_of",
        *type(SHIPPED.models[card["model"]]).model_fields,
    }
    assert models[-1] == {
        "model": "veo-2.0-generate-001",
        "state": "retired",
        "source": SHIPPED.sources["retired"],
        "retired_on": "2026-06-30",
        "replacement": "veo-3.1-generate-001",
        "as_of": SHIPPED.as_of,
    }
    assert len(run("models", "--json", "veo-3.1-generate-001")[1].splitlines()) == 1


def test_toml_is_the_shipped_catalog_unchanged() -> None:
    code, stdout, _ = run("models", "--toml")
    assert code == 0
    assert stdout == files("aveo3.config").joinpath("catalog.toml").read_text("utf-8")


def test_toml_merges_a_users_catalog_and_can_be_read_again(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, stdout, _ = run("models", "--toml")
    Path("both.toml").write_text(stdout)
    assert catalog.load(Path("both.toml")) == catalog.load(own) != SHIPPED
    merged = tomllib.loads(stdout)
    assert merged["sources"]["mine"] == 'a "mail" from Google'
    assert "veo-2.0-generate-001" not in merged["retired"]
    monkeypatch.setenv("VEO3_CATALOG", "both.toml")
    assert run("models", "--toml")[1] == stdout


def test_models_of_a_users_catalog_are_listed(own: Path) -> None:
    code, stdout, _ = run("models")
    assert code == 0
    assert 'veo 4/"x"' in stdout
    assert "preview since 2026-12-24" in stdout
    assert "4 to 8 s" in stdout
    assert "As of 2027-01-02." in stdout
    retired = run("models", "veo-2.0-generate-001")[1]
    assert "sound              none" in retired
    assert re.search(r"source +unknown", retired)


@pytest.mark.parametrize("arguments", [("veo-3.1-generate-001",), ("--json",)])
def test_toml_takes_no_model_and_no_json(arguments: tuple[str, ...]) -> None:
    code, stdout, stderr = run("models", "--toml", *arguments)
    assert (code, stdout) == (2, "")
    assert stderr == "aveo3: --toml prints the whole catalog: use it without MODEL and without --json.\n"


def test_a_missing_catalog_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_CATALOG", "missing.toml")
    code, stdout, stderr = run("models")
    assert (code, stdout) == (2, "")
    assert "missing.toml" in stderr
