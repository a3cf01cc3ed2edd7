"""Configured lanes: how they are read and checked, which mistakes are named, and the settings that each lane gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aveo3 import LaneSettings, Settings, UsageError
from aveo3.lanes.lanes import Lane, Lanes, same_place, wire_of

BEST, FAST, OMNI = "veo-3.1-generate-001", "veo-3.1-fast-generate-001", "gemini-omni-1.2-flash"
OLD_OMNI = "gemini-omni-1.1-flash"  # on the Gemini API only

FILE = """
[[lane]]
name = "alpha"
project = "alpha"
credentials_file = "alpha.json"
rate_limit = 2
weight = 3

[[lane]]
project = "beta"
location = "europe-west4"
model = "veo-3.1-fast-generate-001"
output_gcs_uri = "gs://beta/out"

[[lane]]
api_key_env = "KEY_B"
rate_limit = 5
rate_period = 30
order = 2
"""


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_B", "secret-b")


def lanes(*entries: dict[str, Any], **settings: Any) -> list[Lane]:
    return Lanes(Settings(**settings), entries).listed


def test_paths_in_a_file_of_lanes_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "alpha.json").write_text("{}")
    (tmp_path / "lanes.toml").write_text(FILE)
    common = Settings(lanes=tmp_path / "lanes.toml", rate_limit=10, api_key="common", output_gcs_uri="gs://all/out")
    alpha, beta, key = Lanes(common).listed
    assert [(lane.name, lane.model, lane.weight, lane.order) for lane in (alpha, beta, key)] == [
        ("alpha", BEST, 3, 1),
        ("beta/europe-west4/veo-3.1-fast-generate-001", FAST, 1, 1),
        ("gemini/KEY_B/gemini-omni-1.2-flash", OMNI, 1, 2),
    ]
    assert [wire_of(lane) for lane in (alpha, beta, key)] == ["vertex", "vertex", "gemini"]
    assert alpha.settings.credentials_file == tmp_path / "alpha.json"
    assert [lane.settings.rate(lane.model)[:2] for lane in (alpha, beta, key)] == [(2, 60), (10, 60), (5, 30)]
    assert [lane.settings.output_gcs_uri for lane in (alpha, beta, key)] == ["gs://all/out", "gs://beta/out", None]
    assert alpha.settings.api_key is None, "somebody else's key"
    assert key.settings.api_key is not None
    assert key.settings.api_key.get_secret_value() == "secret-b"


def test_a_key_may_come_from_the_env_file_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY_B")
    Path(".env").write_text("KEY_B=from-the-file\n")
    [lane] = lanes({"api_key_env": "KEY_B"})
    assert lane.settings.api_key is not None
    assert lane.settings.api_key.get_secret_value() == "from-the-file"
    assert "from-the-file" not in repr(lane) + str(dict(lane.place))
    assert lane.place["credentials"] == "$KEY_B"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"colour": "red"}, "lanes, lane 1: colour is not a field of a lane: the fields are name, backend, project"),
        ({"projekt": "p"}, "lanes, lane 1: projekt is not a field of a lane: did you mean project?"),
        ({"name": "a", "weight": 0}, "lanes, lane 1 (a): weight=0 is refused: must be greater"),
        (
            {"weight": 1001},
            "weight=1001 is refused: must be less than or equal to 1000; allowed: a whole number, ",
        ),
        ({"rate_limit": True}, "rate_limit=true is refused: must be a number; allowed: a whole number, at least 1"),
        ({"spend_limit": True}, "spend_limit=true is refused: must be a number; allowed: more than 0"),
        ({"rate_period": "none"}, "rate_period=none is refused: must be a number"),
        (
            {"backend": "mock"},
            "backend=mock is refused: must be 'vertex' or 'gemini'; allowed: vertex or gemini",
        ),
        ({"location": "us central1"}, "location=us central1 is refused: must look like us-central1"),
        ({"base_url": "localhost:8787"}, "base_url=localhost:8787 is refused: must be an address such as http://127"),
        ({"base_url": "http://me:secret@gateway"}, "base_url=(hidden) is refused: must hold no user name, password"),
        ({"api_version": "beta"}, "api_version=beta is refused: must look like v1 or v1beta1"),
        ({"api_key": "AIza-secret"}, "keys do not belong here; put the key in a variable or .env, and name it with"),
        ({"api_key_env": "AIza-secret"}, "lanes, lane 1: api_key_env holds a key itself"),
        ({"api_key_env": "AQ.secret"}, "lanes, lane 1: api_key_env holds a key itself"),
        ({"api_key_env": "sk-proj-secret"}, "lanes, lane 1: api_key_env holds a key itself"),
        ({"api_key_env": "KEY_X"}, "lanes, lane 1: api_key_env names KEY_X, which is set neither in the environment"),
        (
            {"api_key_env": "a_secret_1"},
            "lanes, lane 1: api_key_env names a variable (its name is hidden: it may be a ",
        ),
        ({"api_key_env": "KEY_B", "credentials_file": "f"}, "api_key_env and credentials_file cannot go together"),
        ({"api_key_env": "KEY_B", "backend": "vertex", "project": "p"}, "express mode, which takes no project"),
        ({"credentials_file": "nowhere.json", "project": "p"}, "credentials_file=nowhere.json: there is no such file"),
        ({"project": "p", "model": "veo-2.0-generate-001"}, "was retired by Google on 2026-06-30: use veo-3.1"),
        ({"backend": "gemini", "api_key_env": "KEY_B", "model": BEST}, "is not available with VEO3_BACKEND=gemini"),
        ({"project": "p", "rate_limit": 2, "burst": 3}, "burst=3 is over the rate limit of 2: allowed are 1 to 2"),
        (
            {"project": "p", "output_gcs_uri": "s3://b"},
            "output_gcs_uri=s3://b is refused: must look like gs://bucket/prefix",
        ),
    ],
)
def test_a_mistake_in_a_lane_is_named_without_any_secret(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as refused:
        lanes(entry)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file or directory."),
        ("[[lane]\n", "is not valid TOML: "),
        ("", "holds no [[lane]]: write one table [[lane]] for each lane"),
        ("rate_limit = 3\n[[lane]]\n", "holds rate_limit: write one"),
        ("[lane]\nproject = 'p'\n", "holds no [[lane]]"),
        ("lane = []\n", "holds no [[lane]]"),
    ],
)
def test_a_file_without_lanes_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "lanes.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(words)):
        Lanes(Settings(lanes=path))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            {"api_key_env": "KEY_B", "location": "europe-west4"},
            "location=europe-west4 would have no effect: the Gemini API ha",
        ),
        (
            {"api_key_env": "KEY_B", "model": OMNI, "project": "p"},
            "project=p would have no effect: the Gemini API finds the pr",
        ),
        (
            {"backend": "gemini", "credentials_file": "own.json"},
            "credentials_file=own.json would have no effect: the Gem",
        ),
        (
            {"api_key_env": "KEY_B", "output_gcs_uri": "gs://b/o"},
            "output_gcs_uri=gs://b/o would have no effect: the Gemini A",
        ),
        (
            {"api_key_env": "KEY_B", "backend": "vertex", "location": "us"},
            "location=us would have no effect: with api_key_env Vertex AI",
        ),
        ({"credentials_file": "own.json"}, "credentials_file=own.json would have no effect: it needs a project, and"),
        (
            {"backend": "vertex", "location": "us"},
            "location=us would have no effect: it needs a project, and neither this la",
        ),
        (
            {"project": "p", "spend_period": 60},
            "spend_period=60.0 would have no effect: there is no spend_limit",
        ),
    ],
)
def test_a_field_without_effect_is_refused(entry: dict[str, Any], words: str) -> None:
    Path("own.json").write_text("{}")
    with pytest.raises(UsageError, match=re.escape(f"lanes, lane 1: {words}")):
        lanes(entry)


def test_a_lane_can_turn_off_a_common_setting_with_none() -> None:
    every = {"quota_patience": 60, "daily_limit": 5, "burst": 2, "output_gcs_uri": "gs://all/out"}
    none = dict.fromkeys(("quota_patience", "daily_limit", "output_gcs_uri"), "none")
    with_all, without = lanes({"project": "p"}, {"project": "q", **none}, **every)
    assert {name: getattr(with_all.settings, name) for name in every} == every
    assert {name: getattr(without.settings, name) for name in every} == {**dict.fromkeys(none), "burst": 2}


def test_a_region_may_be_written_in_capitals() -> None:
    with pytest.raises(UsageError, match="are the same place, so they share one quota"):
        lanes({"project": "p", "location": "Europe-West4 "}, {"project": "p", "location": "europe-west4"})
    assert Settings(location="US-Central1").location == "us-central1"


def test_lanes_with_the_same_project_or_key_share_a_quota_and_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_C", "secret-b")
    with pytest.raises(
        UsageError, match=r"lanes: gemini/KEY_B/.* and gemini/KEY_C/.* have the same API key, so they share one quota"
    ) as no:
        lanes({"api_key_env": "KEY_B"}, {"api_key_env": "KEY_C"})
    assert "secret-b" not in str(no.value)
    Path("own.json").write_text("{}")
    with pytest.raises(
        UsageError, match="lanes: a and b are the same place, so they share one quota: make them one lane"
    ):
        lanes({"project": "p", "name": "a"}, {"project": "p", "name": "b", "credentials_file": "own.json"})
    monkeypatch.setenv("KEY_C", "another")
    assert len(lanes({"api_key_env": "KEY_B"}, {"api_key_env": "KEY_C"})) == 2


def test_two_lanes_at_the_same_place_or_with_the_same_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"lanes: one and p/us-central1/veo-3.1-generate-001 are the same place, so"):
        lanes({"project": "p", "name": "one"}, {"project": "p"})
    with pytest.raises(UsageError, match="lanes: two lanes have the name one: give each its own name"):
        lanes({"project": "p", "name": "one"}, {"project": "q", "name": "one"})


def test_lanes_on_emulators_and_at_google_do_not_mix() -> None:
    with pytest.raises(UsageError, match="some lanes are emulators on this machine, others are not"):
        lanes({"project": "p"}, {"project": "q", "base_url": "http://127.0.0.1:8787"})


def test_the_common_burst_does_not_apply_to_a_lane_with_its_own_rate_limit() -> None:
    [lane] = lanes({"project": "p", "rate_limit": 2}, rate_limit=10, burst=5)
    assert lane.settings.rate(lane.model) == (2, 60, 2)


# ---- no lanes configured: one for each model -------------------------------------------------------------------------


def test_with_a_project_and_a_key_each_model_goes_to_the_backend_that_has_it() -> None:
    implied = Lanes(Settings(project="p", api_key="k", output_gcs_uri="gs://b/o"))
    [veo], [omni] = implied.of(BEST), implied.of(OLD_OMNI)
    assert (wire_of(veo), wire_of(omni)) == ("vertex", "gemini")
    assert (veo.settings.output_gcs_uri, omni.settings.output_gcs_uri) == ("gs://b/o", None)
    assert implied.of(BEST) == [veo], "one lane for one model"


@pytest.mark.parametrize(
    ("settings", "wire", "location"),
    [
        ({"project": "p"}, "vertex", "global"),
        ({"project": "p", "api_key": "k", "location": "europe-west4"}, "vertex", "global"),
        ({"api_key": "k"}, "gemini", "us-central1"),
        ({"project": "p", "api_key": "k", "backend": "gemini"}, "gemini", "us-central1"),
        ({"mock_mode": True}, "gemini", "us-central1"),
        ({"mock_mode": True, "backend": "vertex", "project": "p"}, "vertex", "global"),
    ],
    ids=str,
)
def test_a_model_of_two_backends_is_where_the_settings_are(settings: dict[str, Any], wire: str, location: str) -> None:
    [lane] = Lanes(Settings(**settings)).of(OMNI)
    assert (wire_of(lane), lane.settings.location, lane.place["location"]) == (wire, location, location)


def test_a_lane_of_a_model_of_two_backends_is_where_its_credentials_are(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    login = {"model": OMNI, "project": "p", "credentials_file": tmp_path / "a.json"}
    on_vertex, on_gemini = lanes(login, {"model": OMNI, "api_key_env": "KEY_B"})
    assert (wire_of(on_vertex), wire_of(on_gemini)) == ("vertex", "gemini")
    assert (on_vertex.name, on_vertex.settings.location) == (f"p/global/{OMNI}", "global")


def test_a_lane_in_a_region_that_lacks_its_model_is_refused() -> None:
    with pytest.raises(UsageError, match=f"location=us-central1: {OMNI} is in global only: leave location out"):
        lanes({"model": OMNI, "project": "p", "location": "us-central1"})


@pytest.mark.parametrize(
    ("settings", "model", "words"),
    [
        ({"project": "p"}, OLD_OMNI, "is available with VEO3_BACKEND=gemini only, which needs GEMINI_API_KEY: set it"),
        ({"api_key": "k"}, BEST, "available with VEO3_BACKEND=vertex only, which needs GOOGLE_CLOUD_PROJECT: set it"),
        ({"api_key": "k", "backend": "vertex"}, OLD_OMNI, "is not available with VEO3_BACKEND=vertex"),
    ],
)
def test_the_message_about_an_unreachable_model_says_what_to_set(
    settings: dict[str, Any], model: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Lanes(Settings(**settings)).of(model)


# ---- jobs of earlier runs --------------------------------------------------------------------------------------------


def test_two_places_are_the_same_if_they_can_find_the_same_operations() -> None:
    here = {"backend": "vertex", "project": "p", "location": "us-central1", "api_version": "v1"}
    assert same_place(here, {**here, "api_version": "v1beta1", "lane": "a"})
    assert not same_place(here, {**here, "location": "europe-west4"})
    key = {"backend": "gemini", "project": None, "location": "us-central1", "credentials": "$A"}
    assert same_place(key, {**key, "location": "elsewhere", "project": "p"})
    assert not same_place(key, {**key, "credentials": "$B"})


def test_an_operation_is_polled_by_the_lane_that_sent_it() -> None:
    every = Lanes(Settings(), [{"project": "p"}, {"project": "q"}, {"project": "q", "model": FAST, "name": "fast"}])
    p, q, fast = every.listed
    assert every.at(q.place, BEST) is q
    assert every.at(fast.place, FAST) is fast
    assert every.at({**q.place, "lane": "as it was called then"}, BEST) is q
    assert every.at({"backend": "vertex", "project": "gone", "location": "us-central1"}, FAST) is fast
    assert p is not q


def test_a_job_of_a_removed_lane_with_its_own_address_is_polled_at_that_address() -> None:
    [gone] = lanes({"project": "p", "base_url": "https://gateway.example/"}, base_url="https://elsewhere.example")
    assert gone.place["base_url"] == "https://gateway.example"
    now = Lanes(Settings(project="p", base_url="https://elsewhere.example"))
    [here] = now.of(BEST)
    assert not same_place(here.place, gone.place)
    assert now.settings_at(gone.place).base_url == "https://gateway.example"
    assert now.settings_at(here.place).base_url == "https://elsewhere.example"


def test_the_credentials_of_an_earlier_run_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    every = Lanes(Settings(project="p"))
    then = {"backend": "gemini", "project": None, "location": "us-central1", "api_version": "v1"}
    found = every.settings_at({**then, "credentials": "$KEY_B"})
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == "secret-b"
    assert every.settings_at({**then, "credentials": "/keys/a.json"}).credentials_file == Path("/keys/a.json")
    monkeypatch.delenv("KEY_B")
    with pytest.raises(UsageError, match="KEY_B, which held the API key, is set neither"):
        every.settings_at({**then, "credentials": "$KEY_B"})


def test_credentials_are_found_again_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    [lane] = lanes({"project": "p", "credentials_file": "a.json"})
    assert lane.place["credentials"] == str(tmp_path / "a.json")


def test_a_job_of_the_gemini_api_is_polled_without_the_common_bucket() -> None:
    every = Lanes(Settings(project="p", api_key="k", output_gcs_uri="gs://b/o"))
    then = {"backend": "gemini", "project": None, "location": "us-central1", "api_version": "v1"}
    assert every.settings_at(then).output_gcs_uri is None


def test_lanes_can_be_configured_in_code() -> None:
    [lane] = Lanes(Settings(), [LaneSettings(project="p", daily_limit=3)]).listed
    assert (lane.settings.daily_limit, lane.settings.project) == (3, "p")
