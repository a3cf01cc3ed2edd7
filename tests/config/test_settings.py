"""Every setting from every source; wrong values are refused in whole sentences; secrets stay secret."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from aveo3 import LaneSettings, Settings, UsageError, VideoPrompt
from aveo3.config import field_types
from aveo3.config.database_address import shown_address
from aveo3.config.environment import read_key
from aveo3.config.rates import Rate
from aveo3.config.settings import describe

BY_EVERY_WAY: list[tuple[str, str, str, Any]] = [
    ("VEO3_MAX_RETRIES", "max_retries", "5", 5),
    ("VEO3_RETRY_WAIT_BASE", "retry_wait_base", "2.5", 2.5),
    ("VEO3_QUOTA_WAIT_TIME", "quota_wait_time", "90", 90),
    ("VEO3_CONSECUTIVE_FAILURE_THRESHOLD", "consecutive_failure_threshold", "4", 4),
    ("VEO3_QUOTA_RESET_INTERVAL", "quota_reset_interval", "1800", 1800),
    ("VEO3_RATE_LIMIT", "rate_limit", "7", 7),
    ("VEO3_RATE_PERIOD", "rate_period", "30", 30),
    ("VEO3_BURST", "burst", "2", 2),
    ("VEO3_DAILY_LIMIT", "daily_limit", "100", 100),
    ("VEO3_MAX_CONCURRENCY", "max_concurrency", "8", 8),
    ("VEO3_SPEND_LIMIT", "spend_limit", "10.5", 10.5),
    ("VEO3_SPEND_PERIOD", "spend_period", "300", 300),
    ("VEO3_BUDGET", "budget", "20", 20),
    ("VEO3_CONFIRM_ABOVE", "confirm_above", "off", None),
    ("VEO3_MCP_BUDGET", "mcp_budget", "10", 10),
    ("VEO3_MCP_ASK_ABOVE", "mcp_ask_above", "none", None),
    ("VEO3_MCP_MEDIA", "mcp_media", "/tmp/a", (Path("/tmp/a"),)),
    ("VEO3_MCP_TOKEN", "mcp_token", "t-123", SecretStr("t-123")),
    ("VEO3_QUOTA_PATIENCE", "quota_patience", "60", 60),
    ("VEO3_BACKEND", "backend", "vertex", "vertex"),
    ("VEO3_MODEL", "model", "veo-3.1-fast-generate-001", "veo-3.1-fast-generate-001"),
    ("VEO3_BASE_URL", "base_url", "http://127.0.0.1:8089/", "http://127.0.0.1:8089"),
    ("VEO3_CATALOG", "catalog", "/dev/null", Path("/dev/null")),
    ("VEO3_LANES", "lanes", "lanes.toml", Path("lanes.toml")),
    ("VEO3_FALLBACK", "fallback", "a -> b, c", ("a", "b", "c")),
    ("VEO3_API_VERSION", "api_version", "v1beta1", "v1beta1"),
    ("VEO3_OUTPUT_DIR", "output_dir", "/tmp/films", Path("/tmp/films")),
    ("VEO3_NAME", "name", "{slug}-{seed}.mp4", "{slug}-{seed}"),
    ("VEO3_JOURNAL", "journal", "runs/journal.db", Path("runs/journal.db")),
    ("VEO3_KEEP_REMOTE", "keep_remote", "true", True),
    ("VEO3_STORAGE_URL", "storage_url", "http://127.0.0.1:8787", "http://127.0.0.1:8787"),
    ("STORAGE_EMULATOR_HOST", "storage_url", "localhost:4443", "http://localhost:4443"),
    ("VEO3_OUTPUT_GCS_URI", "output_gcs_uri", "gs://bucket/out/", "gs://bucket/out/"),
    ("VEO3_RETENTION", "retention", "7d", 604_800),
    ("VEO3_DISK_LIMIT", "disk_limit", "50GB", 50_000_000_000),
    ("VEO3_REQUEST_TIMEOUT", "request_timeout", "40", 40),
    ("VEO3_OPERATION_TIMEOUT", "operation_timeout", "600", 600),
    ("VEO3_RESEND_503", "resend_503", "false", False),
    ("VEO3_POLL_INTERVAL", "poll_interval", "10", 10),
    ("VEO3_POLL_RATE", "poll_rate", "60", 60),
    ("VEO3_WEBHOOK", "webhook", "https://hooks.example.net/aveo3/", "https://hooks.example.net/aveo3"),
    ("VEO3_WEBHOOK_LISTEN", "webhook_listen", "0.0.0.0:9000", "0.0.0.0:9000"),
    ("VEO3_MOCK_MODE", "mock_mode", "true", True),
    ("VEO3_DEBUG_MODE", "debug_mode", "1", True),
    ("VEO3_LOG_FORMAT", "log_format", "json", "json"),
    ("VEO3_OTEL", "otel", "1", True),
    ("VEO3_OTEL_CONTENT", "otel_content", "1", True),
    ("VEO3_LABELS", "labels", "team=film, customer=acme", {"team": "film", "customer": "acme"}),
    ("VEO3_PROJECT_LABEL", "project_label", "customer", "customer"),
    ("VEO3_PROJECT", "project", "mine", "mine"),
    ("GOOGLE_CLOUD_PROJECT", "project", "mine", "mine"),
    ("VEO3_LOCATION", "location", "europe-west4", "europe-west4"),
    ("GOOGLE_CLOUD_LOCATION", "location", "europe-west4", "europe-west4"),
    ("GOOGLE_API_KEY", "api_key", "k-123", SecretStr("k-123")),
    ("GEMINI_API_KEY", "api_key", "k-123", SecretStr("k-123")),
    ("GOOGLE_APPLICATION_CREDENTIALS", "credentials_file", "/tmp/sa.json", Path("/tmp/sa.json")),
    ("VEO3_DATABASE", "database", "postgresql://db/veo", SecretStr("postgresql://db/veo")),
    ("VEO3_SERVER", "server", "https://videos.example.com/", "https://videos.example.com"),
    ("VEO3_SERVER_KEY", "server_key", "aveo3_123", SecretStr("aveo3_123")),
    ("VEO3_SERVER_PRIORITY", "server_priority", "-5", -5),
    ("GOOGLE_GENAI_USE_VERTEXAI", "use_vertex", "true", True),
    ("GOOGLE_GENAI_USE_ENTERPRISE", "use_vertex", "true", True),
]

DEFAULTS: dict[str, Any] = {
    "max_retries": 3,
    "retry_wait_base": 30,
    "quota_wait_time": 300,
    "consecutive_failure_threshold": 3,
    "quota_reset_interval": 3600,
    "rate_limit": None,
    "rate_period": 60,
    "burst": None,
    "daily_limit": None,
    "max_concurrency": None,
    "spend_limit": None,
    "spend_period": 600,
    "budget": None,
    "confirm_above": 20,
    "mcp_budget": None,
    "mcp_ask_above": 20,
    "mcp_media": (),
    "mcp_token": None,
    "quota_patience": 3600,
    "backend": "auto",
    "model": "veo-3.1-generate-001",
    "catalog": None,
    "lanes": None,
    "fallback": (),
    "base_url": None,
    "api_version": "v1",
    "output_dir": Path("clips"),
    "name": "{index:04}-{slug}-{job}",
    "journal": "auto",
    "database": None,
    "output_gcs_uri": None,
    "keep_remote": False,
    "storage_url": "https://storage.googleapis.com",
    "retention": None,
    "disk_limit": None,
    "request_timeout": 120,
    "operation_timeout": 3600,
    "resend_503": True,
    "poll_interval": None,
    "poll_rate": 1200,
    "webhook": None,
    "webhook_listen": "127.0.0.1:8788",
    "mock_mode": False,
    "debug_mode": False,
    "log_format": "text",
    "otel": None,
    "otel_content": False,
    "labels": {},
    "project_label": None,
    "project": None,
    "location": "us-central1",
    "api_key": None,
    "credentials_file": None,
    "server": None,
    "server_key": None,
    "server_priority": 0,
    "use_vertex": None,
}


def write_env(*lines: str) -> None:
    Path(".env").write_text("\n".join(lines) + "\n")


def refusal(**values: Any) -> str:
    with pytest.raises(UsageError) as raised:
        Settings(**values)
    assert raised.value.__cause__ is None
    assert "s3cr3t" not in str(raised.value.__context__)  # pydantic's own error would show what was typed
    return str(raised.value)


# ---- ways in ---------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_design() -> None:
    assert Settings().model_dump() == DEFAULTS


@pytest.mark.parametrize(("variable", "name", "text", "value"), BY_EVERY_WAY)
def test_every_variable_can_be_set_in_every_way(
    variable: str, name: str, text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    argument: dict[str, Any] = {name: text}
    assert getattr(Settings(**argument), name) == value
    write_env(f"{variable}={text}")
    assert getattr(Settings(), name) == value
    assert getattr(Settings(_env_file=None), name) == DEFAULTS[name]
    Path(".env").unlink()
    monkeypatch.setenv(variable, text)
    assert getattr(Settings(), name) == value


def test_every_setting_is_in_the_tables_above() -> None:
    assert {name for _, name, _, _ in BY_EVERY_WAY} == set(Settings.model_fields) == set(DEFAULTS)


def test_an_argument_beats_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write_env("VEO3_MAX_RETRIES=1")
    assert Settings().max_retries == 1
    monkeypatch.setenv("VEO3_MAX_RETRIES", "2")
    assert Settings().max_retries == 2
    assert Settings(max_retries=0).max_retries == 0  # zero is a value, not a gap


def test_our_own_name_beats_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, text in {"VEO3_PROJECT": "ours", "GOOGLE_CLOUD_PROJECT": "theirs"}.items():
        monkeypatch.setenv(variable, text)
    assert Settings().project == "ours"


def test_another_file_can_be_named(tmp_path: Path) -> None:
    write_env("VEO3_MAX_RETRIES=1")
    (tmp_path / "other.env").write_text("VEO3_MAX_RETRIES=7")
    assert Settings(_env_file=tmp_path / "other.env").max_retries == 7


def test_what_is_left_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    write_env("VEO3_BUDGET=", "GOOGLE_API_KEY=")
    monkeypatch.setenv("VEO3_RATE_LIMIT", "")
    assert (Settings().budget, Settings().api_key, Settings().rate_limit) == (None, None, None)


@pytest.mark.parametrize("variable", ["VEO3_QUOTA_PATIENCE", "VEO3_DAILY_LIMIT", "VEO3_BUDGET"])
def test_none_means_no_bound(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "none")
    assert getattr(Settings(), variable.removeprefix("VEO3_").lower()) is None


def test_the_old_systems_env_file_loads_unchanged_beside_other_programs_lines() -> None:
    write_env(
        "DATABASE_URL=postgres://user:secret@db/app",
        "DEBUG=maybe",
        "VEO3_MAX_RETRIES=3",
        "VEO3_QUOTA_RESET_INTERVAL=3600",
        "VEO3_CONSECUTIVE_FAILURE_THRESHOLD=3",
        "VEO3_RETRY_WAIT_BASE=30",
        "VEO3_QUOTA_WAIT_TIME=300  # seconds",
        "VEO3_DEBUG_MODE=False",
        'VEO3_MOCK_MODE="true"',
    )
    assert Settings().model_dump() == {**DEFAULTS, "mock_mode": True}


def test_a_home_directory_is_found_though_no_shell_has_read_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    write_env("VEO3_OUTPUT_DIR=~/films", "GOOGLE_APPLICATION_CREDENTIALS=~/sa.json")
    assert Settings().output_dir == Path("/home/someone/films")
    assert Settings().credentials_file == Path("/home/someone/sa.json")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().max_retries = 5  # type: ignore[misc]


# ---- nonsense --------------------------------------------------------------------------------------------------------

WHOLE = "; allowed: a whole number, at least"


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("VEO3_MAX_RETRIES", "-1", f"must be greater than or equal to 0{WHOLE} 0"),
        ("VEO3_RATE_LIMIT", "0", f"must be greater than or equal to 1{WHOLE} 1"),
        (
            "VEO3_RATE_LIMIT",
            "ten",
            f"must be a whole number{WHOLE} 1",
        ),
        (
            "VEO3_MAX_CONCURRENCY",
            "2.5",
            f"must be a whole number{WHOLE} 1",
        ),
        ("VEO3_MAX_RETRIES", "none", f"must be a whole number{WHOLE} 0"),
        ("VEO3_RATE_PERIOD", "0", "must be greater than 0; allowed: more than 0"),
        ("VEO3_QUOTA_WAIT_TIME", "inf", "must be a finite number; allowed: more than 0"),
        ("VEO3_RETRY_WAIT_BASE", "nan", "must be a finite number; allowed: at least 0"),
        ("VEO3_BUDGET", "-0.01", "must be greater than or equal to 0; allowed: at least 0"),
        ("VEO3_BUDGET", "nan", "must be a finite number; allowed: at least 0"),
        (
            "VEO3_SPEND_LIMIT",
            "$10",
            "must be a number; allowed: more than 0",
        ),
        (
            "VEO3_MOCK_MODE",
            "perhaps",
            "must be true or false; allowed: true or false",
        ),
        (
            "VEO3_BACKEND",
            "vertx",
            "must be 'auto', 'vertex', 'gemini' or 'mock'; allowed: auto or vertex or gemini or mock",
        ),
        ("VEO3_WEBHOOK", "hooks.example.net", "must be an address such as http://127.0.0.1:8089"),
        ("VEO3_BASE_URL", "localhost:8089", "must be an address such as http://127.0.0.1:8089"),
        ("VEO3_BASE_URL", "ftp://127.0.0.1", "must be an address such as http://127.0.0.1:8089"),
        ("VEO3_BASE_URL", "http://", "must be an address such as http://127.0.0.1:8089"),
        (
            "VEO3_BASE_URL",
            "https://gateway.example/v1beta1",
            "must not end in /v1beta1, because the version is added: leave it out, and set VEO3_API_VERSION=v1beta1 if "
            "it is not the usual one",
        ),
        ("VEO3_RETENTION", "a week", "must be a time such as 30s, 90m, 12h, 7d or 4w; allowed: more than 0"),
        ("VEO3_RETENTION", "0d", "must be greater than 0; allowed: more than 0"),
        ("VEO3_DISK_LIMIT", "much", "must be a size such as 500MB, 50GB or 2TB; allowed: a whole number, more than 0"),
        ("VEO3_API_VERSION", "one", "must look like v1 or v1beta1"),
        ("VEO3_OUTPUT_GCS_URI", "bucket/out", "must look like gs://bucket/prefix"),
        (
            "GOOGLE_GENAI_USE_VERTEXAI",
            "maybe",
            "must be true or false; allowed: true or false",
        ),
    ],
)
def test_nonsense_is_refused_naming_variable_value_origin_and_what_is_allowed(
    variable: str, text: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(f"{variable}={text}")
    assert refusal() == f"{variable}={text} (in .env) is refused: {sentence}"
    Path(".env").unlink()
    monkeypatch.setenv(variable, text)
    assert refusal() == f"{variable}={text} (in the environment) is refused: {sentence}"


def test_a_bad_argument_is_called_by_the_name_it_was_given() -> None:
    assert refusal(max_retries=-1) == (
        "max_retries=-1 (as an argument) is refused: must be greater than or equal to 0; "
        "allowed: a whole number, at least 0"
    )
    assert refusal(GOOGLE_CLOUD_PROJECT=5) == ("GOOGLE_CLOUD_PROJECT=5 (as an argument) is refused: must be text")


def test_a_variable_in_small_letters_counts_and_is_shown_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("veo3_max_retries", "9")
    assert Settings().max_retries == 9
    monkeypatch.setenv("veo3_max_retries", "-9")
    assert refusal().startswith("VEO3_MAX_RETRIES=-9 (in the environment) is refused: ")


def test_several_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    write_env("VEO3_RATE_LIMIT=0")
    monkeypatch.setenv("VEO3_MAX_RETRIES", "-1")
    assert refusal(budget=-1) == (
        "VEO3_MAX_RETRIES=-1 (in the environment) is refused: must be greater than or equal to 0; "
        "allowed: a whole number, at least 0; "
        "VEO3_RATE_LIMIT=0 (in .env) is refused: must be greater than or equal to 1; "
        "allowed: a whole number, at least 1; "
        "budget=-1 (as an argument) is refused: must be greater than or equal to 0; allowed: at least 0"
    )


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ({"rate_limit": 10, "burst": 11}, 10),
        ({"burst": 51}, 50),  # the model's own quota
        ({"model": "veo-3.1-lite-generate-001", "burst": 11}, 10),
        ({"model": "unheard-of", "burst": 11}, 10),
    ],
)
def test_a_burst_over_the_limit_is_refused(values: dict[str, Any], limit: int) -> None:
    assert refusal(**values) == (
        f"VEO3_BURST={values['burst']} is over the rate limit of {limit}: allowed are 1 to {limit}. "
        "Lower VEO3_BURST or raise VEO3_RATE_LIMIT."
    )


@pytest.mark.parametrize(
    ("variable", "likeliest"),
    [
        ("VEO3_RATELIMIT", "VEO3_RATE_LIMIT"),
        ("VEO3_MAX_RETRY", "VEO3_MAX_RETRIES"),
        ("VEO3_API_KEY", "GEMINI_API_KEY or GOOGLE_API_KEY"),  # Google's own names: there is no VEO3_ one
        ("VEO3_LIMIT", "VEO3_DAILY_LIMIT or VEO3_DISK_LIMIT or VEO3_RATE_LIMIT or VEO3_SPEND_LIMIT"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_likeliest_spelling(
    variable: str, likeliest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(f"{variable}=3")
    assert refusal() == f"{variable} (in .env) is not a setting of aveo3: did you mean {likeliest}?"
    Path(".env").unlink()
    monkeypatch.setenv(variable, "3")
    assert refusal() == f"{variable} (in the environment) is not a setting of aveo3: did you mean {likeliest}?"


def test_a_variable_like_no_other_is_refused_with_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_XYZZY", "3")
    known = sorted(variable for variable, _, _, _ in BY_EVERY_WAY)
    assert (
        refusal() == f"VEO3_XYZZY (in the environment) is not a setting of aveo3: the settings are {', '.join(known)}"
    )


def test_a_misspelt_argument_is_refused_with_the_likeliest_spelling() -> None:
    assert refusal(rate_limits=3) == "rate_limits (as an argument) is not a setting of aveo3: did you mean rate_limit?"
    assert refusal(limit=3).endswith("did you mean daily_limit or disk_limit or rate_limit or spend_limit?")
    known = ", ".join(sorted(Settings.model_fields))
    assert refusal(xyzzy=3) == f"xyzzy (as an argument) is not a setting of aveo3: the settings are {known}"


# ---- secrets ---------------------------------------------------------------------------------------------------------


def test_a_key_is_never_shown() -> None:
    settings = Settings(api_key="s3cr3t")
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "s3cr3t"
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "s3cr3t" not in shown


def test_a_key_is_not_shown_in_errors_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "s3cr3t")
    assert refusal(api_key=["s3cr3t"]) == "api_key=(hidden) (as an argument) is refused: must be text"
    assert "s3cr3t" not in refusal(max_retries=-1)
    assert "s3cr3t" not in refusal(rate_limits=1)


@pytest.mark.parametrize("url", ["http://user:s3cr3t@host", "http://host/?key=s3cr3t", "//user:s3cr3t@host"])
def test_an_address_that_holds_a_secret_is_refused_without_repeating_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the sentence that asks to keep passwords out of the address showed the password."""
    monkeypatch.setenv("VEO3_BASE_URL", url)
    said = refusal()
    assert said.startswith("VEO3_BASE_URL=(hidden) (in the environment) is refused: must ")
    assert "s3cr3t" not in said


def test_an_address_with_a_password_is_told_where_keys_belong() -> None:
    assert refusal(base_url="http://user:pw@host").endswith(
        "must hold no user name, password or query; put the key into GOOGLE_API_KEY"
    )


# ---- choices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"VEO3_MOCK_MODE": "true"}, "mock"),
        ({"VEO3_MOCK_MODE": "true", "VEO3_BACKEND": "vertex", "GOOGLE_CLOUD_PROJECT": "p"}, "mock"),
        ({"VEO3_BACKEND": "mock"}, "mock"),
        ({"VEO3_BACKEND": "gemini", "GOOGLE_CLOUD_PROJECT": "p"}, "gemini"),
        ({"VEO3_BACKEND": "vertex"}, "vertex"),
        ({"GOOGLE_CLOUD_PROJECT": "p"}, "vertex"),
        ({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_API_KEY": "k"}, "vertex"),
        ({"GOOGLE_GENAI_USE_VERTEXAI": "true"}, "vertex"),
        ({"GOOGLE_GENAI_USE_ENTERPRISE": "true", "GEMINI_API_KEY": "k"}, "vertex"),
        ({"GOOGLE_GENAI_USE_VERTEXAI": "false", "GEMINI_API_KEY": "k"}, "gemini"),
        ({"GOOGLE_API_KEY": "k"}, "gemini"),
        ({"GEMINI_API_KEY": "k"}, "gemini"),
    ],
)
def test_the_backend_follows_from_what_there_is(
    environment: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, text in environment.items():
        monkeypatch.setenv(variable, text)
    assert Settings().backend_name() == name


def test_with_nothing_to_go_by_all_three_ways_are_named() -> None:
    with pytest.raises(UsageError) as raised:
        Settings().backend_name()
    assert str(raised.value) == (
        "No credentials found, so there is nowhere to make clips. Choose one of three ways: "
        "(1) Vertex AI: set GOOGLE_CLOUD_PROJECT and run `gcloud auth application-default login`; "
        "(2) an API key: set GEMINI_API_KEY for the Gemini API, or GOOGLE_API_KEY and VEO3_BACKEND=vertex for "
        "Vertex AI express mode; "
        "(3) no account at all: set VEO3_MOCK_MODE=true for the built-in emulator. `aveo3 login` shows the steps."
    )


@pytest.mark.parametrize(
    ("values", "model"),
    [
        ({}, "veo-3.1-generate-001"),
        ({"project": "p", "api_key": "k"}, "veo-3.1-generate-001"),
        ({"mock_mode": True, "backend": "gemini"}, "veo-3.1-generate-001"),
        ({"api_key": "k"}, "gemini-omni-1.2-flash"),
        ({"backend": "gemini"}, "gemini-omni-1.2-flash"),
        ({"backend": "gemini", "model": "gemini-omni-1.2-flash"}, "gemini-omni-1.2-flash"),
        ({"backend": "gemini", "model": "veo-3.1-generate-001"}, "veo-3.1-generate-001"),  # said is said
    ],
)
def test_a_backend_without_a_model_has_its_own(values: dict[str, Any], model: str) -> None:
    assert Settings(**values).model == model


def test_the_burst_is_held_against_the_quota_of_the_backends_own_model() -> None:
    with pytest.raises(UsageError, match=r"VEO3_BURST=9 is over the rate limit of 8"):
        Settings(backend="gemini", burst=9)


@pytest.mark.parametrize(
    ("values", "model", "rate"),
    [
        ({}, "veo-3.1-generate-001", Rate(50, 60, 50)),
        ({}, "veo-3.1-lite-generate-001", Rate(10, 60, 10)),
        ({}, "unheard-of", Rate(10, 60, 10)),
        ({"rate_limit": 4}, "veo-3.1-generate-001", Rate(4, 60, 4)),
        ({"rate_limit": 4, "burst": 1}, "veo-3.1-generate-001", Rate(4, 60, 1)),
        ({"rate_limit": 4, "rate_period": 10}, "unheard-of", Rate(4, 10, 4)),
        ({"rate_period": 30}, "veo-3.1-generate-001", Rate(25, 30, 25)),  # the model's quota, in that period
        ({"rate_period": 3600}, "unheard-of", Rate(600, 3600, 600)),
        ({"burst": 20}, "veo-3.1-generate-001", Rate(50, 60, 20)),
        ({"burst": 20}, "veo-3.1-lite-generate-001", Rate(10, 60, 10)),  # never more than the other model takes
    ],
)
def test_the_rate_is_what_was_set_or_the_models_usual_quota(values: dict[str, Any], model: str, rate: Rate) -> None:
    assert Settings(**values).rate(model) == rate


def test_a_short_period_does_not_raise_the_models_usual_quota() -> None:
    """10 a minute are one in six seconds; asked for a period of one second, it must not become one a second."""
    assert Settings(rate_period=1).rate("unheard-of") == Rate(1, 6, 1)


# ---- where the journal is --------------------------------------------------------------------------------------------


def test_the_journal_lies_beside_the_videos_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(output_dir="films").journal_path == Path("films/.aveo3/journal.db")
    assert Settings(journal="elsewhere.db").journal_path == Path("elsewhere.db")
    assert Settings(journal=None).journal_path is None
    monkeypatch.setenv("VEO3_JOURNAL", "none")
    assert Settings().journal_path is None


# ---- what people see -------------------------------------------------------------------------------------------------


def test_every_setting_is_described_with_its_default_and_what_is_allowed() -> None:
    rows = {row.name: row for row in describe()}
    assert [row.field for row in rows.values()] == list(Settings.model_fields)
    assert set(chain.from_iterable(name.split(" or ") for name in rows)) == {v for v, _, _, _ in BY_EVERY_WAY}
    assert rows["VEO3_MAX_RETRIES"] == (
        "max_retries",
        "VEO3_MAX_RETRIES",
        "3",
        "retries after a failure; refusals do not count (a whole number, at least 0)",
    )
    assert rows["VEO3_RATE_LIMIT"] == (
        "rate_limit",
        "VEO3_RATE_LIMIT",
        "unset",
        "requests per rate period; unset: the model's usual quota, or 10 a minute (a whole number, at least 1)",
    )
    assert rows["VEO3_QUOTA_PATIENCE"].meaning == (
        "seconds in which no submit is possible before waiting clips are deferred; `none`: wait for ever (at least 0)"
    )
    assert rows["VEO3_BACKEND"] == (
        "backend",
        "VEO3_BACKEND",
        "auto",
        "service that makes the clips (auto or vertex or gemini or mock)",
    )
    assert rows["VEO3_MOCK_MODE"].default == "false"
    assert rows["VEO3_MOCK_MODE"].meaning.endswith("(true or false)")
    assert rows["VEO3_OUTPUT_DIR"].default == "clips"
    assert rows["GOOGLE_API_KEY or GEMINI_API_KEY"].default == "unset"


def test_durations_say_that_they_are_seconds_and_money_that_it_is_dollars() -> None:
    for row in describe():
        if re.search("TIME|INTERVAL|PERIOD|WAIT|PATIENCE", row.name):
            assert row.meaning.startswith("seconds"), row.name
        if re.search("SPEND_LIMIT|BUDGET", row.name):
            assert row.meaning.startswith("US$"), row.name


def test_an_env_file_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("aveo3.config.env_file.Path.read_bytes", refused)
    write_env("VEO3_BUDGET=7")
    with pytest.raises(UsageError, match=r"^\.env cannot be read: Permission denied\. Change its permissions, or move"):
        Settings()


# ---- names as people paste them --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "publishers/google/models/veo-3.1-generate-001",
        "models/veo-3.1-generate-001",
        " veo-3.1-generate-001\n",
        "VEO-3.1-Generate-001",
        "\u00a0veo\u20113.1\u2011generate\u2011001\u200b",
        "publishers/google/models/veo-3.1-generate-001:predictLongRunning",
    ],
)
def test_a_model_has_one_name_however_it_is_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(model=name).model == "veo-3.1-generate-001"
    assert Settings(fallback=(name,)).fallback == ("veo-3.1-generate-001",)
    assert Settings(fallback=f"{name} -> b").fallback == ("veo-3.1-generate-001", "b")
    assert VideoPrompt(text="a boat", model=name).model == "veo-3.1-generate-001"
    assert LaneSettings(model=name).model == "veo-3.1-generate-001"
    monkeypatch.setenv("VEO3_MODEL", name)
    assert Settings().model == "veo-3.1-generate-001"


def test_a_model_of_another_service_keeps_its_name() -> None:
    assert Settings(model="My-Own/Model").model == "My-Own/Model"
    assert Settings(model="projects/p/locations/us/endpoints/5").model == "projects/p/locations/us/endpoints/5"


def test_a_model_name_that_holds_a_project_is_refused() -> None:
    name = "projects/mine/locations/europe-west4/publishers/google/models/veo-3.1-generate-001"
    assert refusal(model=name) == (
        f"model={name} (as an argument) is refused: names a project: set GOOGLE_CLOUD_PROJECT and its region, and give "
        "veo-3.1-generate-001 alone"
    )


@pytest.mark.parametrize("field", ["output_dir", "journal"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("\ud83d", "file names are utf-8 here: set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or use another name"),
        ("a\0b", "there is a null byte in it"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused_before_anything_is_paid(field: str, name: str, why: str) -> None:
    assert refusal(**{field: Path(name)}).endswith(why)


def test_a_catalog_may_write_a_model_in_capitals(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[models."publishers/google/models/VEO-3.1-generate-001"]\nprices = { "720p" = 1.0 }\n')
    cost = Settings(catalog=file).model_catalog.cost_usd(VideoPrompt(text="x"), "veo-3.1-generate-001")
    assert cost == 8.0


# ---- lines of a .env that set nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        ("VEO3_BUDGET: 7", 1, "VEO3_BUDGET"),
        ("A=1\n\n# money\nVEO3_BUDGET 7\nB=2", 4, "VEO3_BUDGET"),
        ("VEO3_BUDGET", 1, "VEO3_BUDGET"),
        ("A=1\nset VEO3_BUDGET=7", 2, "VEO3_BUDGET"),
        ("$env:VEO3_BUDGET=7", 1, "VEO3_BUDGET"),
        ("- VEO3_BUDGET=7", 1, "VEO3_BUDGET"),
        ('VEO3_MODEL="veo-3.1-lite-generate-001\nA=1', 1, "VEO3_MODEL"),
        ("A='open\nVEO3_BUDGET=7\nB='x'", 2, "VEO3_BUDGET"),
        ("A='open\nexport VEO3_BUDGET=7\nB=x'", 2, "VEO3_BUDGET"),
        ("GEMINI_API_KEY: AIza-secret", 1, "GEMINI_API_KEY"),
    ],
)
def test_a_line_of_an_env_file_that_would_set_nothing_is_refused(text: str, line: int, name: str) -> None:
    write_env(text)
    assert refusal() == (
        f".env:{line}: this line mentions {name}, but sets nothing: write NAME=value, with nothing before NAME, and "
        "close every quote. A comment begins with #."
    )


def test_a_mark_before_the_first_line_does_not_hide_its_variable() -> None:
    Path(".env").write_bytes("VEO3_BUDGET=7\r\nVEO3_BURST=3\r\n".encode("utf-8-sig"))
    assert (Settings().budget, Settings().burst) == (7.0, 3)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_an_env_file_in_utf_16_is_refused(encoding: str) -> None:
    Path(".env").write_bytes("VEO3_BUDGET=7\r\n".encode(encoding))
    assert "is not UTF-8 text" in refusal()


def test_lines_of_other_programs_and_comments_are_left_alone() -> None:
    write_env("# VEO3_BUDGET: 7", "OTHER: 7", "JUST_A_NAME", "X=VEO3_BUDGET", "export VEO3_BURST=3", "VEO3_BUDGET = 8")
    assert (Settings().budget, Settings().burst) == (8.0, 3)


# ---- what clipboards, files and shells leave around a value ----------------------------------------------------------


@pytest.mark.parametrize("mess", ["{}\n", " {} ", "{}\r\n", "\ufeff{}", '"{}"', "'{}'", "{}\u200b", "\u00a0{}"])
def test_blanks_line_ends_and_quotes_around_keys_and_names_do_not_count(
    mess: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", mess.format("k-123"))
    monkeypatch.setenv("KEY_B", mess.format("k-456"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", mess.format("mine"))
    monkeypatch.setenv("VEO3_BASE_URL", mess.format("http://127.0.0.1:8089"))
    made = Settings(output_gcs_uri=mess.format("gs://bucket/out"))
    assert made.api_key == Settings(api_key=SecretStr(mess.format("k-123"))).api_key == SecretStr("k-123")
    assert read_key("KEY_B") == SecretStr("k-456")
    assert (made.project, made.base_url, made.output_gcs_uri) == ("mine", "http://127.0.0.1:8089", "gs://bucket/out")
    assert LaneSettings(project=mess.format("mine")).project == "mine"


def test_a_line_end_after_a_path_does_not_count() -> None:
    made = Settings(output_dir="clips\r", credentials_file="sa.json\n")
    assert (made.output_dir, made.credentials_file) == (Path("clips"), Path("sa.json"))


def test_a_key_or_project_of_blanks_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", " \n")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "  ")
    assert (Settings().api_key, Settings().project, read_key("GEMINI_API_KEY")) == (None, None, None)


@pytest.mark.parametrize("key", ["AIza-se\ncret", "AIza-se cret", "AIza-se\x00cret", "AIza-s\u00e9cret"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(api_key=key) == (
        "api_key=(hidden) (as an argument) is refused: character "
        f"{next(n for n, sign in enumerate(key, 1) if not '!' <= sign <= '~')} of {len(key)} is not one that a key can "
        "hold: copy the key again"
    )
    if "\0" not in key:  # no environment can hold it
        monkeypatch.setenv("KEY_B", key)
        with pytest.raises(UsageError, match=r"^KEY_B is refused: character") as caught:
            read_key("KEY_B")
        assert "cret" not in str(caught.value)


DEEP = "\\".join(["directory"] * 20)


@pytest.mark.parametrize(
    ("path", "opened"),
    [
        (rf"C:\{DEEP}", rf"\\?\C:\{DEEP}"),
        (rf"C:\{DEEP}\..\b", rf"\\?\C:\{DEEP.rpartition(chr(92))[0]}\b"),
        (rf"\\server\share\{DEEP}", rf"\\?\UNC\server\share\{DEEP}"),
        (rf"\\?\C:\{DEEP}", rf"\\?\C:\{DEEP}"),
        (r"C:\clips", r"C:\clips"),
        ("clips", "clips"),
    ],
)
def test_on_windows_a_long_directory_is_named_so_that_it_can_be_opened(
    path: str, opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field_types, "sys", SimpleNamespace(platform="win32"))
    assert str(Settings(output_dir=path).output_dir) == opened
    assert str(Settings(journal=path).journal) == opened


def test_on_windows_a_longer_template_of_names_leaves_a_directory_less_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_types, "sys", SimpleNamespace(platform="win32"))
    directory = "C:\\" + "a" * 60
    assert str(Settings(output_dir=directory).output_dir) == directory
    assert str(Settings(output_dir=directory, name="{index}-{slug}-{id}").output_dir) == rf"\\?\{directory}"


def test_elsewhere_a_long_directory_is_named_as_it_is() -> None:
    assert Settings(output_dir="a/" * 300).output_dir == Path("a/" * 300)


# ---- a server that makes the clips -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"mock_mode": True},
        {"backend": "vertex"},
        {"base_url": "http://127.0.0.1:1"},
        {"lanes": "lanes.toml"},
        {"fallback": "veo-3.1-fast-generate-001"},
        {"rate_limit": 5},
        {"daily_limit": 5},
        {"spend_limit": 5},
        {"webhook": "https://example.com/hook"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_only_the_server_decides_cannot_be_set_beside_it(given: dict[str, Any]) -> None:
    said = refusal(server="http://127.0.0.1:8790", **given)
    assert f"VEO3_{next(iter(given)).upper()} cannot go with it, because " in said
    assert said.endswith("Unset one or the other.")


def test_credentials_of_google_do_no_harm_beside_a_server() -> None:
    assert Settings(server="http://127.0.0.1:8790", project="p", api_key="k").backend_name() == "server"


@pytest.mark.parametrize(
    ("server", "why"),
    [
        ("https://u:s3cr3t@example.com", "put the key into VEO3_SERVER_KEY"),
        ("https://example.com/?key=s3cr3t", "put the key into VEO3_SERVER_KEY"),
        ("https://example.com/v1", "must not end in /v1"),
        ("example.com:8790", "must be an address such as http://127.0.0.1:8790"),
    ],
)
def test_an_address_of_a_server_holds_neither_key_nor_version(server: str, why: str) -> None:
    said = refusal(server=server)
    assert why in said
    assert "s3cr3t" not in said


def test_a_key_of_a_server_is_shown_nowhere() -> None:
    settings = Settings(server="http://127.0.0.1:8790", server_key="aveo3_s3cr3t")
    assert "s3cr3t" not in repr(settings) + str(settings.model_dump(mode="json"))
    assert "s3cr3t" not in refusal(server_key="aveo3_s3cr3t\x07")


# ---- a database that several machines share --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("mysql://u:s3cr3t@db/veo", "and not of mysql"),
        ("sqlite:///s3cr3t.db", "the journal is a file in the output directory then"),
        ("postgresql+psycopg://u:s3cr3t@db/veo", "not with postgresql+psycopg://"),
        ("jdbc:postgresql://u:s3cr3t@db/veo", "not with jdbc:postgresql://"),
        ("host=db password=s3cr3t", "must be an address such as postgresql://USER@HOST/DATABASE"),
        ("db.example.com/s3cr3t", "must be an address such as"),
        ("postgresql://u:s3cr3t@x@db/veo", "%40 for @"),
        ("postgresql://u:s3cr3t/x@db/veo", "%2F for /"),
        ("postgresql://u:100%s3cr3t@db/veo", "% itself as %25"),
        ("postgresql://u:s3cr3t@db:s3cr3t/veo", "the port as a number"),
        ("postgresql://u:s3 cr3t@db/veo", "must hold no spaces"),
        ("postgresql://db/veo?s3cr3t", "must have name=value"),
    ],
)
def test_a_wrong_address_of_a_database_says_what_is_wrong_and_shows_no_password(address: str, why: str) -> None:
    said = refusal(database=address)
    assert why in said
    assert said.startswith("database=(hidden) (as an argument) is refused: ")
    assert "s3cr3t" not in said


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("postgresql://u:s3cr3t@db.example.com:5433/veo", "postgresql://db.example.com:5433/veo"),
        ("postgres://u:s3cr3t%40@a:1,b:2/veo?target_session_attrs=read-write", "postgresql://a:1,b:2/veo"),
        ("postgresql://u@[::1]:5432/veo?password=s3cr3t&sslmode=require", "postgresql://[::1]:5432/veo"),
        ("postgresql:///?service=farm", "postgresql:///?service=farm"),
        ("postgresql:///veo?host=/var/run/postgresql&port=5433", "postgresql:///var/run/postgresql:5433/veo"),
        (" 'postgresql://' ", "postgresql:///"),
    ],
)
def test_an_address_of_a_database_is_shown_without_user_and_password(address: str, seen: str) -> None:
    settings = Settings(database=address)
    assert settings.database is not None
    assert shown_address(settings.database) == seen
    assert "s3cr3t" not in repr(settings) + str(settings.model_dump(mode="json"))
    assert any("s3cr3t" in key.get_secret_value() for key in settings.secrets) is ("s3cr3t" in address)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"journal": "j.db"}, "VEO3_JOURNAL cannot go with it, because the journal is in the database"),
        ({"journal": None}, "VEO3_JOURNAL cannot go with it"),
        ({"server": "http://127.0.0.1:8790"}, "VEO3_SERVER cannot go with it"),
        ({"webhook": "https://example.com/hook"}, "VEO3_WEBHOOK cannot go with it"),
        ({"mock_mode": True}, "VEO3_MOCK_MODE cannot go with it, because the emulator runs in one process"),
        ({"backend": "mock"}, "VEO3_BACKEND=mock cannot go with it"),
    ],
)
def test_what_means_one_machine_cannot_be_set_beside_a_database(given: dict[str, Any], what: str) -> None:
    said = refusal(database="postgresql://u:s3cr3t@db/veo", **given)
    assert said.startswith("VEO3_DATABASE=postgresql://db/veo: ")
    assert what in said
    assert said.endswith("Unset one or the other.")
